"""Burden: about how much memory one session holds for the other end, and whether there is room for more.

It counts what the arguments of open calls take, and views, references in items that nobody has read, and answers that
have to be kept as they are. Questions in use, and bytes of streams, are asked for where they may matter.

Flow: a frame was taken, and calls in it are open -> `add`; a call is answered -> `remove`; all else -> `hold`, `drop`
Never: counts a frame longer than any of its calls is open; looks closely while little is held.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ropewalk.broker.errors import Busy
from ropewalk.broker.footprint import MOST_PER_BYTE, footprint
from ropewalk.broker.limits import FREE, Limits

if TYPE_CHECKING:
    from ropewalk.broker.held import Open

__all__ = ["Burden", "Owner"]

_QUESTION = 2048  # of a question in use: a task, a timer, a coroutine; or a small answer
_MEBIBYTE = 1 << 20
_AGAIN = 5  # bytes of memory for each byte beyond the first mebibyte
_LITTLE = 8  # part of the memory up to which the most that a frame may take is as good as what it takes


class Owner(Protocol):
    """Whose burden it is."""

    ours: Limits
    answers: dict[int, object]

    def streamed(self) -> tuple[int, int]:
        """What items of streams take that came and were not read; and their bytes."""


class Burden:
    """What is held for one session.

    Attributes:
        bytes: Of frames whose calls are open.
        busy: Why no more calls are taken.
        gone: What is to be dropped; any thread may append.
    """

    __slots__ = ("_owner", "_size", "busy", "bytes", "gone")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._size = self.bytes = 0
        self.busy: Busy | None = None
        self.gone: list[int] = []

    @property
    def size(self) -> int:
        """Bytes of memory, estimated."""
        if self.gone:
            count = len(self.gone)  # what another thread appends meanwhile stays
            self._size -= sum(self.gone[:count])
            del self.gone[:count]
        return self._size

    def add(self, opened: Sequence[Open], body: bytes | memoryview, beside: int) -> None:
        """A frame, with so many bytes beside its body, is held as long as any of these is open."""
        if not opened:
            return
        size = len(body)
        little = self._owner.ours.memory // _LITTLE - self.size
        taken = (size * MOST_PER_BYTE if size * MOST_PER_BYTE <= little else footprint(body, little)) + beside
        shared = [taken, size + beside, len(opened)]
        for one in opened:
            one.weight = shared
        self.bytes += size + beside
        self._size += taken
        self.look()

    def remove(self, opened: Open) -> None:
        """This one is open no more."""
        shared, opened.weight = opened.weight, None
        if shared is not None:
            shared[2] -= 1
            if not shared[2]:
                self._size -= shared[0]
                self.bytes -= shared[1]
                self.look()

    def hold(self, size: int) -> None:
        """Something is held that takes so much.

        Raises:
            Busy: There is no room for it.
        """
        if not self.fits(size):
            raise Busy(f"what came takes {size:,} bytes where {max(0, self.room()):,} are left")
        self._size += size

    def take(self, size: int) -> None:
        """Something takes so much and has to be held, room or not."""
        self._size += size
        self.look()

    def drop(self, size: int) -> None:
        """It is held no more."""
        self._size -= size
        if self.busy is not None:
            self.look()

    def fits(self, more: int, beside: int = 0) -> bool:
        """Whether there is room for so much more, which has so many bytes."""
        return more <= self.room(beside)

    def look(self) -> None:
        """See whether calls can be taken."""
        ours = self._owner.ours
        over = self.bytes > ours.window + ours.questions * FREE or self.room() < 0
        self.busy = Busy(f"what is held for open calls takes about {self.size:,} bytes") if over else None

    def room(self, beside: int = 0) -> int:
        """Bytes of memory that are left for what has so many bytes; less than 0 where more is held already."""
        memory, came = self._owner.ours.memory, self.bytes + beside
        room = memory - self.size - _QUESTION * len(self._owner.answers)
        if room < memory // 2:  # before that no stream of as many bytes as matter can fill the other half
            taken, read = self._owner.streamed()
            room -= taken
            came += read
        return room + _AGAIN * max(0, came - _MEBIBYTE)
