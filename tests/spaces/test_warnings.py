"""Warnings are told once, and a flood of them ends."""

from __future__ import annotations

from pathlib import Path

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import learn
from ropewalk.spaces.warnings import FULL, MOST_TOLD, MOST_WARNINGS, Warnings
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
    assert len(warnings) == MOST_WARNINGS + 1
    assert warnings[-1] == FULL
    while warnings:
        warnings.pop(0)
    warnings.extend(["0", "new"])
    assert warnings == ["new"]
    warnings.extend(str(number) for number in range(3 * MOST_WARNINGS))
    assert warnings[-1] == FULL, "each time"


def test_what_was_told_is_not_remembered_without_end() -> None:
    warnings = Warnings()
    for number in range(2 * MOST_TOLD):
        warnings.append(str(number))
        warnings.pop()
    assert len(warnings._told) == MOST_TOLD
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
