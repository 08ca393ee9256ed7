"""Stores that come with a space are looked at before anything is put into them, and keep nobody from the space."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.cli.first_look import look_first
from ropewalk.cli.output import Voice
from ropewalk.spaces.home import Home
from ropewalk.spaces.passport import load
from ropewalk.spaces.store import DiskStore, NoSuchObject, ObjectName, Parts, StoreGone
from tests.cli.conftest import STORES, As, Result, Run
from tests.cli.restoring import an_anna

NAMES = [f"s{at}" for at in range(STORES)]
PASSPHRASE = "one two three"


def come(machine: As, photos: Path, *words: str) -> Result:
    """Bob comes by files; what the last step said."""
    machine("home", "invite", "photos", "--file", "invite", *words)
    machine("bob", "join", "--file", "invite", "--yes")
    (answer,) = photos.glob("*.answer")
    machine("home", "invite", "photos", "--answer", str(answer))
    return machine("bob", "join", "--file", "invite", "--welcome", str(answer.with_suffix(".welcome")))


def passports(listed: Result) -> dict[str, tuple[str, str | None] | None]:
    seen = {one["store"]: one["passport"] for one in listed.lines}
    return {name: (one["verdict"], one["refused"]) if one else None for name, one in seen.items()}


def test_what_comes_by_an_invite_is_looked_at(machine: As, photos: Path) -> None:
    told = come(machine, photos)
    assert f"note: looked at {', '.join(NAMES)}: passport good, quick, made today" in told.err
    assert passports(machine("bob", "store", "list", "--json")) == dict.fromkeys(NAMES, ("good", None))


def test_what_comes_by_an_invite_and_forgets_gets_nothing(
    machine: As, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = DiskStore.get

    async def forgets(store: DiskStore, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        if store.root.endswith("/s4") and "/packs/" in name:
            raise NoSuchObject(f"no object {name}")
        return await get(store, name, offset, length)

    monkeypatch.setattr(DiskStore, "get", forgets)
    told = come(machine, photos)
    assert "warning: store s4 is not written to: " in told.err
    assert "photos is here now" in told.out
    before = sorted((photos / "s4").rglob("*"))
    (photos / "file").write_bytes(bytes(100_000))
    assert "store s4 is not written to" in machine("bob", "put", "file", "photos:/", status=10).err
    assert sorted((photos / "s4").rglob("*")) == before


def test_words_on_paper_look_at_what_was_added_before_there_were_keys(
    run: Run, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = an_anna(run, user, monkeypatch)
    anna.stores("new")
    assert set(passports(anna.of("new", "store", "list", "--json")).values()) == {None}
    anna.restore("new", anna.words, "--keep-others")
    assert passports(anna.of("new", "store", "list", "--json")) == dict.fromkeys(NAMES, ("good", None))


def test_what_was_added_before_there_were_keys_is_looked_at_once_there_are(run: Run, user: Path) -> None:
    run("store", "add", "one", "disk")
    told = run("init", "--yes")
    assert "looked at one: passport good, quick, made today" in told.err
    assert passports(run("store", "list", "--json")) == {"one": ("good", None)}


def test_a_space_that_is_taken_in_has_its_stores_looked_at(machine: As, photos: Path) -> None:
    (space,) = machine("home", "space", "list", "--json").lines
    home = Home.of_user()
    home.update(lambda settings: replace(settings, spaces={}))
    for one in home.state.rglob("*.passport"):
        one.unlink()
    machine("home", "space", "attach", "photos", "--id", space["id"])
    assert passports(machine("home", "store", "list", "--json")) == dict.fromkeys(NAMES, ("good", None))


def test_what_was_looked_at_is_not_looked_at_again(photos: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    home = Home.of_user()
    asyncio.run(look_first(home, NAMES, home.open_keys(PASSPHRASE), Voice()))
    assert capfdbinary.readouterr() == (b"", b"")


@pytest.mark.parametrize(("puts", "label"), [(True, "warning: "), (False, "note: ")])
def test_a_store_that_hangs_is_left_for_later(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], puts: bool, label: str
) -> None:
    """The others are looked at, and there is an end."""
    home = Home.of_user()
    keys, hung = home.open_keys(PASSPHRASE), asyncio.Event()
    for one in home.state.rglob("*.passport"):
        one.unlink()
    put = DiskStore.put

    async def hangs(store: DiskStore, name: ObjectName, parts: Parts) -> None:
        if store.root.endswith("/s0"):
            raise StoreGone("it is away")
        if store.root.endswith("/s1"):
            hung.set()
            await asyncio.Event().wait()
        await put(store, name, parts)

    monkeypatch.setattr(DiskStore, "put", hangs)
    wait = asyncio.wait

    async def until_hung(looks: list[asyncio.Task[object]], timeout: float | None = None) -> object:  # noqa: ASYNC109
        if timeout == 7:
            await hung.wait()
            return await wait([look for look in looks if look.get_name() != "first look at s1"])
        return await wait(looks, timeout=timeout)

    monkeypatch.setattr("ropewalk.cli.first_look.asyncio.wait", until_hung)
    asyncio.run(look_first(home, NAMES, keys, Voice(), puts=puts, within=7))
    said = capfdbinary.readouterr().err.decode()
    assert "looked at s2, s3, s4: passport good" in said
    assert f"{label}what these stores do could not be found out: s1: they were not done within 7 s" in said
    assert f"{label}what these stores do could not be found out: s0: it is away; `ropewalk store passport s0`" in said
    assert "`ropewalk up`" in said
    mine = keys.public().ed25519
    assert load(home, bytes.fromhex(home.store("s1").id), mine) is None
