"""Shelf: small files kept in memory, by the path they are asked for.

Flow: path -> Held, as long as it was looked at lately; put -> the longest unused ones go until there is room
Never: holds more bytes or files than it may; says that a file is as it was without anybody having looked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ropewalk.web.static.codings import IDENTITY, preferred
from ropewalk.web.static.replies import Shown

__all__ = ["Held", "Shelf"]

_OVERHEAD = 4096  # bytes that are counted for a file beside its forms: its headers, replies and names


class Held:
    """A file with all its forms, as it was when it was looked at.

    Attributes:
        shown: By coding; IDENTITY is always there.
        looked: When, by the shelf's clock; before the file was opened.
    """

    __slots__ = ("_only", "looked", "shown", "size")

    def __init__(self, shown: dict[str, Shown], looked: float) -> None:
        self.shown, self.looked = shown, looked
        self._only = shown[IDENTITY] if len(shown) == 1 else None
        self.size = _OVERHEAD + sum(len(one.form.body or b"") for one in shown.values())

    def choose(self, accepted: bytes | None) -> Shown:
        """The form that a client likes best, by its Accept-Encoding."""
        if self._only is not None or accepted is None:
            return self._only or self.shown[IDENTITY]
        return next(self.shown[coding] for coding in preferred(accepted) if coding in self.shown)


class Shelf:
    """What was used lately.

    Args:
        most_bytes: Of all files together.
        most_files: So many at most.
        recheck: Seconds after which a file is looked at again.
        clock: In seconds; never goes back.
    """

    def __init__(self, most_bytes: int, most_files: int, recheck: float, clock: Callable[[], float]) -> None:
        self._most_bytes, self._most_files, self._recheck = most_bytes, most_files, recheck
        self.clock = clock
        self._held: OrderedDict[str, Held] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, path: str) -> Held | None:
        """What is here, however long ago it was looked at."""
        return self._held.get(path)

    def fresh(self, path: str) -> Held | None:
        """What is here and was looked at lately; it counts as used now."""
        held = self._held.get(path)
        if held is None or self.clock() - held.looked >= self._recheck:
            return None
        self._held.move_to_end(path)
        return held

    def put(self, path: str, held: Held) -> None:
        """Keep it, in place of what was there."""
        self.drop(path)
        if held.size > self._most_bytes:
            return
        self._held[path] = held
        self.size += held.size
        while self.size > self._most_bytes or len(self._held) > self._most_files:
            self.drop(next(iter(self._held)))

    def drop(self, path: str) -> None:
        """Forget it, if it is here."""
        held = self._held.pop(path, None)
        if held:
            self.size -= held.size
