"""Commands: the words of the console and the functions behind them.

Flow: a typed function -> Commands.command -> Command; words of a line -> find, bind -> its arguments
Never: guesses: what does not fit is refused with what would.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from ropewalk.console.answer import Answer
from ropewalk.console.asking import Ask
from ropewalk.console.errors import BadCommand, BadWords, UnknownCommand
from ropewalk.console.rights import Right
from ropewalk.service.near import hint_of

__all__ = ["Command", "Commands", "Parameter", "Words"]

F = TypeVar("F", bound=Callable[..., Awaitable[Answer]])

COMMON = ("--json", "--help")  # options of every command


@dataclass(frozen=True, slots=True)
class Words:
    """Of a parameter, in its annotation: ``Annotated[str, Words("a service", names)]``.

    Attributes:
        help: What it is.
        known: What it may be, for completion; called while somebody types, so it must be quick.
    """

    help: str
    known: Callable[[Ask], Iterable[str]] | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command.

    Attributes:
        name: As it is written: ``SERVICE``, ``--force``.
        kind: str, int, float or bool.
        choices: The only words it may be; () for any.
        option: It has a name before it; of kind bool it has nothing but that.
        many: It takes all words that are left.
    """

    key: str
    name: str
    kind: type
    words: Words
    choices: tuple[str, ...]
    option: bool
    required: bool
    many: bool

    def known(self, ask: Ask) -> list[str]:
        """What it may be."""
        return [*self.choices, *(self.words.known(ask) if self.words.known is not None else ())]

    def value(self, word: str, usage: str) -> Any:
        """What a word means.

        Args:
            word: As it was given.
            usage: Of the command, for a hint.

        Raises:
            BadWords.
        """
        if self.choices:
            if word not in self.choices:
                raise BadWords(f"{self.name} is {word[:40]!r}", hint=hint_of(word, self.choices))
            return word
        if self.kind is str:
            return word
        try:
            return self.kind(word)
        except (ValueError, OverflowError):
            hint = f"{usage}; {self.name}: {self.words.help}" if self.words.help else usage
            raise BadWords(f"{self.name} is {word[:40]!r}, expected a number", hint=hint) from None


@dataclass(frozen=True, slots=True)
class Command:
    """A word of the console."""

    name: str
    right: Right
    function: Callable[..., Awaitable[Answer]]
    parameters: tuple[Parameter, ...]
    summary: str
    details: str

    @property
    def usage(self) -> str:
        """``stop SERVICE [--force]``."""
        parts = [self.name]
        for one in self.parameters:
            name = f"{one.name} {one.key.upper()}" if one.option and one.kind is not bool else one.name
            name = f"{name}..." if one.many else name
            parts.append(name if one.required else f"[{name}]")
        return " ".join(parts)

    def bind(self, words: Sequence[str]) -> dict[str, Any]:
        """The function's arguments.

        Raises:
            BadWords.
        """
        found: dict[str, Any] = {}
        places = [one for one in self.parameters if not one.option]
        options = {one.name: one for one in self.parameters if one.option}
        left, plain = list(words), False
        while left:
            word = left.pop(0)
            if word == "--" and not plain:
                plain = True
            elif word.startswith("--") and not plain:
                name, equals, value = word.partition("=")
                if name not in options:
                    raise BadWords(f"{self.name} has no {name[:40]}", hint=hint_of(name, [*options, *COMMON]))
                one = options[name]
                if one.kind is bool:
                    if equals:
                        raise BadWords(f"{name} takes no value")
                    found[one.key] = True
                elif not equals and not left:
                    raise BadWords(f"{name} needs a value", hint=self.usage)
                else:
                    found[one.key] = one.value(value if equals else left.pop(0), self.usage)
            elif not places:
                raise BadWords(f"{word[:40]!r} is too much", hint=self.usage)
            elif places[0].many:
                found[places[0].key] = (*found.get(places[0].key, ()), places[0].value(word, self.usage))
            else:
                one = places.pop(0)
                found[one.key] = one.value(word, self.usage)
        for one in self.parameters:
            if one.required and one.key not in found:
                raise BadWords(f"{self.name} needs {one.name}", hint=self.usage)
        return found


class Commands:
    """A registry of commands. Others are added by a registry of one's own, named in the console's configuration."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands[name] for name in sorted(self._commands))

    def command(self, *, right: Right = Right.LOOK, name: str = "") -> Callable[[F], F]:
        """Make a command of an asynchronous function.

        Its first argument is the `Ask`; the others are words where they are positional, options where they are
        keyword-only; of str, int, float, Literal or bool. The first line of its docstring is its help.

        Args:
            right: What one needs to give it.
            name: The function's own by default.

        Raises:
            BadCommand.
        """

        def add(function: F) -> F:
            made = _command(function, name or function.__name__.replace("_", "-"), right)
            if made.name in self._commands:
                raise BadCommand(f"two commands are called {made.name!r}")
            self._commands[made.name] = made
            return function

        return add

    def with_those_of(self, *others: Commands) -> Commands:
        """These and others as one registry.

        Raises:
            BadCommand: Two have one name.
        """
        joined = Commands()
        for one in (self, *others):
            for name, command in one._commands.items():  # noqa: SLF001 - our own kind
                if name in joined._commands:
                    raise BadCommand(f"two commands are called {name!r}")
                joined._commands[name] = command
        return joined

    def find(self, name: str) -> Command:
        """A command.

        Raises:
            UnknownCommand.
        """
        if name not in self._commands:
            hint = hint_of(name, self._commands)
            raise UnknownCommand(
                f"no command {name[:40]!r}", hint=hint if hint.startswith("did") else "`help` says what there is"
            )
        return self._commands[name]


def _command(function: Callable[..., Awaitable[Answer]], name: str, right: Right) -> Command:
    if not inspect.iscoroutinefunction(function):
        raise BadCommand(f"{name} is no asynchronous function")
    summary, _, details = inspect.cleandoc(function.__doc__ or "").partition("\n")
    if not summary:
        raise BadCommand(f"{name} has no docstring, whose first line is its help")
    hints = typing.get_type_hints(function, include_extras=True)
    _, *others = inspect.signature(function).parameters.values()
    parameters = tuple(_parameter(name, one, hints.get(one.name)) for one in others)
    return Command(name, right, function, parameters, summary, " ".join(details.split()))


def _parameter(command: str, one: inspect.Parameter, hint: Any) -> Parameter:
    words = Words("")
    for extra in getattr(hint, "__metadata__", ()):
        words = extra if isinstance(extra, Words) else words
    if typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    kind = str if choices else hint
    option = one.kind is inspect.Parameter.KEYWORD_ONLY
    if kind not in (str, int, float, bool) or (kind is bool and not option):
        raise BadCommand(f"{command}: {one.name} is of {hint!r}, expected str, int, float, Literal, or a bool option")
    name = f"--{one.name.replace('_', '-')}" if option else one.name.upper()
    required = one.default is inspect.Parameter.empty
    return Parameter(one.name, name, kind, words, choices, option, required, many)
