"""Editing: lines edited as on a desk of one's own, by prompt_toolkit.

Flow: keys -> Editor.feed -> prompt_toolkit's parser, bindings, renderer -> escape sequences -> show; Enter -> the line
Never: touches the process: no signals, no environment, no task for each key, none of the library's own input or loop;
       obeys a key that would make much of little (repeat counts, macros), begin a program or suspend us.

An Application of the library's is driven from here rather than by its `run_async`, which takes the process' signals and
polls the window's size for each that runs. What is used of it that is not public has a remark that says so.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TextIO, cast

from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, DummyCompleter
from prompt_toolkit.data_structures import Size
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.history import DummyHistory, History
from prompt_toolkit.input import DummyInput
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.key_binding import KeyBindings, KeyPress, KeyPressEvent
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.search import stop_search
from prompt_toolkit.shortcuts import CompleteStyle, PromptSession

from ropewalk.terminal.interface import Complete, Ended, Interrupted, LineTooLong

__all__ = ["Editor"]

_MENU = 6  # lines of the window for what a word could be
_OFFERED = 200  # words at once
_ESCAPE = 0.1  # seconds after which an escape is a key, and no beginning of one
_KEYS = 8  # times the longest line may be pressed for one line: it may be corrected, not gone over for ever
_UNDO = 50  # states of a line that can be gone back to
_AT_ONCE = 32  # keys, or runs of letters, in one turn of the loop: each costs some tenths of a millisecond
_RUN = re.compile(r"[^\x00-\x1f\x7f-\x9f]{2,128}")
_CUT = re.compile(r"\x1b(?:O|\[[0-?]*)?\Z")
_TAIL = 20  # characters that a cut escape sequence is looked for in
_PARTIAL = 4096  # characters of a line that others have begun above, until it is shown as it is


class Editor:
    """Edits one line after the other for one visitor.

    Args:
        show: Takes what is drawn.
        size: Columns and rows of the window.
        colour: Whether it may be drawn in colours.
        term: The terminal's name, as in TERM.
        longest: Characters of a line.
    """

    def __init__(
        self,
        show: Callable[[str], None],
        size: Callable[[], tuple[int, int]],
        *,
        colour: bool,
        term: str,
        longest: int,
    ) -> None:
        self._show, self._longest = show, longest
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._stack = ExitStack()  # what holds while a line is edited
        self._done: asyncio.Future[str] | None = None
        self._keys: list[KeyPress] = []
        self._parser = Vt100Parser(self._keys.append)
        self._flushing: asyncio.TimerHandle | None = None
        self._output = _Output(show, size, term)
        self._pressed = 0
        self._tail = ""  # what the parser got last
        self._partial = ""
        self.active = False
        self._session: PromptSession[str] = PromptSession(
            input=DummyInput(),
            output=self._output,
            history=DummyHistory(),
            key_bindings=_refused(),
            complete_while_typing=False,
            complete_style=CompleteStyle.MULTI_COLUMN,
            reserve_space_for_menu=_MENU,
            interrupt_exception=Interrupted,
            eof_exception=Ended,
            color_depth=ColorDepth.DEPTH_8_BIT if colour else ColorDepth.DEPTH_1_BIT,
        )
        self._session.app.timeoutlen = None  # type: ignore[assignment] # its own documentation allows it; else a task a key

    # ---- what a terminal uses ----

    def start(self, prompt: str, complete: Complete | None, history: Sequence[str]) -> asyncio.Future[str]:
        """Begin a line, at the beginning of a line of the window.

        Returns:
            The line to come. Its errors are Interrupted, Ended for ^D at its beginning, and LineTooLong.
        """
        done = self._done = self._loop.create_future()
        self._pressed = 0
        self.active = True
        self._context.run(self._begin, done, prompt, complete, history)
        return done

    def feed(self, text: str) -> str:
        """Press some of these keys, up to the one that ends the line at most.

        Returns:
            What is left.
        """
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        budget = _AT_ONCE
        while text and budget > 0 and not self._session.app.is_done:
            found = _RUN.match(text)
            if found and self._is_plain():
                piece = found[0]
                self._context.run(self._insert, piece)
            else:
                piece = text[:1]
                self._tail = (self._tail + piece)[-_TAIL:]
                self._parser.feed("\r" if piece == "\n" else piece)
                self._press()
            text = text[len(piece) :]
            budget -= 1
            self._pressed += len(piece)
            self._check()
        if not text and not self._session.app.is_done:
            self._flushing = self._loop.call_later(_ESCAPE, self._flush)
        return text

    async def finish(self) -> None:
        """Leave the line as it is, and the cursor below it."""
        if self._flushing is not None:
            self._flushing.cancel()
        self._parser.reset()
        self._tail = ""
        self._keys.clear()
        self.active = False
        self._context.run(self._end)
        partial, self._partial = self._partial, ""
        self._show(partial)
        if self._done is not None and self._done.done() and not self._done.cancelled():
            self._done.exception()  # seen, even where who waits for it was cancelled
        await self._session.app.cancel_and_wait_for_background_tasks()

    def write_above(self, text: str) -> None:
        """Show what does not belong to the line above it; a line of that is shown once it is whole."""
        whole, end, rest = (self._partial + text).rpartition("\n")
        if len(rest) > _PARTIAL:
            whole, end, rest = whole + end + rest, "\n", ""
        self._partial = rest
        if end:
            self._context.run(self._session.app.renderer.erase)
            self._show(whole + end)
            self._context.run(self._session.app.invalidate)

    def resized(self) -> None:
        """Draw anew for a window of another size."""
        self._context.run(self._session.app.renderer.erase)
        self._context.run(self._session.app.invalidate)

    # ---- inside the library's context ----

    def _begin(self, done: asyncio.Future[str], prompt: str, complete: Complete | None, history: Sequence[str]) -> None:
        app, buffer = self._session.app, self._session.default_buffer
        self._stack.enter_context(create_app_session(input=DummyInput(), output=self._output)).app = app
        app.context, app.loop, app.future = self._context, self._loop, done
        app._is_running = True  # noqa: SLF001 - see the module's own words
        app.reset()
        self._session.message = ANSI(prompt)
        self._session.completer = DummyCompleter() if complete is None else _Words(complete)
        buffer.history = _Earlier(history)
        buffer.reset()
        app._redraw()  # noqa: SLF001

    def _end(self) -> None:
        app = self._session.app
        if app.layout.is_searching:
            stop_search()
        app.quoted_insert = False
        app._redraw(render_as_done=True)  # noqa: SLF001
        app.renderer.reset()
        app._is_running = False  # noqa: SLF001
        app.future = None
        self._stack.close()

    def _is_plain(self) -> bool:
        """Whether a letter now is nothing but a letter: a run of them then costs no more than one."""
        session = self._session
        return not (
            _CUT.search(self._tail)
            or self._parser._in_bracketed_paste  # noqa: SLF001 - what was never asked for, and may be sent
            or session.app.key_processor.key_buffer
            or session.default_buffer.selection_state
            or session.app.current_buffer is not session.default_buffer
        )

    def _insert(self, run: str) -> None:
        self._session.default_buffer.save_to_undo_stack()
        self._session.default_buffer.insert_text(run)
        self._trim()

    def _trim(self) -> None:
        del self._session.default_buffer._undo_stack[:-_UNDO]  # noqa: SLF001 - it has no bound of its own

    def _flush(self) -> None:
        self._tail = ""
        self._parser.flush()
        self._press()

    def _check(self) -> None:
        """Give up a line that is too long, or has been corrected for ever."""
        app = self._session.app
        too_long = len(self._session.default_buffer.text) > self._longest
        if (too_long or self._pressed > self._longest * _KEYS) and app.future is not None and not app.is_done:
            self._session.default_buffer.reset()
            app.future.set_exception(LineTooLong(self._longest))

    def _press(self) -> None:
        if self._keys:
            keys, self._keys[:] = self._keys[:], []
            self._context.run(self._process, keys)

    def _process(self, keys: list[KeyPress]) -> None:
        processor = self._session.app.key_processor
        processor.feed_multiple(keys)
        processor.process_keys()
        processor.empty_queue()
        self._trim()


class _Words(Completer):
    """The words that a talk offers, in place of the last word before the cursor."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """As the library asks for them."""
        before = document.text_before_cursor
        word = re.split(r"\s", before)[-1]
        for offer in islice((one for one in self._complete(before) if one.startswith(word)), _OFFERED):
            yield Completion(offer, start_position=-len(word))


class _Earlier(History):
    """Lines that are kept elsewhere."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__()
        self._lines = lines

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        return reversed(self._lines)

    def store_string(self, string: str) -> None:
        """The terminal does."""


class _Sink:
    """What the library takes for a file."""

    encoding = "utf-8"

    def __init__(self, show: Callable[[str], None]) -> None:
        self.write = show

    def flush(self) -> None:
        """Nothing waits here."""


class _Output(Vt100_Output):
    """Draws by way of `show`; asks the window nothing, and leaves its settings alone."""

    def __init__(self, show: Callable[[str], None], size: Callable[[], tuple[int, int]], term: str) -> None:
        def measured() -> Size:
            columns, rows = size()
            return Size(rows=rows, columns=columns)

        super().__init__(cast("TextIO", _Sink(show)), measured, term=term, enable_cpr=False, enable_bell=False)

    def enable_bracketed_paste(self) -> None:
        """Lines that are pasted are lines, each for itself."""

    def disable_bracketed_paste(self) -> None:
        """It was not enabled."""


def _refused() -> KeyBindings:
    """Keys that do nothing here: repeat counts and macros, by which a few keys become a million."""
    bindings = KeyBindings()

    def nothing(_: KeyPressEvent) -> None:
        pass

    for keys in [*(("escape", digit) for digit in "-0123456789"), ("c-x", "("), ("c-x", ")"), ("c-x", "e")]:
        bindings.add(*keys)(nothing)
    return bindings
