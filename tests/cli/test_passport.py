"""`ropewalk store passport`: what is found, what is kept, and what `store add` and `store list` say of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import open_passport, sign
from ropewalk.spaces.store import DiskStore, NoSuchObject, ObjectName, Parts, StoreReadOnly
from tests.cli.conftest import Run


@pytest.fixture
def disk(run: Run, user: Path) -> Path:
    """A store, added by who has keys."""
    run("init", "--yes")
    run("store", "add", "disk", "disk", "--domain", "disk=a")
    return user / "disk"


@pytest.fixture
def forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that have lost what they acknowledged."""

    async def get(_store: DiskStore, name: ObjectName, _offset: int = 0, _length: int | None = None) -> bytes:
        raise NoSuchObject(f"no object {name}")

    monkeypatch.setattr(DiskStore, "get", get)


def test_a_good_store(run: Run, disk: Path) -> None:
    result = run("store", "passport", "disk", "--quick")
    assert "good     read-after-write" in result.out
    assert result.out.endswith("\n\ndisk is used for everything\n")
    assert [path.name for path in disk.rglob("*") if path.is_file() and ".tmp" not in path.parts] == ["ropewalk-store"]


def test_in_json(run: Run, disk: Path) -> None:
    found = run("store", "passport", "disk", "--quick", "--json").json
    assert (found["store"], found["kind"], found["verdict"], found["quick"]) == ("disk", "folder", "good", True)
    assert found["terms"] == {"refused": None, "largest": 64 * 1024 * 1024, "deletes": True, "hints": True}
    assert {"probe": "writes", "value": "yes", "verdict": "good", "words": "it takes objects"} in found["findings"]


def test_adding_looks_quickly_and_listing_shows_it(run: Run, user: Path) -> None:
    run("init", "--yes")
    added = run("store", "add", "disk", "disk")
    assert "note: disk was looked at: passport good, quick, made today" in added.err
    assert run("store", "list").out.rstrip().endswith("passport good, quick, made today")
    listed = run("store", "list", "--json").lines[0]["passport"]
    assert (listed["verdict"], listed["quick"], listed["refused"]) == ("good", True, None)


def test_without_keys_nothing_can_be_signed(run: Run, user: Path) -> None:
    added = run("store", "add", "disk", "disk")
    assert "what disk does was not tried, since there are no keys" in added.err
    assert "no passport" in run("store", "list").out
    assert run("store", "list", "--json").lines[0]["passport"] is None
    assert "`ropewalk init`" in run("store", "passport", "disk", status=3).err


def test_without_a_passphrase_it_is_added_all_the_same(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("init", "--yes")
    monkeypatch.delenv("ROPEWALK_PASSPHRASE")
    assert "since no passphrase was given" in run("store", "add", "one", "one").err
    monkeypatch.setenv("ROPEWALK_PASSPHRASE", "wrong")
    assert "warning: what two does was not tried: wrong passphrase" in run("store", "add", "two", "two").err
    assert [one["store"] for one in run("store", "list", "--json").lines] == ["one", "two"]


@pytest.mark.usefixtures("forgets")
def test_a_store_that_forgets_is_refused(run: Run, user: Path) -> None:
    run("init", "--yes")
    added = run("store", "add", "disk", "disk")
    assert "warning: nothing is put into disk: " in added.err
    found = run("store", "passport", "disk", "--quick", "--json", status=6).json
    assert found["verdict"] == "bad"
    assert "does not come back (and " in found["terms"]["refused"]
    assert "nothing is put into it" in run("store", "list").out


def test_a_space_does_not_write_to_a_refused_store(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(_store: DiskStore, name: ObjectName, _offset: int = 0, _length: int | None = None) -> bytes:
        raise NoSuchObject(f"no object {name}")

    with monkeypatch.context() as broken:
        broken.setattr(DiskStore, "get", get)
        run("store", "passport", "s4", "--quick", status=6)
    before = sorted((photos / "s4").rglob("*"))
    (photos / "file").write_bytes(bytes(100_000))
    put = run("put", "file", "photos:/", status=10)
    assert "store s4 is not written to" in put.err
    assert "`ropewalk store passport s4` looks at it again" in put.err
    assert sorted((photos / "s4").rglob("*")) == before
    run("store", "passport", "s4")
    run("repair", "photos")
    assert sorted((photos / "s4").rglob("*")) != before


def test_no_promise_is_made_with_a_refused_store(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def get(_store: DiskStore, name: ObjectName, _offset: int = 0, _length: int | None = None) -> bytes:
        raise NoSuchObject(f"no object {name}")

    run("store", "add", "s5", str(photos / "s5"))
    with monkeypatch.context() as broken:
        broken.setattr(DiskStore, "get", get)
        run("store", "passport", "s5", "--quick", status=6)
    asked = ("--stores", "s3,s4,s5", "--survive", "1")
    refused = run("space", "create", "more", *asked, "--json", status=4).error
    assert refused["code"] == "store.read-only"
    assert "store s5 is not written to" in refused["message"]
    assert "`ropewalk store passport s5`" in refused["hint"]
    assert "s5 is not written to" in run("space", "add-store", "photos", "s5", status=4).err
    assert "s5" not in run("space", "list").out
    run("store", "passport", "s5")
    run("space", "add-store", "photos", "s5")
    run("space", "create", "more", *asked)


def test_what_was_left_is_found_after_a_restart(run: Run, disk: Path) -> None:
    assert "--leave first" in run("store", "passport", "disk", "--after-restart", status=2).err
    left = run("store", "passport", "disk", "--quick", "--leave")
    assert "then look with `ropewalk store passport disk --after-restart`" in left.err
    assert "durability" in run("store", "passport", "disk", "--quick", "--after-restart").out
    assert run("store", "passport", "disk", "--quick", "--after-restart", status=2).err


def test_what_is_shown_is_what_is_kept(run: Run, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("store", "passport", "disk", "--json").json
    quick = run("store", "passport", "disk", "--quick")
    assert "objects of 64 MiB are taken" in quick.out
    assert f"nothing worse than the whole one of {whole['time']}, which is kept" in quick.err

    async def delete(_store: DiskStore, _name: ObjectName) -> None:
        raise StoreReadOnly("nothing is deleted here")

    with monkeypatch.context() as broken:
        broken.setattr(DiskStore, "delete", delete)
        added = run("store", "add", "disk", "disk")
        assert "passport limited (delete" in added.err
    listed = run("store", "list", "--json").lines[0]["passport"]
    assert (listed["verdict"], listed["quick"], listed["checked"]) == ("limited", True, True)
    again = run("store", "passport", "disk", "--quick")
    assert "disk is not asked to delete" in again.out
    assert "a quick look takes nothing back: `ropewalk store passport disk` does" in again.err
    assert run("store", "passport", "disk").out.endswith("\n\ndisk is used for everything\n")


def test_a_store_that_takes_nothing_is_told_by_the_exit_status_too(
    run: Run, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(_store: DiskStore, _name: ObjectName, _parts: Parts) -> None:
        raise StoreReadOnly("it is mounted to be read only")

    monkeypatch.setattr(DiskStore, "put", put)
    found = run("store", "passport", "disk", "--quick", status=6)
    assert "nothing is put into disk: nothing can be put into it: it is mounted to be read only" in found.out


def test_a_damaged_passport_refuses_the_store_until_it_is_looked_at_again(run: Run, photos: Path) -> None:
    for name in ("s2", "s3"):
        run("store", "passport", name, "--quick")
    (file, *_) = sorted(Home.of_user().state.rglob("*.passport"))
    file.write_bytes(b"junk")
    (line,) = [
        one for one in run("store", "list").out.splitlines() if "passport damaged, nothing is put into it" in one
    ]
    name = line.split()[0]
    (fields,) = [one["passport"] for one in run("store", "list", "--json").lines if one["store"] == name]
    assert (fields["verdict"], fields["damaged"]) == (None, True)
    (photos / "file").write_bytes(bytes(100_000))
    put = run("put", "file", "photos:/", status=10)
    assert f"store {name} is not written to: its passport is damaged: " in put.err
    run("store", "passport", name, "--quick")
    run("repair", "photos")
    assert "passport damaged" not in run("store", "list").out


def test_a_passport_that_another_device_has_signed_is_not_shown(
    run: Run, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("init", "--yes")
    run("store", "add", "disk", "disk")
    (file,) = Home.of_user().state.rglob("*.passport")
    known = open_passport(file.read_bytes(), bytes.fromhex(file.stem), None)
    other = DeviceKeys(bytes(32))
    file.write_bytes(sign(msgspec.structs.replace(known, device=other.public().ed25519), other))
    assert "no passport" in run("store", "list").out
    assert run("store", "list", "--json").lines[0]["passport"] is None
    monkeypatch.delenv("ROPEWALK_PASSPHRASE")
    assert run("store", "list").out.rstrip().endswith("not checked who signed it")
    assert run("store", "list", "--json").lines[0]["passport"]["checked"] is False


def test_what_cannot_be(run: Run, disk: Path) -> None:
    assert "no store is called 'nope'" in run("store", "passport", "nope", status=3).err
    assert "expected one of them" in run("store", "passport", "disk", "--leave", "--after-restart", status=2).err
    (disk / "ropewalk-store").unlink()
    assert "no store at" in run("store", "passport", "disk", status=5).err
