"""`ropewalk up`, `node`: what people do with rooms they offer each other, by real processes over TLS."""

from __future__ import annotations

import asyncio
import io
import os
import shlex
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ropewalk.cli.outcome import OWED
from ropewalk.cli.reach import node_file
from ropewalk.spaces.home import Home
from ropewalk.spaces.places import opener
from ropewalk.spaces.store import StoreReadOnly
from tests.cli.conftest import As, Result
from tests.cli.inviting import waiting
from tests.cli.noding import Up, up

pytestmark = [pytest.mark.system, pytest.mark.slow]
MIB = 1 << 20
PATIENCE = 100  # looks at a status until something that goes on in the background is done


def key_of(machine: As, home: str) -> str:
    key: str = machine(home, "node", "key", "--json").json["key"]
    return key


def offers(machine: As, home: str) -> dict[str, Any]:
    return {one["name"]: one for one in machine(home, "node", "show", "--json").json["offers"]}


def photos_of_bob(
    user: Path, machine: As, anna: Up, eve: Up, quota: str = "50M", floor: str = "3", who: str = "bob"
) -> None:
    """Bob, or somebody else, has a space on two stores of Anna's and one of Eve's."""
    bob = key_of(machine, who)
    for name in ("disk1", "disk2"):
        machine("anna", "node", "allow", bob, "--offer", name, "--quota", quota, "--as", "Bob")
        machine(who, "store", "add", name, f"{anna.address}/{name}", "--domain", f"machine=anna,disk={name}")
    machine("eve", "node", "allow", bob, "--quota", quota)
    machine(who, "store", "add", "cellar", eve.address, "--domain", "machine=eve,disk=cellar")
    words = f"--stores disk1,disk2,cellar --survive 1 --across store --floor {floor}"
    machine(who, "space", "create", "photos", *words.split())


@pytest.fixture
def people(user: Path, machine: As) -> Path:
    """Anna and Eve, who offer stores, and Bob, who has none; all have keys."""
    for home in ("anna", "eve", "bob"):
        machine(home, "init", "--yes")
    for name in ("disk1", "disk2"):
        machine("anna", "node", "offer", name, str(user / name), "--quota", "200G")
    machine("eve", "node", "offer", "cellar", str(user / "cellar"))
    return user


def invited(user: Path, machine: As, inviter: str, joiner: str, *words: str) -> list[Result]:
    """Somebody comes by a code, over the mailbox of a node; what the joiner was told."""
    with waiting(user, "invite", "photos", *words, home=inviter) as wait:
        assert wait.told["mailbox"].startswith("tls://127.0.0.1:"), "at a node, without --mailbox"
        told = [machine(joiner, *shlex.split(wait.told["command"])[1:], "--yes", "--json")]
        status, _, err = wait.end()
    assert status == 0, err
    return told


def test_people_use_rooms_of_others_and_lose_them_with_the_space(people: Path, machine: As) -> None:
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve") as eve:
        photos_of_bob(people, machine, anna, eve)
        (people / "beach.jpg").write_bytes(os.urandom(3 * MIB))
        machine("bob", "put", "beach.jpg", "photos:/")
        # Carl has nothing but a code: who stands in the space is let in, and no store is set up by hand.
        (joined,) = invited(people, machine, "bob", "carl", "--as", "Carl")
        assert joined.lines[-1]["stores"] == ["disk1", "disk2", "cellar"]
        assert joined.lines[-1]["missing"] == []
        looked = [one["passport"]["verdict"] for one in machine("carl", "store", "list", "--json").lines]
        assert looked == ["good"] * 3, "who may put there is let look, too"
        (reader,) = invited(people, machine, "bob", "rita", "--as", "Rita", "--role", "reader")
        assert reader.err == "", "who only reads is let look at nothing, and that is no worry"
        machine("rita", "get", "photos:/beach.jpg", "ritas.jpg")
        machine("carl", "get", "photos:/beach.jpg", "carls.jpg")
        assert (people / "carls.jpg").read_bytes() == (people / "beach.jpg").read_bytes()
        machine("carl", "put", "carls.jpg", "photos:/carls.jpg")
        assert machine("bob", "ls", "photos:/").out.split() == ["beach.jpg", "carls.jpg"]
        # Which two of the three get a share is drawn, so that only all of them together are sure to have grown.
        rooms = [offers(machine, "anna")["disk1"], offers(machine, "anna")["disk2"], offers(machine, "eve")["cellar"]]
        bob = key_of(machine, "bob")
        used = sum(grant["used"] for room in rooms for grant in room["grants"] if grant["keys"] == [bob])
        assert used > 9 * MIB, "what Carl put counts as Bob's, who was given the room"
        machine("bob", "member", "remove", "Carl")
        refused = machine("carl", "put", "carls.jpg", "photos:/again.jpg", status=5)
        assert refused.err.count("this device was put out of the space") == 3, "each store says why, by the next call"
        assert "went back" not in refused.err, "that nothing is shown to who is out is no lie of the stores"
        said = machine("carl", "status", "photos").out
        assert "disk1 is away" in said
        assert "lost" not in said.partition("keys:")[0].replace("can be lost", "").replace("counted as lost", "")
        assert anna.stop() == 0
        assert eve.stop() == 0


def test_a_stranger_is_told_that_nothing_is_allowed_yet(people: Path, machine: As) -> None:
    with up(people, "eve", "--no-spaces") as eve:
        early = machine("bob", "store", "add", "cellar", f"{eve.address}/cellar", "--domain", "machine=eve", "--json")
        assert early.json["granted"] is False
        assert "has allowed this device nothing there" in early.err
        assert "could not be found out" not in early.err, "that is why, and it is said once"
        refused = machine("bob", "store", "passport", "cellar", status=5).err
        assert "this key may not get objects here" in refused, "where a look works is no space"
        machine("eve", "node", "allow", key_of(machine, "bob"), "--quota", "1G")
        later = machine("bob", "store", "add", "cellar", f"{eve.address}/cellar", "--domain", "machine=eve", "--json")
        assert later.json["granted"] is True
        assert "allowed this device nothing" not in later.err


def test_a_quota_that_is_used_up_is_told_and_more_room_is_taken_at_once(people: Path, machine: As) -> None:
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve", "--no-spaces") as eve:
        photos_of_bob(people, machine, anna, eve, "4M")
        (people / "film").write_bytes(os.urandom(12 * MIB))
        full = machine("bob", "put", "film", "photos:/", "--json", status=5)
        assert full.error["code"] == "pool.below-floor"
        assert "the quota here is used up" in full.error["message"]
        assert "of 4.0 MiB (4,194,304 bytes)" in full.error["message"]
        bob = key_of(machine, "bob")
        for home, name in (("anna", "disk1"), ("anna", "disk2"), ("eve", "cellar")):
            machine(home, "node", "allow", bob, "--offer", name, "--quota", "30M")
            (grant,) = (one for one in offers(machine, home)[name]["grants"] if one["keys"] == [bob])
            assert grant["quota"] == 30 * MIB
        machine("bob", "put", "film", "photos:/")


def test_a_node_that_was_away_is_said_to_be_and_is_paid_once_it_is_back(people: Path, machine: As) -> None:
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve", "--no-spaces") as eve:
        photos_of_bob(people, machine, anna, eve, floor="2")
        assert eve.stop() == 0
        (people / "beach.jpg").write_bytes(os.urandom(MIB))
        assert "owed" in machine("bob", "put", "beach.jpg", "photos:/", status=OWED).err
        (away,) = (one for one in machine("bob", "store", "list", "--json").lines if not one["there"])
        assert away["store"] == "cellar"
        assert "nobody listens there" in away["why"]
        with up(people, "bob") as bob:
            assert bob.told["spaces"] == ["photos"]
            eve.again()
            assert any("owed:" not in machine("bob", "status", "photos").out for _ in range(PATIENCE)), (
                "what is owed is paid by the process that looks after the space"
            )
            assert bob.stop() == 0
            assert bob.log.count("store cellar is not there") <= 1, "what is wrong is said once"
        machine("bob", "check", "photos", "--all")


def test_who_offers_folders_of_his_own_space_hands_out_their_addresses(people: Path, machine: As) -> None:
    for name in ("disk1", "disk2"):
        machine("anna", "store", "add", name, str(people / name), "--domain", f"disk={name}")
    machine("anna", "space", "create", "photos", *["--stores", "disk1,disk2", "--survive", "1", "--across", "disk"])
    (people / "beach.jpg").write_bytes(os.urandom(MIB))
    machine("anna", "put", "beach.jpg", "photos:/")
    with up(people, "anna") as anna:
        told = invited(people, machine, "anna", "carl", "--as", "Carl")
        assert told[-1].lines[-1]["missing"] == []
        places = [one["place"] for one in machine("carl", "store", "list", "--json").lines]
        assert places == [f"{anna.address}/{name}" for name in ("disk1", "disk2")]
        machine("carl", "get", "photos:/beach.jpg", "carls.jpg")
        machine("carl", "put", "carls.jpg", "photos:/")
        assert machine("anna", "ls", "photos:/").out.split() == ["beach.jpg", "carls.jpg"]


def test_an_invite_gives_every_address_and_the_first_may_be_dead(people: Path, machine: As) -> None:
    machine("anna", "store", "add", "disk1", str(people / "disk1"), "--domain", "disk=1")
    machine("anna", "store", "add", "disk2", str(people / "disk2"), "--domain", "disk=2")
    machine("anna", "space", "create", "photos", *["--stores", "disk1,disk2", "--survive", "1", "--across", "disk"])
    with up(people, "anna", "--no-spaces") as anna:
        alive = anna.address.partition("#")[0]
        file = node_file(Home(people.parent / "anna", people.parent / "anna"))
        file.update(lambda now: replace(now, reached=("tls://127.0.0.1:1", alive)))
        with waiting(people, "invite", "photos", "--as", "Carl", home="anna") as wait:
            dead, second = (one.partition("#")[0] for one in wait.told["mailboxes"])
            assert (dead, second) == ("tls://127.0.0.1:1", alive)
            assert wait.told["command"].count("--mailbox") == 2
            joined = machine("carl", *shlex.split(wait.told["command"])[1:], "--yes", "--json")
            status, _, err = wait.end()
        assert status == 0, err
        assert joined.lines[-1]["missing"] == []
        places = [one["place"] for one in machine("carl", "store", "list", "--json").lines]
        assert places == [f"{anna.address}/{name}" for name in ("disk1", "disk2")]


def test_a_code_alone_is_enough_where_the_inviter_waits_at_a_node_that_is_known(people: Path, machine: As) -> None:
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve", "--no-spaces") as eve:
        photos_of_bob(people, machine, anna, eve)
        machine("carl", "init", "--yes")
        machine("carl", "store", "add", "cellar", f"{eve.address}/cellar", "-q")  # where nobody waits
        machine("carl", "store", "add", "disk1", f"{anna.address}/disk1", "-q")
        with waiting(people, "invite", "photos", "--as", "Carl", home="bob") as wait:
            assert wait.told["mailbox"].startswith(anna.address.partition("#")[0])
            joined = machine("carl", "join", wait.told["code"], "--json")
            status, _, err = wait.end()
        assert status == 0, err
        assert (joined.lines[-1]["space"], joined.lines[-1]["name"]) == ("photos", "Carl")
        wrong = machine("carl", "join", "1-crossover-clockwork", "--json", status=3).error
        assert wrong["code"] == "mailbox.no-slot"
        assert "the whole line that was shown with the code" in wrong["hint"]


def test_words_on_paper_bring_a_space_back_out_of_nodes(
    people: Path, machine: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = machine("bill", "init", "--yes", "--json").json["paper_key"]
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve", "--no-spaces") as eve:
        photos_of_bob(people, machine, anna, eve, who="bill")
        (people / "beach.jpg").write_bytes(os.urandom(MIB))
        machine("bill", "put", "beach.jpg", "photos:/")
        (space,) = machine("bill", "space", "list", "--json").lines
        # A new machine: it has no keys yet by which a node could know it.
        for name, place in (("one", f"{anna.address}/disk1"), ("two", f"{anna.address}/disk2")):
            assert machine("new", "store", "add", name, place, "--json").json["id"] is None
        monkeypatch.setattr("sys.stdin", io.StringIO(words + "\n"))
        machine("new", "recovery", "restore", "--id", space["id"], "--keep-others")
        assert [len(one["id"]) for one in machine("new", "store", "list", "--json").lines] == [32, 32]
        machine("new", "get", "space:/beach.jpg", "back.jpg")
        assert (people / "back.jpg").read_bytes() == (people / "beach.jpg").read_bytes()


def test_one_home_has_one_node(people: Path, machine: As) -> None:
    with up(people, "anna") as anna:
        again = machine("anna", "up", "--listen", "tls://127.0.0.1:0", "--json", status=5)
        assert again.error["code"] == "node.running"
        shown = machine("anna", "node", "show", "--json").json
        assert shown["running"]
        assert shown["addresses"] == [anna.address]
        anna.kill()
        assert not machine("anna", "node", "show", "--json").json["running"], "a process that was killed runs no more"
        anna.again()
        assert anna.stop() == 0


def test_what_was_deleted_at_nodes_can_be_taken_back_by_an_admin(people: Path, machine: As) -> None:
    with up(people, "anna", "--no-spaces") as anna, up(people, "eve", "--no-spaces") as eve:
        photos_of_bob(people, machine, anna, eve)
        (people / "beach.jpg").write_bytes(os.urandom(3 * MIB))
        machine("bob", "put", "beach.jpg", "photos:/")
        asyncio.run(_steal(people.parent / "bob", "cellar", "packs"))
        machine("bob", "check", "photos", status=6)
        (gone,) = machine("bob", "node", "trash", "photos", "--json").lines
        assert gone["store"] == "cellar"
        back = machine("bob", "node", "take-back", "photos", gone["label"][:6], "--json").json
        assert (back["back"], back["left_out"]) == (1, [])
        machine("bob", "check", "photos", "--all")
        machine("bob", "node", "veto", "photos", "3")
        with pytest.raises(StoreReadOnly, match="nothing of this space is deleted for the next 3"):
            asyncio.run(_steal(people.parent / "bob", "cellar", "packs"))
        assert eve.stop() == 0
        assert machine("bob", "node", "veto", "photos", "0", "--json", status=11).json["left_out"] == ["cellar"]
        machine("bob", "node", "take-back", "photos", "abcdef", status=11)
        assert anna.stop() == 0
        assert machine("bob", "node", "trash", "photos", "--json", status=5).error["code"] == "store.gone"


async def _steal(folder: Path, name: str, what: str) -> None:
    """Somebody with Bob's keys deletes all of a kind in one of his stores."""
    home = Home(folder, folder / "state")
    (space,) = home.load().spaces.values()
    setting = home.store(name)
    store = await opener(home, home.open_keys("one two three"))(setting.path, bytes.fromhex(setting.id))
    try:
        for one in [listed.name async for listed in store.list(f"{space.id}/{what}/")]:
            await store.delete(one)
    finally:
        await store.aclose()
