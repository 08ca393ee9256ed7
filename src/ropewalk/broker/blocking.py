"""Blocking: the broker for plain programs, which have no event loop.

Flow: program -> Face -> Portal: a loop in a thread of its own -> reference -> Promise -> Answer.result -> program
Never: touches a session from the program's thread.
"""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeVar, overload

from ropewalk.auth import Credentials
from ropewalk.broker import promise as promises
from ropewalk.broker.about import CURRENT, PLAIN, About
from ropewalk.broker.client import connect
from ropewalk.broker.errors import Late
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import Key
from ropewalk.broker.objects import Remote
from ropewalk.broker.offers import Reference
from ropewalk.broker.promise import Path, Promise
from ropewalk.broker.shared import View
from ropewalk.broker.streams import Stream
from ropewalk.net import Endpoint
from ropewalk.threads import Portal, portal, run

__all__ = ["Answer", "Face", "Method", "ViewFace", "connect_sync", "describe"]

_END: Any = object()

T = TypeVar("T")


@contextmanager
def connect_sync(
    url: str | Endpoint,
    credentials: Key | Credentials | None = None,
    *,
    wanted: str = "",
    node: bytes | None = None,
    limits: Limits | None = None,
    deadline: float = 30.0,
    through: Portal | None = None,
) -> Iterator[Any]:
    """`connect` for plain programs: ``with connect_sync(url) as me: print(me.balance())``.

    - A method blocks until its answer is there; ``me.balance.begin()`` gives an `Answer` at once, whose `result`
      blocks, and whose own methods can be called before it is there.
    - A reference that comes back is such a face again, in lists and maps too; a stream is an iterator; of a shared
      object there is a `ViewFace`.
    - An iterator among the arguments is sent as a stream; it is asked for items in a worker thread. A generator is
      closed there too, when the other end wants no more of it.
    - ``with deadline(seconds):`` ends all that blocks inside, and `describe` gives what it tells at once.
    - Methods of the program's own objects run in the loop's thread, so they must not block, nor use a face.

    Args:
        url, credentials, wanted, node, limits, deadline: See `connect`.
        through: A portal to use; else there is one of its own as long as the block lasts.

    Raises:
        RopewalkError: See `connect`.
    """
    with ExitStack() as stack:
        door = stack.enter_context(portal()) if through is None else through
        until = PLAIN.get()
        left = deadline if until is None else min(deadline, max(0.0, until - time.monotonic()))

        @asynccontextmanager
        async def opened() -> AsyncIterator[Any]:
            PLAIN.set(None)  # what the session does later is under none
            async with connect(url, credentials, wanted=wanted, node=node, limits=limits, deadline=left) as me:
                yield me

        yield Face(stack.enter_context(door.enter(opened())), door)


@overload
def describe(reference: Face) -> dict[str, Any]: ...
@overload
def describe(reference: Reference | Promise | Path) -> Coroutine[Any, Any, dict[str, Any]]: ...
def describe(reference: Any) -> Any:
    """What can be called of a reference, or of what an answer will be: docs/spec/broker.md section 10 has the form.

    For a face of `connect_sync` the answer itself; for others ``await`` it.

    Raises:
        NoReference: It is none.
        RopewalkError: The other end does not answer.
    """
    if isinstance(reference, Face):
        return _called(reference._portal, lambda: promises.describe(reference._behind))
    return promises.describe(reference)


class Face:
    """A reference, or what an answer will be or a part of it, as a plain program uses it."""

    def __init__(self, behind: Remote | Promise | Path, portal: Portal) -> None:
        self._behind, self._portal = behind, portal

    def __getattr__(self, name: str) -> Method:
        if name.startswith("_"):
            raise AttributeError(name)
        return Method(self, name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Face) and other._behind == self._behind

    def __hash__(self) -> int:
        return hash(self._behind)

    def __repr__(self) -> str:
        return f"<face of {self._behind!r}>"


class Method:
    """A method of what a face stands for; of an answer that is not there it may turn out to be a part."""

    def __init__(self, face: Face, name: str) -> None:
        self._face, self._name = face, name

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.begin(*arguments, **named).result()

    def begin(self, *arguments: Any, **named: Any) -> Answer:
        """Call it, and do not wait."""
        door = self._face._portal

        async def made() -> Promise:
            promise: Promise = getattr(self._face._behind, self._name)(*_sent(arguments), **_sent(named))
            return promise

        return Answer(_called(door, made), door)

    def tell(self, *arguments: Any, **named: Any) -> None:
        """Call it, and want no answer."""
        door = self._face._portal

        async def told() -> None:
            getattr(self._face._behind, self._name).tell(*_sent(arguments), **_sent(named))

        _called(door, told)


class Answer(Face):
    """The answer to a call, there or not: wait for its `result`, or call a method of what it will be.

    ``answer[0]`` and ``answer["name"]`` are parts of it. A method named ``result`` or ``done`` is called on the result.
    """

    _behind: Promise | Path
    __iter__ = None  # as of a promise
    __contains__ = None

    def result(self, deadline: float | None = None) -> Any:
        """Wait for it.

        Args:
            deadline: Seconds; then the call is cancelled.

        Raises:
            RopewalkError: What the call ends with.
            Late: The deadline came first.
        """

        async def answered() -> Any:
            return await self._behind

        return _shown(_called(self._portal, answered, deadline, "no answer"), self._portal)

    def done(self) -> bool:
        """Whether it is there."""
        promise = self._behind if isinstance(self._behind, Promise) else self._behind._promise
        return promise.done()

    def __getitem__(self, step: int | str) -> Answer:
        return Answer(self._behind[step], self._portal)


class ViewFace(Face):
    """A live copy of a shared object, whose methods can be called too."""

    _behind: View

    @property
    def state(self) -> Any:
        """A copy of it as it is now."""

        async def copied() -> Any:
            return copy.deepcopy(self._behind.state)

        return self._portal.call(copied)

    @property
    def version(self) -> int:
        """Of the state."""
        return self._behind.version

    @property
    def run(self) -> bytes:
        """Says that versions of another run cannot be compared with these."""
        return self._behind.run

    def changed(self, deadline: float | None = None) -> int:
        """Wait for the next change; the version then.

        Raises:
            Lost: The session ended.
            Late: The deadline came first.
        """
        return _called(self._portal, self._behind.changed, deadline, "no change")

    def states(self) -> Generator[Any, None, None]:
        """Copies of the state, now and whenever it has changed."""

        async def copies() -> AsyncIterator[Any]:
            async for state in self._behind.states():
                yield copy.deepcopy(state)

        return _drawn(copies(), self._portal)


def _shown(value: Any, portal: Portal) -> Any:
    """What came, for the program."""
    match value:
        case View():
            return ViewFace(value, portal)
        case Remote():
            return Face(value, portal)
        case Stream():
            return (_shown(item, portal) for item in _drawn(value, portal))
        case _:
            return _parts(value, lambda part: _shown(part, portal))


def _sent(value: Any) -> Any:
    """What the program gave, for the session."""
    if isinstance(value, Face):
        return value._behind
    if isinstance(value, Iterator):
        return _pulled(value)
    return _parts(value, _sent)


async def _pulled(items: Iterator[Any]) -> AsyncIterator[Any]:
    try:
        while (item := await run(next, items, _END)) is not _END:
            yield _sent(item)
    finally:
        # Not anything with a `close`: a file is the program's to close, and it may want to read on.
        if isinstance(items, Generator):
            await run(items.close)


def _parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """A list, tuple or map with its parts changed; anything else as it is."""
    kind = type(value)
    if kind is dict:
        return {key: change(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return kind(map(change, value))
    return value


# What blocks, and for how long.


def _called(portal: Portal, work: Callable[[], Awaitable[T]], seconds: float | None = None, what: str = "") -> T:
    """Run something in the loop, no longer than so many seconds, nor than the program's deadline."""
    until = PLAIN.get()
    return portal.call(lambda: _limited(work, until, seconds, what))


async def _limited(work: Callable[[], Awaitable[T]], until: float | None, seconds: float | None, what: str) -> T:
    left = None
    if until is not None:
        left = until - time.monotonic()
        CURRENT.set((CURRENT.get() or About())._replace(until=asyncio.get_running_loop().time() + left))
    if seconds is not None and (left is None or seconds < left):
        left, said = seconds, f"there was {what} within {seconds:g} s"
    else:
        said = "the deadline is over"
    limit = asyncio.timeout(left)
    try:
        async with limit:
            return await work()
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Late(said) from error


def _drawn(items: AsyncIterator[T], portal: Portal) -> Generator[T, None, None]:
    """Items, each of them under the deadline of when it is asked for."""
    until: float | None = None

    async def bounded() -> AsyncIterator[T]:
        try:
            while (item := await _limited(lambda: anext(items, _END), until, None, "")) is not _END:
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    drawn = portal.stream(bounded())
    try:
        while True:
            until = PLAIN.get()
            item = next(drawn, _END)
            if item is _END:
                return
            yield item
    finally:
        if isinstance(drawn, Generator):
            drawn.close()
