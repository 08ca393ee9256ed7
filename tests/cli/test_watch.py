"""`ropewalk watch`: changes of others are said as they come, with who made them, until somebody stops it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ropewalk.cli.options import Keyed
from ropewalk.cli.output import Voice
from ropewalk.cli.watch import _Watching, watch
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.members import Role
from tests.cli.conftest import Run
from tests.cli.pair import Pair, a_pair


@pytest.fixture
def pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Pair:
    return a_pair(photos, run, monkeypatch)


class Heard:
    """What a command in this very loop has said so far."""

    def __init__(self, capsys: pytest.CaptureFixture[bytes]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def look(self) -> None:
        """Take what came."""
        out, err = self._capsys.readouterr()
        self.out, self.err = self.out + out.decode(), self.err + err.decode()

    async def wait_begun(self, task: asyncio.Task[int]) -> None:
        """Until it watches."""
        while "watching photos" not in self.err and not task.done():
            await asyncio.sleep(0)
            self.look()


@pytest.fixture
def anna_watches(pair: Pair, capfdbinary: pytest.CaptureFixture[bytes]) -> tuple[Pair, Heard]:
    pair.monkeypatch.setenv("ROPEWALK_HOME", str(pair.home("home").config))
    return pair, Heard(capfdbinary)


async def test_a_change_of_somebody_else_is_said(anna_watches: tuple[Pair, Heard]) -> None:
    pair, heard = anna_watches
    watching = asyncio.create_task(watch("photos", number=1, common=Keyed()))
    await heard.wait_begun(watching)
    async with pair.open("bob") as bobs, bobs.change("hello from bob") as change:
        await change.write("a", b"1")
    assert await watching == 0
    heard.look()
    (line,) = heard.out.splitlines()
    assert "  bob (device " in line
    assert line.endswith("  1 entry  hello from bob")


async def test_programs_get_a_line_for_each(anna_watches: tuple[Pair, Heard]) -> None:
    pair, heard = anna_watches
    async with pair.open() as annas:
        watching = _Watching(annas, Voice(json=True))
        following = asyncio.create_task(watching.follow(2))
        await annas.live.start()
        async with pair.open("bob") as bobs:
            await bobs.write("a", b"1")
            outcome = await bobs.write("b", b"2")
            while heard.out.count("\n") < 1:
                await asyncio.sleep(0)
                heard.look()
            if not following.done() and outcome is not None and outcome.head.hash.hex() in heard.out:
                await bobs.write("c", b"3")  # two that came at once were said as one
            await following
    heard.look()
    lines = [json.loads(line) for line in heard.out.splitlines()]
    assert len(lines) == 2
    assert {line["who"].partition(" ")[0] for line in lines} == {"bob"}
    assert lines[-1]["entries"] >= 2


async def test_what_is_known_of_others_is_said_when_it_changes(anna_watches: tuple[Pair, Heard]) -> None:
    pair, heard = anna_watches
    async with pair.open() as space:
        watching = _Watching(space, Voice())
        for view in (
            Freshness(Word.UNKNOWN),
            Freshness(Word.FRESH, age=1.0),
            Freshness(Word.FRESH, age=61.0),
            Freshness(Word.STALE, since=1_795_000_000_000_000_000),
            Freshness(Word.STALE, since=1_795_000_000_000_000_000, missing=2),
            Freshness(Word.UNKNOWN),
        ):
            watching._tell_freshness(view)
    heard.look()
    told = [line.split("  ", 1)[1] for line in heard.out.splitlines()]
    assert [line.split(":")[0].split(" since")[0] for line in told] == [
        "fresh",
        "stale",
        "whether this is the newest is not known",
    ]


async def test_who_belongs_is_said_to_have_changed(anna_watches: tuple[Pair, Heard]) -> None:
    pair, heard = anna_watches
    async with pair.open() as space:
        watching = _Watching(space, Voice())
        looking = asyncio.create_task(watching.look_around())
        async with space.group() as group:
            await group.set_role(next(one.id for one in space.people() if one.name == "bob"), Role.READER)
        while "has changed" not in heard.out:
            await asyncio.sleep(0)
            heard.look()
        looking.cancel()
    assert "`ropewalk members photos`" in heard.out


async def test_warnings_are_said_once_and_not_kept(anna_watches: tuple[Pair, Heard]) -> None:
    pair, heard = anna_watches
    async with pair.open() as space:
        watching = _Watching(space, Voice())
        before = len(space.warnings)
        space.warnings.append("something is odd")
        watching.warn()
        watching.warn()
        assert len(space.warnings) == before
    heard.look()
    assert heard.err.count("something is odd") == 1


def test_a_number_that_cannot_be(run: Run, photos: Path) -> None:
    assert "--count is 0, expected 1 or more" in run("watch", "photos", "--count", "0", status=2).err


@pytest.mark.system
def test_a_reader_gets_each_line_at_once_and_a_stop_ends_it(pair: Pair) -> None:
    words = [sys.executable, "-c", LISTENS, "watch", "photos"]
    pair.monkeypatch.setenv("ROPEWALK_HOME", str(pair.home("home").config))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        said = ""
        while "watching" not in said and (line := process.stderr.readline()):
            said += line
        pair.put("bob", "a", "x")
        came, _, _ = select.select([process.stdout], [], [], 60)  # seconds
        heard = process.stdout.readline() if came else ""
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate()
    assert heard.endswith("put a\n"), said + rest
    assert process.returncode == 130
    assert "stopped" not in rest, "it was told to watch until then, and that is no error"


# Tests in the background are started with ^C ignored, which is inherited.
LISTENS = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from ropewalk.cli.main import main
import sys
sys.exit(main())
"""
