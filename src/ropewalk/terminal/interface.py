"""Interface: what a terminal asks of what carries it, what a talk is, and how a conversation can end.

Flow: a carrier (telnet, SSH, a socket, a page) makes a Terminal over itself -> Host -> talk(terminal)
Never: knows how anything is carried.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ropewalk.errors import Misuse, PeerFault, Unavailable

if TYPE_CHECKING:
    from ropewalk.terminal.terminal import Terminal

__all__ = ["BadTerminal", "Carrier", "Complete", "Ended", "Interrupted", "Limits", "LineTooLong", "Talk"]


class Ended(Unavailable):
    """There is no more to read, or nobody to read what is written.

    Attributes:
        why: "closed" by the visitor, "idle", "unread" for who does not read, "stopped" by the server.
    """

    code = "terminal.ended"

    def __init__(self, why: str = "closed") -> None:
        super().__init__(f"the conversation has ended: {why}")
        self.why = why


class Interrupted(Unavailable):
    """The visitor pressed ^C; what was typed and not yet read is dropped."""

    code = "terminal.interrupted"

    def __init__(self) -> None:
        super().__init__("interrupted by the visitor")


class LineTooLong(PeerFault):
    """A line was longer than `longest` characters; it was dropped."""

    code = "terminal.line-too-long"

    def __init__(self, longest: int) -> None:
        super().__init__(f"line is dropped, it has more than {longest} characters")
        self.longest = longest


class BadTerminal(Misuse):
    """A terminal is asked for what it cannot do: keys in line mode, or two things to read at once."""

    code = "terminal.bad-terminal"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one visitor may take.

    Attributes:
        longest_line: Characters of a line; a longer one is dropped, which the visitor is told.
        waiting: Characters that were typed and not read, until the carrier is asked to read no more.
        unsent: Bytes that were written and not taken, until the conversation is ended.
        idle: Seconds for which somebody may be waited for.
        untaken: Seconds in which what was written is to be taken, where a talk waits for it.
    """

    longest_line: int = 4096
    waiting: int = 16 * 1024
    unsent: int = 1024 * 1024
    idle: float = 3600.0
    untaken: float = 60.0


class Carrier(Protocol):
    """What carries a conversation. None of its methods raises, whatever has become of the connection."""

    @property
    def newline(self) -> str:
        """What ends a line on the way out: "\\r\\n" for what shows it as it comes, else "\\n"."""

    def write(self, text: str) -> None:
        """Send it; what the encoding lacks is replaced."""

    async def drain(self) -> None:
        """Wait until more may be written, or nobody is there."""

    def unsent(self) -> int:
        """How many bytes were written and not taken."""

    def echo(self, on: bool) -> None:
        """In line mode: whether the visitor's own side is to show what is typed."""

    def prompted(self) -> None:
        """What was written last is a prompt, and an answer is waited for."""

    def pause_reading(self) -> None:
        """Give no more until `resume_reading`; what is under way already may still come."""

    def resume_reading(self) -> None:
        """Give more."""

    def close(self) -> None:
        """End the connection once all that was written is sent, within a deadline of the carrier's own."""

    def abort(self) -> None:
        """End the connection now."""


Talk: TypeAlias = "Callable[[Terminal], Awaitable[None]]"
"""What a program says to one visitor, from login to good-bye."""

Complete: TypeAlias = Callable[[str], Iterable[str]]
"""Gets the line up to the cursor, gives words that could stand where its last word stands."""
