"""What devices and stores do wrong, from end to end: it is seen, held, shown to a stranger, and let off.

Bob's keys sign what no honest device signs, or a store shows what no honest store does; Anna uses the command line.
"""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
from pathlib import Path

import pytest

from ropewalk.spaces.head import HeadName, open_head, seal_head
from ropewalk.spaces.members import Role
from ropewalk.spaces.state import State
from ropewalk.spaces.store import DiskStore, ObjectName
from tests.cli.conftest import STORES, Run
from tests.cli.pair import PASSPHRASE, Pair, a_pair


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    made = a_pair(photos, run, monkeypatch, Role.ADMIN)
    made.put("home", "by-anna", "x")
    made.bob("ls", "photos")
    made.put("bob", "by-bob", "x")
    return made


def put_into(pair: Pair, stores: range | list[int], name: str, data: bytes) -> None:
    """An object comes into stores, past all programs."""

    async def put() -> None:
        for at in stores:
            marker = bytes.fromhex(pair.home("home").store(f"s{at}").id)
            store = await DiskStore.open(str(pair.work / f"s{at}"), marker)
            await store.put(ObjectName(name), [data])
            await store.aclose()

    asyncio.run(put())


def cloned(pair: Pair) -> None:
    """Bob's machine is cloned, and each of both changes who may do what."""
    pair.machine("carol")
    pair.let_in("carol", Role.READER)
    pair.bob("members", "photos")
    home = pair.home("bob").config
    shutil.copytree(home, home.with_name("clone"))
    pair.apart(
        lambda: pair.bob("member", "role", "carol", "writer"),
        lambda: pair.of("clone", "member", "role", "carol", "admin"),
    )


def bad_head(pair: Pair, *, lower: bool) -> None:
    """Bob signs a head after his newest one: of a lower level, or one that has seen less."""

    async def make() -> tuple[str, bytes]:
        async with pair.open("bob") as space:
            core = space.core
            (known,) = [one for one in await core.ledger.do(State.newest_heads) if one.writer == core.writer_id]
            name = HeadName.decode(known.name)
            assert name is not None
            head = open_head(await core.pool.get_any(name.encode(), name.fits), name, core.membership, core.keys)
            assert head.member is not None
            seen = {writer: item for writer, item in head.member.vector.items() if writer != known.writer}
            assert seen
            new, data = seal_head(
                incarnation=head.envelope.incarnation,
                sequence=known.sequence + 1,
                previous=head.hash,
                steward=head.steward,
                member=dataclasses.replace(head.member, vector=seen if lower else {}),
                embedded=b"",
                device=pair.home("bob").open_keys(PASSPHRASE),
                keys=core.keys,
                feature=1 if lower else 2,
            )
            return new.encode(), data

    put_into(pair, range(STORES), *asyncio.run(make()))


WRONGS = {
    "forked-record": (cloned, "signed two different membership records under one number"),
    "went-back": (lambda pair: bad_head(pair, lower=False), "signed as if it had not seen what it had seen"),
    "downgrade": (lambda pair: bad_head(pair, lower=True), "signed in an older format than before"),
}


@pytest.mark.parametrize("kind", WRONGS)
def test_a_device_is_found_out_held_shown_to_a_stranger_and_let_off(pair: Pair, kind: str) -> None:
    do, words = WRONGS[kind]
    do(pair)
    device = pair.home("bob").open_keys(PASSPHRASE).public().id.hex()

    pair.anna("mkdir", "photos:/seen")
    (found,) = [line for line in pair.anna("audit", "photos", "--json").lines if line["kind"] == "proof"]
    assert (found["of"], found["device"], found["proven"], found["recorded"]) == (kind, device, True, True)
    out = pair.anna("audit", "photos").out
    assert f"bob (device {device[:8]}) {words}" in out
    assert "is frozen: what it writes does not count until an admin lets it go on" in out

    assert "frozen" in pair.bob("mkdir", "photos:/late", status=4).err
    assert {"by-anna", "by-bob"} <= set(pair.anna("ls", "photos").out.split()), "what was there counts on"

    pair.anna("audit", "export", "photos", found["id"][:12], "shown.rwproof")
    stranger = pair.of("nobody", "audit", "verify", "shown.rwproof")
    assert stranger.out.splitlines()[0] == f"proven: the device {words}"
    answer = pair.of("nobody", "audit", "verify", "shown.rwproof", "--json").json
    assert (answer["verdict"], answer["of"], answer["device"]) == ("proven", kind, device)
    assert not pair.home("nobody").config.exists()

    pair.anna("audit", "accept", "photos", device[:8])
    pair.bob("mkdir", "photos:/late")
    pair.anna("mkdir", "photos:/on")
    assert {"late/", "on/"} <= set(pair.anna("ls", "photos").out.split())
    lines = pair.anna("audit", "photos", "--json").lines
    assert not [line for line in lines if line["kind"] == "frozen"], "it is not accused again"
    assert len([line for line in lines if line["kind"] == "proof"]) == 1


def rolled_back(pair: Pair, part: str) -> None:
    """Store s1 loses what it had, the newest of it."""
    pair.put("home", "seen", "x")
    pair.anna("ls", "photos")
    there = [path for path in pair.files() if part in path.parts and "s1" in path.parts]
    max(there, key=lambda path: path.stat().st_mtime_ns).unlink()


def replayed(pair: Pair, part: str) -> None:
    """Store s1 shows something of another space."""
    pair.anna("space", "create", "other", "--stores", "s0,s1,s2", "--survive", "1")
    (pair.work / "foreign").write_text("x")
    pair.anna("put", "foreign", "other:/foreign")

    async def some() -> tuple[str, bytes]:
        async with pair.open(space="other") as space, pair.open() as photos:
            listed = [one.name async for one in space.core.pool.list("s0", f"{space.core.space_id.hex()}/{part}/")]
            data = await space.core.pool.get("s0", listed[-1], 0, 1 << 20)
            return photos.core.space_id.hex() + listed[-1][64:], data

    put_into(pair, [1], *asyncio.run(some()))


TOLD = {
    ("rollback", "heads"): "no longer shows a change that it had",
    ("rollback", "records"): "no longer shows a membership record that it had",
    ("replay", "heads"): "showed a change of another space",
    ("replay", "records"): "showed a membership record of another space",
}


@pytest.mark.parametrize(("kind", "part"), TOLD)
def test_a_store_is_found_out_refused_and_testified_against(pair: Pair, kind: str, part: str) -> None:
    (rolled_back if kind == "rollback" else replayed)(pair, part)
    words = TOLD[kind, part]
    before = pair.anna("ls", "photos").out
    lines = pair.anna("audit", "photos", "--json").lines
    (found,) = [line for line in lines if line["kind"] == "proof"]
    marker = pair.home("home").store("s1").id
    assert (found["of"], found["proven"], found["store"]) == (kind, False, marker)
    assert f"testimony  store s1 {words}, says anna (laptop)" in pair.anna("audit", "photos").out
    assert not [line for line in lines if line["kind"] == "frozen"]

    pair.anna("audit", "export", "photos", found["id"][:12], "told.rwproof")
    answer = pair.of("nobody", "audit", "verify", "told.rwproof", "--json", status=6).json
    assert (answer["verdict"], answer["of"], answer["statement"]["store"]) == ("testimony", kind, marker)
    assert pair.of("nobody", "audit", "verify", "told.rwproof", status=6).out.startswith(f"testimony: a store {words}")

    assert pair.anna("ls", "photos").out == before
    pair.put("home", "more", "x")
    assert "more" in pair.bob("ls", "photos").out
    assert pair.bob("cat", "photos:/more").out == "x"
