"""Real processes over real folders: of one device at the same time, and killed in the middle of a write.

Flow: writing_process, once or twice -> SIGKILL or the end -> the space opened here
Never: waits for a length of time: a process is killed when it has said so much.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.check import check
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import WITHDRAWN, State
from ropewalk.spaces.store import DiskStore
from tests.spaces.crashing import mended
from tests.spaces.making import device, paper
from tests.spaces.model import contents, shown
from tests.spaces.writing_process import size_of

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
NAMES = [f"d{number}" for number in range(5)]


async def a_space_on_disk(folder: Path) -> Path:
    """A home with a space over five folders."""
    home = Home(folder / "home", folder / "home" / "state")
    stores = {}
    for name in NAMES:
        store = await DiskStore.create(folder / name)
        stores[name] = StoreSetting(str(folder / name), store.identity.hex())
        await store.aclose()
    home.update(lambda settings: msgspec.structs.replace(settings, stores=stores))
    policy = plan_policy([StoreDomains(name) for name in NAMES], {"store": 2})
    await create_space(
        *(home, "photos", NAMES, policy, 1, device(), paper().public()), clock=time.monotonic, now=time.time_ns
    )
    return folder / "home"


def start(home: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.spaces.writing_process", str(home), prefix, str(count)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def opened(home: Path) -> Space:
    return await open_space(Home(home, home / "state"), "photos", device())


async def files_in(space: Space) -> set[str]:
    """The names of the files in the space, each of which is seen to be whole."""
    found = set()
    for path, data in (await shown(await space.current())).items():
        if data is not None:
            number = int(path[-1])
            assert data == contents(number, size_of(number)), f"{path} holds other bytes"
            found.add("/".join(path))
    return found


async def one_chain(space: Space) -> int:
    """Assert that all heads are of one writer, each after the one before; how many there are."""
    log = list(reversed(await space.log()))
    assert [head.sequence for head in log] == list(range(1, len(log) + 1))
    assert len({head.writer for head in log}) == 1
    assert all(after.previous == before.hash for before, after in itertools.pairwise(log))
    assert await space.core.ledger.do(State.heads, WITHDRAWN) == []
    return len(log)


async def test_two_processes_of_one_device_take_turns(tmp_path: Path) -> None:
    home = await a_space_on_disk(tmp_path)
    writers = [start(home, prefix, 20) for prefix in ("one", "two")]
    said = [writer.communicate()[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [len(names) for names in said] == [20, 20]
    async with await opened(home) as space:
        assert await files_in(space) == {*said[0], *said[1]}
        assert await one_chain(space) == 40
        assert (await check(space.core, everything=True)).ok


async def test_a_killed_process_leaves_what_it_said_and_at_most_one_more(tmp_path: Path) -> None:
    home = await a_space_on_disk(tmp_path)
    said: set[str] = set()
    for turn, lines in enumerate((1, 3, 6)):
        with start(home, f"turn{turn}", 1000) as writer:
            assert writer.stdout is not None
            here = [writer.stdout.readline().strip() for _ in range(lines)]
            writer.kill()
            here += writer.stdout.read().split()
        async with await opened(home) as space:
            found = await files_in(space)
            said.update(here)
            assert said <= found, "a file that was acknowledged is lost"
            assert found - said <= {f"turn{turn}/{len(here)}"}, "something else is there"
            said = found
            assert await one_chain(space) == len(found)
            await mended(space)
            checked = await check(space.core, everything=True)
            assert checked.ok, checked.lines
