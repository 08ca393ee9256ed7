"""What a device is told whose keys are older than what is in the stores: about itself, and not about the stores."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ropewalk.spaces.members import Role
from ropewalk.testing.letting_in import let_in_device
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


def _removed(pair: Pair) -> None:
    pair.put("home", "before", "x")
    pair.bob("ls", "photos")
    pair.anna("member", "remove", "bob")
    for name in ("one", "two"):
        pair.put("home", name, "y")


def test_who_was_put_out_is_told_so_once_and_no_store_is_blamed(pair: Pair) -> None:
    _removed(pair)
    for _ in range(2):
        said = pair.bob("ls", "photos")
        assert said.out == "before\n"
        assert said.err == (
            "warning: this device was put out of photos: what is written there since cannot be read here\n"
        )


def test_a_program_is_told_too(pair: Pair) -> None:
    _removed(pair)

    async def warnings() -> list[str]:
        async with pair.open("bob") as space:
            await space.current()
            return list(space.warnings)

    assert asyncio.run(warnings()) == ["this device was put out: what is written since cannot be read here"]


def test_who_has_nothing_new_to_miss_is_told_of_being_put_out_all_the_same(pair: Pair) -> None:
    pair.put("home", "before", "x")
    pair.anna("member", "remove", "bob")
    assert "this device was put out of photos" in pair.bob("ls", "photos").err


def test_a_device_that_waits_for_the_newest_keys_is_told_what_it_waits_for(pair: Pair) -> None:
    pair.machine("tablet")
    pair.machine("carol")
    pair.let_in("carol", Role.READER)
    pair.put("home", "before", "x")
    pair.bob("ls", "photos")

    async def take_in() -> None:
        keys = pair.home("tablet").open_keys("one two three")
        async with pair.open("bob") as space, space.group() as group:
            await let_in_device(group, "tablet", keys)

    def removed() -> None:
        pair.anna("member", "remove", "carol")
        pair.put("home", "after", "y")

    pair.apart(removed, lambda: asyncio.run(take_in()))
    pair.attach("tablet")
    said = pair.of("tablet", "ls", "photos")
    assert said.out == "before\n"
    assert "store s" not in said.err
    assert said.err.count("newer keys") == 1
    assert (
        "1 change is sealed with newer keys than this device has, and cannot be read yet:"
        " another device that has them hands them on with its next change" in said.err
    )
    pair.bob("mkdir", "photos:/new")
    assert pair.of("tablet", "ls", "photos").out == "after\nbefore\nnew/\n"
