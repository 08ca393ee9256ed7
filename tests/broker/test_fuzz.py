"""Sessions that were recorded are cut, shuffled, repeated and mutated, and played to a broker.

It raises what is documented and nothing else, it comes to rest, and its tables stay within the limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.spec.vectors.reference_broker import Refused as NoFrame
from docs.spec.vectors.reference_broker import frame, frames
from ropewalk.broker.copyables import copyable
from ropewalk.broker.offers import Object, remote
from ropewalk.errors import PeerFault
from tests.broker.damage import WAYS, Way
from tests.broker.narrow import NARROW
from tests.broker.pair import End
from tests.broker.vector_door import Door, Thing

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
    client, server = End(Asks(), server=False, limits=NARROW), End(Door(), server=True, limits=NARROW)
    for one, other in ((client, server), (server, client)):
        one.say()
        other.hear(bytes(one.said))
        one.said.clear()
    server.broker.accept(NARROW)
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


class Outcome(NamedTuple):
    """What an end makes of some bytes.

    Attributes:
        code: Of the fault that ended it, or "".
        said: All that it said.
    """

    code: str
    said: bytes


def _whole_parts(part: bytes) -> list[bytes]:
    return [part]


def _bytes(part: bytes) -> list[bytes]:
    return [part[at : at + 1] for at in range(len(part))]


def played(parts: Sequence[bytes], *, to_server: bool, cut: Callable[[bytes], list[bytes]] = _whole_parts) -> Outcome:
    """What an end makes of these bytes. Tasks go on after each part, not where that is cut."""

    async def run() -> Outcome:
        surprises: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: surprises.append(context))
        client, server = ends()
        end = server if to_server else client
        held: list[Any] = []
        if not to_server:
            held = [asyncio.ensure_future(_outcome(promise)) for promise in play(client.door)]
        async with asyncio.timeout(60):
            for part in parts:
                for piece in cut(part):
                    end.hear(piece)  # raises what is neither a fault nor the end
                await rest(end, turns=2)
                within(end)
            await rest(end)
            within(end)
            code, said = end.error.code if end.error else "", bytes(end.said)
            assert end.error is None or isinstance(end.error, PeerFault) or code == "broker.ended"
            await end.stop()
            await (client if to_server else server).stop()
            for future in held:
                future.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        assert not surprises, surprises
        return Outcome(code, said)

    gc.disable()  # what is released when it is found as garbage is released at another time in each run
    try:
        return asyncio.run(run())
    finally:
        gc.enable()


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
        assert stream is None or stream._window - stream._room <= ours.stream_window + ours.frame


CODES = {"", "broker.ended", "broker.frame", "broker.limit", "broker.message", "broker.value"}
BOTH = pytest.mark.parametrize("to_server", [True, False])


def test_a_recording_has_every_kind_of_message_and_plays_without_a_fault() -> None:
    seen: set[int] = set()
    for said in recording():
        for flags, body, _ in frames(b"".join(said), 1 << 20):
            seen |= {-1} if flags else {one[0] for one in msgspec.msgpack.decode(body)}
    assert seen >= {-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
    assert played(recording().client, to_server=True).code == ""


@BOTH
def test_where_a_recording_is_cut_makes_no_difference(to_server: bool) -> None:
    """Between any two of its bytes; and where one frame ends amid what came at once."""
    said = recording().client if to_server else recording().server
    whole = played(said, to_server=to_server)
    assert whole.code == ""
    assert len(whole.said) > 10_000
    assert played(said, to_server=to_server, cut=_bytes) == whole
    for ahead in (1, 3, 7, 8, 9, 12, 16):
        shifted = [one[ahead:] + after[:ahead] for one, after in pairwise([bytes(ahead) + said[0], *said[1:], b""])]
        assert played(shifted, to_server=to_server) == whole
    some = random.Random(1)
    for _ in range(5):
        sizes = [some.randrange(1, 5_000) for _ in range(20)]
        assert played(said, to_server=to_server, cut=functools.partial(_some, sizes)) == whole


def _some(sizes: Sequence[int], part: bytes) -> list[bytes]:
    """Pieces of these sizes, again and again."""
    cut, at = [], 0
    for size in itertools.cycle(sizes):
        cut.append(part[at : at + size])
        at += size
        if at >= len(part):
            return cut
    return cut


@BOTH
def test_frames_that_lose_their_end_at_any_byte_are_refused_or_waited_for(to_server: bool) -> None:
    """What follows is then read as part of them."""
    said = recording().client if to_server else recording().server
    short = [index for index, one in enumerate(said) if len(one) <= SHORT]
    codes = set()
    for index in random.Random(2).sample(short, min(4, len(short))):
        for at in range(0, len(said[index]), 13):
            damaged = [*said[:index], said[index][:at], *said[index + 1 :]]
            outcome = played(damaged, to_server=to_server)
            assert outcome.code in CODES
            codes.add(outcome.code)
            if at % 39 == 0:
                assert played(damaged, to_server=to_server, cut=_bytes) == outcome
    assert len(codes) > 1


@BOTH
@given(chance=st.randoms(use_true_random=False), ways=st.lists(st.sampled_from(WAYS), min_size=1, max_size=2))
def test_fuzz_whatever_becomes_of_a_recording_only_the_session_ends(
    to_server: bool, chance: random.Random, ways: list[Way]
) -> None:
    said: Sequence[bytes] = recording().client if to_server else recording().server
    for way in ways:
        with contextlib.suppress(NoFrame, ValueError, msgspec.DecodeError):  # it is taken apart no further
            said = way(said, chance)
    outcome = played(said, to_server=to_server)
    assert outcome.code in CODES
    if chance.random() < 0.3:
        cut = functools.partial(_some, [chance.randrange(9, 2_000)])
        assert played(said, to_server=to_server, cut=cut) == outcome


@BOTH
@given(junk=st.lists(st.binary(min_size=1, max_size=60), max_size=6), framed=st.booleans())
def test_fuzz_junk_after_the_hello_ends_the_session_or_is_waited_for(
    to_server: bool, junk: list[bytes], framed: bool
) -> None:
    parts = [frame(one) for one in junk] if framed else junk
    outcome = played(parts, to_server=to_server)
    assert outcome.code in CODES
    assert played(parts, to_server=to_server, cut=_bytes) == outcome
