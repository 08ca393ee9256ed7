"""`ropewalk recovery`: new words end the old ones, words bring a machine back, and what is left over is said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ropewalk.spaces import recovery
from ropewalk.spaces.discover import FoundSpace
from ropewalk.spaces.members import Role
from ropewalk.spaces.pool.pool import Pool
from tests.cli.conftest import STORES, Run
from tests.cli.pair import Pair


class Anna(Pair):
    """Anna's machine, whose words are known."""

    words: str

    def say(self, words: str) -> None:
        """What is typed next."""
        self.monkeypatch.setattr("sys.stdin", io.StringIO(words + "\n"))

    def members(self, home: str = "home", space: str = "photos") -> list[dict[str, object]]:
        """Who belongs, as a home sees it."""
        return self.of(home, "members", space, "--json").lines


@pytest.fixture
def anna(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> Anna:
    """Anna, with a space photos over all stores and a file in it."""
    anna = Anna(user, run, monkeypatch)
    anna.words = str(anna.anna("init", "--yes", "--json").json["paper_key"])
    anna.stores("home")
    stores = ",".join(f"s{at}" for at in range(STORES))
    anna.anna("space", "create", "photos", "--stores", stores, "--survive", "2")
    anna.put("home", "a", "kept")
    return anna


def new_words(anna: Anna, status: int = 0) -> str:
    return str(anna.anna("recovery", "paper", "--yes", "--json", status=status).json["paper_key"])


# -- new words -----------------------------------------------------------------------------------------------------


def test_new_words_open_all_and_the_old_ones_nothing(anna: Anna) -> None:
    words = new_words(anna)
    anna.stores("old")
    anna.say(anna.words)
    refused = anna.of("old", "recovery", "restore", "--json", status=3)
    assert refused.error["code"] == "recovery.no-paper-key"
    assert not anna.home("old").has_keys
    anna.stores("new")
    anna.say(words)
    assert list(anna.of("new", "recovery", "restore", "--json").json["spaces"]) == ["space"]
    assert anna.of("new", "cat", "space:/a").out == "kept"


def test_they_are_shown_as_those_of_init_are(anna: Anna) -> None:
    shown = anna.anna("recovery", "paper", "--yes")
    assert "Write these 24 words down in this order" in shown.out
    assert "photos: the new words are good" in shown.out
    assert "epoch 2 has begun" in shown.err
    assert "the old words open nothing that is new" in shown.err


def test_the_next_space_takes_the_new_key(anna: Anna) -> None:
    words = new_words(anna)
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    anna.stores("new")
    anna.say(words)
    assert len(anna.of("new", "recovery", "restore", "--json").json["spaces"]) == 2


def test_nobody_confirms(anna: Anna) -> None:
    objects = anna.files()
    anna.say("")
    assert "in a script: --yes" in anna.anna("recovery", "paper", status=2).err
    assert anna.files() == objects


def test_a_space_whose_stores_are_away_is_left_and_brought_along_later(anna: Anna) -> None:
    anna.anna("store", "add", "t0", "t0")
    anna.anna("store", "add", "t1", "t1")
    anna.anna("space", "create", "films", "--stores", "t0,t1", "--survive", "1")
    (anna.work / "t1").rename(anna.work / "away")
    result = anna.anna("recovery", "paper", "--yes", "--json", status=11)
    assert (result.json["spaces"], list(result.json["left"])) == (["photos"], ["films"])
    assert "recovery paper --same" in result.err
    (anna.work / "away").rename(anna.work / "t1")
    assert anna.anna("recovery", "paper", "--same", "--json").json == {
        "paper_key": None,
        "spaces": ["films", "photos"],
        "left": {},
    }
    for at in range(2):
        anna.of("new", "store", "add", f"t{at}", f"t{at}")
    anna.say(anna.words)
    anna.of("new", "recovery", "restore", status=3)
    anna.say(str(result.json["paper_key"]))
    assert anna.of("new", "recovery", "restore", "--json").json["left"] == {}


def test_where_no_space_takes_them_all_is_as_it_was(anna: Anna) -> None:
    before = (anna.home("home").config / "paper.public").read_bytes()
    for at in range(2):
        (anna.work / f"s{at}").rename(anna.work / f"away{at}")
    result = anna.anna("recovery", "paper", "--yes", status=5)
    assert "no space took the new words, so throw them away" in result.err
    for at in range(2):
        (anna.work / f"away{at}").rename(anna.work / f"s{at}")
    assert (anna.home("home").config / "paper.public").read_bytes() == before
    anna.stores("new")
    anna.say(anna.words)
    anna.of("new", "recovery", "restore")


def test_a_machine_that_is_the_paper_key_cannot_put_it_out(anna: Anna) -> None:
    anna.say(anna.words)
    anna.of("paper", "init", "--restore")
    assert "works with the paper key itself" in anna.of("paper", "recovery", "paper", "--yes", status=4).err


def test_the_old_words_of_who_is_no_admin_read_on_until_one_comes_by(anna: Anna) -> None:
    anna.machine("bob")
    anna.let_in("bob", Role.WRITER)
    anna.bob("space", "attach", "photos")
    result = anna.bob("recovery", "paper", "--yes", "-q")
    assert "1 device that was put out can still read what is new" in result.err
    anna.anna("mkdir", "photos:/b")
    assert "can still read" not in anna.bob("status", "photos").out


# -- coming back ---------------------------------------------------------------------------------------------------


def test_words_bring_a_machine_back_and_put_the_lost_one_out(anna: Anna) -> None:
    anna.stores("new")
    anna.say(anna.words)
    result = anna.of("new", "recovery", "restore", "--revoke-others", "--as", "desk")
    assert "space is back, over s0, s1, s2, s3, s4; put out: " in result.out
    assert "epoch 2 has begun" in result.err
    (put_out,) = [line for line in anna.of("new", "audit", "space", "--json").lines if line.get("deed") == "revoke"]
    assert "paper key" in put_out["who"], "a thief who has the lost one is senior to this one, and not to the words"
    anna.of("new", "mkdir", "space:/b")
    assert [machine["name"] for machine in anna.members("new", "space")[0]["devices"]] == [None, "desk"]  # type: ignore[attr-defined]
    anna.anna("mkdir", "photos:/c", status=4)
    assert anna.of("new", "ls", "space").out == "a\nb/\n"


def test_what_the_lost_machine_wrote_before_stays(anna: Anna) -> None:
    anna.put("home", "b", "last words")
    anna.stores("new")
    anna.say(anna.words)
    anna.of("new", "recovery", "restore", "--revoke-others")
    assert anna.of("new", "cat", "space:/b").out == "last words"
    assert anna.of("new", "status", "space", "--json").json["quarantined"] == 0


def test_other_machines_stay_unless_it_is_said(anna: Anna) -> None:
    anna.stores("new")
    anna.say(anna.words)
    result = anna.of("new", "recovery", "restore")
    assert "still belong to space" in result.err
    anna.anna("mkdir", "photos:/c")
    assert anna.of("new", "ls", "space").out == "a\nc/\n"


def test_a_second_run_goes_on_with_the_same_keys(anna: Anna) -> None:
    anna.stores("new")
    anna.say(anna.words)
    first = anna.of("new", "recovery", "restore", "--keep-others", "--json").json
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    anna.say(anna.words)
    second = anna.of("new", "recovery", "restore", "--keep-others", "--json").json
    assert second["device"] == first["device"]
    assert set(second["spaces"]) == {"space", "space-2"}
    assert len(anna.members("new", "space")[0]["devices"]) == 3  # type: ignore[arg-type]


def test_a_terminal_is_asked_what_to_call_a_space_and_about_the_others(anna: Anna) -> None:
    anna.stores("new")
    typed = Terminal(f"{anna.words}\nno name\npictures\nyes\n")
    anna.monkeypatch.setattr("sys.stdin", typed)
    result = anna.of("new", "recovery", "restore")
    assert "What will you call it? [space] " in result.err
    assert "'no name' cannot be the name of a space" in result.err
    assert "Put them out, as lost or stolen? (yes/no) " in result.err
    assert "pictures is back, over s0, s1, s2, s3, s4; put out: " in result.out
    assert typed.read() == ""


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


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
    anna.say(anna.words)
    result = anna.of("new", "recovery", "restore", "--stores", "s0,s1,s2,s3")
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
        patched.setattr("sys.stdin", io.StringIO(anna.words + "\n"))
        result = anna.of("new", "recovery", "restore", "--json", status=11)
    assert list(result.json["spaces"]) == ["space"]
    assert list(result.json["left"]) == [films.hex()]
    assert "0 of 3 stores took the record" in result.err
    anna.say(anna.words)
    again = anna.of("new", "recovery", "restore", "--json").json
    assert (set(again["spaces"]), again["device"]) == ({"space", "space-2"}, result.json["device"])
