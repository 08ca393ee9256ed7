"""Shared objects: state of one end, of which the others hold live copies.

Flow: `Shared` changes -> what each session is to be told, joined -> UPDATE -> `View`, which applies it
Never: keeps more changes for a session than the state itself would be worth; changes a copy but by what was told.
Source: docs/spec/broker.md section 8.
"""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ropewalk.broker.burden import Burden
from ropewalk.broker.changes import Change, Step, applied
from ropewalk.broker.copyables import copied
from ropewalk.broker.errors import CannotSend
from ropewalk.broker.lanes import Job
from ropewalk.broker.offers import Object
from ropewalk.broker.views import View, Views
from ropewalk.errors import Misuse, Unavailable

__all__ = ["BadChange", "Shared", "Shares", "View"]

_MOST = 256  # changes that wait to be told to one session; then the whole state is


class BadChange(Misuse):
    """There is nothing at this path to change."""

    code = "broker.bad-change"


class CannotTell(Unavailable):
    """A shared object has changed in a way that the other end does not take, so the session has to end."""

    code = "broker.cannot-tell"


class Shared(Object):
    """An object whose state others watch; subclasses may have remote methods too.

    The state is a tree of maps and lists with values that can cross, but for streams and promises. It is changed only
    by `put`, `remove` and `replace`; who was sent the object sees that. Values are copied when they are put in.

    Attributes:
        state: As it is now; not to be changed in place.
        version: Grows by one with each change.
        run: Says that versions of another run cannot be compared with these.
    """

    __slots__ = ("_watches", "run", "state", "version")

    def __init__(self, state: Any, *, run: bytes | None = None) -> None:
        self.state = _taken(state)
        self.version = 0
        self.run = run or secrets.token_bytes(8)
        self._watches: weakref.WeakSet[_Watch] = weakref.WeakSet()

    def shown(self) -> None:
        """Called before it is sent to somebody; for what has to be brought up to date then."""

    def put(self, *path: Step, value: Any) -> None:
        """Put a value at a path; an index equal to the length of a list appends.

        Raises:
            BadChange: The path does not lead there.
            CannotSend: The value cannot cross.
        """
        self._change([list(path), _taken(value)])

    def remove(self, *path: Step) -> None:
        """Remove what is at a path.

        Raises:
            BadChange: There is nothing.
        """
        self._change([list(path)])

    def replace(self, state: Any) -> None:
        """Another state.

        Raises:
            CannotSend: It cannot cross.
        """
        self._change([[], _taken(state)])

    def _change(self, change: Change) -> None:
        watches = list(self._watches)
        # What is told has to be the value as it was put: what is in the state is changed in place by later changes.
        told = [change[0], copied(change[1])] if watches and len(change) == 2 else change
        self.state = applied(self.state, change, BadChange)
        self.version += 1
        for watch in watches:
            watch.add(told)


class _Watch:
    """A shared object that the other end of one session holds."""

    __slots__ = ("__weakref__", "changes", "number", "shared", "shares", "underway")

    def __init__(self, shares: Shares, number: int, shared: Shared) -> None:
        self.shares, self.number, self.shared = shares, number, shared
        self.changes: list[Change] | None = []  # None: the whole state
        self.underway: tuple[Job, Any] | None = None  # an update whose bytes go in pieces

    def add(self, change: Change) -> None:
        """Tell of a change, soon."""
        if self.changes is not None:
            self.changes.append(change)
            if len(self.changes) > _MOST:
                self.changes = None
        self.shares.dirty(self)


class Tells(Protocol):
    """What shared objects ask of the session."""

    def say_update(
        self, number: int, version: int, changes: Sequence[Change], then: Callable[[], None]
    ) -> tuple[Job, Any] | None:
        """Send an UPDATE; where it has to wait for bytes of its own, what does that; ``then`` is called after it.

        Raises:
            CannotSend: The other end does not take it.
        """

    def unsay_update(self, number: int, job: Job, packing: Any) -> None:
        """Nobody wants it any more."""

    def cannot(self, error: CannotSend) -> None:
        """The session cannot go on without this."""


class Shares(Views):
    """The shared objects of one session.

    Attributes:
        changed: Those with something to be told.
        slow: The other end does not read: nothing is told until it does, and then all at once.
    """

    def __init__(self, tells: Tells, wake: Callable[[bool], None], burden: Burden) -> None:
        self.changed: dict[_Watch, None] = {}
        self.slow = False
        super().__init__(burden)
        self._tells, self._wake = tells, wake
        self._watches: dict[int, _Watch] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, number: int, shared: Shared, version: int) -> None:
        """The other end was sent a shared object, in this version."""
        watch = self._watches.get(number)
        if watch is None:
            watch = self._watches[number] = _Watch(self, number, shared)
            shared._watches.add(watch)
        # Where it was watched before, the other end may have let go of it meanwhile and begin with this version.
        if shared.version != version:  # it has changed since the message was made
            watch.changes = None
            self.dirty(watch)

    def unwatch(self, number: int) -> None:
        """The other end holds it no more."""
        watch = self._watches.pop(number, None)
        if watch is not None:
            watch.shared._watches.discard(watch)
            self.changed.pop(watch, None)
            if watch.underway is not None:
                self._tells.unsay_update(number, *watch.underway)

    def dirty(self, watch: _Watch) -> None:
        """There is something to tell."""
        if watch.underway is not None:
            return
        if not self.changed:
            self._wake(False)
        self.changed[watch] = None

    def tell(self) -> None:
        """Tell of all changes, if somebody reads."""
        if self.slow:
            return
        changed, self.changed = self.changed, {}
        for watch in changed:
            changes, watch.changes = watch.changes, []
            try:
                if changes is not None and self._say(watch, changes):
                    continue
                self._tell_whole(watch)
            except CannotSend as error:
                self._tells.cannot(error)
                return

    def _say(self, watch: _Watch, changes: list[Change]) -> bool:
        try:
            watch.underway = self._tells.say_update(
                watch.number, watch.shared.version, changes, lambda: self._said(watch)
            )
        except CannotSend:  # too much at once; the state that came of it may be less
            return False
        return True

    def _tell_whole(self, watch: _Watch) -> None:
        shared = watch.shared
        watch.underway = self._tells.say_update(
            watch.number, shared.version, [[[], shared.state]], lambda: self._said(watch)
        )

    def _said(self, watch: _Watch) -> None:
        """The bytes of an update have all gone."""
        watch.underway = None
        if watch.changes != []:
            self.dirty(watch)

    def end(self, error: BaseException) -> None:
        """The session is over."""
        for watch in self._watches.values():
            watch.shared._watches.discard(watch)
        self._watches.clear()
        self.changed.clear()
        super().end(error)


def _taken(value: Any) -> Any:
    """A copy of a value that is to be part of a state.

    Raises:
        CannotSend: It cannot cross.
    """
    from ropewalk.broker.packing import SIMPLE, check  # which packs shared objects

    if value.__class__ in SIMPLE:
        return value
    check(value)
    return copied(value)
