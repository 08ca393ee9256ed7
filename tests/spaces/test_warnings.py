"""Warnings are told once, and a flood of them ends."""

from __future__ import annotations

import itertools
from pathlib import Path

from ropewalk.spaces.head import HeadName
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.learning import learn
from ropewalk.spaces.warnings import FULL, MOST_ALIKE, MOST_TOLD, MOST_WARNINGS, Grave, Warnings, folded
from tests.spaces.showing import sealed, show, written


def test_a_line_is_said_once_even_after_it_was_taken_to_be_shown() -> None:
    warnings = Warnings(["a", "a"])
    warnings.append("b")
    warnings.extend(["a", "b", "c"])
    warnings += ["c", "d"]
    assert warnings == ["a", "b", "c", "d"]
    assert warnings.pop(0) == "a"
    warnings.append("a")
    assert warnings == ["b", "c", "d"]


def test_a_line_that_was_taken_back_may_come_again() -> None:
    warnings = Warnings(["a", "b"])
    del warnings[1:]
    warnings.append("b")
    assert warnings == ["a", "b"]


def test_a_flood_ends_and_goes_on_once_lines_are_taken() -> None:
    warnings = Warnings(str(number) for number in range(3 * MOST_WARNINGS))
    assert len(warnings) <= MOST_WARNINGS
    assert FULL in warnings
    assert warnings[-1] == str(3 * MOST_WARNINGS - 1), "what is new comes in"
    while warnings:
        warnings.pop(0)
    warnings.extend([str(3 * MOST_WARNINGS - 1), "new"])
    assert warnings == ["new"]
    warnings.extend(str(number) for number in range(3 * MOST_WARNINGS, 6 * MOST_WARNINGS))
    assert FULL in warnings, "each time"
    assert warnings.count(FULL) == 1


def test_what_is_there_in_masses_makes_room_for_what_is_rare() -> None:
    warnings = Warnings(["store a: rare"])
    warnings.extend(f"store d0: head {number:08x}-{number} is none" for number in range(3 * MOST_WARNINGS))
    warnings.append("store b: rare")
    assert {"store a: rare", "store b: rare"} <= set(warnings)
    assert len(warnings) <= MOST_WARNINGS


def test_grave_lines_stay_whatever_else_is_said_and_however_variously() -> None:
    said = [Grave(f"store s{number} went back") for number in range(100)]
    warnings = Warnings(said)
    words = ("".join(word) for word in itertools.product("ghijklmn", repeat=4))  # each a kind of its own
    warnings.extend(itertools.islice(words, 3 * MOST_WARNINGS))
    assert set(said) <= set(warnings)
    warnings.extend(Grave(f"device {number:08x} signed two heads: a fork") for number in range(3 * MOST_WARNINGS))
    assert set(said) <= set(warnings), "one kind of them does not crowd out the others"
    assert len(warnings) <= MOST_WARNINGS
    assert {type(line) for line in warnings} == {str}


def test_lines_of_one_kind_that_come_together_are_counted() -> None:
    junk = [f"store d0: head {number:08x}-{number} is none" for number in range(MOST_ALIKE + 1092)]
    other = [f"store disk-{number}: head 12345678-1 is none" for number in range(20)]
    back = Grave("store d1 no longer shows head 12345678-1")
    lines = folded([*junk, *other, back])
    assert lines == [*junk[:MOST_ALIKE], f"1092 more like this: {junk[0]}", *other, back]
    assert folded(junk[:MOST_ALIKE]) == junk[:MOST_ALIKE]
    many = folded(Grave(f"device {number:08x} forked") for number in range(MOST_ALIKE + 1))
    assert all(isinstance(line, Grave) for line in many)
    assert many[-1] == "1 more like this: device 00000000 forked"


async def test_a_flood_in_one_store_does_not_hide_that_another_went_back(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        await learn(space.core)
        for number in range(MOST_WARNINGS + 100):
            data = b"junk %d" % number
            name = HeadName(space.core.space_id, hashed("object", data)[:16], 1, hashed("object", data))
            await world.stores["d0"].put(name.encode(), (data,))
        for gone in await world.stores["d1"].names("/heads/"):
            await world.stores["d1"].delete(gone)
        await learn(space.core)
        assert [line for line in space.warnings if "store d1 no longer shows" in line]
        assert len(space.warnings) < 5 * MOST_ALIKE
        assert [line for line in space.warnings if line.startswith(f"{MOST_WARNINGS + 100 - MOST_ALIKE} more like")]


def test_what_was_told_is_not_remembered_without_end() -> None:
    warnings = Warnings()
    for number in range(2 * MOST_TOLD):
        warnings.append(Grave(number))
        warnings.pop()
    assert len(warnings._told) == MOST_TOLD
    assert len(warnings._grave) <= MOST_WARNINGS
    warnings.append("0")
    assert warnings == ["0"]


async def test_a_space_that_is_looked_at_again_and_again_says_what_is_wrong_once(tmp_path: Path) -> None:
    world = await written(tmp_path)
    async with world.open() as space:
        name, data = sealed(space, by=DeviceKeys(b"s" * 32))
        await show(world, name, data)
        for _ in range(3):
            await learn(space.core, everything=True)
        assert sum("not a member" in line for line in space.warnings) == 1
        while space.warnings:
            space.warnings.pop(0)
        await learn(space.core, everything=True)
        assert not space.warnings
