"""`ropewalk pool`: what lies where and why, and a store that is drained, emptied and taken out."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.keeping import kept

SIZE = 300_000


@pytest.fixture
def wide(run: Run, user: Path) -> Path:
    """A space over five of six stores, two on each machine."""

    def make() -> None:
        run("init", "--yes")
        for at in range(6):
            run("store", "add", f"s{at}", f"s{at}", "--domain", f"machine=m{at // 2}")
        run("space", "create", "photos", "--stores", "s0,s1,s2,s3,s4", "--survive", "2", "--across", "store")

    kept("wide", user, make)
    (user / "large").write_bytes(os.urandom(SIZE))
    run("put", "large", "photos:/")
    return user


def objects(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and one.name != "ropewalk-store"]


def shares(folder: Path) -> list[Path]:
    return [one for one in objects(folder) if "packs" in one.parts]


def test_a_space_without_a_pack_says_where_one_would_lie(run: Run, photos: Path) -> None:
    found = run("pool", "show", "photos", "--json").json
    assert found["pack"] is None
    assert [(one["share"], one["why"]) for one in found["shares"]] == [(at, "drawn by room") for at in range(5)]
    assert "there is no pack in shares yet" in run("pool", "show", "photos").out


def test_the_table_says_what_lies_where(run: Run, wide: Path) -> None:
    found = run("pool", "show", "photos", "--json").json
    assert [(one["store"], one["shares"], one["state"]) for one in found["stores"]] == [
        (f"s{at}", 1, "up") for at in range(5)
    ]
    assert all(one["total"] >= one["free"] > 0 for one in found["stores"])
    assert found["policy"] == {"k": 3, "n": 5}
    assert [(one["kind"], one["slack"], one["binds"]) for one in found["kinds"]] == [("store", 0, True)]
    assert len(found["pack"]) == 64
    shown = run("pool", "show", "photos").out
    assert "s4     machine=m2" in shown
    assert "any 3 of 5 shares give a pack back" in shown
    assert f"pack {found['pack'][:16]}" in shown
    assert "share 4   s" in shown


def test_a_pack_is_named_by_its_first_digits(run: Run, wide: Path) -> None:
    pack = run("pool", "show", "photos", "--json").json["pack"]
    assert run("pool", "show", "photos", "--pack", pack[:6].upper(), "--json").json["pack"] == pack
    other = "0" if pack[0] != "0" else "1"
    assert "no packs start with" in run("pool", "show", "photos", "--pack", other * 8, status=3).err
    assert "expected hex digits" in run("pool", "show", "photos", "--pack", "pack", status=2).err


def test_reasons_name_what_drains_is_away_and_is_full_of_its_kind(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    run("pool", "drain", "photos", "s0")
    (wide / "s1").rename(wide / "unplugged")
    shown = run("pool", "show", "photos")
    assert ": kept where it was; were it placed now, it would not go there: draining: it gets nothing new" in shown.out
    assert "s1: it lies there, and the store is away\n" in shown.out
    assert shown.out.count(f"s1 is away: no store at {wide / 's1'}") == 1
    assert shown.out.count("no store at") == 1, "the reason stands once, and not in the table"
    assert "s5: drawn by room for a share that is to be put, or to be moved" in shown.out
    states = {one["store"]: one["state"] for one in run("pool", "show", "photos", "--json").json["stores"]}
    assert states == {"s0": "draining", "s1": "away", "s2": "up", "s3": "up", "s4": "up", "s5": "up"}


def test_a_store_is_drained_emptied_and_taken_out(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    run("repair", "photos")
    assert "gets nothing new" in run("pool", "drain", "photos", "s0").out
    before = objects(wide / "s0")
    assert "store s0 is being drained" in run("status", "photos").out
    assert run("status", "photos", "--json").json["draining"] == ["s0"]
    run("put", "large", "photos:/again")
    assert objects(wide / "s0") == before
    staying = sorted(set(objects(wide / "s0")) - set(shares(wide / "s0")))
    done = run("pool", "evacuate", "photos", "s0", "--yes", "--json").json
    assert (done["shares"], done["deleted"], done["owed"], done["left"]) == (1, 1, 0, 0)
    assert sorted(objects(wide / "s0")) == staying
    assert (done["stay"], done["stay_bytes"]) == (len(staying), sum(one.stat().st_size for one in staying))
    again = run("pool", "evacuate", "photos", "s0", "--yes")
    assert f"{len(staying)} heads, records and hints" in again.out
    (space_id,) = {one.parent.parent.name for one in staying if "records" in one.parts}
    assert f"all under {space_id}/" in again.err
    removed = run("space", "remove-store", "photos", "s0")
    assert "repair" not in removed.err
    assert run("check", "photos", "--all", "--json").json["missing"] == 0
    run("get", "photos:/again", "back")
    assert (wide / "back").read_bytes() == (wide / "large").read_bytes()
    run("space", "add-store", "photos", "s0")
    assert run("status", "photos", "--json").json["draining"] == []


def test_what_is_not_known_there_is_said_and_is_not_called_done(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    head = next(one for one in objects(wide / "s0") if "heads" in one.parts)
    strange = head.with_name(f"{'7' * len(head.name)}")
    strange.write_bytes(b"of another writer")
    said = run("pool", "evacuate", "photos", "s0", "--yes", "-q", status=10)
    assert "1 object there is not known here, or came meanwhile, and stays" in said.out
    assert strange in objects(wide / "s0")
    assert shares(wide / "s0") == []
    done = run("pool", "evacuate", "photos", "s0", "--yes", "--json", status=10).json
    assert (done["left"], done["unknown"], done["owed"]) == (1, 1, 0)
    strange.unlink()
    run("pool", "evacuate", "photos", "s0", "--yes")


def test_what_another_store_has_lost_is_mended_or_owed(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    lost = next(one for one in objects(wide / "s3") if "packs" in one.parts)
    lost.unlink()
    done = run("pool", "evacuate", "photos", "s0", "--yes", "--json").json
    assert (done["shares"], done["mended"], done["owed"], done["left"]) == (2, 1, 0, 0)
    assert run("status", "photos", "--json").json["promise"]["kept"]


def test_draining_can_be_taken_back(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    run("pool", "drain", "photos", "s5")
    assert "gets what is new of photos again" in run("pool", "drain", "photos", "s5", "--undo").out
    assert run("status", "photos", "--json").json["draining"] == []


def test_draining_warns_where_new_packs_would_be_short_and_is_refused_below_the_floor(run: Run, wide: Path) -> None:
    warned = run("pool", "drain", "photos", "s0")
    assert "what is new now will not be as promised: without store s0: 5 shares need 5 stores" in warned.err
    refused = run("pool", "drain", "photos", "s1", "--json", status=4)
    assert refused.error["code"] == "space.store-needed"
    assert "would have 3 stores that get what is new, and a write needs 4" in refused.error["message"]


def test_what_drains_already_is_named_where_another_cannot_go(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    run("pool", "drain", "photos", "s5")
    refused = run("pool", "evacuate", "photos", "s0", "--yes", "--json", status=4).error
    assert refused["message"] == (
        "without store s0 (s5 drains and does not count): 5 shares need 5 stores, the pool has 4"
    )


def test_a_drained_store_counts_for_no_write_when_another_is_to_go(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    run("repair", "photos")
    run("pool", "drain", "photos", "s0")
    run("space", "remove-store", "photos", "s1")
    refused = run("space", "remove-store", "photos", "s2", "--json", status=4)
    assert refused.error["code"] == "space.store-needed"
    assert "would have 3 stores that get what is new, and a write needs 4" in refused.error["message"]
    assert "s2" in run("space", "list", "--json").lines[0]["stores"]
    run("put", "large", "photos:/again")
    (wide / "s3").rename(wide / "unplugged")
    (wide / "other").write_bytes(os.urandom(SIZE))
    for file, said in (("large", "3 of 4 stores answer"), ("other", "0 of 5 shares are durable")):
        short = run("put", file, "photos:/once-more", "--json", status=5).error["message"]
        assert f"{said}, the write floor is 4 (s0 is being drained; s3: " in short


def test_evacuation_is_refused_where_the_store_is_needed_and_nothing_changes(run: Run, wide: Path) -> None:
    before = objects(wide / "s0")
    refused = run("pool", "evacuate", "photos", "s0", "--yes", "--json", status=4)
    assert refused.error["code"] == "space.store-needed"
    assert "add another store" in refused.error["hint"]
    assert objects(wide / "s0") == before
    assert run("status", "photos", "--json").json["draining"] == []


def test_nobody_is_asked_where_nobody_is_there(run: Run, wide: Path) -> None:
    run("space", "add-store", "photos", "s5")
    assert "in a script" in run("pool", "evacuate", "photos", "s0", status=2).err
    assert run("pool", "evacuate", "photos", "s0", "--keep", "--json").json["deleted"] == 0
    assert objects(wide / "s0") != []


@pytest.mark.parametrize(("answer", "status"), [("n\n", 11), ("", 11), ("y\n", 0)])
def test_whoever_is_there_is_asked(
    run: Run, wide: Path, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    run("space", "add-store", "photos", "s5")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    result = run("pool", "evacuate", "photos", "s0", status=status)
    assert "shares of 1 pack of photos are moved out of s0; go on? [y/N]" in result.err
    assert (shares(wide / "s0") == []) == (status == 0)


@pytest.mark.parametrize("command", [("drain",), ("evacuate", "--yes")])
def test_a_store_that_is_not_of_the_space_is_told(run: Run, wide: Path, command: tuple[str, ...]) -> None:
    result = run("pool", command[0], "photos", "s5", *command[1:], status=2)
    assert "store s5 is not part of photos, which has s0, s1, s2, s3, s4" in result.err
