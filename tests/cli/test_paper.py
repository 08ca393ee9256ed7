"""`ropewalk recovery paper`: new words end the old ones, and what the old ones can still do is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ropewalk.errors import Unavailable
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NO_CUT, Role
from ropewalk.spaces.members.authoring import Author
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.state import State
from tests.cli.conftest import Run
from tests.cli.restoring import Anna, Terminal, an_anna, grouped


@pytest.fixture
def anna(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> Anna:
    return an_anna(run, user, monkeypatch)


def records(anna: Anna, space: str = "photos") -> list[bytes]:
    async def read() -> list[bytes]:
        async with anna.open(space=space) as one:
            return [data for _, data in await one.core.ledger.do(State.records)]

    return asyncio.run(read())


def put_out_by(anna: Anna, words: str, known: list[bytes]) -> None:
    """Somebody with words, who claims to know no more than these records, puts Anna's first machine out."""

    async def sign() -> None:
        async with anna.open() as one:
            read = Membership.read(one.core.space_id, known)
            device = one.core.device.public().id
            record = Author(read, DeviceKeys.from_words(words), b"t" * 16, 1).revoke(device, NO_CUT)
            await send_record(one.core, *record)

    asyncio.run(sign())


def typed(anna: Anna, *passphrases: str) -> list[str]:
    """What will be typed where a passphrase is asked; gives the questions."""
    asked: list[str] = []
    left = list(passphrases)

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return left.pop(0)

    anna.monkeypatch.delenv("ROPEWALK_PASSPHRASE")
    anna.monkeypatch.setattr("getpass.getpass", ask)
    return asked


def test_a_passphrase_is_typed_once_for_all_spaces(anna: Anna) -> None:
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    asked = typed(anna, "one two three")
    anna.monkeypatch.setattr("sys.stdin", Terminal(""))
    assert anna.anna("recovery", "paper", "--yes", "--json").json["spaces"] == ["films", "photos"]
    assert asked == ["passphrase: "]


def test_the_next_command_asks_again(anna: Anna) -> None:
    asked = typed(anna, "one two three", "wrong")
    anna.monkeypatch.setattr("sys.stdin", Terminal(""))
    anna.anna("recovery", "paper", "--yes", "--json")
    assert anna.anna("invite", "--list", "--json", status=4).error["code"] == "identity.wrong-passphrase"
    assert asked == ["passphrase: "] * 2


def test_a_new_passphrase_is_not_asked_for_again(anna: Anna) -> None:
    anna.stores("new")
    asked = typed(anna, "new", "new")
    anna.monkeypatch.setattr("sys.stdin", Terminal(f"{anna.words}\n\nno\n"))
    anna.of("new", "recovery", "restore", *anna.ids())
    assert asked == ["new passphrase: ", "the same again: "]


# -- new words -----------------------------------------------------------------------------------------------------


def test_new_words_open_all_and_the_old_ones_nothing(anna: Anna) -> None:
    words = anna.new_words("--json").json["paper_key"]
    anna.stores("old")
    refused = anna.restore("old", anna.words, "--json", status=3)
    assert refused.error["code"] == "recovery.no-paper-key"
    assert not anna.home("old").has_keys
    anna.stores("new")
    assert list(anna.restore("new", words, "--json").json["spaces"]) == ["space"]
    assert anna.of("new", "cat", "space:/a").out == "kept"


def test_they_are_shown_as_those_of_init_are_with_the_ids_of_the_spaces(anna: Anna) -> None:
    shown = anna.new_words()
    assert "Write these 24 words down in this order" in shown.out
    space_id = anna.home("home").load().spaces["photos"].id
    assert f"{grouped(space_id)}  photos" in shown.out
    assert "only its id tells it from yours" in shown.out
    assert "photos: the new words are good" in shown.out
    assert "epoch 2 has begun" in shown.err


def test_the_next_space_takes_the_new_key(anna: Anna) -> None:
    words = anna.new_words("--json").json["paper_key"]
    anna.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    anna.stores("new")
    assert len(anna.restore("new", words, "--json").json["spaces"]) == 2


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
    result = anna.new_words("--json", status=11)
    assert (result.json["spaces"], list(result.json["left"])) == (["photos"], ["films"])
    assert "recovery paper --same" in result.err
    (anna.work / "away").rename(anna.work / "t1")
    words = result.json["paper_key"]
    anna.say(words)
    again = anna.anna("recovery", "paper", "--same", "--json").json
    assert (again["paper_key"], again["spaces"], again["left"]) == (None, ["films", "photos"], {})
    for at in range(2):
        anna.of("new", "store", "add", f"t{at}", f"t{at}")
    anna.restore("new", anna.words, status=3)
    films = anna.home("home").load().spaces["films"].id
    anna.say(words)
    assert anna.of("new", "recovery", "restore", "--id", films, "--json").json["left"] == {}


def test_where_no_space_takes_them_all_is_as_it_was(anna: Anna) -> None:
    before = (anna.home("home").config / "paper.public").read_bytes()
    for at in range(2):
        (anna.work / f"s{at}").rename(anna.work / f"away{at}")
    result = anna.new_words(status=5)
    assert "no space took the new words, so throw them away" in result.err
    for at in range(2):
        (anna.work / f"away{at}").rename(anna.work / f"s{at}")
    assert (anna.home("home").config / "paper.public").read_bytes() == before
    anna.stores("new")
    anna.restore("new", anna.words)


def test_a_machine_that_is_the_paper_key_cannot_put_it_out(anna: Anna) -> None:
    anna.say(anna.words)
    anna.of("paper", "init", "--restore")
    assert "works with the paper key itself" in anna.of("paper", "recovery", "paper", "--yes", status=4).err


def test_what_a_machine_wrote_that_was_the_paper_key_still_counts(anna: Anna) -> None:
    anna.say(anna.words)
    anna.of("paper", "init", "--restore")
    anna.stores("paper")
    anna.of("paper", "space", "attach", "photos", *anna.ids())
    anna.put("paper", "b", "by the words")
    for old in ("", anna.words):
        anna.new_words(old=old)
        assert anna.anna("status", "photos", "--json").json["quarantined"] == 0
        assert anna.anna("cat", "photos:/b").out == "by the words"


def test_the_old_words_of_who_is_no_admin_read_on_until_one_comes_by(anna: Anna) -> None:
    anna.machine("bob")
    anna.let_in("bob", Role.WRITER)
    anna.attach("bob")
    result = anna.bob("recovery", "paper", "--yes", "-q")
    assert "1 device that was put out can still read what is new" in result.err
    anna.anna("mkdir", "photos:/b")
    assert "can still read" not in anna.bob("status", "photos").out


# -- what the old words can still do -------------------------------------------------------------------------------


def test_without_the_old_words_it_is_said_what_they_can_do_and_that_is_so(anna: Anna) -> None:
    before = records(anna)
    result = anna.new_words("--json")
    assert (result.json["retired"], result.json["senior"]) == ([], ["photos"])
    assert "whoever has them can still claim to have acted before this" in result.err
    put_out_by(anna, anna.words, before)
    anna.anna("mkdir", "photos:/b", status=4)


def test_with_the_old_words_they_put_themselves_out_and_that_holds(anna: Anna) -> None:
    before = records(anna)
    result = anna.new_words("--json", old=anna.words)
    assert result.json["retired"] == ["photos"]
    assert "claim to have acted" not in result.err
    put_out_by(anna, anna.words, before)
    anna.anna("mkdir", "photos:/b")
    anna.stores("new")
    anna.restore("new", anna.words, status=3)
    anna.restore("new", result.json["paper_key"])
    assert anna.of("new", "ls", "space").out == "a\nb/\n"


def test_old_words_that_are_found_later_are_typed_later(anna: Anna) -> None:
    before = records(anna)
    words = anna.new_words("--json").json["paper_key"]
    anna.say(f"{anna.words}\n{words}")
    result = anna.anna("recovery", "paper", "--same", "--old-words")
    assert "photos: the new words are good; the old ones put themselves out" in result.out
    assert "had let in" not in result.err
    put_out_by(anna, anna.words, before)
    anna.anna("mkdir", "photos:/b")


def test_old_words_that_are_none_of_this_space_end_nothing(anna: Anna) -> None:
    other = str(anna.of("other", "init", "--yes", "--json").json["paper_key"])
    objects = anna.files()
    result = anna.new_words(old=other, status=3)
    assert "the old words are of no paper key that you had" in result.err
    assert "throw them away: all is as it was" in result.err
    assert anna.files() == objects


def test_a_terminal_is_asked_for_the_old_words(anna: Anna) -> None:
    terminal = Terminal(f"yes\n{anna.words}\nyes\n")
    anna.monkeypatch.setattr("sys.stdin", terminal)
    result = anna.anna("recovery", "paper")
    assert "Have you still got the old words?" in result.err
    assert "The 24 words of the old paper key" in result.err
    assert "photos: the new words are good; the old ones put themselves out" in result.out
    assert terminal.read() == ""


def test_a_terminal_says_that_they_are_lost(anna: Anna) -> None:
    anna.monkeypatch.setattr("sys.stdin", Terminal("no\nyes\n"))
    result = anna.anna("recovery", "paper")
    assert "whoever has them can still claim to have acted before this" in result.err


def test_words_that_came_later_than_this_machine_cannot_put_it_out(anna: Anna) -> None:
    """Those of an earlier `recovery paper`: the machine is senior to them, so nothing needs to be said."""
    words = anna.new_words("--json", old=anna.words).json["paper_key"]
    before = records(anna)
    result = anna.new_words()
    assert "photos: the new words are good" in result.out
    assert "claim to have acted" not in result.err
    put_out_by(anna, words, before)
    anna.anna("mkdir", "photos:/b")


def test_what_the_old_words_did_themselves_is_named(anna: Anna) -> None:
    anna.stores("new")
    anna.restore("new", anna.words, "--revoke-others", "--as", "desk")
    anna.say(anna.words)
    result = anna.of("new", "recovery", "paper", "--yes", "--old-words")
    assert "the old words themselves let in or put out desk, " in result.err
    assert "whoever has them can still take that back" in result.err


# -- other machines ------------------------------------------------------------------------------------------------


def second_machine(anna: Anna) -> None:
    """One more machine of Anna's, in photos, that knows the same paper key."""
    anna.stores("desk")
    anna.restore("desk", anna.words, "--as", "desk", "--keep-others")


def test_another_machine_makes_no_space_that_old_words_open(anna: Anna) -> None:
    second_machine(anna)
    words = anna.new_words("--json").json["paper_key"]
    create = ("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    refused = anna.of("desk", *create, "--json", status=4)
    assert refused.error["code"] == "recovery.paper-key-out"
    assert "put out of space" in refused.error["message"]
    assert "recovery paper --same" in refused.error["hint"]
    anna.say(words)
    assert "space: the new words are good already" in anna.of("desk", "recovery", "paper", "--same").out
    anna.of("desk", *create)
    films = anna.home("desk").load().spaces["films"].id
    anna.stores("new")
    anna.say(words)
    assert list(anna.of("new", "recovery", "restore", "--id", films, "--json").json["spaces"]) == ["space"]


def test_a_space_that_only_another_machine_knows_keeps_the_old_words_until_it_is_told(anna: Anna) -> None:
    second_machine(anna)
    anna.of("desk", "space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    films = anna.home("desk").load().spaces["films"].id
    result = anna.new_words()
    assert "on each other machine of yours (desk) run `ropewalk recovery paper --same`" in result.err
    assert "the old paper key had let in, and they stay: desk" in result.err
    words = anna.new_words("--json").json["paper_key"]
    anna.stores("old")
    anna.say(anna.words)
    anna.of("old", "recovery", "restore", "--id", films)
    anna.say(words)
    assert anna.of("desk", "recovery", "paper", "--same", "--json").json["spaces"] == ["films", "space"]
    anna.stores("older")
    anna.say(anna.words)
    assert anna.of("older", "recovery", "restore", "--id", films, "--json", status=3).error["code"] == (
        "recovery.no-paper-key"
    )


def test_a_space_that_cannot_be_asked_is_said_so(anna: Anna) -> None:
    for at in range(4):
        (anna.work / f"s{at}").rename(anna.work / f"away{at}")
    anna.anna("store", "add", "t0", "t0")
    anna.anna("store", "add", "t1", "t1")
    anna.monkeypatch.setattr("ropewalk.cli.paper.open_space", away)
    made = anna.anna("space", "create", "films", "--stores", "t0,t1", "--survive", "1")
    assert "photos cannot be asked whether the paper key is still good: no store answers" in made.err


async def away(*_: object) -> object:
    raise Unavailable("no store answers")
