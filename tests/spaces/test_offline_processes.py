"""Real processes of one device that work offline at the same time, publish meanwhile, and are killed in the middle.

Flow: writing_process, dying_process over folders that go and come back -> the space opened here: all there, and once
Never: waits for a length of time: stores go and come back when a process has said so much.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.home import Home
from ropewalk.spaces.offline import QUEUE_FOLDER
from ropewalk.spaces.state import QUEUED, State
from tests.spaces.dying_process import __file__ as dying
from tests.spaces.test_offline import allow
from tests.spaces.test_processes import ROOT, a_space_on_disk, files_in, one_chain, opened, start

pytestmark = pytest.mark.system

FEW = ("d0", "d2", "d4")  # of five; a write needs four
NEVER = 1 << 40
POINTS = 5  # steps at which processes are killed in an ordinary run


async def offline_on_disk(folder: Path) -> Path:
    home = await a_space_on_disk(folder)
    allow(Home(home, home / "state"))
    return home


def away(folder: Path) -> None:
    for name in FEW:
        (folder / name).rename(folder / f"{name}.away")


def back(folder: Path) -> None:
    for name in FEW:
        (folder / f"{name}.away").rename(folder / name)


def start_dying(home: Path, prefix: str, count: int, step: int = NEVER) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", f"tests.spaces.{Path(dying).stem}", str(home), prefix, str(count), str(step)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def said_by(process: subprocess.Popen[str]) -> tuple[set[str], str]:
    """The names that it said, and its last word, if it came to that."""
    lines = process.communicate()[0].splitlines()
    assert process.returncode in (0, -signal.SIGKILL)
    assert (process.returncode == 0) == (lines[-1:] != [] and lines[-1].startswith("waiting "))
    return {line for line in lines if "/" in line}, lines[-1] if process.returncode == 0 else ""


async def whole(home: Path, said: Collection[str], dead: Collection[str] = ()) -> set[str]:
    """Assert that all is published that was said, each once, and of who died at most one change more; what there is."""
    async with await opened(home) as space:
        await space.pay()  # a turn, in which goes what the dead have left
        assert await space.core.ledger.do(State.queued_names) == []
        found = await files_in(space)
        assert set(said) <= found, "a change that was kept is lost"
        more = found - set(said)
        assert len(more) <= len(dead)
        assert {name.partition("/")[0] for name in more} <= set(dead)
        assert await one_chain(space) == len(found), "a change was published twice, or one of nothing"
        checked = await check(space.core, everything=True)
        assert checked.ok, checked.lines
        queue = space.core.queue
        assert queue is not None
        assert queue.waiting().size == 0
        assert Path(queue.folder).name == QUEUE_FOLDER
    return found


async def test_two_processes_queue_at_once(tmp_path: Path) -> None:
    home = await offline_on_disk(tmp_path)
    away(tmp_path)
    writers = [start(home, prefix, 12) for prefix in ("one", "two")]
    said = [set(writer.communicate()[0].split()) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(names) for names in said] == [12, 12]
    async with await opened(home) as space:
        assert [head.state for head in await space.log()] == [QUEUED] * 24
        assert await files_in(space) == {*said[0], *said[1]}
    back(tmp_path)
    assert await whole(home, {*said[0], *said[1]}) == {*said[0], *said[1]}


@pytest.mark.slow
async def test_stores_go_and_come_back_while_two_write(tmp_path: Path) -> None:
    home = await offline_on_disk(tmp_path)
    away(tmp_path)
    said: set[str] = set()
    with ExitStack() as stack:
        one, two = (stack.enter_context(start_dying(home, prefix, 20)) for prefix in ("one", "two"))
        gone = True
        for seen, line in enumerate(_names(one), 1):
            said.add(line)
            if seen % 3 == 0:
                (back if gone else away)(tmp_path)
                gone = not gone
        said |= said_by(two)[0]
        assert (one.wait(), two.returncode) == (0, 0)
    if gone:
        back(tmp_path)
    assert len(said) > 20
    assert await whole(home, said) == said


def _names(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if "/" in line:
            yield line.strip()


async def _killed(folder: Path, step: int, steps_of: str) -> int:
    """One is killed at a step, queueing or publishing, while another works; how many steps there were if it was not."""
    home = await offline_on_disk(folder)
    away(folder)
    first: set[str] = set()
    if steps_of == "publishing":
        first, last = said_by(start_dying(home, "first", 4))
        assert last.startswith("waiting 4 ")
        back(folder)
    both = [start_dying(home, "dying", 4, step), start(home, "other", 4)]
    here, last = said_by(both[0])
    there = set(both[1].communicate()[0].split())
    assert both[1].returncode == 0
    if steps_of == "queueing":
        back(folder)
    await whole(home, first | here | there, ["dying"] if not last else [])
    return int(last.split()[-1]) if last else 0


@pytest.mark.slow
@pytest.mark.parametrize("steps_of", ["queueing", "publishing"])
async def test_one_is_killed_while_the_other_goes_on(tmp_path: Path, steps_of: str, seed: int) -> None:
    (tmp_path / "whole").mkdir()
    total = await _killed(tmp_path / "whole", NEVER, steps_of)
    assert total > 40
    for step in sorted(random.Random(seed).sample(range(total), POINTS)):
        (tmp_path / str(step)).mkdir()
        try:
            await _killed(tmp_path / str(step), step, steps_of)
        except AssertionError as error:
            error.add_note(f"killed at step {step} of {total}")
            raise
