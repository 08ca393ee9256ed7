"""1 MiB of input never costs more than 16 MiB of memory, whatever it says, and over however many frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest

from ropewalk import broker as rope
from tests.broker.costs import MEBIBYTE, Door, calls, fed, filling, number, opened, stopped
from tests.broker.raw import frame
from tests.broker.shapes import SHAPES, array, ext, mapping

MOST = 16 * MEBIBYTE


@rope.copyable("cost.leaf")
class Leaf(msgspec.Struct):
    """As little as can be."""

    n: int = 0


ITEMS: dict[str, bytes] = {
    **{
        name: SHAPES[name]
        for name in (
            *("nil", "empty map", "negative integer"),
            "text of a wide character",
            *("empty set", "set of 77", "date"),
            "copyable that nobody knows",
            *("map of 86", "array of 17"),
        )
    },
    "copyable": ext(5, b"\x92\xa9cost.leaf\x80"),
    "integer of 1,024 bytes": ext(7, b"\xc5\x04\x00" + b"\x7f" * 1024),
    "map of text": mapping([(b"\xa4name", b"\xa4anna"), (b"\xa3age", b"\xcc\xc8")]),
    "maps 14 deep": b"\x81\xa1k" * 14 + b"\x80",
}


ANSWERS = [("empty map", "echo", 900), ("empty set", "late_echo", 30_000)]


async def check(frames: Iterable[bytes], *, door: Door | None = None) -> int:
    """Feed frames that break no rule; what they cost, which is not too much."""
    session = opened(door or Door())
    size, cost = await fed(session, _no_more(frames))
    assert session.error is None
    assert size > MEBIBYTE // 4
    assert cost <= MOST
    await stopped(session)
    return cost


def _no_more(frames: Iterable[bytes]) -> Iterator[bytes]:
    left = MEBIBYTE
    for one in frames:
        left -= len(one)
        if left < 0:
            return
        yield one


@pytest.mark.slow
@pytest.mark.parametrize("item", ITEMS)
async def test_arguments_of_open_calls(item: str) -> None:
    await check(calls("hold", *filling(ITEMS[item], 58_000)))


@pytest.mark.parametrize("item", ["empty map", "map of text"])
async def test_arguments_of_many_open_calls(item: str) -> None:
    await check(calls("hold", *filling(ITEMS[item], 1_900)))


@pytest.mark.slow
@pytest.mark.parametrize(("item", "method", "size"), ANSWERS)
async def test_answers_that_nobody_finishes(item: str, method: str, size: int) -> None:
    await check(calls(method, *filling(ITEMS[item], size)))


@pytest.mark.parametrize("item", ["empty map", "copyable"])
async def test_calls_that_wait_for_another(item: str) -> None:
    first = list(calls("hold", b"\xc0"))
    await check([*first, *calls("echo", *filling(ITEMS[item], 1_000), first=2, target=b"\x91\x01")])


@pytest.mark.parametrize("size", [450, 58_000])
async def test_calls_that_fail_and_are_not_finished(size: int) -> None:
    await check(calls("number", *filling(b"\x80", size)))


async def test_one_large_call_after_many_small_ones() -> None:
    small = list(calls("hold", *filling(b"\x80", 2_000, 200_000)))
    await check([*small, *calls("hold", *filling(ITEMS["map of 86"], 55_000, 800_000), first=3_000)])
    await check([*small, *calls("hold", *filling(b"\xc0", 300_000, 300_100), first=3_000)])


async def test_all_questions_open() -> None:
    trace = b"\xd9\x3700-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"
    about = mapping([(b"\xa8deadline", b"\xce\x00\x0f\x42\x40"), (b"\xa5trace", trace)])
    frames = []
    for begin in range(1, 4097, 256):
        said = [b"\x97\x00" + number(n) + b"\x00\xa4hold\x91\x90\xc0" + about for n in range(begin, begin + 256)]
        frames.append(frame(array(said)))
    session = opened(Door())
    _, cost = await fed(session, frames)
    assert session.error is None
    assert session.broker.answering.burden.busy is None
    assert cost <= MOST
    await stopped(session)


# References.


def shown(numbers: range, code: int = 2) -> bytes:
    """An array of references, or of shared objects."""
    if code == 2:
        return array([ext(2, b"\x92" + number(n) + b"\xa0") for n in numbers])
    return array(
        [ext(6, b"\x95" + number(n) + b"\xa0\xc4\x08" + bytes(8) + b"\x00" + b"\x81\x01\x80") for n in numbers]
    )


def many(code: int, each: int) -> Iterator[bytes]:
    """Arrays of them, all different."""
    for begin in range(1, 200_000, each):
        yield shown(range(begin, begin + each), code)


@pytest.mark.slow
@pytest.mark.parametrize(("code", "each"), [(2, 4_000), (6, 30)])
async def test_references_in_arguments_of_open_calls(code: int, each: int) -> None:
    await check(calls("hold", *many(code, each)))


@pytest.mark.parametrize("code", [2, 6])
async def test_references_that_are_dropped_at_once(code: int) -> None:
    await check(calls("number", *many(code, 2_000)))


@pytest.mark.slow
@pytest.mark.parametrize(("code", "each"), [(2, 1), (6, 2_000)])
async def test_references_in_items_that_nobody_reads(code: int, each: int) -> None:
    await check(streamed(lambda: (b"\x91" + packed(one) for one in many(code, each)), 30))


# Streams.


def packed(item: bytes) -> bytes:
    """Inline binary."""
    size = len(item)
    if size < 256:
        return b"\xc4" + bytes([size]) + item
    return (b"\xc5" + size.to_bytes(2, "big") if size < 65_536 else b"\xc6" + size.to_bytes(4, "big")) + item


def streamed(items: Callable[[], Iterable[bytes]], streams: int) -> Iterator[bytes]:
    """A call with streams, and then such items for each in turn."""
    yield from calls("keep", array([ext(9, number(n)) for n in range(1, streams + 1)]))
    said: list[bytes] = []
    size = 0
    for turn, item in enumerate(items()):
        said.append(b"\x93\x06" + number(turn % streams + 1) + item)
        size += len(said[-1])
        if size > 20_000:
            yield frame(array(said))
            said, size = [], 0


CONTENTS = {
    "empty binary": b"\xc4\x00",
    "binary of a byte": b"\xc4\x01a",
    "binary of two": b"\xc4\x02ab",
    "one byte": b"\x91\xc4\x01\xc0",
    "two bytes": b"\x91\xc4\x02\x91\xc0",
    "maps": b"\x91" + packed(b"\x9f" + b"\x80" * 15),
}


@pytest.mark.parametrize("streams", [256])
@pytest.mark.parametrize("item", CONTENTS)
async def test_short_items_that_nobody_reads(item: str, streams: int) -> None:
    await check(streamed(lambda: [CONTENTS[item]] * 200_000, streams))


async def test_items_of_streams_that_were_shown_in_items() -> None:
    inner = [b"\x91" + packed(array([ext(9, number(n))])) for n in range(100, 250)]
    await check(streamed(lambda: [*inner, *[CONTENTS["two bytes"]] * 200_000], 16))


async def test_items_and_calls_together() -> None:
    first = list(streamed(lambda: [CONTENTS["two bytes"]] * 50_000, 64))
    await check([*first, *calls("hold", *filling(b"\x80", 58_000), first=2)])
    await check([*calls("hold", *filling(b"\x80", 58_000, 300_000), first=2), *first])


# Shared objects, binary.


async def test_updates_of_a_copy() -> None:
    first = list(calls("keep", ext(6, b"\x95\x01\xa0\xc4\x08" + bytes(8) + b"\x00\x90")))

    def updates() -> Iterator[bytes]:
        for version, value in enumerate(filling(b"\x80", 50_000), 1):
            yield frame(array([b"\x94\x09\x01" + number(version) + b"\x91\x92\x91" + number(version - 1) + value]))

    await check([*first, *updates()])


async def test_updates_of_many_copies() -> None:
    first = list(calls("keep", shown(range(1, 2_001), 6)))

    def updates() -> Iterator[bytes]:
        for n in range(1, 2_001):
            yield frame(array([b"\x94\x09" + number(n) + b"\x01\x91\x92\x90" + array([b"\x80"] * 400)]))

    await check([*first, *updates()])


async def test_blobs_that_are_begun() -> None:
    await check(frame(b"\x92" + number(n) + b"\xce\x00\x00\xff\xff", (bytes(1_000),), flags=1) for n in range(1, 1_000))


async def test_segments_of_open_calls() -> None:
    def held() -> Iterator[bytes]:
        for n in range(1, 60):
            yield frame(
                array([b"\x95\x00" + number(n) + b"\x00\xa4hold\x91\x92\xd4\x01\x00" + array([b"\x80"] * 300)]),
                (bytes(17_000),),
            )

    await check(held())


# What is refused harms nobody.


def text(size: int) -> bytes:
    """An argument of that many characters."""
    return b"\xdb" + size.to_bytes(4, "big") + b"x" * size


def heard(session: Any) -> list[Any]:
    """What became of the questions."""
    return [answer.__class__.__name__ for answer in session.broker.answering.answers.values()]


async def test_large_texts_at_once_are_no_burden() -> None:
    session = opened(Door())
    accented = b"\xdb" + (900_000).to_bytes(4, "big") + "é".encode() * 450_000
    await fed(session, calls("hold", *[text(900_000), accented] * 5))
    assert heard(session) == ["Open"] * 10
    await stopped(session)


async def test_all_questions_with_a_record_each_are_no_burden() -> None:
    session = opened(Door())
    record = mapping([(b"\xa2id", b"\xcd\x12\x34"), (b"\xa4name", b"\xaaanna maria"), (b"\xa4tags", b"\x92\xa1a\xa1b")])
    said = [b"\x95\x00" + number(n) + b"\x00\xa4hold\x91" + record for n in range(1, 4_097)]
    await fed(session, [frame(array(said[at : at + 64])) for at in range(0, 4_096, 64)])
    assert heard(session) == ["Open"] * 4_096
    await stopped(session)


async def test_who_is_over_is_refused_alone_and_room_comes_back() -> None:
    session = opened(Door())
    await fed(session, calls("hold", *filling(b"\x80", 58_000)))
    told = heard(session)
    assert told.count("Open") >= 2
    assert told.count("Fault") >= 10
    await fed(session, [*calls("echo", b"\x05", first=100)])
    assert session.broker.answering.answers[100] == 5 or heard(session)[-1] == "Fault"
    running = [n for n, answer in session.broker.answering.answers.items() if answer.__class__.__name__ == "Open"]
    await fed(session, [frame([[4, running]])])
    await fed(session, calls("echo", b"\x05", first=101))
    await fed(session, calls("hold", *filling(b"\x80", 58_000, 60_000), first=102))
    assert session.broker.answering.answers[101] == 5
    assert heard(session)[-1] == "Open"
    await stopped(session)
