"""Sessions that were recorded are cut, shuffled, repeated and mutated, and played to a broker.

It raises what is documented and nothing else, it comes to rest, and its tables stay within the limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.spec.vectors.reference_broker import Refused as NoFrame
from docs.spec.vectors.reference_broker import frame, frames
from ropewalk.broker.copyables import copyable
from ropewalk.broker.limits import Limits
from ropewalk.broker.offers import Object, remote
from ropewalk.errors import PeerFault
from tests.broker.pair import End
from tests.broker.vector_door import Door, Thing

LIMITS = Limits(
    frame=40_000,
    depth=20,
    weight=2 << 20,
    questions=20,
    window=100_000,
    references=70,
    streams=5,
    stream_window=20_000,
    blob=60_000,
    blobs=5,
    queued=10,
    chain=5,
    memory=300_000,
)
SHORT = 600  # bytes of a frame that is cut at every one of them


@copyable("tests.fuzz.point")
class Point(msgspec.Struct):
    """A record that crosses."""

    x: int
    y: Any = None


class Asks(Object):
    """An object of the client's."""

    @remote
    def echo(self, value: Any) -> Any:
        return value


class Recording(NamedTuple):
    """What both ends have said after their hellos, frame by frame."""

    client: list[bytes]
    server: list[bytes]


async def _items() -> AsyncIterator[Any]:
    yield 5
    yield bytes(100)
    yield Thing()
    yield {"a": [Point(1, (2, {3}))]}
    for _ in range(8):
        yield bytes(3_000)


def play(door: Any) -> list[Any]:
    """What the client does: something of every kind."""
    asks = Asks()
    thing = door.same()
    made = [
        door.echo(5),
        door.echo([1, {"a": (2, {3}), "b": b"x"}, 2**70, Point(1)]),
        door.echo(asks),
        thing,
        thing.echo(thing),
        door.nest().things[0].echo(1),
        door.nest().nothing.echo(1),
        door.echo(door.echo([7]))[0],
        door.echo(asks).echo("back"),
        door.fail(),
        door.nothing(),
        door.hold(),
        door.hold().echo(1),
        door.count(9),
        door.blocks(9),
        door.total(_items()),
        door.keep(_items()),
        door.board(),
        door.put(6),
        door.put([1, 2]),
        door.echo(b"s" * 17_000),
        door.echo(b"b" * 50_000),
        door.echo(value=5),
        door.echo("x" * 5_000),
    ]
    door.echo.tell("told")
    made[11].future().cancel()
    return made


def ends() -> tuple[End, End]:
    """Client and server, after their hellos and with the limits of a login."""
    client, server = End(Asks(), server=False, limits=LIMITS), End(Door(), server=True, limits=LIMITS)
    for one, other in ((client, server), (server, client)):
        one.say()
        other.hear(bytes(one.said))
        one.said.clear()
    server.broker.accept(LIMITS)
    server.say()
    client.hear(bytes(server.said))
    server.said.clear()
    return client, server


async def rest(*some: End, turns: int = 12) -> None:
    """Let all go on that can."""
    for _ in range(turns):
        for end in some:
            end.say()
        await asyncio.sleep(0)


async def _outcome(promise: Any) -> Any:
    return await promise


@functools.cache
def recording() -> Recording:
    """One session from beginning to end."""

    async def record() -> Recording:
        client, server = ends()
        said: dict[End, bytearray] = {client: bytearray(), server: bytearray()}
        held = [asyncio.ensure_future(_outcome(promise)) for promise in play(client.door)]
        for turn in range(60):
            for one, other in ((client, server), (server, client)):
                one.say()
                data = bytes(one.said)
                said[one] += data
                one.said.clear()
                other.hear(data)
            await asyncio.sleep(0)
            if turn == 30:
                for future in held:
                    future.cancel()
                await asyncio.gather(*held, return_exceptions=True)
                held.clear()
                gc.collect()  # what is held no more is released
        assert client.error is None, client.error
        assert server.error is None, server.error
        await client.stop()
        await server.stop()
        return Recording(*([_whole(*one) for one in frames(bytes(said[end]), 1 << 20)] for end in (client, server)))

    return asyncio.run(record())


def _whole(flags: int, body: bytes, segments: list[bytes]) -> bytes:
    return frame(body, segments, flags)


def played(parts: Sequence[bytes], *, to_server: bool) -> str:
    """What an end makes of these bytes: the code of the fault that ended it, or ""."""

    async def run() -> str:
        surprises: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: surprises.append(context))
        client, server = ends()
        end = server if to_server else client
        held: list[Any] = []
        if not to_server:
            held = [asyncio.ensure_future(_outcome(promise)) for promise in play(client.door)]
        async with asyncio.timeout(60):
            for part in parts:
                end.hear(part)  # raises what is neither a fault nor the end
                await rest(end, turns=2)
                within(end)
            await rest(end)
            within(end)
            code = end.error.code if end.error else ""
            assert end.error is None or isinstance(end.error, PeerFault) or code == "broker.ended"
            await end.stop()
            await (client if to_server else server).stop()
            for future in held:
                future.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        assert not surprises, surprises
        return code

    return asyncio.run(run())


def within(end: End) -> None:
    """All tables keep to the limits."""
    broker, ours = end.broker, end.broker.ours
    assert len(broker.answering.answers) <= ours.questions
    assert len(broker.objects._held) <= ours.references
    assert len(broker.objects.shown) <= ours.references + 1
    assert len(broker.streams._in) <= ours.streams
    assert len(broker.streams._out) <= broker.streams.theirs.streams
    assert len(broker.blobs._blobs) <= ours.blobs
    assert broker.blobs._size <= ours.window
    assert broker.answering._queued <= ours.queued
    assert len(broker.reader._rest) <= 64 * 1024
    for entry in broker.streams._in.values():
        stream = entry.stream()
        assert stream is None or sum(map(len, stream._items)) <= ours.stream_window + ours.frame


CODES = {"", "broker.ended", "broker.frame", "broker.limit", "broker.message", "broker.value"}
BOTH = pytest.mark.parametrize("to_server", [True, False])


def test_a_recording_has_every_kind_of_message_and_plays_without_a_fault() -> None:
    seen: set[int] = set()
    for said in recording():
        for flags, body, _ in frames(b"".join(said), 1 << 20):
            seen |= {-1} if flags else {one[0] for one in msgspec.msgpack.decode(body)}
    assert seen >= {-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
    assert played(recording().client, to_server=True) == ""


@BOTH
def test_where_a_recording_is_cut_makes_no_difference(to_server: bool) -> None:
    said = recording().client if to_server else recording().server
    assert played(said, to_server=to_server) == ""
    some = random.Random(1)
    for _ in range(5):
        cut = [(one, some.randrange(len(one))) for one in said]
        assert played([part for one, at in cut for part in (one[:at], one[at:])], to_server=to_server) == ""
    single = [one[at : at + 1] for one in said if len(one) <= SHORT for at in range(len(one))]
    assert played(single, to_server=to_server) in CODES


@BOTH
def test_frames_that_lose_their_end_at_any_byte_are_refused_or_waited_for(to_server: bool) -> None:
    """What follows is then read as part of them."""
    said = recording().client if to_server else recording().server
    short = [index for index, one in enumerate(said) if len(one) <= SHORT]
    for index in random.Random(2).sample(short, min(4, len(short))):
        for at in range(0, len(said[index]), 7):
            assert played([*said[:index], said[index][:at], *said[index + 1 :]], to_server=to_server) in CODES


def shuffled(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Frames in another order, some of them again, some of them not."""
    picked = [one for one in said if chance.random() < 0.9]
    picked += chance.choices(said, k=chance.randrange(6))
    for _ in range(chance.randrange(8)):
        a, b = chance.randrange(len(picked)), chance.randrange(len(picked))
        picked[a], picked[b] = picked[b], picked[a]
    return picked


def mutated(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Frames with some of their bytes changed; often such that their lengths still say what they are."""
    made = list(said)
    for _ in range(chance.randrange(1, 6)):
        index = chance.randrange(len(made))
        found = frames(made[index], 1 << 20)
        if found and chance.random() < 0.7:
            flags, body, segments = found[0]
            made[index] = frame(changed(body, chance), segments, flags)
        else:
            made[index] = changed(made[index], chance)
    return made


def changed(data: bytes, chance: random.Random) -> bytes:
    """A byte changed, a part left out, put in or doubled."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randrange(9))
    match chance.randrange(4):
        case 0:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[end:] or b"\xc0"
        case 2:
            return data[:at] + chance.randbytes(chance.randrange(9)) + data[at:] or b"\xc0"
        case _:
            return data[:end] + data[at:] or b"\xc0"


def reshaped(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Messages taken out of their frames, in another order, with other numbers and values in their places."""
    messages = [one for part in said for one in messages_of(part)]
    picked = [chance.choice(messages) if chance.random() < 0.3 else one for one in messages if chance.random() < 0.95]
    for _ in range(chance.randrange(6)):
        index = chance.randrange(len(picked))
        picked[index] = other(picked[index], chance, messages)
    return [frame(msgspec.msgpack.encode([one])) for one in picked if one != []]


def messages_of(data: bytes) -> list[Any]:
    """The messages of a frame that has no segments."""
    ((flags, body, segments),) = frames(data, 1 << 20)
    return [] if flags or segments else msgspec.msgpack.decode(body)


def other(value: Any, chance: random.Random, messages: Sequence[Any]) -> Any:
    """A value with one of its parts replaced."""
    if isinstance(value, list) and value and chance.random() < 0.9:
        index = chance.randrange(len(value))
        return [*value[:index], other(value[index], chance, messages), *value[index + 1 :]]
    if isinstance(value, dict) and value and chance.random() < 0.7:
        key = chance.choice(list(value))
        return value | {key: other(value[key], chance, messages)}
    if isinstance(value, msgspec.msgpack.Ext) and chance.random() < 0.7:
        code = value.code if chance.random() < 0.6 else chance.randrange(18)
        data = bytes(value.data)
        return msgspec.msgpack.Ext(code, changed(data, chance) if chance.random() < 0.6 else data)
    if isinstance(value, int) and chance.random() < 0.7:
        return value + chance.choice([-1, 1, 2, 2**31, -(2**31), 1000])
    if chance.random() < 0.3:
        return chance.choice(messages)
    return chance.choice([None, True, 0, 1, -1, 2**40, 1.5, "", "echo", "@describe", b"", [], [[]], {}, {"a": 1}])


WAYS: list[Callable[[Sequence[bytes], random.Random], list[bytes]]] = [shuffled, mutated, reshaped]


@BOTH
@given(chance=st.randoms(use_true_random=False), ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=2))
def test_fuzz_whatever_becomes_of_a_recording_only_the_session_ends(
    to_server: bool, chance: random.Random, ways: list[Callable[[Sequence[bytes], random.Random], list[bytes]]]
) -> None:
    said: Sequence[bytes] = recording().client if to_server else recording().server
    for way in ways:
        with contextlib.suppress(NoFrame, ValueError, msgspec.DecodeError):  # it is taken apart no further
            said = way(said, chance)
    assert played(said, to_server=to_server) in CODES


@BOTH
@given(junk=st.lists(st.binary(min_size=1, max_size=60), max_size=6), framed=st.booleans())
def test_fuzz_junk_after_the_hello_ends_the_session_or_is_waited_for(
    to_server: bool, junk: list[bytes], framed: bool
) -> None:
    parts = [frame(one) for one in junk] if framed else junk
    assert played(parts, to_server=to_server) in CODES
