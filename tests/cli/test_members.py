"""`ropewalk members`, `device list`: who is who, and which of them is at this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ropewalk.spaces.members import Role
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair, tablet_revoked


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


def _name_laptop(pair: Pair, home: str) -> None:
    async def call() -> None:
        async with pair.open(home) as space, space.group() as group:
            await group.call_device("laptop")

    asyncio.run(call())


def test_you_stands_behind_the_member_and_this_machine_behind_the_device(pair: Pair) -> None:
    _name_laptop(pair, "bob")
    assert pair.anna("members", "photos").out.splitlines() == [
        "anna (you)  admin    paper key, laptop (this machine)",
        "bob         writer   paper key, laptop",
    ]
    assert pair.bob("members", "photos").out.splitlines() == [
        "anna       admin    paper key, laptop",
        "bob (you)  writer   paper key, laptop (this machine)",
    ]
    assert [one["you"] for one in pair.bob("members", "photos", "--json").lines] == [False, True]


def test_one_s_own_devices_are_listed_with_their_spaces(pair: Pair) -> None:
    paper, laptop = pair.anna("device", "list").out.splitlines()
    assert paper.split() == ["paper", "key", paper.split()[2], "photos"]
    assert laptop.split()[0] == "laptop"
    assert laptop.endswith("  photos  (this machine)")


def test_who_belongs_nowhere_any_more_is_told_that_the_list_is_empty(pair: Pair) -> None:
    pair.anna("member", "remove", "bob")
    said = pair.bob("device", "list")
    assert said.out == ""
    assert "note: none of yours belongs to any space that is set up here" in said.err


def test_who_was_put_out_already_is_sealed_out_by_another_command(pair: Pair) -> None:
    pair.anna("member", "remove", "bob")
    for more in ([], ["--in", "photos"]):
        said = pair.anna("member", "remove", "bob", "--hard", "--yes", *more, "--json", status=3).error
        assert said["message"] == "bob does not belong to photos any more"
        assert "`ropewalk member reseal photos`" in said["hint"]
    pair.anna("space", "create", "films", "--stores", "s0,s1,s2", "--survive", "1")
    assert "bob does not belong to photos" in pair.anna("member", "remove", "bob", "--hard", "--yes", status=3).err
    assert "nobody is called 'eve' in films, photos" in pair.anna("member", "remove", "eve", status=3).err


def test_who_was_put_out_and_reads_on_is_named_even_where_two_are_called_alike(pair: Pair) -> None:
    tablet_revoked(pair)
    err = pair.bob("members", "photos").err
    assert err.count("bob (tablet), which was put out, can still read what is new, since 20") == 1


def test_a_role_that_there_is_not_is_answered_with_those_that_there_are(pair: Pair) -> None:
    said = pair.anna("member", "role", "bob", "boss", status=2)
    for role in Role:
        assert role.name.lower() in said.err
        assert role.name.lower() in pair.anna("member", "role", "--help").out
