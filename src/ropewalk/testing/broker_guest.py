"""A guest: a client under test, as the server sees it that the broker's conformance suite plays.

It keeps books of the client's questions: a number that is used or finished twice is found.

Flow: connection -> `Guest.entered` -> `does`: a command -> what came of it; `expects`: a call of the client's
Never: keeps the rules for a case that does not want to.
Source: docs/spec/broker.md annex B.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk.testing.broker_logins import challenge, proof
from ropewalk.testing.broker_peer import (
    CALL,
    ERROR,
    FINISH,
    LIMITS,
    RELEASE,
    RETURN,
    NotAsSpecified,
    Peer,
    ext,
    hello,
    reference,
    same,
)

__all__ = ["ACCEPTS", "ME", "Guest", "public"]

ME = 1  # the number of the perspective
ACCEPTS = {
    "frame": 1 << 20,
    "depth": 64,
    "weight": 16 << 20,
    "questions": 64,
    "window": 64 << 20,
    "references": 1_000,
    "streams": 16,
    "blob": 64 << 20,
    "blobs": 16,
}  # after a login; a stream has the window of before


def public(private: Ed25519PrivateKey) -> bytes:
    """The key that is told."""
    return private.public_key().public_bytes_raw()


class Guest(Peer):
    """One session of the client under test.

    Attributes:
        node: The key that the client was told to expect.
        nonce: Of this end's hello.
        open: Questions of the client's, and what of them has passed.
        released: How many sendings of each reference it has let go of.
    """

    def __init__(self, url: str, deadline: float, node: Ed25519PrivateKey, came: Callable[[Guest], None]) -> None:
        super().__init__(url, deadline)
        self._came = came
        self.node, self.nonce = node, secrets.token_bytes(32)
        self.open: dict[int, set[str]] = {}
        self.released: Counter[int] = Counter()
        self._most = 8
        self._step = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        super().connection_made(transport)
        self._came(self)

    # Books.

    def hears(self, message: list[Any]) -> None:
        """See `Peer`."""
        if message[0] == CALL:
            if message[1] in self.open:
                self._blame(f"question {message[1]} is asked while it is in use")
            self.open[message[1]] = set()
            if len(self.open) > self._most:
                self._blame(f"{len(self.open)} questions are in use, where {self._most} are taken")
        elif message[0] == FINISH:
            for number in message[1]:
                self._pass(number, "finished")
        elif message[0] == RELEASE:
            self.released.update(dict(zip(*message[1:], strict=True)))

    def say(self, *messages: Any, segments: tuple[bytes, ...] = ()) -> None:
        """See `Peer`."""
        for message in messages:
            if message[0] in (RETURN, ERROR):
                self._pass(message[1], "answered")
            if message[0] == LIMITS:
                self._most = max(self._most, message[1].get("questions", 0))
        super().say(*messages, segments=segments)

    def answered(self, question: int) -> None:
        """An answer was given in bytes."""
        self._pass(question, "answered")

    def _pass(self, number: int, what: str) -> None:
        passed = self.open.get(number)
        if passed is None or what in passed:
            self._blame(f"question {number} is {what} twice, or is not in use")
            return
        passed.add(what)
        if len(passed) == 2:
            del self.open[number]

    def _blame(self, why: str) -> None:
        self.wrong = self.wrong or NotAsSpecified(why)

    async def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until the books say so."""
        try:
            async with asyncio.timeout(self.deadline):
                while not true():
                    if self.lost:
                        raise NotAsSpecified(f"the session ended, and not with {what}: {self.abort}")
                    await self.turn()
        except TimeoutError:
            raise NotAsSpecified(f"no {what} within {self.deadline:g} s") from None

    async def settled(self) -> None:
        """Return when all that was answered is finished."""
        await self.until(
            lambda: not any("answered" in passed for passed in self.open.values()), "FINISH of each answered question"
        )

    # A session.

    def greet(self, **other: Any) -> None:
        """Say hello."""
        told = {"nonce": self.nonce, "node": public(self.node)} | other
        self.give(hello(**{name: value for name, value in told.items() if value is not None}))

    def proof(self) -> bytes:
        """What shows that this end is the node, in an anonymous login."""
        client = (self.hello or {})["nonce"]
        signed = challenge(self.nonce, client, public(self.node), "", bound=True)
        return self.node.sign(proof("server", self.binding, signed, "", public(self.node)))

    async def knocked(self) -> int:
        """The question of the login that the program begins with."""
        call = await self.message(lambda one: one[0] == CALL, "CALL of login")
        same(call[2:5], [0, "login", ["anonymous", {}, ""]], "the first call")
        if any(one is not None for one in call[5:6]):
            raise NotAsSpecified(f"the first call has named arguments: {call[5]!r:.100}")
        return int(call[1])

    async def entered(self, **limits: int) -> None:
        """Let the client in, and wait for its first step."""
        self.greet()
        question = await self.knocked()
        self.say([LIMITS, ACCEPTS | limits], [RETURN, question, [ext(2, [ME, "Suite"]), self.proof()]])
        same(await self.stepped(), None, "the argument of the first step")

    async def stepped(self) -> Any:
        """The next step of the program: what came of the last command."""
        call = await self.message(lambda one: one[0] == CALL and one[2:4] == [ME, "step"], "CALL of step")
        self._step = call[1]
        (came,) = call[4]
        return came

    def command(self, *command: Any, segments: tuple[bytes, ...] = ()) -> None:
        """Tell the program what to do."""
        self.say([RETURN, self._step, list(command)], segments=segments)

    async def does(self, *command: Any) -> Any:
        """What comes of a command."""
        self.command(*command)
        return await self.stepped()

    async def expects(self, target: int, method: str) -> list[Any]:
        """The next call of a method."""
        return await self.message(lambda one: one[0] == CALL and one[2:4] == [target, method], f"CALL of {method}")

    async def asked(self, key: str, *arguments: Any, target: str = "", deadline: int | None = None) -> list[Any]:
        """The program has begun a call of `take`, which it keeps under a key: the CALL."""
        self.command("call", key, target, "take", list(arguments), deadline)
        call = await self.message(lambda one: one[0] == CALL and one[3] == "take", "CALL of take")
        same(await self.stepped(), None, "what comes of the command call")
        return call

    async def given(self, key: str, value: Any) -> None:
        """The program keeps what a call gave: a reference, a stream or a shared object."""
        call = await self.asked(key)
        self.say([RETURN, call[1], value])
        same(await self.does("answer", key), ["kept"], "what comes of the command answer")

    async def lent(self) -> int:
        """The number of an object of the program's."""
        same(await self.does("keep", "object", "object"), None, "what comes of the command keep")
        call = await self.asked("lent", "$object")
        self.say([RETURN, call[1], None])
        same(await self.does("answer", "lent"), ["value", None], "what comes of the command answer")
        return reference(call[4][0])
