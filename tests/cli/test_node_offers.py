"""`ropewalk node`: what is offered and allowed is written down as it was meant, and nothing that cannot be."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ropewalk.cli.amounts import parse_end
from ropewalk.node import NodeSettings
from ropewalk.node.settings import NodeFile
from ropewalk.spaces.home import Home
from tests.cli.conftest import As, Result, Run
from tests.cli.pair import a_pair

KEY = "ab" * 32
NODE = f"tls://127.0.0.1:1#ed25519:{KEY}"


def settings(user: Path, home: str = "home") -> NodeSettings:
    return NodeFile(user.parent / home / "node.toml").load()


@pytest.fixture
def offered(run: Run, user: Path) -> Path:
    """A user who offers one store."""
    run("init", "--yes")
    run("node", "offer", "disk1", "a", "--quota", "2G", "--keep", "3d")
    return user


def test_an_offer_is_made_or_recognised_and_is_the_owner_s_to_use(run: Run, offered: Path) -> None:
    key = run("node", "key", "--json").json["key"]
    made = settings(offered)
    one = made.offers["disk1"]
    assert (one.path, one.quota, one.keep) == (str(offered / "a"), 2 << 30, 3 * 86_400)
    (grant,) = made.grants
    assert (grant.offer, grant.label, grant.quota, grant.keys[0]) == ("disk1", "owner", None, key)
    assert len(grant.keys) == 2, "the paper key's, which restores what lies there"
    told = run("node", "offer", "disk1", "a", "--keep", "1h", "--json").json
    assert (told["made"], told["quota"], told["keep"]) == (False, 2 << 30, 3600), "what is not said stays"
    assert settings(offered).grants == made.grants
    run("store", "add", "b", "b")
    assert run("node", "offer", "disk2", "b", "--json").json["made"] is False


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("Disk", "b"), "cannot be the name"),
        (("d/1", "b"), "cannot be the name"),
        (("disk1", "b"), "offered as 'disk1' already"),
        (("disk2", "a"), "offered already, as 'disk1'"),
        (("disk2", "b", "--quota", "lots"), "--quota is"),
        (("disk2", "b", "--keep", "59m"), "1 hour to 3650 days"),
        (("disk2", "full"), "not empty"),
    ],
)
def test_an_offer_that_cannot_be_is_refused(run: Run, offered: Path, words: tuple[str, ...], why: str) -> None:
    (offered / "full").mkdir()
    (offered / "full" / "x").touch()
    before = settings(offered)
    assert why in run("node", "offer", *words, "--json", status=2).error["message"]
    assert settings(offered) == before


def test_a_key_is_allowed_what_was_said_and_no_more(run: Run, offered: Path) -> None:
    space = "cd" * 32
    words = f"--quota 50M --space {space} --may get,put --until 30d --alone --as Bob"
    told = run("node", "allow", KEY, *words.split(), "--json").json
    (_, grant) = settings(offered).grants
    assert (grant.keys, grant.space, grant.spaces, grant.may) == ((KEY,), None, (space,), ("get", "put"))
    assert (grant.quota, grant.alone, grant.label, grant.id) == (50 << 20, True, "Bob", told["id"])
    assert grant.until is not None
    assert abs(grant.until - parse_end("30d", "", time.time())) < 60
    run("node", "allow", KEY)
    plain = settings(offered).grants[-1]
    assert (plain.quota, plain.spaces, plain.until, plain.alone, len(plain.may)) == (None, None, None, False, 3)
    run("node", "allow", "space", space)
    assert (settings(offered).grants[-1].space, settings(offered).grants[-1].keys) == (space, ())


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ((KEY, "--offer", "disk9"), 3, "node.no-such-offer"),
        ((KEY, "--may", "get,write"), 2, "misuse"),
        ((KEY, "--may", ""), 2, "misuse"),
        ((KEY, "--until", "2020-01-01"), 2, "misuse"),
        ((KEY, "--space", "photos"), 3, "home.unknown-name"),
        ((KEY, "photos"), 2, "misuse"),
        (("space", "photos"), 3, "home.unknown-name"),
        (("space", KEY, "--alone"), 2, "misuse"),
        (("photos:Bob",), 3, "home.unknown-name"),
        (("Bob",), 2, "misuse"),
        ((KEY[1:],), 2, "misuse"),
        ((KEY, "--quota", "50"), 2, "misuse"),
    ],
)
def test_what_cannot_be_allowed_is_refused(
    run: Run, offered: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    before = settings(offered)
    assert run("node", "allow", *words, "--json", status=status).error["code"] == code
    assert settings(offered) == before


def test_who_has_no_space_is_told_of_keys_and_of_spaces(run: Run, offered: Path) -> None:
    error = run("node", "allow", "bob", "--json", status=2).error
    assert "is no key, and this machine has no space" in error["message"]
    assert "`ropewalk node key`" in error["hint"]
    assert "has 63 digits, expected 64" in run("node", "allow", KEY[1:], status=2).err


def test_who_is_allowed_again_has_the_new_quota_and_end_and_no_second_grant(run: Run, offered: Path) -> None:
    first = run("node", "allow", KEY, "--quota", "50M", "--as", "Bob", "--json").json
    assert first["before"] is None
    told = run("node", "allow", f"ed25519:{KEY}", "--quota", "40M", "--json")
    assert (told.json["id"], told.json["quota"], told.json["label"]) == (first["id"], 40 << 20, "Bob")
    assert told.json["before"] == {"quota": 50 << 20, "until": None}
    assert "on top" not in told.err
    later = run("node", "allow", KEY, "--until", "30d")
    assert "Bob may use 40.0 MiB of disk1 until" in later.out
    assert "now; before it was 40.0 MiB of disk1;" in later.out
    (owner, grant) = settings(offered).grants
    assert (owner.label, grant.id, grant.quota, grant.label) == ("owner", first["id"], 40 << 20, "Bob")
    assert grant.until is not None
    other = run("node", "allow", KEY, "--may", "get", "--quota", "1G", "--json")
    assert other.json["before"] is None, "it allows something else"
    assert "what 1 other grant from before allows comes on top" in run("node", "allow", KEY, "--may", "get").err
    assert [one.quota for one in settings(offered).grants] == [None, 40 << 20, 1 << 30]


def test_an_owner_s_own_grant_is_not_made_less_by_another(run: Run, offered: Path) -> None:
    own = run("node", "key", "--json").json["key"]
    file = NodeFile(offered.parent / "home" / "node.toml")
    file.update(lambda old: replace(old, grants=(replace(old.grants[0], keys=(own,)),)))  # there are no words on paper
    assert run("node", "allow", own, "--quota", "1G", "--json").json["before"] is None
    assert [one.quota for one in settings(offered).grants] == [None, 1 << 30]


def test_a_grant_that_has_ended_is_given_again_without_its_end(run: Run, offered: Path) -> None:
    run("node", "allow", KEY, "--quota", "50M", "--until", "30d")

    def ended(old: NodeSettings) -> NodeSettings:
        return replace(old, grants=(old.grants[0], replace(old.grants[1], until=1)))

    NodeFile(offered.parent / "home" / "node.toml").update(ended)
    assert run("node", "allow", KEY, "--json").json["until"] is None
    assert settings(offered).grants[1].quota == 50 << 20, "what is not said stays"


def test_a_quota_that_the_disk_has_no_room_for_is_told(run: Run, offered: Path) -> None:
    said = run("node", "offer", "disk1", "a", "--quota", "900P").err
    assert "do not fit: the disk has" in said
    assert settings(offered).offers["disk1"].quota == 900 << 50, "it may get a larger disk"
    assert "do not fit" not in run("node", "offer", "disk1", "a", "--quota", "1M").err


def test_where_there_are_several_offers_one_is_to_be_named(run: Run, offered: Path) -> None:
    run("node", "offer", "disk2", "b")
    assert "disk1, disk2" in run("node", "allow", KEY, status=2).err
    run("node", "allow", KEY, "--offer", "disk2")
    for name in ("disk1", "disk2"):
        run("node", "withdraw", name)
    assert run("node", "allow", KEY, "--json", status=3).error["code"] == "node.no-such-offer"


def test_grants_are_taken_back_by_the_first_digits_of_their_ids(run: Run, offered: Path) -> None:
    grant = run("node", "allow", KEY, "--json").json["id"]
    for digits in ("", grant[:3], "zzzz"):
        assert run("node", "deny", digits, "--json", status=3).error["code"] == "node.no-such-grant"
    run("node", "deny", grant[:8])
    assert [one.label for one in settings(offered).grants] == ["owner"]
    assert run("node", "withdraw", "disk1", "--json").json["ended"] == 0
    assert settings(offered) == NodeSettings()
    assert (offered / "a").exists()


def test_show_says_what_is_offered_and_that_a_disk_is_away(run: Run, offered: Path) -> None:
    run("node", "allow", KEY, "--quota", "50M", "--as", "Bob", "--until", "2099-12-31")
    shown = run("node", "show", "--json").json
    assert shown["running"] is False
    (one,) = shown["offers"]
    assert one["there"]
    assert one["addresses"] == [f"{shown['addresses'][0]}/disk1"]
    assert [grant["label"] for grant in one["grants"]] == ["owner", "Bob"]
    said = run("node", "show").out
    for word in ("0 B of 2.0 GiB used", "kept for 3 days", "Bob: get, put, delete; 0 B of 50.0 MiB used", "until 2100"):
        assert word in said
    shutil.move(offered / "a", offered / "elsewhere")
    assert not run("node", "show", "--json").json["offers"][0]["there"]
    assert "it is not there" in run("node", "show").out


def test_a_member_is_allowed_with_all_machines(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = a_pair(photos, run, monkeypatch)
    pair.anna("node", "offer", "disk1", str(photos / "offered"))
    told = pair.anna("node", "allow", "bob", "--json").json
    key = pair.bob("node", "key", "--json").json["key"]
    assert told["label"] == "bob"
    assert key in told["keys"]
    assert len(told["keys"]) == 2, "this machine's and the paper key's"
    assert pair.anna("node", "allow", "photos:bob", "--json").json["keys"] == told["keys"]
    space = Home(photos.parent / "home", photos).load().spaces["photos"].id
    assert pair.anna("node", "allow", "space", "photos", "--json").json["space"] == space
    assert pair.anna("node", "allow", "photos:dave", "--json", status=3).error["code"] == "members.no-such-person"


def test_the_trash_is_asked_for_at_nodes_alone(photos: Path, run: Run) -> None:
    for words in (("trash", "photos"), ("take-back", "photos", "--all"), ("veto", "photos", "3")):
        assert "none of the stores of photos is at a node" in run("node", *words, status=2).err
    wrong = (
        ["take-back", "photos"],
        ["take-back", "photos", "abcd", "--all"],
        ["take-back", "photos", "abc"],
        ["veto", "photos", "91"],
        ["veto", "photos", "--", "-1"],
    )
    for one in wrong:
        run("node", *one, status=2)


# ---- stores behind URLs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "options", "why"),
    [
        ("tls://127.0.0.1:1", (), "expected the node's key"),
        (f"{NODE}/A", (), "expected the node's key"),
        (NODE, ("--endpoint", "https://x"), "are for buckets"),
        ("folder", ("--region", "eu"), "are for buckets"),
        ("gopher://x", (), "no kind of store has the scheme 'gopher'"),
        ("s3://user:secret@bucket", (), "has a user or password in it"),
    ],
)
def test_a_place_that_can_be_no_store_s_is_refused(
    run: Run, user: Path, place: str, options: tuple[str, ...], why: str
) -> None:
    said = run("store", "add", "one", place, *options, "--json", status=2)
    assert why in said.error["message"]
    assert "secret" not in said.out + said.err


def test_a_url_is_noted_where_there_are_no_keys_yet(run: Run, user: Path) -> None:
    told = run("store", "add", "one", f"{NODE}/disk1", "--domain", "machine=anna", "--json").json
    assert (told["id"], told["place"]) == (None, f"{NODE}/disk1")
    run("store", "add", "two", f"tls://127.0.0.1:1#{KEY}/disk2")
    listed: list[dict[str, Any]] = run("store", "list", "--json").lines
    assert [(one["id"], one["there"]) for one in listed] == [(None, False), (None, False)]
    assert "there are none here yet" in listed[0]["why"]
    assert listed[1]["place"] == f"{NODE}/disk2", "an address has one spelling"
    run("store", "add", "one", f"{NODE}/disk3")
    again = run("store", "list", "--json").lines[0]
    assert (again["place"], again["domains"]) == (f"{NODE}/disk3", {"machine": "anna"})


def test_a_node_that_is_away_is_told_and_nothing_is_put_down(machine: As, run: Run) -> None:
    run("init", "--yes")
    failed: Result = run("store", "add", "one", f"{NODE}/disk1", "--json", status=5)
    assert failed.error["code"] == "store.gone"
    assert "nobody listens there" in failed.error["message"]
    assert run("store", "list", "--json").lines == []
