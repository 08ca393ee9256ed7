"""Turns: one at a time, and never an endless wait."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
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


TURN_AFTER_TURN = """
import asyncio, os, sys
from pathlib import Path
from ropewalk.spaces.turns import Turns

folder, most = Path(sys.argv[1]), int(sys.argv[2])
turns = Turns(folder / "lock")

def looks():
    return len((folder / "looks").read_bytes())

async def work():
    for done in range(most):
        async with turns.take():
            (folder / "done").write_bytes(b"." * done)
            seen = looks()
            print("in", flush=True)
            while (folder / "waits").exists() and looks() < seen + 4:
                os.sched_yield()

asyncio.run(work())
"""


@pytest.mark.system
def test_who_takes_turn_after_turn_lets_another_process_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its turns lasts until the other has looked four times in vain, and it begins the next one at once."""
    looks, done, slept = tmp_path / "looks", tmp_path / "done", asyncio.sleep
    looks.touch()
    (tmp_path / "waits").touch()

    async def counted(delay: float) -> None:
        with looks.open("ab") as file:
            file.write(b".")
        await slept(delay)

    async def three_turns() -> None:
        for _ in range(3):
            before = done.stat().st_size
            async with Turns(tmp_path / "lock").take():
                assert done.stat().st_size - before <= 2

    monkeypatch.setattr("ropewalk.spaces.turns.asyncio.sleep", counted)
    words = [sys.executable, "-c", TURN_AFTER_TURN, str(tmp_path), "30"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            asyncio.run(three_turns())
            (tmp_path / "waits").unlink()
            process.communicate()
            assert process.returncode == 0
        finally:
            process.kill()


async def test_who_stands_before_us_and_does_not_move_is_named(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock.next", os.O_CREAT | os.O_RDWR)
    os.write(descriptor, b"4711")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(Busy, match="process 4711 has been waiting for its turn before this one"):
            async with Turns(tmp_path / "lock", patience=0.01).take():
                raise AssertionError
    finally:
        os.close(descriptor)
    async with Turns(tmp_path / "lock", patience=0.01).take():
        pass
