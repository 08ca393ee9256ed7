"""`ropewalk store` and `ropewalk space`: what can be set up, changed, found again, and what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ropewalk.cli.space import parse_survive
from ropewalk.errors import Misuse
from ropewalk.spaces.store import OsFileSystem
from tests.cli.conftest import Run

# -- stores --------------------------------------------------------------------------------------------------------


def test_a_store_is_made_then_listed(run: Run, user: Path) -> None:
    made = run("store", "add", "disk", "disk", "--domain", "disk=a", "--domain", "machine=here", "--json").json
    assert made["made"] is True
    assert made["folder"] == str(user / "disk")
    listed = run("store", "list", "--json").lines
    assert [(one["store"], one["domains"], one["there"]) for one in listed] == [
        ("disk", {"disk": "a", "machine": "here"}, True)
    ]
    assert listed[0]["free"] > 0


def test_one_store_has_one_name(run: Run, user: Path) -> None:
    run("store", "add", "one", "disk")
    result = run("store", "add", "two", "disk", status=2)
    assert f"{user / 'disk'} is store one already\n" in result.err
    assert "if it was moved" not in result.err, "it was not: this is where it is known to be"
    shutil.copytree(user / "disk", user / "copy")
    assert "`ropewalk store add one" in run("store", "add", "two", "copy", status=2).err


def test_a_store_that_was_moved_is_added_again(run: Run, user: Path) -> None:
    run("store", "add", "one", "disk", "--domain", "disk=a")
    (user / "disk").rename(user / "elsewhere")
    assert "no store at" in run("store", "list").out
    moved = run("store", "add", "one", "elsewhere")
    assert "not stated" not in moved.err, "its domains are kept"
    assert "not stated" in run("store", "add", "other", "other").err
    run("store", "remove", "other")
    assert run("store", "list", "--json").lines[0]["domains"] == {"disk": "a"}
    run("store", "add", "one", "elsewhere", "--domain", "disk=b")
    listed = run("store", "list", "--json").lines[0]
    assert (listed["folder"], listed["domains"]) == (str(user / "elsewhere"), {"disk": "b"})


def test_a_name_is_not_taken_from_another_store(run: Run, user: Path) -> None:
    run("store", "add", "one", "a")
    assert "is called 'one' already" in run("store", "add", "one", "b", status=2).err
    assert not (user / "b").exists()
    run("store", "add", "two", "b")
    run("store", "remove", "two")
    assert "is called 'one' already" in run("store", "add", "one", "b", status=2).err


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "a:b", "a,b", ".hidden", "x" * 65, "a\nb", "\udcff"])
def test_names_that_cannot_be(run: Run, name: str) -> None:
    result = run("store", "add", "--", name, "disk", status=2)
    assert "cannot be the name of a store" in result.err
    assert len(result.err.splitlines()) == 2


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("disk", "expected KIND=VALUE"),
        ("disk=", "expected KIND=VALUE"),
        ("=a", "expected KIND=VALUE"),
        ("", "expected KIND=VALUE"),
        ("colour=red", "unknown kind of domain 'colour'"),
        ("store=other", "always its own name, 'one'\nhint: leave it out"),
        ("disk=a,disk=b", "both 'a' and 'b'"),
    ],
)
def test_domains_that_cannot_be(run: Run, user: Path, domain: str, why: str) -> None:
    assert why in run("store", "add", "one", "disk", "--domain", domain, status=2).err
    assert not (user / "disk").exists()


def test_a_folder_in_no_folder(run: Run, user: Path) -> None:
    result = run("store", "add", "one", "no/such/disk", status=5)
    assert f"error: no folder {user / 'no' / 'such'} to make a store in" in result.err
    assert "mount its disk" in result.err


def test_a_folder_with_something_in_it(run: Run, user: Path) -> None:
    (user / "disk").mkdir()
    (user / "disk" / "thing").touch()
    assert "is not empty: 'thing' is in it" in run("store", "add", "one", "disk", status=2).err


def test_a_folder_that_is_a_file(run: Run, user: Path) -> None:
    (user / "disk").touch()
    result = run("store", "add", "one", "disk", status=5)
    assert str(user / "disk") in result.err


def test_a_folder_that_cannot_be_written(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_files: OsFileSystem, path: str, flags: int) -> int:
        raise OSError(30, "Read-only file system", path)

    (user / "disk").mkdir()
    monkeypatch.setattr(OsFileSystem, "open", refused)
    result = run("store", "add", "one", "disk", "--json", status=4)
    assert result.error["code"] == "store.read-only"
    assert run("store", "list", "--json").lines == []


def test_a_folder_whose_name_is_not_utf_8(run: Run, user: Path) -> None:
    result = run("store", "add", "one", "d\udcff", status=2)
    assert "is not UTF-8" in result.err
    assert not os.path.lexists(user / "d\udcff")


def test_a_marker_of_a_later_format(run: Run, user: Path) -> None:
    run("store", "add", "one", "disk")
    run("store", "remove", "one")
    marker = user / "disk" / "ropewalk-store"
    marker.write_text(marker.read_text().replace('"format": 1', '"format": 2'))
    assert "upgrade" in run("store", "add", "one", "disk", status=4).err


def test_a_store_in_use_is_kept(run: Run, photos: Path) -> None:
    assert "`ropewalk space remove-store photos s1`" in run("store", "remove", "s1", status=2).err
    assert "no store is called 'nope'" in run("store", "remove", "nope", status=3).err


# -- spaces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("survive", "across", "promise"),
    [
        (["2"], ["store"], {"store": 2}),
        (["2"], [], {"store": 2}),
        (["2", "1"], ["store", "machine"], {"store": 2, "machine": 1}),
        (["store=2,machine=1"], [], {"store": 2, "machine": 1}),
        (["store=2", "1"], ["machine"], {"store": 2, "machine": 1}),
        (["0"], ["store"], {"store": 0}),
    ],
)
def test_what_is_asked_for(survive: list[str], across: list[str], promise: dict[str, int]) -> None:
    assert parse_survive(survive, across) == promise


@pytest.mark.parametrize(
    ("survive", "across"),
    [
        ([], []),
        ([], ["store"]),
        (["two"], ["store"]),
        (["2", "1"], ["store"]),
        (["2"], ["store", "machine"]),
        (["2", "1"], []),
        (["store=two"], []),
        (["store=2", "store=1"], []),
        (["store="], []),
        ([""], ["store"]),
    ],
)
def test_what_cannot_be_asked_for(survive: list[str], across: list[str]) -> None:
    with pytest.raises(Misuse):
        parse_survive(survive, across)


IMPOSSIBLE: list[tuple[tuple[str, ...], int, str]] = [
    (("--stores", "s0,s1,s2", "--survive", "3"), 4, "a pack has only 3 shares"),
    (("--stores", "s0,s1,s2", "--survive", "1", "--across", "machine"), 4, "3 stores lie on 1 (here)"),
    (("--stores", "s0,s1,s2", "--survive", "1", "--across", "site"), 4, "site is not stated"),
    (("--stores", "s0,s1,s2", "--survive", "1", "--across", "town"), 2, "unknown kind of domain 'town'"),
    (("--stores", "s0,s1,s2", "--survive", "-1"), 2, "want 0 or more"),
    (("--stores", "s0,s0", "--survive", "1"), 2, "store s0 is named twice"),
    (("--stores", "s0,nope", "--survive", "1"), 3, "no store is called 'nope'"),
    (("--stores", "", "--survive", "1"), 2, "--stores names no store"),
    (("--stores", "s0,s1,s2", "--survive", "1", "--floor", "9"), 2, "write floor is 9, expected 2 to 3"),
    (("--stores", "s0,s1,s2", "--survive", "1", "--privacy", "3"), 2, "privacy level is 3"),
    (("--stores", "s0,s1,s2"), 2, "nothing is asked for"),
    (("--survive", "1"), 2, "--stores"),
]


def test_spaces_that_cannot_be(run: Run, photos: Path, subtests: pytest.Subtests) -> None:
    for words, status, why in IMPOSSIBLE:
        with subtests.test(" ".join(words)):
            assert why in run("space", "create", "other", *words, status=status).err
    assert [space["space"] for space in run("space", "list", "--json").lines] == ["photos"]


def test_a_space_is_not_made_twice(run: Run, photos: Path) -> None:
    result = run("space", "create", "photos", "--stores", "s0,s1", "--survive", "1", status=2)
    assert "a space is called 'photos' already" in result.err


def test_a_space_needs_its_stores_to_be_there(run: Run, photos: Path) -> None:
    shutil.rmtree(photos / "s0")
    result = run("space", "create", "other", "--stores", "s0,s1", "--survive", "1", status=5)
    assert "store s0 is not there" in result.err


def test_two_spaces_in_the_same_stores(run: Run, photos: Path) -> None:
    second = run(
        "space", "create", "films", "--stores", "s0,s1,s2", "--survive", "disk=1", "--privacy", "2", "--json"
    ).json
    assert second["policy"] == {"k": 2, "n": 3, "floor": 3, "survive": {"disk": 1}}
    assert [space["space"] for space in run("space", "list", "--json").lines] == ["films", "photos"]


def test_the_id_of_a_space_is_shown_where_it_is_made_and_in_the_list(run: Run, photos: Path) -> None:
    made = run("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    films = next(one["id"] for one in run("space", "list", "--json").lines if one["space"] == "films")
    shown = "-".join(films[at : at + 4] for at in range(0, 32, 4))
    assert f"its id is {shown}; write it down beside the words of the paper key" in made.err
    assert shown in run("space", "list").out


def test_stores_come_and_go(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(300_000))
    run("put", "a", "photos:/a")
    assert "would have 4 stores" not in run("space", "remove-store", "photos", "s4").err
    assert "a write needs 4" in run("space", "remove-store", "photos", "s3", status=4).err
    assert "is not part of photos" in run("space", "remove-store", "photos", "s4", status=2).err
    run("store", "add", "t", "t")
    run("space", "add-store", "photos", "t")
    assert "is part of photos already" in run("space", "add-store", "photos", "t", status=2).err
    assert "no store is called 'u'" in run("space", "add-store", "photos", "u", status=3).err
    run("repair", "photos")
    assert run("check", "photos", "--all", "--json").json["ok"] is True


def test_the_last_copies_are_not_let_go(run: Run, photos: Path) -> None:
    (photos / "a").write_bytes(os.urandom(300_000))
    run("put", "a", "photos:/a")
    for name in ("s0", "s1"):
        (photos / name).rename(photos / f"{name}-away")
    result = run("space", "remove-store", "photos", "s2", "--json", status=4)
    assert result.error["code"] == "space.store-needed"
    assert "1 pack of photos could not be read without s2" in result.error["message"]
