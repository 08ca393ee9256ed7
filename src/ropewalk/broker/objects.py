"""Objects: what each end has shown the other, and how often.

Flow: an `Object` of ours -> `show` -> its number, until the other end has released all it was sent;
      a number of theirs -> `found` -> Remote, which is released when nobody here holds it any more
Never: looks up an object by anything but a number that was shown in this session.
Source: docs/spec/broker.md section 5.1.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ropewalk.broker.errors import BadMessage, CannotSend, OverLimit
from ropewalk.broker.limits import Limits
from ropewalk.broker.offers import Object, Offer, Reference

if TYPE_CHECKING:
    from ropewalk.broker.asking import Asking
    from ropewalk.broker.promise import Promise

__all__ = ["Handle", "Objects", "Remote", "Shown", "pass_on"]


class Shown:
    """An object of ours that the other end holds.

    Attributes:
        target: The object; or a reference of another session, to which calls are passed on.
        offers: Its class's table.
        count: Sendings that were not released.
    """

    __slots__ = ("count", "number", "offers", "target")

    def __init__(self, target: Object | Reference, number: int, offers: dict[str, Offer]) -> None:
        self.target = target
        self.offers = offers
        self.number = number
        self.count = 0


class Handle:
    """The hold on an object of the other end: when it goes, the object is released."""

    __slots__ = ("__weakref__", "count", "name", "number", "objects")

    def __init__(self, objects: Objects, number: int, name: str) -> None:
        self.objects, self.number, self.name = objects, number, name
        self.count = 0

    def __del__(self) -> None:
        self.objects.dropped(self)


class Remote(Reference):
    """Stands for an object of the other end: its methods are called there.

    A call gives a `Promise` at once. ``reference.method.tell(..)`` wants no answer.
    """

    __slots__ = ("__dict__", "_handle")
    __far__ = True
    _handle: Handle

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        handle = self._handle
        # Kept, so that the next use of this name is an attribute like any other; it holds the handle, not this.
        method = self.__dict__[name] = handle.objects.asking.method(handle, name)
        return method

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and other._handle is self._handle

    def __hash__(self) -> int:
        return hash(id(self._handle))

    def __repr__(self) -> str:
        return f"<reference {self._handle.number} to a {self._handle.name or 'remote object'}>"


class Objects:
    """The two tables of a session.

    Attributes:
        shown: Objects of ours, by number.
        released: What the other end is to be told: numbers and counts.
    """

    def __init__(
        self, ours: Limits, theirs: Limits, drop: Callable[[], None], table: Callable[[type[Object]], dict[str, Offer]]
    ) -> None:
        self.ours, self.theirs = ours, theirs
        self.asking: Asking
        self.shown: dict[int, Shown] = {}
        self.released: list[tuple[int, int]] = []
        self._drop, self._table = drop, table
        self._by_target: dict[int, Shown] = {}
        self._free: list[int] = []
        self._next = 1
        self._held: dict[int, weakref.ref[Handle]] = {}
        self._over = False

    def __len__(self) -> int:
        return len(self._held)

    # What we show.

    def offers(self, target: Object | Reference) -> dict[str, Offer]:
        """The remote methods of an object of ours."""
        return self._table(type(target)) if isinstance(target, Object) else {}

    def show(self, target: Object | Reference) -> int:
        """The number of an object of ours, or of another session's, which is sent once more.

        Raises:
            CannotSend: The other end takes no more, or we give no more.
        """
        shown = self._by_target.get(_key(target))
        if shown is None:
            if len(self._by_target) >= min(self.ours.references, self.theirs.references):
                raise CannotSend(f"{len(self._by_target):,} objects are held by the other end, which is the most")
            number = self._free.pop() if self._free else self._next
            self._next += number == self._next
            shown = self.shown[number] = self._by_target[_key(target)] = Shown(target, number, self.offers(target))
        shown.count += 1
        return shown.number

    def unshow(self, target: Object | Reference) -> None:
        """It was not sent after all."""
        shown = self._by_target[_key(target)]
        self.release(shown.number, 1)

    def release(self, number: object, count: object) -> Object | Reference | None:
        """The other end holds so many less of what it was sent; the object, where it holds it no more.

        Raises:
            BadMessage: It did not have so many.
        """
        shown = self.shown.get(number) if type(number) is int and number else None
        if shown is None or type(count) is not int or not 0 < count <= shown.count:
            raise BadMessage(f"released {count!r:.20} of object {number!r:.20}, which was not sent so often")
        shown.count -= count
        if shown.count:
            return None
        del self.shown[shown.number], self._by_target[_key(shown.target)]
        self._free.append(shown.number)
        return shown.target

    # What we are shown.

    def number(self, target: Object) -> int:
        """The number of an object that is shown."""
        return self._by_target[_key(target)].number

    def found(self, number: int, name: str) -> Remote:
        """What stands for an object of the other end, which was sent once more.

        Raises:
            OverLimit: See `held`.
        """
        return Remote(self.held(number, name))

    def held(self, number: int, name: str) -> Handle:
        """The hold on an object of the other end, which was sent once more.

        Raises:
            OverLimit: It shows more than we hold.
        """
        there = self._held.get(number)
        handle = None if there is None else there()
        if handle is None:
            if there is None and len(self._held) >= self.ours.references:
                raise OverLimit(f"more than {self.ours.references:,} objects are shown")
            # Objects are many, classes few: one text for all of them.
            handle = Handle(self, number, sys.intern(name))
            self._held[number] = weakref.ref(handle)
        handle.count += 1
        return handle

    def dropped(self, handle: Handle) -> None:
        """Nobody here holds it any more. This may run in any thread, at any time."""
        if not self._over and handle.number:  # the door is not counted
            self.released.append((handle.number, handle.count))
            self._drop()

    def take_released(self) -> tuple[Sequence[int], Sequence[int]]:
        """What is to be said of what was dropped."""
        released = self.released[:]
        del self.released[: len(released)]  # what was added while this ran stays
        for number, _ in released:
            there = self._held.get(number)
            if there is not None and there() is None:
                del self._held[number]
        numbers, counts = zip(*released, strict=True)
        return numbers, counts

    def end(self) -> list[Object | Reference]:
        """The session is over: all that was shown is ours alone again."""
        self._over = True
        gone = [shown.target for number, shown in self.shown.items() if number]
        self.shown.clear()
        self._by_target.clear()
        self._held.clear()
        return gone


def pass_on(target: Remote, method: str, arguments: Sequence[Any], named: Mapping[str, Any]) -> Promise:
    """Call a method of a reference of whatever session."""
    handle = target._handle
    return handle.objects.asking.ask(handle.number, handle, handle.number, method, arguments, named)


def _key(target: Object | Reference) -> int:
    """One for each object, however many references to it there are."""
    return id(target._handle) if isinstance(target, Remote) else id(target)
