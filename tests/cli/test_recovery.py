"""`ropewalk recovery restore`: words bring a machine back, to the spaces that are meant, and what is left is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.spaces import recovery
from ropewalk.spaces.discover import FoundSpace
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.store import DiskStore, NoSuchObject, ObjectName
from tests.cli.conftest import Run
from tests.cli.restoring import Anna, Terminal, an_anna, grouped


@pytest.fixture
def anna(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> Anna:
    return an_anna(run, user, monkeypatch)


# -- coming back ---------------------------------------------------------------------------------------------------


def test_words_bring_a_machine_back_and_put_the_lost_one_out(anna: Anna) -> None:
    anna.stores("new")
    result = anna.restore("new", anna.words, "--revoke-others", "--as", "desk")
    assert "space is back, over s0, s1, s2, s3, s4; put out: " in result.out
    assert "epoch 2 has begun" in result.err
    assert "came later" not in result.err
    (put_out,) = [line for line in anna.of("new", "audit", "space", "--json").lines if line.get("deed") == "revoke"]
    assert "paper key" in put_out["who"], "a thief who has the lost one is senior to this one, and not to the words"
    anna.of("new", "mkdir", "space:/b")
    assert [machine["name"] for machine in anna.members("new", "space")[0]["devices"]] == [None, "desk"]  # type: ignore[attr-defined]
    anna.anna("mkdir", "photos:/c", status=4)
    assert anna.of("new", "ls", "space").out == "a\nb/\n"


def test_words_that_came_later_than_what_they_put_out_say_so(anna: Anna) -> None:
    words = anna.new_words("--json", old=anna.words).json["paper_key"]
    anna.stores("new")
    late = anna.restore("new", words, "--revoke-others")
    assert "these words came later than" in late.err
    assert "only a new space is safe from that" in late.err


def test_what_the_lost_machine_wrote_before_stays(anna: Anna) -> None:
    anna.put("home", "b", "last words")
    anna.stores("new")
    anna.restore("new", anna.words, "--revoke-others")
    assert anna.of("new", "cat", "space:/b").out == "last words"
    assert anna.of("new", "status", "space", "--json").json["quarantined"] == 0


def test_other_machines_stay_unless_it_is_said(anna: Anna) -> None:
    anna.stores("new")
    result = anna.restore("new", anna.words)
    assert "still belong to 'space': " in result.err
    anna.anna("mkdir", "photos:/c")
    assert anna.of("new", "ls", "space").out == "a\nc/\n"


def test_a_second_run_goes_on_with_the_same_keys(anna: Anna) -> None:
    anna.stores("new")
    first = anna.restore("new", anna.words, "--keep-others", "--json").json
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    anna.say(anna.words)
    second = anna.of("new", "recovery", "restore", "--keep-others", "--json")
    assert list(second.json["spaces"]) == ["space"], "what was confirmed before needs no id"
    films = anna.home("home").load().spaces["films"].id
    assert f"these words open another space there: {grouped(films)}" in second.err
    third = anna.restore("new", anna.words, "--keep-others", "--json").json
    assert second.json["device"] == third["device"] == first["device"]
    assert set(third["spaces"]) == {"space", "space-2"}
    assert len(anna.members("new", "space")[0]["devices"]) == 3  # type: ignore[arg-type]


def test_a_script_says_what_to_call_spaces(anna: Anna) -> None:
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    anna.stores("new")
    films, photos = (anna.home("home").load().spaces[name].id for name in ("films", "photos"))
    anna.say(anna.words)
    words = ("recovery", "restore", "--keep-others", "--id", photos, "--id", films)
    back = anna.of("new", *words, "--name", "pictures", "--name", "films", "--json").json["spaces"]
    assert {name: one["id"] for name, one in back.items()} == {"pictures": photos, "films": films}
    anna.say(anna.words)
    assert "space rename" not in anna.of("new", *words, "--name", "pictures", "--name", "films").err


def test_names_that_do_not_go_with_the_ids(anna: Anna) -> None:
    photos = anna.home("home").load().spaces["photos"].id
    anna.stores("new")
    for words, said in (
        (("--id", photos, "--name", "a", "--name", "b"), "--name is given 2 times and --id 1 time"),
        (("--name", "a", "--name", "b"), "--name is given 2 times and --id 0 times"),
        (("--id", photos, "--id", "f" * 32, "--name", "a", "--name", "a"), "two spaces the same name"),
        (("--id", photos, "--name", "a b"), "cannot be the name of a space"),
    ):
        assert said in anna.of("new", "recovery", "restore", *words, status=2).err
    assert not anna.home("new").has_keys
    anna.restore("new", anna.words, "--keep-others")
    refused = anna.of("new", "recovery", "restore", "--id", "f" * 32, "--name", "space", status=2)
    assert "a space is called 'space' already" in refused.err


def test_a_space_that_nobody_has_named_can_be_renamed(anna: Anna) -> None:
    anna.stores("new")
    told = anna.restore("new", anna.words, "--keep-others")
    assert "`ropewalk space rename space NAME`" in told.err
    assert "nothing was known of 'space' on this machine" in told.err + anna.of("new", "ls", "space").err
    assert anna.of("new", "space", "rename", "space", "photos", "--json").json == {"space": "photos", "before": "space"}
    assert anna.of("new", "cat", "photos:/a").out == "kept"
    assert "no space is called 'space'" in anna.of("new", "space", "rename", "space", "x", status=3).err
    assert "already" in anna.of("new", "space", "rename", "photos", "photos", status=2).err
    assert "cannot be the name" in anna.of("new", "space", "rename", "photos", "a b", status=2).err


def test_a_terminal_is_asked_what_to_call_a_space_and_about_the_others(anna: Anna) -> None:
    anna.stores("new")
    typed = Terminal(f"{anna.words}\nyes\nno name\npictures\nyes\n")
    anna.monkeypatch.setattr("sys.stdin", typed)
    result = anna.of("new", "recovery", "restore")
    assert f"id       {grouped(anna.home('home').load().spaces['photos'].id)}" in result.err
    assert "Is this the id of the space that you mean? (yes/no) " in result.err
    assert "What will you call it? [space] " in result.err
    assert "'no name' cannot be the name of a space" in result.err
    assert "Put them out, as lost or stolen? (yes/no) " in result.err
    assert "pictures is back, over s0, s1, s2, s3, s4; put out: " in result.out
    assert typed.read() == ""


def test_a_space_is_not_taken_because_words_open_it(anna: Anna) -> None:
    anna.stores("new")
    anna.say(anna.words)
    refused = anna.of("new", "recovery", "restore", "--json", status=2)
    assert refused.error["code"] == "space.not-confirmed"
    assert grouped(anna.home("home").load().spaces["photos"].id) in refused.error["message"]
    assert not anna.home("new").has_keys
    anna.monkeypatch.setattr("sys.stdin", Terminal(f"{anna.words}\nno\n"))
    assert "it was not confirmed" in anna.of("new", "recovery", "restore", status=2).err
    assert not anna.home("new").has_keys


def test_of_several_spaces_none_is_taken_without_being_told_which(anna: Anna) -> None:
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    photos, films = (anna.home("home").load().spaces[name].id for name in ("photos", "films"))
    anna.stores("new")
    anna.monkeypatch.setattr("sys.stdin", Terminal(f"{anna.words}\n"))
    refused = anna.of("new", "recovery", "restore", status=2)
    assert all(grouped(one) in refused.err for one in (photos, films))
    anna.say(anna.words)
    chosen = anna.of("new", "recovery", "restore", "--id", grouped(films), "--keep-others", "--json").json
    assert [one["id"] for one in chosen["spaces"].values()] == [films]


def test_an_id_that_is_not_there(anna: Anna) -> None:
    anna.stores("new")
    missing = anna.restore("new", anna.words, "--id", "f" * 32, status=3)
    assert f"no space with the id {grouped('f' * 32)} that these words open" in missing.err
    assert "expected 32 to 64 hex digits" in anna.restore("new", anna.words, "--id", "ff", status=2).err
    assert not anna.home("new").has_keys


def test_a_machine_with_keys_of_its_own_has_no_need(anna: Anna) -> None:
    anna.machine("bob")
    anna.say(anna.words)
    assert "is there already" in anna.bob("recovery", "restore", status=2).err


def test_no_stores_to_look_into(anna: Anna) -> None:
    assert "`ropewalk store add" in anna.of("new", "recovery", "restore", status=3).err
    assert "no store is called 'nope'" in anna.of("new", "recovery", "restore", "--stores", "nope", status=3).err


def test_words_that_are_none(anna: Anna) -> None:
    anna.stores("new")
    anna.say("abandon " * 23)
    anna.of("new", "recovery", "restore", status=2)
    assert not anna.home("new").has_keys


def test_some_of_the_stores_are_enough(anna: Anna) -> None:
    anna.stores("new")
    result = anna.restore("new", anna.words, "--stores", "s0,s1,s2,s3")
    assert "lie in 5 stores, and 4 are here" in result.err
    assert anna.of("new", "cat", "space:/a").out == "kept"


def test_a_space_that_does_not_take_the_keys_is_left(anna: Anna) -> None:
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    films = bytes.fromhex(anna.home("home").load().spaces["films"].id)
    put = recovery._put

    async def broken(pool: Pool, space: FoundSpace, record: object) -> tuple[int, str]:
        return (0, "s0: full") if space.id == films else await put(pool, space, record)  # type: ignore[arg-type]

    anna.stores("new")
    with anna.monkeypatch.context() as patched:
        patched.setattr(recovery, "_put", broken)
        result = anna.restore("new", anna.words, "--json", status=11)
    assert list(result.json["spaces"]) == ["space"]
    assert list(result.json["left"]) == [films.hex()]
    assert "0 of 3 stores took the record" in result.err
    again = anna.restore("new", anna.words, "--json").json
    assert (set(again["spaces"]), again["device"]) == ({"space", "space-2"}, result.json["device"])


def test_a_store_that_was_seen_to_be_unfit_is_not_one_that_took_the_keys(anna: Anna) -> None:
    async def get(_store: DiskStore, name: ObjectName, _offset: int = 0, _length: int | None = None) -> bytes:
        raise NoSuchObject(f"no object {name}")

    anna.stores("new")
    anna.restore("new", anna.words, "--keep-others")
    with anna.monkeypatch.context() as broken:
        broken.setattr(DiskStore, "get", get)
        anna.of("new", "store", "passport", "s0", "--quick", status=6)
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    left = anna.restore("new", anna.words, "--keep-others", status=11)
    assert "2 of 3 stores took the record, 3 must (s0: store s0 is not written to: " in left.err
    anna.of("new", "store", "passport", "s0")
    anna.restore("new", anna.words, "--keep-others")
    assert anna.of("new", "ls", "space-2").out == ""
