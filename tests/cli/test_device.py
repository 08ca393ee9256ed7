"""`ropewalk device revoke`, `member remove`: who could undo it is said, and who stays; words make it hold."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ropewalk.spaces.learning import send_record
from ropewalk.spaces.members import NO_CUT, Author, Role
from ropewalk.spaces.space import open_space
from ropewalk.testing.letting_in import let_in_device
from tests.cli.conftest import Run
from tests.cli.keeping import kept
from tests.cli.pair import PASSPHRASE
from tests.cli.restoring import Anna, Terminal, an_anna


@pytest.fixture
def anna(run: Run, user: Path, monkeypatch: pytest.MonkeyPatch) -> Anna:
    """Anna's laptop, from which the space is, and her phone; the laptop is about to be stolen."""

    def make() -> str:
        anna = an_anna(run, user, monkeypatch)
        let_in(anna, "phone", by="home")
        anna.attach("phone")
        call(anna, "home", "laptop")
        return anna.words

    anna = Anna(user, run, monkeypatch)
    anna.words = kept("anna with a phone", user, make)
    return anna


def let_in(anna: Anna, home: str, *, by: str) -> None:
    """One more machine of somebody's own."""
    anna.machine(home)

    async def add() -> None:
        keys = anna.home(home).open_keys(PASSPHRASE)
        async with anna.open(by) as space, space.group() as group:
            await let_in_device(group, home, keys)

    asyncio.run(add())


def call(anna: Anna, home: str, name: str) -> None:
    async def give() -> None:
        async with anna.open(home) as space, space.group() as group:
            await group.call_device(name)

    asyncio.run(give())


def contrary(anna: Anna, thief: str, victim: str) -> object:
    """What a thief signs before he hears of anything, and shows later: the victim's device is revoked."""

    async def sign() -> tuple[object, bytes]:
        async with anna.open(thief) as space:
            keys = anna.home(thief).open_keys(PASSPHRASE)
            target = anna.home(victim).open_keys(PASSPHRASE).public().id
            return Author(space.core.membership, keys, b"t" * 16, 1).revoke(target, NO_CUT)

    return asyncio.run(sign())


def show(anna: Anna, home: str, record: object) -> None:
    async def put() -> None:
        async with anna.open(home) as space:
            await send_record(space.core, *record)  # type: ignore[misc]

    asyncio.run(put())


def raise_level(anna: Anna, home: str) -> None:
    """Somebody makes the space read-only for all."""

    async def sign() -> None:
        async with anna.open(home) as space:
            keys = anna.home(home).open_keys(PASSPHRASE)
            await send_record(space.core, *Author(space.core.membership, keys, b"r" * 16, 1).level(255))

    asyncio.run(sign())


def ours(anna: Anna, home: str = "phone", space: str = "photos") -> list[object]:
    (me,) = [one for one in anna.members(home, space) if one["you"]]
    return [machine["name"] for machine in me["devices"]]  # type: ignore[attr-defined]


def test_a_senior_device_can_undo_it_and_that_is_said(anna: Anna) -> None:
    undone = contrary(anna, "home", "phone")
    told = anna.of("phone", "device", "revoke", "laptop")
    assert "had let in" not in told.err, "only this one, which is at hand"
    assert told.out == "laptop does not belong to photos any more\n"
    assert "laptop came before this machine: who has it can undo this" in told.err
    assert "`ropewalk device revoke 'laptop' --with-words`, also now" in told.err
    assert ours(anna) == [None, "phone"]
    show(anna, "phone", undone)
    assert ours(anna, "home") == [None, "laptop"], "what was said is so"


def test_with_words_it_holds(anna: Anna) -> None:
    undone = contrary(anna, "home", "phone")
    anna.say(anna.words)
    told = anna.of("phone", "device", "revoke", "laptop", "--with-words", "--json")
    assert (told.json["signed_by"], told.json["senior"]) == ("paper key", False)
    assert "came before" not in told.err
    show(anna, "phone", undone)
    assert ours(anna) == [None, "phone"]


def test_words_that_come_later_make_it_hold_too(anna: Anna) -> None:
    undone = contrary(anna, "home", "phone")
    told = anna.of("phone", "device", "revoke", "laptop", "--json").json
    assert (told["signed_by"], told["senior"]) == ("device", True)
    anna.say(anna.words)
    anna.of("phone", "device", "revoke", "laptop", "--with-words")
    show(anna, "phone", undone)
    assert ours(anna) == [None, "phone"]
    anna.say(anna.words)
    anna.of("phone", "device", "revoke", "laptop", "--with-words", status=3)
    assert "no device of yours" in anna.of("phone", "device", "revoke", "laptop", status=3).err


def test_a_terminal_is_asked_before_anything_is_done(anna: Anna) -> None:
    anna.monkeypatch.setattr("sys.stdin", Terminal(f"yes\n{anna.words}\n"))
    told = anna.of("phone", "device", "revoke", "laptop")
    asked = told.err.index("Sign with the words of your paper key? (yes/no)")
    assert told.err.index("laptop came before this machine") < asked < told.err.index("epoch 2 has begun")
    assert "put out what signed it" not in told.err
    (revoked,) = [one for one in anna.of("phone", "audit", "photos", "--json").lines if one.get("deed") == "revoke"]
    assert "paper key" in revoked["who"]


@pytest.mark.parametrize("said", ["no", "--without-words", "--yes"])
def test_who_wants_no_words_is_told_in_the_end(anna: Anna, said: str) -> None:
    anna.monkeypatch.setattr("sys.stdin", Terminal("no\n"))
    told = anna.of("phone", "device", "revoke", "laptop", *([said] if said.startswith("-") else []))
    assert ("(yes/no)" in told.err) is (said == "no")
    assert "put out what signed it" in told.err


def test_of_a_junior_nothing_is_asked_or_feared(anna: Anna) -> None:
    anna.monkeypatch.setattr("sys.stdin", Terminal(""))
    told = anna.anna("device", "revoke", "phone")
    assert "came before" not in told.err
    assert "(yes/no)" not in told.err


def test_words_of_somebody_else_change_nothing(anna: Anna) -> None:
    other = str(anna.of("other", "init", "--yes", "--json").json["paper_key"])
    anna.say(other)
    told = anna.of("phone", "device", "revoke", "laptop", "--with-words", status=11)
    assert "these words are of no paper key that you have in this space now" in told.err
    assert ours(anna) == [None, "laptop", "phone"]


def test_the_paper_key_goes_by_another_command(anna: Anna) -> None:
    told = anna.anna("device", "revoke", "paper key", "--json", status=2)
    assert "`ropewalk recovery paper`" in told.error["hint"]
    assert len(ours(anna, "home")) == 3


def test_a_paper_key_that_came_later_is_not_offered_against_what_was_there(anna: Anna) -> None:
    words = anna.new_words("--json", old=anna.words).json["paper_key"]
    anna.monkeypatch.setattr("sys.stdin", Terminal(""))
    told = anna.of("phone", "device", "revoke", "laptop")
    assert "(yes/no)" not in told.err
    assert "nothing of yours came before it" in told.err
    assert words


def test_who_came_by_it_and_stays_is_named(anna: Anna) -> None:
    let_in(anna, "tablet", by="phone")
    anna.attach("tablet")
    anna.machine("bob")
    anna.let_in("bob", Role.WRITER, by="tablet")
    told = anna.anna("device", "revoke", "phone", "--json")
    still = told.json["still_in"]
    assert [one["name"] for one in still["members"]] == ["bob"]
    assert [one["name"] for one in still["devices"]] == ["tablet"]
    said = [json.loads(line).get("warning", "") for line in told.err.splitlines()]
    assert any("phone had let in, and they stay: bob, tablet;" in one for one in said)
    told = anna.anna("device", "revoke", "tablet")
    assert "tablet had let in, and they stay: bob;" in told.err


def test_of_two_of_one_name_none_is_put_out(anna: Anna) -> None:
    """As where two machines of one host name came."""
    let_in(anna, "tablet", by="home")
    call(anna, "phone", "vm")
    anna.attach("tablet")
    call(anna, "tablet", "vm")
    ids = [anna.home(one).open_keys(PASSPHRASE).public().id.hex() for one in ("phone", "tablet")]
    told = anna.anna("device", "revoke", "vm", "--json", status=3)
    assert told.error["message"].startswith("2 devices of yours are called 'vm': ")
    assert all(f"{one[:8]} in photos" in told.error["message"] for one in ids)
    assert ours(anna, "home") == [None, "laptop", "vm", "vm"]
    anna.anna("device", "revoke", ids[0][:8])
    left = [one for one in anna.anna("device", "list", "--json").lines if one["name"] == "vm"]
    assert [one["id"] for one in left] == [ids[1]]


def test_of_one_name_in_two_spaces_none_is_put_out(anna: Anna) -> None:
    """Where each space has another device of it, one command would put both out."""
    anna.anna("space", "create", "music", "--stores", "s0,s1,s2", "--survive", "1")
    anna.machine("tablet")

    async def add() -> None:
        keys = anna.home("tablet").open_keys(PASSPHRASE)
        home = anna.home("home")
        async with await open_space(home, "music", home.open_keys(PASSPHRASE)) as space, space.group() as group:
            await let_in_device(group, "phone", keys)

    asyncio.run(add())
    told = anna.anna("device", "revoke", "phone", "--json", status=3)
    assert told.error["message"].startswith("2 devices of yours are called 'phone': ")
    assert "in music" in told.error["message"]
    assert "in photos" in told.error["message"]
    assert [len(ours(anna, "home", space)) for space in ("music", "photos")] == [3, 3]


# ---- members ---------------------------------------------------------------------------------------------------------


def test_who_removes_a_senior_is_told_what_that_one_can_do(anna: Anna) -> None:
    for name in ("bob", "carol"):
        anna.machine(name)
        anna.let_in(name, Role.ADMIN)
        anna.attach(name)
    told = anna.of("carol", "member", "remove", "bob")
    assert "bob came before you: by a record that is dated back, bob can undo this and put you out" in told.err
    assert "who came before, holds" in told.err
    assert "came before" not in anna.anna("member", "remove", "carol").err


def test_an_admin_who_raised_the_level_is_put_out_and_the_space_goes_on(anna: Anna) -> None:
    anna.machine("bob")
    anna.let_in("bob", Role.ADMIN)
    anna.attach("bob")

    raise_level(anna, "bob")
    refused = anna.anna("mkdir", "photos:/b", "--json", status=4)
    assert "does not know, of bob" in refused.error["message"]
    assert "`ropewalk member remove`" in refused.error["hint"]
    told = anna.anna("member", "remove", "bob")
    assert "were taken back: photos can be changed again" in told.err
    anna.anna("mkdir", "photos:/b")
    assert anna.of("phone", "ls", "photos").out == "a\nb/\n"


def test_words_bring_a_machine_back_also_where_a_thief_raised_the_level(anna: Anna) -> None:
    raise_level(anna, "home")
    anna.stores("new")
    anna.restore("new", anna.words, "--revoke-others", "--as", "desk")
    assert ours(anna, "new", "space") == [None, "desk"]
    anna.of("new", "mkdir", "space:/b")
    assert anna.of("new", "ls", "space").out == "a\nb/\n"
