"""Blocking: the broker for plain programs, which have no event loop.

Flow: program -> Face -> Portal: a loop in a thread of its own -> reference -> Promise -> Answer.result -> program
Never: touches a session from the program's thread.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ropewalk.auth import Credentials
from ropewalk.broker.client import connect
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import Key
from ropewalk.broker.objects import Remote
from ropewalk.broker.promise import Path, Promise
from ropewalk.broker.shared import View
from ropewalk.broker.streams import Stream
from ropewalk.net import Endpoint
from ropewalk.threads import Portal, portal, run

__all__ = ["Answer", "Face", "Method", "ViewFace", "connect_sync"]

_END = object()


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
    - An iterator among the arguments is sent as a stream; it is asked for items in a worker thread.
    - Methods of the program's own objects run in the loop's thread, so they must not block, nor use a face.

    Args:
        url, credentials, wanted, node, limits, deadline: See `connect`.
        through: A portal to use; else there is one of its own as long as the block lasts.

    Raises:
        RopewalkError: See `connect`.
    """
    with ExitStack() as stack:
        door = stack.enter_context(portal()) if through is None else through
        opened = connect(url, credentials, wanted=wanted, node=node, limits=limits, deadline=deadline)
        yield Face(stack.enter_context(door.enter(opened)), door)


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

        return Answer(door.call(made), door)

    def tell(self, *arguments: Any, **named: Any) -> None:
        """Call it, and want no answer."""
        door = self._face._portal

        async def told() -> None:
            getattr(self._face._behind, self._name).tell(*_sent(arguments), **_sent(named))

        door.call(told)


class Answer(Face):
    """The answer to a call, there or not: wait for its `result`, or call a method of what it will be.

    ``answer[0]`` and ``answer["name"]`` are parts of it. A method named ``result`` or ``done`` is called on the result.
    """

    _behind: Promise | Path

    def result(self, deadline: float | None = None) -> Any:
        """Wait for it.

        Args:
            deadline: Seconds; then the call is cancelled.

        Raises:
            RopewalkError: What the call ends with.
            threads.Late: The deadline came first.
        """

        async def answered() -> Any:
            return await self._behind

        return _shown(self._portal.call(answered, deadline=deadline), self._portal)

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
            threads.Late: The deadline came first.
        """
        return self._portal.call(self._behind.changed, deadline=deadline)

    def states(self) -> Generator[Any, None, None]:
        """Copies of the state, now and whenever it has changed."""

        async def copies() -> AsyncIterator[Any]:
            async for state in self._behind.states():
                yield copy.deepcopy(state)

        yield from self._portal.stream(copies())


def _shown(value: Any, portal: Portal) -> Any:
    """What came, for the program."""
    match value:
        case View():
            return ViewFace(value, portal)
        case Remote():
            return Face(value, portal)
        case Stream():
            return _items(value, portal)
        case _:
            return _parts(value, lambda part: _shown(part, portal))


def _items(stream: Stream, portal: Portal) -> Iterator[Any]:
    for item in portal.stream(stream):
        yield _shown(item, portal)


def _sent(value: Any) -> Any:
    """What the program gave, for the session."""
    if isinstance(value, Face):
        return value._behind
    if isinstance(value, Iterator):
        return _pulled(value)
    return _parts(value, _sent)


async def _pulled(items: Iterator[Any]) -> AsyncIterator[Any]:
    while (item := await run(next, items, _END)) is not _END:
        yield _sent(item)


def _parts(value: Any, change: Callable[[Any], Any]) -> Any:
    """A list, tuple or map with its parts changed; anything else as it is."""
    kind = type(value)
    if kind is dict:
        return {key: change(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return kind(map(change, value))
    return value
