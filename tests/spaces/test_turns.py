"""Turns: one at a time, and never an endless wait."""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

import pytest

from ropewalk.spaces.turns import Busy, Turns


async def test_two_openings_of_one_space_take_turns(tmp_path: Path) -> None:
    first, second = Turns(tmp_path / "lock"), Turns(tmp_path / "lock")
    inside = 0

    async def work(turns: Turns) -> None:
        nonlocal inside
        for _ in range(5):
            async with turns.take():
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1

    await asyncio.gather(work(first), work(second), work(first))


async def test_another_process_that_keeps_its_turn_is_named(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    os.write(descriptor, b"4711")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(Busy, match="process 4711 has been"):
            async with Turns(tmp_path / "lock", patience=0.01).take():
                raise AssertionError
    finally:
        os.close(descriptor)
    async with Turns(tmp_path / "lock", patience=0.01).take():
        assert (tmp_path / "lock").read_text().strip() == str(os.getpid())


async def test_a_turn_within_a_turn_ends(tmp_path: Path) -> None:
    """A change inside a change would wait for itself for ever."""
    turns = Turns(tmp_path / "lock", patience=0.01)
    async with turns.take():
        with pytest.raises(Busy, match=str(os.getpid())):
            async with turns.take():
                raise AssertionError
    async with turns.take():
        pass


async def test_a_turn_ends_with_an_error_and_with_a_cancellation(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "lock", patience=5)
    with pytest.raises(KeyError):
        async with turns.take():
            raise KeyError

    async def wait() -> None:
        async with turns.take():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with turns.take():
        pass
