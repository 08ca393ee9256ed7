"""`ropewalk space attach`: a space is known by its id, never by what stores show, or by the keys that open it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Membership, Policy, record_hash
from ropewalk.spaces.members.records import EpochBody, Genesis, Wrap, epoch_info, sign
from ropewalk.spaces.opening import MOST_SHARES
from ropewalk.spaces.records import encode
from tests.cli.conftest import STORES, As, Run
from tests.cli.restoring import Terminal, grouped


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> Terminal:
    terminal = Terminal(text)
    monkeypatch.setattr("sys.stdin", terminal)
    return terminal


def forget(user: Path) -> str:
    """The settings without spaces, and no local state; the id that photos had."""
    home = user.parent / "home"
    space_id = Home(home, home / "state").load().spaces["photos"].id
    settings = (home / "settings.toml").read_text()
    (home / "settings.toml").write_text(settings[: settings.index("[spaces")])
    shutil.rmtree(home / "state")
    return space_id


def planted(user: Path, home: str = "home") -> str:
    """A space that stores make for the device of somebody, out of the public keys in records of photos; its id."""
    photos = bytes.fromhex(Home(user.parent / "home", user).load().spaces["photos"].id)
    shown = [path.read_bytes() for path in (user / "s0" / photos.hex() / "records").iterdir()]
    mine = Home(user.parent / home, user).open_keys("one two three").public().id
    victim = Membership.read(photos, shown).devices[mine]
    store, paper = DeviceKeys.generate(), DeviceKeys.generate(PAPER)
    keys, policy = [store.public(), victim, paper.public()], Policy(2, 3, 3, {"store": 1})
    first = encode(Genesis("genesis", 1, os.urandom(32), 2, 1, 1, policy, [1, 1], os.urandom(16), keys, time.time_ns()))
    space_id, secret = hashed("space", first), os.urandom(96)
    check, steward = hashed("epoch check", secret), hashed("steward check", secret[32:64])
    wraps = [Wrap(one.id, one.wrap(secret, epoch_info(space_id, 1, one.id, check))) for one in keys]
    body = EpochBody("epoch", 1, space_id, 1, [record_hash(first)], store.public().id, check, steward, wraps, [], [])
    records = [sign(space_id, one, store) for one in (first, encode(body))]
    for at in range(STORES):
        for name, data in records:
            path = user / f"s{at}" / str(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return space_id.hex()


def test_a_space_is_found_again_by_its_id(run: Run, photos: Path) -> None:
    (photos / "a").write_text("a")
    run("put", "a", "photos:/a")
    space_id = forget(photos)
    shutil.rmtree(photos / "s4")
    result = run("space", "attach", "found", "--id", space_id)
    assert "over s0, s1, s2, s3" in result.out
    assert "store s4 is not there" in result.err
    assert "5 stores, and 4 are here" in result.err
    assert f"its id is {grouped(space_id)}" in result.err
    again = run("cat", "found:/a")
    assert again.out == "a"
    assert "nothing was known of 'found' on this machine" in again.err


def test_more_stores_than_a_space_may_have_are_refused(run: Run, photos: Path) -> None:
    space_id = forget(photos)
    settings = photos.parent / "home" / "settings.toml"
    more = [f"more{at}" for at in range(MOST_SHARES)]
    lines = [f'[stores.{name}]\npath = "/nowhere"\nid = "{at:032x}"\ndomains = {{}}\n' for at, name in enumerate(more)]
    settings.write_text("\n".join([settings.read_text(), *lines]))
    result = run("space", "attach", "found", "--id", space_id, "--stores", ",".join(["s0", *more]), "--json", status=2)
    assert result.error["message"] == f"found would have {MOST_SHARES + 1} stores, expected at most {MOST_SHARES}"
    assert "--stores" in result.error["hint"]
    assert run("space", "list", "--json").lines == []


def test_as_it_was_written_down_is_enough(run: Run, photos: Path) -> None:
    space_id = forget(photos)
    assert run("space", "attach", "found", "--id", grouped(space_id).upper(), "--json").json["id"] == space_id


def test_nobody_is_there_to_say_that_it_is_the_one(run: Run, photos: Path) -> None:
    space_id = forget(photos)
    result = run("space", "attach", "found", "--json", status=2)
    assert result.error["code"] == "space.not-confirmed"
    assert grouped(space_id) in result.error["message"]
    assert "--id DIGITS" in result.error["hint"]
    assert run("space", "list", "--json").lines == []


def test_a_terminal_is_shown_what_it_is_and_asked(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1", "--as", "anna")
    films = Home(photos.parent / "home", photos).load().spaces["films"].id
    space_id = forget(photos)
    run("space", "attach", "photos", "--id", space_id)
    typed(monkeypatch, "no\n")
    refused = run("space", "attach", "found", status=2)
    assert f"id       {grouped(films)}" in refused.err
    assert "by anna (" in refused.err
    assert "members  anna" in refused.err
    assert "it was not confirmed" in refused.err
    terminal = typed(monkeypatch, "yes\n")
    assert run("space", "attach", "found").out.startswith("space found is there")
    assert terminal.read() == ""


def test_a_space_that_stores_made_for_these_keys_is_not_taken(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = planted(photos)
    space_id = forget(photos)
    refused = run("space", "attach", "photos", status=2)
    assert "the stores hold 2 spaces" in refused.err
    for one in (fake, space_id):
        assert grouped(one) in refused.err
    shutil.rmtree(photos / "s0" / space_id)
    assert "the stores hold 1 space" in run("space", "attach", "photos", "--stores", "s0", status=2).err
    missing = run("space", "attach", "photos", "--stores", "s0", "--id", space_id, status=3)
    assert "no space of this id" in missing.err
    typed(monkeypatch, "no\n")
    run("space", "attach", "photos", "--stores", "s0", status=2)
    assert run("space", "list", "--json").lines == []
    assert run("space", "attach", "photos", "--id", space_id, "--json").json["id"] == space_id


def test_what_an_invite_has_said_is_taken_without_asking(run: Run, machine: As, photos: Path) -> None:
    invite = photos / "invite"
    machine("home", "invite", "photos", "--file", str(invite), "--no-places")
    machine("anna", "join", "--file", str(invite), "--yes")
    (answer,) = photos.glob("*.answer")
    machine("home", "invite", "photos", "--answer", str(answer))
    machine("anna", "join", "--file", str(invite), "--welcome", str(answer.with_suffix(".welcome")), status=2)
    fake = planted(photos, "anna")
    for at in range(STORES):
        machine("anna", "store", "add", f"s{at}", str(photos / f"s{at}"))
    taken = machine("anna", "space", "attach", "photos", "--json").json["id"]
    assert taken == Home(photos.parent / "home", photos).load().spaces["photos"].id != fake


def test_ids_that_say_too_little(run: Run, photos: Path) -> None:
    space_id = forget(photos)
    for digits in (space_id[:31], space_id + "0", "z" * 32, ""):
        assert "expected 32 to 64 hex digits" in run("space", "attach", "x", "--id", digits, status=2).err
    twice = run("space", "attach", "x", "--id", space_id, "--id", "f" * 32, status=2)
    assert "attach one space after the other" in twice.err
    assert "no space of this id" in run("space", "attach", "x", "--id", "f" * 32, status=3).err


def test_what_is_known_already_is_not_taken_twice(run: Run, photos: Path) -> None:
    space_id = Home(photos.parent / "home", photos).load().spaces["photos"].id
    assert "is called photos here already" in run("space", "attach", "more", "--id", space_id, status=2).err
    assert "a space is called 'photos' already" in run("space", "attach", "photos", status=2).err


def test_other_keys_find_nothing(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROPEWALK_HOME", str(photos / "stranger"))
    run("init", "--yes")
    assert "no stores to look into" in run("space", "attach", "x", status=3).err
    run("store", "add", "s0", str(photos / "s0"))
    result = run("space", "attach", "x", status=3)
    assert "1 space there they do not open" in result.err
    assert "--restore" in result.err
