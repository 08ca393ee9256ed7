"""`ropewalk member reseal` and `member remove --hard`: what it costs is said first, what it cannot do at the end."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
from pathlib import Path

import msgspec
import pytest

from ropewalk.cli import hard
from ropewalk.cli.options import Keyed
from ropewalk.spaces import reseal as resealing
from ropewalk.spaces.members import Role
from ropewalk.spaces.tree.entry import decode_entry, encode_entry
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair, tablet_revoked

MIB = 1024 * 1024


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Anna and Bob, and two MiB in a file."""
    pair = a_pair(photos, run, monkeypatch)
    (pair.work / "large").write_bytes(random.Random(1).randbytes(2 * MIB))
    pair.anna("put", "large", "photos:/large")
    pair.put("home", "small", "few words")
    return pair


def stored(pair: Pair) -> int:
    return sum(path.stat().st_size for path in pair.files())


def test_all_is_sealed_anew_and_what_it_cannot_do_is_said(pair: Pair) -> None:
    before = stored(pair)
    result = pair.anna("member", "remove", "bob", "--hard", "--yes")
    assert "bob does not belong to photos any more" in result.out
    assert "2 entries of photos sealed anew, 2.0 MiB" in result.out
    assert "to seal anew: 2 entries, 2.0 MiB in 2 chunks; it needs 3.3 MiB more in the stores, and about " in result.err
    assert "older versions stay as they were: " in result.err
    assert "take away their access" in result.err
    assert stored(pair) - before > 3 * MIB
    pair.anna("get", "photos:/large", "back")
    assert (pair.work / "back").read_bytes() == (pair.work / "large").read_bytes()


def test_it_tells_programs_what_it_came_to(pair: Pair) -> None:
    pair.anna("member", "remove", "bob")
    done = pair.anna("member", "reseal", "photos", "--yes", "--json").json
    assert (done["entries"], done["versions"], done["failed"], done["again"]) == (2, 1, 0, False)
    assert done["estimate"]["bytes"] == 2 * MIB
    assert done["former"] > 3 * MIB


def test_nobody_is_there_to_say_yes(pair: Pair) -> None:
    pair.monkeypatch.setattr("sys.stdin", io.StringIO(""))
    before = pair.files()
    refused = pair.anna("member", "reseal", "photos", "--json", status=2)
    assert "--yes" in refused.error["hint"]
    refused = pair.anna("member", "remove", "bob", "--hard", "--json", status=2)
    assert "--yes" in refused.error["hint"]
    assert refused.out == ""
    assert pair.files() == before, "nobody was put out either"
    assert "bob" in pair.anna("members", "photos").out


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_whoever_says_no_has_lost_nothing(pair: Pair) -> None:
    pair.monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    result = pair.anna("member", "remove", "bob", "--hard", status=11)
    assert "bob does not belong to photos any more" in result.out
    assert "nothing was sealed anew; `ropewalk member reseal photos` does it at any time" in result.err
    assert "sealed again" not in pair.anna("log", "photos").out
    pair.monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    pair.machine("carol")
    pair.let_in("carol", Role.WRITER)
    assert "sealed anew, 2.0 MiB" in pair.anna("member", "remove", "carol", "--hard").out


def test_where_nobody_was_put_out_there_is_nothing_to_do(run: Run, photos: Path) -> None:
    assert "nobody was put out of photos" in run("member", "reseal", "photos", "--yes", status=2).err


def test_what_was_done_is_not_done_again(pair: Pair) -> None:
    pair.anna("member", "remove", "bob", "--hard", "--yes")
    before = pair.files()
    assert "all of photos was sealed anew already" in pair.anna("member", "reseal", "photos", "--yes").out
    assert pair.files() == before


def test_it_waits_for_keys_that_who_was_put_out_does_not_have(pair: Pair) -> None:
    tablet_revoked(pair)
    refused = pair.bob("member", "reseal", "photos", "--yes", "--json", status=4)
    assert refused.error["code"] == "members.still-exposed"
    assert "admin's device" in refused.error["hint"]
    pair.anna("mkdir", "photos:/b")
    assert pair.bob("member", "reseal", "photos", "--yes", "--json").json["entries"] == 3


@pytest.mark.parametrize("claim", [1, 2, 2**60])
def test_who_is_put_out_cannot_have_it_believed_that_all_was_done_already(pair: Pair, claim: int) -> None:
    async def lie() -> None:
        async with pair.open("bob") as space:
            there = [item async for batch in (await space.current()).tree.scan() for item in batch]
            async with space.change() as change:
                for key, value in there:
                    extra = msgspec.msgpack.encode({1: claim})
                    change.put_value(key, encode_entry(msgspec.structs.replace(decode_entry(value), extra=extra)))
                change.put_value(there[0][0][:-40] + b"b" * 40, b"no entry")

    asyncio.run(lie())
    result = pair.anna("member", "remove", "bob", "--hard", "--yes", status=11)
    assert "2 entries of photos sealed anew, 2.0 MiB" in result.out
    assert "to seal anew: 3 entries, 2.0 MiB in 2 chunks" in result.err
    assert "left out: large: entry does not parse" in result.err
    assert pair.anna("member", "reseal", "photos", "--yes", "--json", status=11).json["failed"] == 1


async def test_a_stop_says_how_to_go_on(pair_there: Pair, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One entry a version; it is stopped in the second."""
    pair = pair_there
    batches = 0

    def stop(entries: int, _all: int) -> None:
        nonlocal batches
        batches += 1
        if entries:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    async def one_by_one(space: resealing.Changing, *, progress: object) -> resealing.Resealed:
        assert progress is not None
        return await resealing.reseal(space, batch=1, progress=stop)

    pair.monkeypatch.setattr(hard, "reseal_space", one_by_one)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(hard.reseal("photos", yes=True, common=Keyed()))
    assert b"`ropewalk member reseal photos` goes on with the rest" in capfdbinary.readouterr().err
    assert batches


async def test_the_time_it_takes_is_told_from_a_sample(
    pair_there: Pair, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    seconds = itertools.count()
    async with pair_there.open() as space:
        capfdbinary.readouterr()
        assert await hard.seal_anew(space, Keyed(json=True), asked=False, clock=lambda: float(next(seconds))) == 0
    told = json.loads(capfdbinary.readouterr().out)["estimate"]
    assert told["seconds"] == round((told["bytes"] + told["stored"]) / (2 * MIB), 1)


@pytest.fixture
def pair_there(pair: Pair) -> Pair:
    """Bob is out."""
    pair.anna("member", "remove", "bob")
    return pair
