"""Asking: questions to whoever sits at the terminal.

Flow: a question on standard error -> a line of standard input
Never: holds up ^C: it ends the command while a question waits, also inside an event loop, which would only note it.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["agreed", "answer", "secret"]


def agreed(question: str) -> bool:
    """Whether the answer is y or yes."""
    return answer(question).strip().lower() in ("y", "yes")


def answer(question: str = "") -> str:
    """The next line of input with its end, "" at the end of all input.

    Raises:
        KeyboardInterrupt: ^C.
    """
    with _interruptible():
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()


def secret(prompt: str) -> str:
    """A line that is not shown while it is typed.

    Raises:
        EOFError: The input ended.
        KeyboardInterrupt: ^C.
    """
    import getpass

    with _interruptible():
        return getpass.getpass(prompt)


@contextmanager
def _interruptible() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
