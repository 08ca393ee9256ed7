"""A peer for the broker's conformance suite: frames and messages written and read by hand.

It is a second reading of docs/spec/broker.md: nothing of ropewalk.broker is used here but the connection below it.

Flow: URL -> `Peer.connected` -> `say`, `give` -> `answer`, `message`, `aborted`
Never: waits longer than its deadline; keeps the rules for who does not want to.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from ropewalk.auth import Channel
from ropewalk.net import Endpoint, connect, shown_pin

__all__ = [
    "NONCE",
    "Ended",
    "Ext",
    "NotAsSpecified",
    "Peer",
    "decode",
    "ext",
    "failed",
    "frame",
    "hello",
    "reference",
    "same",
    "unpacked",
]

Ext = msgspec.msgpack.Ext
_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode

CALL, RETURN, ERROR, RELEASE, FINISH, CREDIT, ITEM, END, CLOSE = range(9)
UPDATE, PING, PONG, LIMITS, GOAWAY, ABORT = range(9, 15)
NONCE = bytes(range(32))  # of every hello of this peer's: what it signs is right by it, or wrong on purpose


class NotAsSpecified(AssertionError):
    """The other end does not do what the spec says."""


class Ended(NotAsSpecified):
    """It ended the session where it should not."""


def ext(code: int, content: Any) -> Any:
    """A value of an extension."""
    return Ext(code, _encode(content))


def unpacked(value: Any) -> Any:
    """The content of an extension."""
    return decode(value.data)


def frame(body: Any, segments: tuple[bytes, ...] = (), flags: int = 0) -> bytes:
    """A frame; a body of bytes is taken as it is."""
    data = body if isinstance(body, bytes) else _encode(body)
    head = struct.pack(f">IHH{len(segments)}I", len(data), len(segments), flags, *map(len, segments))
    return head + data + b"".join(segments)


def hello(**other: Any) -> bytes:
    """The first frame."""
    return frame({"ropewalk": "broker", "version": 1, "least": 1, "nonce": NONCE, "limits": {}} | other)


def same(got: object, expected: object, what: str) -> None:
    """Return if this is that, and of its kind."""
    if got != expected or type(got) is not type(expected):
        raise NotAsSpecified(f"{what}: got {got!r:.200}, expected {expected!r:.200}")


def failed(answer: list[Any], family: str, code: str) -> None:
    """Return if an answer is this ERROR."""
    if len(answer) not in (5, 6) or answer[0] != ERROR:
        raise NotAsSpecified(f"got {answer!r:.200}, expected an ERROR")
    same(answer[2:4], [family, code], "family and code of an ERROR")
    if type(answer[4]) is not str or len(answer[4]) > 4096 or not (len(answer) == 5 or type(answer[5]) is dict):
        raise NotAsSpecified(f"text or details of an ERROR: {answer!r:.200}")


def reference(value: Any) -> int:
    """The number of an object of the other end's."""
    if getattr(value, "code", None) != 2:
        raise NotAsSpecified(f"got {value!r:.100}, expected a reference (extension 2)")
    number, name = unpacked(value)
    if type(number) is not int or not 0 < number < 2**31 or type(name) is not str:
        raise NotAsSpecified(f"a reference is [{number!r}, {name!r}]")
    return number


class Peer(asyncio.Protocol):
    """One connection.

    Attributes:
        hello: The other end's.
        limits: What it has told that it accepts.
        heard: Messages that came and were not asked for yet.
        blobs: Those that came whole, by number.
        segments: Those of the last frame that had some.
        whole_frames: The connection carries messages, each of them one frame.
        private: Nobody between can read what passes, so that secrets may.
        binding: What ties a login to the channel: section 6.2.
        abort: Code and text with which it ended the session.
    """

    def __init__(self, url: str, deadline: float) -> None:
        self.url, self.deadline = url, deadline
        self.hello: dict[str, Any] | None = None
        self.limits: dict[str, int] = {}
        self.heard: list[list[Any]] = []
        self.blobs: dict[int, bytes] = {}
        self.segments: tuple[bytes, ...] = ()
        self.abort: tuple[str, str] | None = None
        self.lost = self.whole_frames = False
        self.wrong: NotAsSpecified | None = None
        self.me: Any = None
        self._parts: dict[int, tuple[int, bytearray]] = {}
        self._rest = bytearray()
        self._news = asyncio.Event()
        self._question = 100

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, deadline: float, *, login: bool = True) -> AsyncIterator[Peer]:
        """A connection, after a login unless told otherwise."""
        _, peer = await connect(Endpoint.parse(url), lambda: cls(url, deadline), deadline=deadline)
        assert isinstance(peer, cls)
        try:
            if login:
                await peer.login()
            yield peer
        finally:
            peer.transport.close()
            async with asyncio.timeout(deadline):
                while not peer.lost:
                    await peer.turn()

    def another(self, *, login: bool = True) -> AbstractAsyncContextManager[Peer]:
        """Another connection to the same place."""
        return Peer.connected(self.url, self.deadline, login=login)

    async def login(self) -> None:
        """Say hello, and get the perspective."""
        self.give(hello())
        answer = await self.call(0, "login", ["anonymous", {}, ""])
        if answer[0] != RETURN or not isinstance(answer[2], list) or answer[2][0].code != 2:
            raise NotAsSpecified(f"an anonymous login gives {answer}, expected [perspective, proof]")
        self.me = unpacked(answer[2][0])[0]

    async def greeted(self) -> None:
        """Say hello, and wait for the other's."""
        self.give(hello())
        async with asyncio.timeout(self.deadline):
            while self.hello is None and not self.lost:
                await self.turn()
        if self.hello is None:
            raise Ended(f"the session ended before a hello: {self.abort}")

    # As a protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.whole_frames = "ws" in getattr(transport.get_extra_info("endpoint"), "layers", ())
        self.private = Channel.of(transport).verified
        self.binding = bytes.fromhex(shown_pin(transport).removeprefix("sha256:")) or bytes(32)

    def message_received(self, data: bytes) -> None:
        """A message of a WebSocket."""
        self.data_received(data)
        if self._rest:
            self.wrong = self.wrong or NotAsSpecified("a WebSocket message is not one frame")

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._rest += data
        while len(self._rest) >= 8:
            body, count, flags = struct.unpack_from(">IHH", self._rest)
            at = 8 + 4 * count
            if len(self._rest) < at:
                break
            lengths = struct.unpack_from(f">{count}I", self._rest, 8)
            end = at + body + sum(lengths)
            if len(self._rest) < end:
                break
            whole = bytes(self._rest[:end])
            del self._rest[:end]
            segments = []
            place = at + body
            for length in lengths:
                segments.append(whole[place : place + length])
                place += length
            try:
                self._take(decode(whole[at : at + body]), tuple(segments), flags)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                self.wrong = self.wrong or NotAsSpecified(f"a frame that cannot be read: {error}")
        self._news.set()

    def connection_lost(self, _exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self.lost = True
        self._news.set()

    def _take(self, body: Any, segments: tuple[bytes, ...], flags: int) -> None:
        if flags:
            number, total = body
            self._piece(number, total, segments[0])
        elif self.hello is None:
            if not isinstance(body, dict) or body.get("ropewalk") != "broker" or len(body["nonce"]) != 32:
                raise ValueError(f"the first frame is {body!r:.100}")
            self.hello = body
            self.limits.update(body.get("limits", {}))
        else:
            for message in body:
                if message[0] == LIMITS:
                    self.limits.update(message[1])
                if message[0] == ABORT:
                    self.abort = message[1], message[2]
                self.segments = segments or self.segments
                self.heard.append(message)
                self.hears(message)

    def hears(self, message: list[Any]) -> None:
        """A message came."""

    def _piece(self, number: int, total: int, piece: bytes) -> None:
        if not total:
            del self._parts[number]
            return
        told, data = self._parts.setdefault(number, (total, bytearray()))
        data += piece
        if told != total or len(data) > total or not 0 < len(piece) <= 256 * 1024:
            raise ValueError(f"a piece of {len(piece)} bytes of blob {number}")
        if len(data) == total:
            self.blobs[number] = bytes(data)
            del self._parts[number]

    # What a case says and hears.

    def give(self, data: bytes) -> None:
        """Send bytes; over a WebSocket, as one message."""
        if not self.lost and not self.transport.is_closing():
            self.transport.write(data)

    def say(self, *messages: Any, segments: tuple[bytes, ...] = ()) -> None:
        """Send messages in one frame."""
        self.give(frame(list(messages), segments))

    def question(self) -> int:
        """A number that was not used before in this session."""
        self._question += 1
        return self._question

    def ask(self, target: Any, method: str, arguments: list[Any], *more: Any) -> int:
        """Send a call; its number."""
        question = self.question()
        self.say([CALL, question, target, method, arguments, *more])
        return question

    async def call(self, target: Any, method: str, arguments: list[Any], *more: Any) -> list[Any]:
        """Send a call and wait for its answer; it is finished then."""
        question = self.ask(target, method, arguments, *more)
        answer = await self.answer(question)
        self.say([FINISH, [question]])
        return answer

    async def value(self, target: Any, method: str, arguments: list[Any], *more: Any) -> Any:
        """What a call returns."""
        answer = await self.call(target, method, arguments, *more)
        if answer[0] != RETURN:
            raise NotAsSpecified(f"{method} gives {answer!r:.200}, expected a RETURN")
        return answer[2]

    async def answer(self, question: int) -> list[Any]:
        """The answer to a question: RETURN or ERROR."""
        return await self.message(lambda one: one[0] in (RETURN, ERROR) and one[1] == question, f"answer {question}")

    async def message(self, fits: Callable[[list[Any]], bool], what: str) -> list[Any]:
        """The first message that came and fits, which is taken out."""
        try:
            async with asyncio.timeout(self.deadline):
                while True:
                    if self.wrong is not None:
                        raise self.wrong
                    for at, one in enumerate(self.heard):
                        if fits(one):
                            return self.heard.pop(at)
                    if self.lost:
                        raise Ended(f"the session ended, and not with {what}: {self.abort}")
                    await self.turn()
        except TimeoutError:
            raise NotAsSpecified(f"no {what} within {self.deadline:g} s; heard {self.heard!r:.300}") from None

    async def aborted(self) -> tuple[str, str]:
        """Code and text of the ABORT with which the other end ends the session, and the connection with it."""
        try:
            async with asyncio.timeout(self.deadline):
                while not self.lost:
                    await self.turn()
        except TimeoutError:
            raise NotAsSpecified(f"no end within {self.deadline:g} s; heard {self.heard!r:.300}") from None
        if self.abort is None:
            raise NotAsSpecified("the connection was closed without an ABORT")
        if self.heard[-1][0] != ABORT:
            raise NotAsSpecified("ABORT is not the last message")
        return self.abort

    def binary(self, value: Any) -> bytes:
        """Binary in whatever form it came."""
        if isinstance(value, bytes):
            return value
        if getattr(value, "code", None) == 1:
            index: int = unpacked(value)
            return self.segments[index]
        if getattr(value, "code", None) == 10:
            number: int = unpacked(value)
            return self.blobs.pop(number)
        raise NotAsSpecified(f"got {value!r:.100}, expected binary")

    async def closed(self) -> None:
        """Return when the other end has closed the connection, in peace."""
        try:
            async with asyncio.timeout(self.deadline):
                while not self.lost:
                    await self.turn()
        except TimeoutError:
            raise NotAsSpecified(f"no end within {self.deadline:g} s; heard {self.heard!r:.300}") from None
        if self.abort is not None:
            raise Ended(f"the session ended with {self.abort}")

    async def still_there(self) -> None:
        """Return when the other end answers, so that it has taken all that was said before."""
        self.say([PING, 7])
        await self.message(lambda one: one == [PONG, 7], "PONG")

    async def taken(self, number: int) -> bool:
        """Wait for the PONG to a PING that was said with something; False where the other end has ended the session.

        Said with it: who goes on to write to a connection that was closed may lose the ABORT that came before.
        """
        async with asyncio.timeout(self.deadline):
            while [PONG, number] not in self.heard:
                if self.lost or self.abort is not None:
                    return False
                await self.turn()
        return True

    async def turn(self) -> None:
        """Wait until something comes."""
        self._news.clear()
        await self._news.wait()
