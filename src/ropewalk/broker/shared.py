"""Shared objects: state of one end, of which the others hold live copies.

Flow: `Shared` changes -> what each session is to be told, joined -> UPDATE -> `View`, which applies it
Never: keeps more changes for a session than the state itself would be worth; changes a copy but by what was told.
Source: docs/spec/broker.md section 8.
"""

from __future__ import annotations

import asyncio
import secrets
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from ropewalk.broker.copyables import copied
from ropewalk.broker.errors import BadMessage, CannotSend
from ropewalk.broker.lanes import Job
from ropewalk.broker.objects import Handle, Remote
from ropewalk.broker.offers import Object
from ropewalk.errors import Misuse, Unavailable

__all__ = ["BadChange", "Shared", "Shares", "View"]

_MOST = 256  # changes that wait to be told to one session; then the whole state is
_LONGEST_PATH = 64

Step = int | str
Change = list[Any]  # [path, value] or [path]


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
        self.state = _applied(self.state, change, BadChange)
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


class View(Remote):
    """A live copy of a shared object of the other end, whose remote methods can be called too.

    When the session ends it stays as it is.

    Attributes:
        state: As it was last told; not to be changed.
        version: Of the state.
        run: See `Shared.run`.
    """

    __slots__ = ("__weakref__", "_changed", "_over", "run", "state", "version")

    def __init__(self, handle: Handle, run: bytes, version: int, state: Any) -> None:
        super().__init__(handle)
        self.run, self.version, self.state = run, version, state
        self._changed: asyncio.Future[None] | None = None
        self._over: BaseException | None = None

    async def changed(self) -> int:
        """Wait for the next change; the version then.

        Raises:
            Unavailable: The session has ended, `Lost` or `Ended`.
        """
        if self._over is not None:
            raise self._over
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)
        return self.version

    async def states(self) -> AsyncIterator[Any]:
        """The state now, and again whenever it has changed; what comes too fast is passed over.

        Raises:
            Unavailable: The session has ended, and the last state was given.
        """
        seen = -1
        while True:
            if self.version == seen:
                await self.changed()
            seen = self.version
            yield self.state

    def _apply(self, version: int, changes: list[Change]) -> None:
        begins = version - len(changes)
        if begins > self.version:
            if len(changes) != 1 or changes[0][:1] != [[]] or len(changes[0]) != 2:
                raise BadMessage(f"changes begin after version {begins}, the last one was {self.version}")
            begins = self.version
        for change in changes[self.version - begins :] if version > self.version else ():
            self.state = _applied(self.state, change, BadMessage)
        if version > self.version:
            self.version = version
            self._tell(None)

    def _tell(self, error: BaseException | None) -> None:
        changed, self._changed, self._over = self._changed, None, error
        if changed is not None and not changed.done():
            if error is None:
                changed.set_result(None)
            else:
                changed.set_exception(error)
                changed.exception()  # fetched: nobody may be waiting


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


class Shares:
    """The shared objects of one session.

    Attributes:
        changed: Those with something to be told.
        slow: The other end does not read: nothing is told until it does, and then all at once.
    """

    def __init__(self, tells: Tells, wake: Callable[[bool], None]) -> None:
        self.changed: dict[_Watch, None] = {}
        self.slow = False
        self._tells, self._wake = tells, wake
        self._watches: dict[int, _Watch] = {}
        self._views: dict[int, weakref.ref[View]] = {}

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

    def found(self, handle: Handle, run: bytes, version: int, state: Any) -> View:
        """What stands for a shared object of the other end."""
        there = self._views.get(handle.number)
        view = None if there is None else there()
        if view is None or view._handle is not handle:
            view = View(handle, run, version, state)
            self._views[handle.number] = weakref.ref(view)
        return view

    def update(self, number: object, version: object, changes: object) -> None:
        """UPDATE.

        Raises:
            BadMessage: It is none.
        """
        if type(number) is not int or type(version) is not int or version < 0 or type(changes) is not list:
            raise BadMessage("an update lacks reference, version or changes")
        for change in changes:
            if type(change) is not list or not 1 <= len(change) <= 2 or type(change[0]) is not list:
                raise BadMessage("a change is not an array of path and value")
        there = self._views.get(number)
        view = None if there is None else there()
        if view is not None:
            view._apply(version, changes)
        elif there is not None:
            del self._views[number]

    def end(self, error: BaseException) -> None:
        """The session is over."""
        for watch in self._watches.values():
            watch.shared._watches.discard(watch)
        self._watches.clear()
        self.changed.clear()
        for there in self._views.values():
            view = there()
            if view is not None:
                view._tell(error)


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


def _applied(state: Any, change: Change, wrong: type[Misuse | BadMessage]) -> Any:
    """The state after a change, which is made in place where it is not the whole.

    Raises:
        wrong: The path does not lead there.
    """
    path, *values = change
    if not path:
        if not values:
            raise wrong("the whole of a shared object cannot be removed")
        return values[0]
    if len(path) > _LONGEST_PATH:
        raise wrong(f"a path has {len(path)} steps, at most {_LONGEST_PATH} are taken")
    *above, last = path
    place = state
    for step in above:
        place = _part(place, step, wrong)
    if type(last) is str and place.__class__ is dict:
        if values:
            place[last] = values[0]
        elif place.pop(last, change) is change:
            raise wrong(f"there is no {last!r:.60} to remove")
    elif type(last) is int and place.__class__ is list and 0 <= last < len(place) + bool(values):
        if not values:
            del place[last]
        elif last == len(place):
            place.append(values[0])
        else:
            place[last] = values[0]
    else:
        raise wrong(f"there is no place {last!r:.60} in a {type(place).__name__}")
    return state


def _part(place: Any, step: object, wrong: type[Misuse | BadMessage]) -> Any:
    if type(step) is str and place.__class__ is dict and step in place:
        return place[step]
    if type(step) is int and place.__class__ is list and 0 <= step < len(place):
        return place[step]
    raise wrong(f"there is no part {step!r:.60} in a {type(place).__name__}")
