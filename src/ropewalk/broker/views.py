"""Views: live copies of shared objects of the other end.

Flow: a shared object is shown -> `Views.found` -> View; UPDATE -> `Views.update`, which applies it
Never: changes a copy but by what was told; keeps one up to date for which there is no room.
Source: docs/spec/broker.md section 8.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from typing import Any

from ropewalk.broker.burden import Burden
from ropewalk.broker.changes import Change, applied
from ropewalk.broker.errors import BadMessage, Busy
from ropewalk.broker.footprint import size_of
from ropewalk.broker.objects import Handle, Remote

__all__ = ["View", "Views"]

_HINT = "the other end is wrong, or the view's state was changed at this end: it is to be read only, or copied first"
_VIEW = 700  # bytes of memory that a copy takes beside its state
_SOME = 4096  # bytes that a state may have grown by, beside its own size, until it is counted anew
_PART, _FEW = 8, 256  # where little is left: this part of its size, and bytes


class View(Remote):
    """A live copy of a shared object of the other end, whose remote methods can be called too.

    When the session ends it stays as it is.

    Attributes:
        state: As it was last told; not to be changed: what the other end tells next might not fit any more, and then
            the session is over. ``copy.deepcopy(view.state)`` is the program's own.
        version: Of the state.
        run: See `Shared.run`.
    """

    __slots__ = ("__weakref__", "_changed", "_gone", "_looked", "_over", "_size", "run", "state", "version")

    def __init__(self, handle: Handle, run: bytes, version: int, state: Any, size: int, gone: list[int]) -> None:
        super().__init__(handle)
        self.run, self.version, self.state = run, version, state
        self._size = self._looked = size  # of the state in memory, and when it was last counted anew
        self._gone = gone
        self._changed: asyncio.Future[None] | None = None
        self._over: BaseException | None = None

    def __del__(self) -> None:
        self._gone.append(self._size)

    async def changed(self) -> int:
        """Wait for the next change; the version then.

        Raises:
            Unavailable: The session has ended, `Lost` or `Ended`; or there is no room for the state, `Busy`.
        """
        if self._over is not None:
            raise self._over.with_traceback(None)  # the same one each time
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
        try:
            for change in changes[self.version - begins :] if version > self.version else ():
                self.state = applied(self.state, change, BadMessage)
        except BadMessage as error:
            raise BadMessage(f"an update does not fit: {error}", hint=_HINT) from None
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


class Views:
    """The copies that one session keeps."""

    def __init__(self, burden: Burden) -> None:
        self._burden = burden
        self._views: dict[int, weakref.ref[View]] = {}

    def found(self, handle: Handle, run: bytes, version: int, state: Any) -> View:
        """What stands for a shared object of the other end.

        Raises:
            Busy: There is no room for its state.
        """
        there = self._views.get(handle.number)
        view = None if there is None else there()
        if view is None or view._handle is not handle:
            size = _VIEW + size_of(state)
            self._burden.hold(size)
            view = View(handle, run, version, state, size, self._burden.gone)
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
            more = size_of(changes)
            if self._has_room(view, more):
                view._apply(version, changes)
                self._grow(view, more)
            else:
                self.give_up(number, Busy("a shared object has grown by more than there is memory for"))
        elif there is not None:
            del self._views[number]

    def _has_room(self, view: View, more: int) -> bool:
        """Whether a state may change by so much; where little is left, it may not grow."""
        if self._burden.fits(more) or self._is_little(view, more):
            return True
        self._look(view)
        return self._is_little(view, more)

    def _is_little(self, view: View, more: int) -> bool:
        return view._size + more <= view._looked + view._looked // _PART + _FEW

    def _grow(self, view: View, more: int) -> None:
        """A state has changed by so much; what was there before may be gone, which is looked at now and then."""
        self._burden.take(more)
        view._size += more
        if view._size > 2 * view._looked + _SOME:
            self._look(view)

    def _look(self, view: View) -> None:
        """Count a state anew."""
        view._looked = _VIEW + size_of(view.state)
        self._burden.take(view._looked - view._size)
        view._size = view._looked

    def give_up(self, number: int, busy: Busy) -> None:
        """There is no room for what a shared object has become: its copy stays as it is, and says so."""
        there = self._views.pop(number, None)
        view = None if there is None else there()
        if view is not None:
            view._tell(busy)

    def end(self, error: BaseException) -> None:
        """The session is over."""
        for there in self._views.values():
            view = there()
            if view is not None:
                view._tell(error)
