"""Vector sessions: conversations from their first byte, held with a session of ours over a transport that has no wire.

Flow: a case of docs/spec/vectors/broker/entries.json or clients.json -> Entered -> its steps, in simulated time
Never: has more than docs/spec/vectors/broker/README.md says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from docs.spec.vectors.reference_broker import frames, pack, unpack
from docs.spec.vectors.reference_broker_session import hello
from ropewalk import broker
from ropewalk.auth import (
    AnonymousChecker,
    Channel,
    Credentials,
    Denied,
    FailureLimits,
    HeldKey,
    Identity,
    Password,
    Perspectives,
    Portal,
    Rate,
    Token,
    Visit,
    ed25519_blob,
)
from ropewalk.broker.client import ClientDoor
from ropewalk.broker.errors import NoSturdy
from ropewalk.broker.limits import BEFORE_LOGIN
from ropewalk.broker.session import Session
from ropewalk.broker.shared import View
from ropewalk.broker.wires import NONE, Wire
from ropewalk.errors import RopewalkError
from ropewalk.net.buffered import deliver
from tests.broker.vector_door import Thing

__all__ = ["Entered"]

SERVER, CLIENT = b"\x11" * 32, b"\x22" * 32
NODE, KEY = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (5, 6))
STURDY = bytes.fromhex("00112233445566778899aabbccddeeff")
LIMITS = msgspec.structs.replace(
    BEFORE_LOGIN, frame=65_536, questions=100, window=1_048_576, references=1_000, queued=16, chain=8
)
LOGINS: dict[str, Any] = {
    "anonymous": None,
    "password": Password("anna", "a password"),
    "token": Token("a token"),
    "key": broker.Key(KEY, "anna"),
}
ALL = {0, 1, 2, 6, 7, 9}  # messages of which those that are told are all that were said
REST = 0.3  # seconds after which nothing more is to be expected: what is in no hurry is said within 0.05


class Nowhere(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self.said = bytearray()
        self.protocol, self.closed = protocol, False

    def write(self, data: Any) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


class Me(broker.Perspective):
    """What who has logged in may do."""

    def __init__(self, visit: Visit) -> None:
        self.name = visit.identity.name

    @broker.remote
    def who(self) -> str:
        return self.name

    @broker.remote
    def echo(self, value: Any) -> Any:
        return value

    @broker.remote
    async def hold(self) -> None:
        await asyncio.get_running_loop().create_future()


class Known:
    """Who can log in."""

    takes = (Password, Token, HeldKey)

    async def check(self, credentials: Credentials) -> Identity:
        held = HeldKey("anna", ed25519_blob(KEY.public_key().public_bytes_raw()))
        if credentials in (Password("anna", "a password"), Token("a token"), held):
            return Identity("anna")
        raise Denied


class Names(broker.Sturdies):
    """One sturdy reference."""

    async def fetch(self, name: bytes) -> Any:
        if name != STURDY:
            raise NoSturdy("not this one")
        return Thing()


def _server(*, node: bool) -> Session:
    realm = Perspectives()
    realm.give(Me, Me)
    rate = Rate(100, 1)
    often = FailureLimits(asyncio.get_running_loop().time, address=rate, pair=rate, name=rate, site=rate)
    portal = Portal(realm, [AnonymousChecker(), Known()], often, step=0.001)
    key = NODE if node else None
    names = Names(lambda _label: None)
    return broker.Host(portal, {"": Me}, node=key, sturdies=names, limits=LIMITS, random=lambda _: SERVER).protocol()


class Entered:
    """A conversation that is being held.

    Args:
        server: Our end is the server.
        shown: A value as the vectors show it.
    """

    def __init__(self, case: dict[str, Any], *, server: bool, shown: Callable[[Any], Any], patch: Any) -> None:
        given = {"node": True, "private": True} | case.get("given", {})
        private = given["private"]
        wire = Wire(Channel(verified=private), b"\x07" * 32 if private else NONE)
        patch.setattr("ropewalk.broker.session.wire_of", lambda _transport: wire)
        self.node = NODE.public_key().public_bytes_raw() if given["node"] else None
        self.server, self._shown = server, shown
        self.calls: dict[str, asyncio.Future[Any]] = {}
        self.me: Any = None
        if server:
            self.session = _server(node=given["node"])
        else:
            self.session = Session(lambda _: ClientDoor(), ours=broker.Limits(), server=False, nonce=CLIENT)
        self.transport = Nowhere(self.session)
        self.session.connection_made(self.transport)
        first = bytes(self.transport.said)
        self.transport.said.clear()
        assert hello(first)["version"] == 1
        told = dict(unpack(frames(first, 4096)[0][1])["map"])
        assert told["nonce"] == {"bin": (SERVER if server else CLIENT).hex()}
        assert told.get("node") == ({"bin": self.node.hex()} if server and self.node else None)

    async def step(self, step: dict[str, Any]) -> None:
        match step:
            case {"get": parts}:
                deliver(self.session, b"".join(map(_bytes, parts)))
            case {"say": wanted}:
                await asyncio.sleep(REST)
                self.compare(self.said(), [unpack(pack(one)) for one in wanted])
            case {"least": wanted}:
                await asyncio.sleep(REST)
                assert any(_has(one, wanted) for one in self.said())
            case {"abort": code}:
                await asyncio.sleep(REST)
                assert self.session.error is not None
                assert self.session.error.code == (code or "broker.ended")
            case {"closes": _}:
                await asyncio.sleep(REST)
                assert self.transport.closed
            case {"pass": milliseconds}:
                await asyncio.sleep(milliseconds / 1000)
            case {"do": [what, name, *more]}:
                await self.do(what, name, more)
            case _:
                raise AssertionError(step)

    def said(self) -> list[Any]:
        """All messages since the last look."""
        data, found = bytes(self.transport.said), list[Any]()
        self.transport.said.clear()
        for _, body, segments in frames(data, 1 << 20):
            for one in unpack(body, segments):
                if one[0] == 4:
                    found += [[4, [number]] for number in one[1]]
                else:
                    found.append(one[: {2: 4, 7: 4, 14: 2}.get(one[0], len(one))])
        return found

    def compare(self, said: list[Any], wanted: list[Any]) -> None:
        """Those of some kinds are all there are; the others are among what was said."""
        assert _sorted(one for one in said if one[0] in ALL) == _sorted(one for one in wanted if one[0] in ALL)
        for one in wanted:
            assert one[0] in ALL or any(_has(other, one) for other in said), one

    async def do(self, what: str, name: str, more: list[Any]) -> None:
        match what:
            case "login":
                await asyncio.shield(self.session.opened)
                await self.begin(name, self.login(more[0]))
            case "call":
                await self.begin(name, self.called(more[0], more[1:]))
            case "late":
                await self.begin(name, self.called(more[0], more[2:], more[1] / 1000))
            case "outcome":
                assert self._shown(await self.got(name)) == more[0]
            case "fails":
                with pytest.raises(RopewalkError) as caught:
                    await self.got(name)
                families = [kind.__name__.lower() for kind in type(caught.value).__mro__]
                assert more[0] in families
                assert more[1] in ("", caught.value.code)
            case "state":
                view = await self.got(name)
                assert isinstance(view, View)
                assert (view.version, self._shown(view.state)) == (more[0], more[1])
            case _:
                raise AssertionError(what)

    async def begin(self, name: str, work: Any) -> None:
        """Let it go on until it waits for something."""
        self.calls[name] = asyncio.ensure_future(work)
        await asyncio.sleep(REST)

    async def login(self, kind: str) -> str:
        self.me = await broker.login(self.session, LOGINS[kind], node=self.node)
        return "in"

    async def called(self, method: str, arguments: list[Any], seconds: float | None = None) -> Any:
        given = [bytes(one["zeros"]) if isinstance(one, dict) else one for one in arguments]
        if seconds is None:
            return await getattr(self.me, method)(*given)
        async with broker.deadline(seconds):
            return await getattr(self.me, method)(*given)

    async def got(self, name: str) -> Any:
        async with asyncio.timeout(10):
            return await asyncio.shield(self.calls[name])

    async def end(self) -> None:
        """Leave nothing behind."""
        for call in self.calls.values():
            call.cancel()
        await asyncio.gather(*self.calls.values(), return_exceptions=True)
        self.session.abort(broker.Ended("the case is over"))
        await self.session.wait_closed()


def _bytes(part: Any) -> bytes:
    if isinstance(part, str):
        return bytes.fromhex(part)
    byte, count = part
    return bytes.fromhex(byte) * count if isinstance(byte, str) else bytes(count)


def _plain(shown: Any) -> Any:
    """With the entries of maps in one order."""
    if isinstance(shown, list):
        return [_plain(one) for one in shown]
    if isinstance(shown, dict):
        return {kind: _sorted(inside) if kind == "map" else _plain(inside) for kind, inside in shown.items()}
    return shown


def _sorted(shown: Any) -> list[Any]:
    return sorted((_plain(one) for one in shown), key=lambda one: json.dumps(one, sort_keys=True))


def _has(said: Any, wanted: Any) -> bool:
    """Whether this is what was wanted, or has more entries in its maps."""
    if isinstance(wanted, list):
        return isinstance(said, list) and len(said) == len(wanted) and all(map(_has, said, wanted))
    if isinstance(wanted, dict) and "map" in wanted:
        entries = said.get("map", []) if isinstance(said, dict) else []
        return all(any(one == key and _has(other, value) for one, other in entries) for key, value in wanted["map"])
    return bool(said == wanted)
