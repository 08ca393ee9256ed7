"""Python: a prompt in the live loop, with `await` wherever a statement may stand.

Flow: lines -> a whole statement -> compiled -> run in a task that ^C cancels -> its value, what it printed, its error
Never: touches the process's own streams, lets what a statement raises end more than the statement, or shows without
       a bound. A statement that blocks the loop blocks everybody: the watchdog says so in the log.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import codeop
import inspect
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ropewalk.console.errors import TooMuchOutput
from ropewalk.terminal import plain

__all__ = ["PythonPrompt"]

_MOST_OUTPUT = 256 * 1024  # characters of one statement
_LONGEST_STATEMENT = 64 * 1024  # characters
_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_NAME = "<console>"


class PythonPrompt:
    """One person's statements and the names that they have made.

    Args:
        names: At hand from the beginning.
        show: Shows text, whole or in parts.
    """

    def __init__(self, names: Mapping[str, object], show: Callable[[str], None]) -> None:
        self.names: dict[str, Any] = {"__name__": "__console__", "__builtins__": builtins, **names}
        self.names["print"] = self._print
        self.names["help"] = self._help
        self._show = show
        self._room = _MOST_OUTPUT
        self._lines: list[str] = []
        self._compiler = codeop.CommandCompiler()
        self._compiler.compiler.flags |= _AWAIT
        self.leaves = False

    @property
    def waits(self) -> bool:
        """Whether a statement is begun and not whole."""
        return bool(self._lines)

    def drop(self) -> None:
        """Forget what is begun."""
        self._lines.clear()

    def take(self, line: str) -> str:
        """One more line: the statement that is whole with it, "" where it is not yet.

        What is no Python is told, and "" too.
        """
        self._lines.append(line)
        source = "\n".join(self._lines)
        if len(source) > _LONGEST_STATEMENT:
            self._lines.clear()
            self._show(f"a statement has at most {_LONGEST_STATEMENT} characters\n")
            return ""
        try:
            whole = self._compiler(source, _NAME, "single") is not None
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            self._lines.clear()
            self._show_error(error, whole=False)
            return ""
        if not whole:
            return ""
        self._lines.clear()
        return source

    async def run(self, source: str) -> str:
        """Run a whole statement; "done", or the name of what it raised.

        Raises:
            CancelledError: From outside.
        """
        self._room = _MOST_OUTPUT
        try:
            value = await self._value(source)
            if value is not None:
                self.names["_"] = value
                self._write(f"{value!r}\n")
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return self._show_error(error)
        except SystemExit:
            self.leaves = True
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the statement's, and ends here
            return self._show_error(error)
        return "done"

    async def _value(self, source: str) -> object:
        """Run all of it; the value of its last part, where that is an expression."""
        tree = ast.parse(source, _NAME)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        await self._execute(compile(tree, _NAME, "exec", flags=_AWAIT, dont_inherit=True))
        if not isinstance(last, ast.Expr):
            return None
        return await self._execute(compile(ast.Expression(last.value), _NAME, "eval", flags=_AWAIT, dont_inherit=True))

    async def _execute(self, code: types.CodeType) -> object:
        made = types.FunctionType(code, self.names)()
        return await made if code.co_flags & inspect.CO_COROUTINE else made

    def _print(self, *values: object, sep: str | None = " ", end: str | None = "\n", **other: Any) -> None:
        if other.get("file") is not None:
            print(*values, sep=sep, end=end, **other)  # noqa: T201 - where they want it
            return
        space = " " if sep is None else sep
        self._write(space.join(str(value) for value in values) + ("\n" if end is None else end))

    def _help(self, thing: object = None) -> None:
        self._write(f"{inspect.getdoc(thing) or 'nothing is written about it'}\n")

    def _write(self, text: str) -> None:
        """Show text of a statement.

        Raises:
            TooMuchOutput: It has shown enough; so an endless one ends.
        """
        taken = text[: self._room]
        self._room -= len(taken)
        if taken:
            self._show("\n".join(plain(line) for line in taken.expandtabs().split("\n")))
        if len(taken) < len(text):
            raise TooMuchOutput(f"a statement shows at most {_MOST_OUTPUT:,} characters")

    def _show_error(self, error: BaseException, *, whole: bool = True) -> str:
        """Tell of what a statement raised: its own part of the stack."""
        self._room = max(self._room, _MOST_OUTPUT // 16)
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != _NAME:
            trace = trace.tb_next
        kind: type[BaseException] = type(error)
        try:
            lines = traceback.format_exception(kind, error, trace if whole else None, limit=-30)
        except Exception as another:  # noqa: BLE001 - an exception that cannot be shown is theirs, too
            lines = [f"{kind.__name__}, which cannot be shown: {type(another).__name__}\n"]
        try:
            self._write("".join(lines)[: _MOST_OUTPUT // 16])
        except TooMuchOutput:  # what was left was less
            self._show("...\n")
        return kind.__name__

    def completions(self, line: str) -> list[str]:
        """Names that could stand at the end of a line; no code of what they belong to is run for it."""
        word = line[len(line.rstrip("_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")) :]
        path, dot, last = word.rpartition(".")
        begins = line[: len(line) - len(word)].rpartition(" ")[2] + path + dot  # as the terminal counts words
        if not dot:
            import keyword

            known: Iterator[str] = iter({*self.names, *vars(builtins), *keyword.kwlist} - {"__builtins__"})
        else:
            found = self._resolved(path)
            known = iter(()) if found is None else _attributes(found[0])
        private = last.startswith("_")
        return sorted({begins + one for one in known if one.startswith(last) and (private or not one.startswith("_"))})

    def _resolved(self, path: str) -> tuple[Any] | None:
        """What a dotted path names, as far as it can be told without running anybody's code."""
        first, *others = path.split(".")
        missing = object()
        thing = self.names.get(first, getattr(builtins, first, missing) if first else missing)
        for name in others:
            if thing is missing:
                return None
            found = inspect.getattr_static(thing, name, missing)
            if isinstance(found, types.MemberDescriptorType):  # of __slots__: C that only reads
                found = getattr(thing, name, missing)
            elif isinstance(found, property) or (hasattr(type(found), "__get__") and not callable(found)):
                return None
            thing = found
        return None if thing is missing else (thing,)


def _attributes(thing: Any) -> Iterator[str]:
    for kind in thing.__mro__ if isinstance(thing, type) else type(thing).__mro__:
        yield from kind.__dict__
    own = inspect.getattr_static(thing, "__dict__", None)
    try:
        held = vars(thing) if isinstance(own, types.GetSetDescriptorType | Mapping | types.MappingProxyType) else {}
    except TypeError:
        return
    yield from (name for name in held if isinstance(name, str))
