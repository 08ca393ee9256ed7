"""The program of annex B for our own client: what the broker's conformance suite tells it to do, it does.

    python -m ropewalk.testing.broker_program URL NODE

Flow: a session after the other -> `step(what came of it)` -> the next command -> `_Program` does it
Never: knows which case is played.
Source: docs/spec/broker.md annex B.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker
from ropewalk.auth import Credentials, Password, Token
from ropewalk.errors import Damaged, Missing, Misuse, PeerFault, Refused, RopewalkError, Unavailable
from ropewalk.testing.broker_logins import NAME, PASSWORD, SEED, TOKEN

__all__ = ["main", "run"]

_FAMILIES: dict[type[RopewalkError], str] = {
    broker.Failed: "failed",
    Misuse: "misuse",
    Missing: "missing",
    Refused: "refused",
    Unavailable: "unavailable",
    Damaged: "damaged",
    PeerFault: "peer-fault",
}
_LOGINS: dict[str, broker.Key | Credentials] = {
    "key": broker.Key(Ed25519PrivateKey.from_private_bytes(SEED), NAME),
    "password": Password(NAME, PASSWORD),
    "token": Token(TOKEN),
}


class Lent(broker.Object):
    """The object that the program lends."""

    def __init__(self) -> None:
        self._noted: list[Any] = []
        self._watched: Any = None

    @broker.remote
    def echo(self, value: Any) -> Any:
        """The same."""
        return value

    @broker.remote
    def note(self, value: Any) -> None:
        """Hold it."""
        self._noted.append(value)

    @broker.remote
    async def never(self) -> None:
        """Wait until it is stopped."""
        await asyncio.Event().wait()

    @broker.remote
    async def total(self, items: AsyncIterator[int]) -> int:
        """The sum of a stream."""
        return sum([item async for item in items])

    @broker.remote
    def watch(self, shared: Any) -> None:
        """Hold a shared object."""
        self._watched = shared


def _error(error: RopewalkError) -> list[Any]:
    return ["error", next(name for kind, name in _FAMILIES.items() if isinstance(error, kind)), error.code]


class _Program:
    """One session."""

    def __init__(self, session: broker.Session, me: Any) -> None:
        self.session, self.me = session, me
        self.kept: dict[str, Any] = {}
        self.calls: set[asyncio.Task[Any]] = set()  # that are not answered

    async def go(self) -> bool:
        """Do all commands; whether there is to be another session."""
        came: Any = None
        while True:
            command, *more = await self.me.step(came)
            if command in ("leave", "over"):
                return bool(command == "leave")
            try:
                came = await getattr(self, f"_{command}")(*more)
            except RopewalkError as error:
                came = _error(error)

    async def _call(self, key: str, target: str, method: str, arguments: list[Any], deadline: int | None) -> None:
        of = self.kept[target] if target else self.me
        given = [self.kept.pop(one[1:]) if isinstance(one, str) and one[:1] == "$" else one for one in arguments]
        begun = asyncio.Event()
        call = self._asked(getattr(of, method), given, begun, None if deadline is None else deadline / 1000)
        self.kept[key] = task = asyncio.ensure_future(call)
        self.calls.add(task)
        task.add_done_callback(self._called)
        await begun.wait()

    def _called(self, task: asyncio.Task[Any]) -> None:
        self.calls.discard(task)
        if not task.cancelled():
            task.exception()  # fetched: the session may be over before the suite asks for it

    async def _asked(self, method: Any, given: list[Any], begun: asyncio.Event, deadline: float | None) -> Any:
        async with nullcontext() if deadline is None else broker.deadline(deadline):
            try:
                promise = method(*given)
            finally:
                begun.set()
            given.clear()
            return await promise

    async def _answer(self, key: str) -> list[Any]:
        value = await self.kept.pop(key)
        if isinstance(value, broker.Remote | broker.Stream):
            self.kept[key] = value
            return ["kept"]
        return ["value", value]

    async def _cancel(self, key: str) -> None:
        self.kept.pop(key).cancel()

    async def _keep(self, key: str, kind: str, count: int = 0, size: int = 0) -> None:
        match kind:
            case "object":
                self.kept[key] = Lent()
            case "blocks":
                self.kept[key] = _blocks(count, size)
            case "zeros":
                self.kept[key] = bytes(count)

    async def _drop(self, key: str) -> None:
        del self.kept[key]

    async def _read(self, key: str, most: int) -> list[Any]:
        last, count = None, 0
        while count < most:
            try:
                last = await anext(self.kept[key])
            except StopAsyncIteration:
                return [count, last, True]
            count += 1
        return [count, last, False]

    async def _stop(self, key: str) -> None:
        await self.kept.pop(key).aclose()

    async def _state(self, key: str, version: int) -> Any:
        view = self.kept[key]
        while view.version < version:
            await view.changed()
        return view.state

    async def _login(self, kind: str) -> list[Any]:
        await broker.login(self.session, _LOGINS[kind])
        return ["value", None]

    async def end(self) -> None:
        """Let go of all."""
        self.kept.clear()
        for task in self.calls:
            task.cancel()
        await asyncio.gather(*self.calls, return_exceptions=True)


async def _blocks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def _session(url: str, node: bytes | None) -> bool:
    session = await broker.opened(url)
    try:
        program = _Program(session, await broker.login(session, node=node))
        try:
            return await program.go()
        finally:
            await program.end()
    except RopewalkError:
        return True  # however it ended: the suite has seen that
    finally:
        session.close()
        await session.ended(10.0)


async def run(url: str, node: bytes | None) -> None:
    """One session after the other, until the suite says that all is over.

    Args:
        node: The key that the server must show; None takes any, which is what the suite must find.
    """
    again = True
    while again:
        try:
            again = await _session(url, node)
        except (PeerFault, broker.Lost, broker.Ended):
            continue  # no session came about, since what was there broke the rules


def main(argv: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    url, node = sys.argv[1:] if argv is None else argv
    asyncio.run(run(url, bytes.fromhex(node)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
