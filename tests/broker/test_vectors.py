"""The package does what docs/spec/vectors/broker says, and the reference reads what the package writes."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import functools
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from docs.spec.vectors.reference_broker import frame, frames, pack, unpack
from ropewalk.auth import Channel, HeldKey, ed25519_blob
from ropewalk.broker.errors import UnknownType
from ropewalk.broker.limits import BEFORE_LOGIN, Limits, told
from ropewalk.broker.logins import Hellos, Key, check_node, credentials_of, node_proof, taken
from ropewalk.broker.outbox import encode, frame_of
from ropewalk.broker.packing import Packing
from ropewalk.broker.shared import View
from ropewalk.broker.unpacking import Awaited, Unpacking, settle
from ropewalk.broker.weigh import _exactly, weigh
from ropewalk.broker.wires import Wire
from ropewalk.errors import PeerFault, Refused, RopewalkError
from tests.broker.hosts import simulated
from tests.broker.pair import End
from tests.broker.reading import reading
from tests.broker.shapes import NoSession
from tests.broker.test_frames import Notes
from tests.broker.vector_door import Door
from tests.broker.vector_sessions import Entered

HERE = Path(__file__).parents[2] / "docs/spec/vectors/broker"
Case = dict[str, Any]
NONCE = bytes(32)


def cases(name: str) -> pytest.MarkDecorator:
    """The cases of one file, as parameters."""
    held = json.loads((HERE / f"{name}.json").read_text())
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["why"]) for case in held])


def code_of(do: Callable[[], object]) -> str | None:
    """What the package refuses with."""
    try:
        do()
    except PeerFault as error:
        return error.code
    return None


@cases("frames")
def test_frames(case: Case) -> None:
    notes = Notes()
    reader = reading(notes, case["limit"])
    assert code_of(lambda: reader.feed(bytes.fromhex(case["bytes"]))) == case.get("error")
    if "error" not in case:
        assert notes.shown() == case["frames"]


# Values.


class Shows(NoSession):
    """A session in whose place values are shown as the vectors show them."""

    def found(self, number: int, name: str) -> Any:
        return Shown({"object": [number, name]})

    def own(self, number: int) -> Any:
        return Shown({"own": number})

    def shared(self, number: int, name: str, run: bytes, version: int, state: Any) -> Any:
        return Shown({"shared": [number, name, run.hex(), version, shown(state)]})

    def coming(self, number: int) -> Any:
        return Shown({"stream": number})

    def room(self) -> int:
        return 1 << 20


class Shown:
    """What is shown already."""

    def __init__(self, as_: Any) -> None:
        self.as_ = as_


def shown(value: Any) -> Any:
    """A value of ours as the vectors show it."""
    match value:
        case Shown():
            return value.as_
        case Awaited(question, steps):
            return {"answer": [question, *steps]}
        case None | bool() | str():
            return value
        case int() if abs(value) <= 2**53:
            return value
        case int() if -(2**63) <= value < 2**64:
            return {"int": str(value)}
        case int():
            return {"big": str(value)}
        case float():
            return {"float": repr(value)}
        case bytes():
            return {"bin": value.hex()}
        case list():
            return [shown(one) for one in value]
        case dict():
            return {"map": [[shown(key), shown(one)] for key, one in value.items()]}
        case tuple():
            return {"tuple": [shown(one) for one in value]}
        case set():
            return {"set": [shown(one) for one in value]}
        case decimal.Decimal():
            return {"decimal": str(value)}
        case uuid.UUID():
            return {"uuid": value.hex}
        case dt.datetime() if value.tzinfo is None:
            return {"time": value.isoformat()}
        case dt.datetime():
            past = value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            return {"moment": [past.days * 86_400 + past.seconds, past.microseconds * 1000]}
        case dt.date():
            return {"date": value.isoformat()}
        case dt.timedelta():
            return {"span": value // dt.timedelta(microseconds=1)}
    raise AssertionError(value)


PASSED = {"object", "own", "answer", "shared", "stream", "copy"}  # what the package sends otherwise than by value


def kinds(value: Any) -> set[str]:
    """All kinds of value in what is shown."""
    if isinstance(value, list):
        return set[str]().union(*map(kinds, value))
    return {next(iter(value))} | kinds(next(iter(value.values()))) if isinstance(value, dict) else set()


@cases("values")
def test_values(case: Case) -> None:
    body, segments = bytes.fromhex(case["body"]), [bytes.fromhex(one) for one in case.get("segments", [])]
    unpacking = Unpacking(Shows())

    def decode() -> Any:
        (message,) = unpacking.decode(memoryview(b"\x91\x93\x01\x01" + body), segments)
        return settle(message.value, lambda awaited: awaited)

    if "error" in case:
        assert code_of(decode) == case["error"]
        return
    if "copy" in kinds(case["value"]):
        with pytest.raises(UnknownType):
            decode()
        return
    value = decode()
    wanted = case["value"]
    if segments:
        wanted = json.loads(json.dumps(wanted).replace('"segment"', '"bin"'))
    if "big" not in kinds(wanted):
        assert shown(value) == wanted or "moment" in kinds(wanted)
    if case.get("sent") and not kinds(wanted) & PASSED:
        packing = Packing(Shows(), 64)  # type: ignore[arg-type]
        assert encode(packing.swap(value)).hex() == case["body"]


# Hellos and messages.


def talking(*, server: bool = True) -> End:
    """An end that has said its hello."""
    end = End(Door(), server=server)
    end.say()
    end.said.clear()
    return end


def greeted() -> End:
    """A server that has the client's hello."""
    end = talking()
    hello = {"ropewalk": "broker", "version": 1, "least": 1, "nonce": NONCE, "limits": told(BEFORE_LOGIN)}
    end.hear(b"".join(frame_of(encode(hello))))
    return end


@cases("hellos")
@pytest.mark.parametrize("server", [True, False])
async def test_hellos(case: Case, server: bool) -> None:
    end = talking(server=server)
    end.hear(bytes.fromhex(case["bytes"]))
    assert (end.error.code if end.error else None) == case.get("error")
    if "error" not in case:
        accepts, default = end.broker.lanes.theirs, told(Limits() if server else BEFORE_LOGIN)
        assert told(accepts) == default | {
            name: max(value, getattr(BEFORE_LOGIN, name)) for name, value in case["limits"].items()
        }
    await end.stop()


@cases("messages")
async def test_messages(case: Case) -> None:
    """Those that are none by their form; the others are in conversations, and here only written."""
    if "error" in case:
        end = greeted()
        end.hear(frame(bytes.fromhex(case["body"])))
        assert end.error is not None
        assert end.error.code == case["error"]
        await end.stop()
    else:
        assert unpack(bytes.fromhex(case["body"])) == [case["message"]]


@cases("weights")
def test_weights(case: Case) -> None:
    limit = case.get("limit", 1 << 60)
    assert code_of(lambda: weigh(bytes.fromhex(case["body"]), limit)) == case.get("error")
    if "error" not in case:
        assert _exactly(bytes.fromhex(case["body"]), limit) == case["weight"]


@cases("logins")
def test_logins(case: Case) -> None:
    server_nonce, client_nonce, binding = (
        bytes.fromhex(case[name]) for name in ("server_nonce", "client_nonce", "binding")
    )
    client = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["client_seed"]))
    node = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["node_seed"])) if "node_seed" in case else None
    key = node.public_key().public_bytes_raw() if node else b""
    hellos, wanted, bound = Hellos(server_nonce, client_nonce, key), case["wanted"], case["bound"]
    wire = Wire(Channel(verified=True), binding)
    assert hellos.challenge(wanted, bound=bound).hex() == case["challenge"]
    kind, sent, challenge, said = credentials_of(
        Key(client, case["name"], behind_proxy=not bound), hellos, wire, wanted
    )
    assert (kind, challenge.hex(), said) == ("key", case["challenge"], bound)
    assert sent["signature"].hex() == case["client_signature"]
    held, _ = taken("key", sent, hellos, wire, wanted)
    assert held == HeldKey(case["name"], ed25519_blob(bytes.fromhex(case["client_key"])))
    forged, _ = taken("key", sent | {"signature": bytes(64)}, hellos, wire, wanted)
    assert forged == HeldKey("", b"")
    if node:
        proof = node_proof(node, hellos, wire, wanted, bound=bound)
        assert proof.hex() == case["server_signature"]
        check_node(key, proof, hellos, wire, challenge, bound=bound)
        with pytest.raises(Refused):
            check_node(key, bytes(64), hellos, wire, challenge, bound=bound)


# Conversations.


COMPARED = {0, 1, 2, 6, 7, 9}


class Conversation:
    """One that is being held."""

    def __init__(self) -> None:
        self.end = greeted()
        self.answers: dict[str, Any] = {}

    async def rest(self) -> None:
        """Let all go on that can."""
        for _ in range(20):
            self.end.say()
            await asyncio.sleep(0)

    async def step(self, step: Case) -> None:
        match step:
            case {"get": parts}:
                self.end.hear(b"".join(bytes(one[1]) if isinstance(one, list) else bytes.fromhex(one) for one in parts))
            case {"say": wanted}:
                await self.rest()
                assert self.end.error is None
                said, self.end.said = self.said(), bytearray()
                self.compare(said, [unpack(pack(one)) for one in wanted])
            case {"abort": code}:
                await self.rest()
                assert self.end.error is not None
                assert self.end.error.code == (code or "broker.ended")
                assert not self.end.broker.answering.answers
            case {"do": [what, name, *more]}:
                await self.do(what, name, more)

    def said(self) -> list[Any]:
        """All messages since the last look, one for each number."""
        found: list[Any] = []
        for _, body, segments in frames(bytes(self.end.said), 1 << 20):
            for one in unpack(body, segments):
                if one[0] == 4:
                    found += [[4, [number]] for number in one[1]]
                else:
                    found.append(one[:4] if one[0] in (2, 7) else one)
        return found

    def compare(self, said: list[Any], wanted: list[Any]) -> None:
        """Those of some kinds are all there are; the others are among what was said."""
        order = functools.partial(json.dumps, sort_keys=True)
        assert sorted((one for one in said if one[0] in COMPARED), key=order) == sorted(
            (one for one in wanted if one[0] in COMPARED), key=order
        )
        for one in wanted:
            assert one in said

    async def do(self, what: str, name: str, more: list[Any]) -> None:
        match what:
            case "call":
                self.answers[name] = asyncio.ensure_future(waited(getattr(self.end.door, more[0])(*more[1:])))
                await asyncio.sleep(0)
            case "cancel":
                self.answers[name].cancel()
                await self.rest()
            case "outcome":
                assert shown(await self.got(name)) == more[0]
            case "fails":
                families = {"missing": "Missing", "failed": "Failed", "misuse": "Misuse"}
                with pytest.raises(RopewalkError) as caught:
                    await self.got(name)
                assert families[more[0]] in [kind.__name__ for kind in type(caught.value).__mro__]
                assert caught.value.code == more[1]
            case "state":
                view = await self.got(name)
                assert isinstance(view, View)
                assert (view.version, shown(view.state)) == (more[0], more[1])

    async def got(self, name: str) -> Any:
        async with asyncio.timeout(10):
            return await asyncio.shield(self.answers[name])


async def waited(promise: Any) -> Any:
    """What a promise gives."""
    return await promise


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{name}: {case['why']}")
        for name in ("answers", "questions", "references", "streams", "blobs", "shared")
        for case in json.loads((HERE / f"{name}.json").read_text())
    ],
)
async def test_conversations(case: Case) -> None:
    conversation = Conversation()
    for step in case["steps"]:
        await conversation.step(step)
    await conversation.rest()
    assert conversation.end.error is None or "abort" in case["steps"][-1]
    await conversation.end.stop()
    for answer in conversation.answers.values():
        answer.cancel()
    await asyncio.gather(*conversation.answers.values(), return_exceptions=True)


# Conversations from their first byte, in which our end is the server, or the client.


@pytest.mark.parametrize(
    ("file", "case"),
    [
        pytest.param(file, case, id=f"{file}: {case['why']}")
        for file in ("entries", "clients")
        for case in json.loads((HERE / f"{file}.json").read_text())
    ],
)
def test_sessions(file: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        entered = Entered(case, server=file == "entries", shown=shown, patch=monkeypatch)
        for step in case["steps"]:
            await entered.step(step)
        await entered.end()

    simulated(main)
