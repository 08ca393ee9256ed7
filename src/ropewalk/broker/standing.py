"""Standing references: what a program holds over many sessions, and calls that wait for the next one.

Flow: `Standing` -> the same object in the session of now -> its Promise; no session -> `Call`, made when there is one
      `Followed` -> the View of now; a new session -> the call that gave it, again -> another View, the same Followed
Never: keeps a call longer than its deadline; sends one twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ropewalk.broker.errors import Cancelled, Late
from ropewalk.broker.objects import Remote
from ropewalk.broker.offers import Reference
from ropewalk.broker.paths import walk
from ropewalk.broker.promise import Path, Promise
from ropewalk.broker.shared import View
from ropewalk.errors import Misuse, RopewalkError, Unavailable

if TYPE_CHECKING:
    from ropewalk.broker.reconnect import Link
    from ropewalk.broker.session import Session

__all__ = ["Call", "Followed", "Part", "Standing"]

Promised = Promise | Path
Find = Callable[["Session", Remote], "Remote | Promised"]


class Standing(Reference):
    """A reference to what is found again in each session of a link. Its methods are called like any other's."""

    def __init__(self, link: Link, find: Find) -> None:
        self._link, self._find = link, find
        self._of: Session | None = None
        self._found: Remote | Promised

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> Any:
            return self._link._call(lambda: self._method(name)(*_now(arguments), **named))

        def tell(*arguments: Any, **named: Any) -> None:
            self._link._call(lambda: self._tell(name, arguments, named))

        call.tell = tell  # type: ignore[attr-defined]
        method = self.__dict__[name] = call
        return method

    def _now(self) -> Remote | Promised:
        """What it is in the session of now, or will be."""
        session, perspective = self._link._there()
        found = self._found if self._of is session else None
        if isinstance(found, Promise) and found.done():
            if found._error is not None:
                found = None  # it may be there by now
            elif isinstance(found._value, Remote):
                found = found._value
        if found is None:
            found = self._find(session, perspective)
        self._of, self._found = session, found
        return found

    def _method(self, name: str) -> Callable[..., Promised]:
        method: Callable[..., Promised] = getattr(self._now(), name)
        return method

    def _tell(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Promised | None:
        method = self._method(name)
        if isinstance(method, Path):  # not found yet: a call through the promise, whose answer nobody wants
            promise = method(*_now(arguments), **named)
            promise._odd = promise._quiet = True
        else:
            method.tell(*_now(arguments), **named)  # type: ignore[attr-defined]  # as each method of a reference has
        return None

    def __repr__(self) -> str:
        return f"<standing reference of {self._link!r}>"


def _now(arguments: tuple[Any, ...]) -> list[Any]:
    """Arguments with what standing references among them are in the session of now."""
    return [one._now() if isinstance(one, Standing) else one for one in arguments]


class Call:
    """The answer to a call that waits for a session, and then its promise; arguments are sent as they are then."""

    def __init__(self, link: Link, make: Callable[[], Promised | None], until: float) -> None:
        self._link, self._make, self._context = link, make, copy_context()
        loop = asyncio.get_running_loop()
        self._made: asyncio.Future[Promised | None] = loop.create_future()
        self._timer = loop.call_at(until, self._late)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            promise = yield from asyncio.shield(self._made).__await__()
        except asyncio.CancelledError:
            self._drop(Cancelled("the call was cancelled before it was made"))
            raise
        return None if promise is None else (yield from promise.__await__())

    __iter__ = None  # as of a promise
    __contains__ = None

    def __getattr__(self, name: str) -> Part:
        if name.startswith("_"):
            raise AttributeError(name)
        return Part(self, (name,))

    def __getitem__(self, step: int | str) -> Part:
        return Part(self, (step,))

    def done(self) -> bool:
        """Whether the answer is there."""
        return self._made.done() and (self._made.exception() is not None or _done(self._made.result()))

    def _begin(self) -> None:
        """There is a session: make it."""
        self._timer.cancel()
        if self._made.done():
            return
        try:
            self._made.set_result(self._context.run(self._make))
        except Exception as error:
            self._fail(error)

    def _late(self) -> None:
        self._drop(Late("the deadline was over before there was a session"))

    def _drop(self, error: RopewalkError) -> None:
        if not self._made.done():
            self._link._forget(self)
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._timer.cancel()
        if not self._made.done():
            self._made.set_exception(error)
            self._made.exception()  # fetched: nobody may be waiting


class Part:
    """A part of what a waiting call will give: its last step is a method when it is called."""

    def __init__(self, call: Call, steps: tuple[int | str, ...]) -> None:
        self._call, self._steps = call, steps

    __iter__ = None  # as of a promise
    __contains__ = None

    def __getattr__(self, name: str) -> Part:
        if name.startswith("_"):
            raise AttributeError(name)
        return Part(self._call, (*self._steps, name))

    def __getitem__(self, step: int | str) -> Part:
        return Part(self._call, (*self._steps, step))

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        def make() -> Promised:
            path: Any = self._call._made.result()  # made before this one, or failed
            for step in self._steps:
                path = path[step]
            promise: Promised = path(*_now(arguments), **named)
            return promise

        return self._call._link._call(make)

    def __await__(self) -> Generator[Any, None, Any]:
        value = yield from self._call.__await__()
        return walk(value, self._steps)


def _done(promise: Promised | None) -> bool:
    return not isinstance(promise, Promise) or promise.done()


class Followed(Standing):
    """A shared object that is followed over many sessions, whose methods can be called too. Made by `Link.follow`.

    While there is no session it shows what was known last.

    Attributes:
        error: Why the object could not be had again; None while all is well.
    """

    def __init__(self, link: Link, give: Callable[[], Promised]) -> None:
        super().__init__(link, lambda _session, _perspective: give())
        self._view: View | None = None
        self.error: RopewalkError | None = None
        self._next: asyncio.Future[None] | None = None

    @property
    def view(self) -> View:
        """The copy that the last session gave."""
        assert self._view is not None  # `follow` has waited for it
        return self._view

    @property
    def state(self) -> Any:
        """As it was last told; not to be changed."""
        return self.view.state

    @property
    def version(self) -> int:
        """Of the state."""
        return self.view.version

    @property
    def run(self) -> bytes:
        """Says that versions of another run cannot be compared with these."""
        return self.view.run

    async def changed(self) -> int:
        """Wait until it is another than it is now, over whatever sessions; the version then.

        Raises:
            Ended: The link is closed.
            RopewalkError: The object cannot be had any more.
        """
        seen = (self.run, self.version)
        while (self.run, self.version) == seen:
            await self._news()
        return self.version

    async def states(self) -> AsyncIterator[Any]:
        """The state now, and again whenever it has changed; what comes too fast is passed over."""
        seen: object = None
        while True:
            if (self.run, self.version) == seen:
                await self.changed()
            seen = (self.run, self.version)
            yield self.state

    async def _news(self) -> None:
        view = self.view
        if self.error is not None:
            raise self.error.with_traceback(None)  # the same one each time
        if not view._handle.objects._over:
            try:
                await view.changed()
            except Unavailable:  # the session is over
                return
        elif self._link.error is not None:
            raise self._link.error.with_traceback(None)
        else:
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._next)

    async def _again(self) -> None:
        """There is a session, which may be lost at any time."""
        try:
            found = self._now()
            view = found if isinstance(found, Remote) else await found
            if not isinstance(view, View):
                raise Misuse(f"what is followed gives a {type(view).__name__}, expected a shared object")
        except RopewalkError as error:
            if self._of is not None and self._of.error is not None:
                return  # the session is over already: in the next one, then
            self.error = error
        else:
            self._view, self.error = view, None
        self._wake()

    def _wake(self) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
