"""What was acknowledged is there, at each resolution, for as long as it shall be."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.collector.alerts import AlertKey, Event
from ropewalk.collector.history import BrokenHistory, Busy, History, Retention, _size
from ropewalk.collector.tables import LEVELS, RAW, Point, Tables, WrongVersion, find, points
from tests.collector.agents import BEGIN, RUN, Clock, sample

AT = int(BEGIN)


async def read(history: History, name: str, level: str, begin: int = 0, end: int = 2**40) -> list[Point]:
    def act(db: sqlite3.Connection) -> list[Point]:
        return points(db, find(db, name)[0].id, begin, end, level)

    return await history.ask(act)


async def test_numbers_come_back_before_and_after_they_are_moved(tmp_path: Path) -> None:
    clock = Clock()
    async with asyncio.timeout(20), History(tmp_path / "h", clock=clock) as history:
        assert await history.begin("web", RUN, 10.0) == 0
        for step in range(12):
            clock.now = BEGIN + 10 * step
            assert await history.add("web", RUN, sample(step + 1, clock.now, a_total=step, level=-step)) == 0
        for _ in range(2):
            raw = await read(history, "a_total", "raw")
            assert [(point.time, point.sum) for point in raw] == [(AT + 10 * step, step) for step in range(12)]
            assert await read(history, "level", "minute") == [
                Point(AT, -5, 0, -15, 6, -5),
                Point(AT + 60, -11, -6, -51, 6, -11),
            ]
            assert await read(history, "level", "hour") == [Point(AT // 3600 * 3600, -11, 0, -66, 12, -11)]
            assert [point.time for point in await read(history, "level", "raw", AT + 20, AT + 40)] == [AT + 20, AT + 30]
            clock.now = BEGIN + 600
            await history.roll()
        assert await history.ask(lambda db: db.execute("SELECT count(*) FROM fresh").fetchone()) == (0,)


async def test_a_push_counts_once(tmp_path: Path) -> None:
    clock, other = Clock(), bytes(16)
    async with asyncio.timeout(20), History(tmp_path / "h", clock=clock) as history:
        assert await history.add("web", RUN, sample(1, BEGIN, a_total=5)) == 0
        assert await history.add("web", RUN, sample(1, BEGIN, a_total=5)) is None
        assert await history.add("web", RUN, sample(3, BEGIN + 1, a_total=2, level=1)) == 0
        assert await history.add("web", RUN, sample(2, BEGIN, a_total=9)) is None
        assert await history.add("web", other, sample(1, BEGIN + 2, a_total=1, level=7)) == 0  # restarted
        assert await history.begin("web", RUN, 10.0) == 3
        assert await history.begin("web", other, 10.0) == 1
        assert await history.begin("mail", RUN, 10.0) == 0
        assert await read(history, "a_total", "raw") == [Point(AT, 8, 8, 8, 1, 8)]
        assert await read(history, "level", "raw") == [Point(AT, 7, 7, 7, 1, 7)]


async def test_what_comes_late_joins_what_was_moved(tmp_path: Path) -> None:
    clock = Clock(BEGIN + 30)
    async with asyncio.timeout(20), History(tmp_path / "h", clock=clock) as history:
        await history.add("web", RUN, sample(1, BEGIN + 30, a_total=1, level=3))
        clock.now += 1_200
        await history.roll()
        await history.add("web", RUN, sample(2, BEGIN + 20, a_total=10, level=1))
        await history.add("web", RUN, sample(3, BEGIN + 30, a_total=10, level=4))
        for _ in range(2):
            assert [point.sum for point in await read(history, "a_total", "raw")] == [10, 11]
            assert [point.sum for point in await read(history, "a_total", "minute")] == [21]
            assert [point.last for point in await read(history, "level", "raw")] == [1, 4]
            assert await read(history, "level", "minute") == [Point(AT, 1, 4, 8, 3, 4)]
            await history.roll()


async def test_a_clock_that_runs_ahead_does_not_write_into_the_future(tmp_path: Path) -> None:
    async with asyncio.timeout(20), History(tmp_path / "h", clock=Clock()) as history:
        await history.add("web", RUN, sample(1, BEGIN + 1e6, level=3))
        assert [point.time for point in await read(history, "level", "raw")] == [AT]


async def test_series_are_bounded_and_the_rest_is_told(tmp_path: Path) -> None:
    async with asyncio.timeout(20), History(tmp_path / "h", clock=Clock(), most_series=2) as history:
        assert await history.add("web", RUN, sample(1, BEGIN, a=1, b=1, c=1)) == 1
        assert await history.add("web", RUN, sample(2, BEGIN + 10, a=1, c=1)) == 1
        assert len(await history.ask(find)) == 2


async def test_each_level_keeps_what_it_shall(tmp_path: Path) -> None:
    clock = Clock()
    keeps = Retention(raw=3_600, minute=86_400, hour=10 * 86_400)
    async with asyncio.timeout(20), History(tmp_path / "h", keeps, clock=clock) as history:
        await history.begin("web", RUN, 10.0)
        await history.add("web", RUN, sample(1, clock.now, level=1))
        await history.record([Event(AlertKey("r", "web", "{}"), "raised", clock.now, 1)])
        kept = []
        for wait in (600, 3_601, 86_400, 9 * 86_400):
            clock.now += wait
            await history.roll()
            await history.prune()
            there = await history.ask(find)
            kept.append([len(await read(history, "level", level)) for level in LEVELS] if there else [])
        assert kept == [[1, 1, 1], [0, 1, 1], [0, 0, 1], []]

        for statement in (
            "SELECT * FROM sources",
            "SELECT * FROM runs",
            "SELECT * FROM series",
            "SELECT * FROM alerts",
        ):
            assert await history.ask(lambda db, said=statement: db.execute(said).fetchall()) == []  # type: ignore[misc]
        assert await history.add("web", RUN, sample(1, clock.now, level=1)) == 0  # and it may begin anew


async def test_a_file_that_grows_too_large_loses_the_finest_first(tmp_path: Path) -> None:
    clock = Clock()
    names = {f"m{number}": 1.0 for number in range(100)}
    async with asyncio.timeout(60), History(tmp_path / "h", clock=clock) as history:
        for step in range(1, 721):
            clock.now += 20
            await history.add("web", RUN, sample(step, clock.now, **names))
        clock.now += 600
        await history.roll()
        minutes = len(await read(history, "m1", "minute"))
        most = int(await history.ask(_size) * 0.8)
        history.retention = Retention(size=most)
        assert len(await read(history, "m1", "raw")) == 720
        await history.prune()
        assert 100 < len(await read(history, "m1", "raw")) < 720
        assert len(await read(history, "m1", "minute")) == minutes
        await history.begin("web", RUN, 10.0)
    assert (tmp_path / "h").stat().st_size < most


async def test_a_fault_in_one_write_is_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(tables: Tables) -> None:
        tables.add("evil", RUN, sample(1, BEGIN, level=1), BEGIN)
        raise ZeroDivisionError

    async with asyncio.timeout(20), History(tmp_path / "h", clock=Clock()) as history:
        results = await asyncio.gather(
            history.add("web", RUN, sample(1, BEGIN, level=1)),
            history._do(fail),
            history.add("web", RUN, sample(2, BEGIN, level=2)),
            return_exceptions=True,
        )
        assert results[0] == results[2] == 0
        assert isinstance(results[1], Busy)
        assert [series.source for series in await history.ask(find)] == ["web"]


async def test_who_gives_up_waiting_harms_nobody(tmp_path: Path) -> None:
    async with asyncio.timeout(20), History(tmp_path / "h", clock=Clock()) as history:
        task = asyncio.create_task(history.add("web", RUN, sample(1, BEGIN, level=1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await history.add("web", RUN, sample(2, BEGIN, level=2)) == 0
    with pytest.raises(Busy, match="closed"):
        await history.begin("web", RUN, 10.0)


@pytest.mark.parametrize("damage", ["junk", "middle", "cut"])
async def test_a_damaged_file_is_moved_aside_and_begun_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, clock = tmp_path / "h", Clock()
    names = {f"m{number}": 1.0 for number in range(500)}
    async with asyncio.timeout(20), History(path, clock=clock) as history:
        for sequence in range(1, 6):
            clock.now += 10
            await history.add("web", RUN, sample(sequence, clock.now, **names))
    size = path.stat().st_size
    with path.open("r+b") as file:
        if damage == "junk":
            file.write(os.urandom(size))
        elif damage == "middle":
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        else:
            file.truncate(size // 4096 // 3 * 4096)
    told = 0
    with caplog.at_level(logging.ERROR, "ropewalk.collector"):
        async with asyncio.timeout(20), History(path, clock=clock) as history:
            for sequence in range(6, 9):
                try:
                    await history.begin("web", RUN, 10.0)
                    await history.add("web", RUN, sample(sequence, clock.now, **names))
                except BrokenHistory:
                    told += 1
            assert [point.last for point in await read(history, "m7", "raw")] == [1.0]
    assert [record.__dict__["code"] for record in caplog.records] == ["collector.history-damaged"]
    assert told <= 1
    assert len([name for name in os.listdir(tmp_path) if ".damaged-" in name and name[-1].isdigit()]) == 1


async def test_damage_that_a_reader_finds_is_mended_too(tmp_path: Path) -> None:
    def fail(db: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error

    async with asyncio.timeout(20), History(tmp_path / "h", clock=Clock()) as history:
        await history.add("web", RUN, sample(1, BEGIN, level=1))
        with pytest.raises(BrokenHistory):
            await history.ask(fail)
        assert await history.ask(find) == []
        assert await history.begin("web", RUN, 10.0) == 0


async def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(Busy):
        async with asyncio.timeout(20), History(tmp_path / "no" / "h"):
            pass


async def test_a_newer_history_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "h"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(WrongVersion):
        async with asyncio.timeout(20), History(path):
            pass
    assert path.exists()


@pytest.mark.system
async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path, acked = tmp_path / "h", 0
    for stop in (5, 40, 90):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(Path(__file__).with_name("pushing_process.py")), str(path)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout
        try:
            async with asyncio.timeout(60):
                while acked < stop:
                    acked = int(await process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL)
            rest = (await process.stdout.read()).split()
            await process.wait()
        acked = max([acked, *map(int, rest)])
        async with asyncio.timeout(20), History(path, clock=Clock(BEGIN + 1e6)) as history:
            kept = await history.begin("web", RUN, 10.0)
            assert kept in (acked, acked + 1)  # the last may be on disk and not yet told
            for name in ("m0_total", "m19_total"):
                assert sum(point.sum for point in await read(history, name, "raw")) == kept
                assert sum(point.sum for point in await read(history, name, "hour")) == kept
        acked = kept


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(-100, 100, width=16), st.booleans()), min_size=1, max_size=25))
def test_levels_say_what_the_raw_numbers_say(pushes: list[tuple[int, float, bool]]) -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    tables = Tables(db, 10)
    raw: dict[int, float] = {}
    for sequence, (slot, value, roll) in enumerate({push[0]: push for push in pushes}.values(), 1):
        at = AT + slot * RAW
        tables.add("web", RUN, sample(sequence, at, level=value), AT + 10_000)
        raw[at] = value
        if roll:
            while tables.roll(AT + 2_000):
                pass
    number = find(db)[0].id
    assert [(point.time, point.last) for point in points(db, number, 0, 2**40, "raw")] == sorted(raw.items())
    for level, slot in (("minute", 60), ("hour", 3600)):
        for point in points(db, number, 0, 2**40, level):
            inside = {at: value for at, value in raw.items() if at // slot * slot == point.time}
            assert (point.low, point.high, point.count) == (min(inside.values()), max(inside.values()), len(inside))
            assert point.sum == pytest.approx(sum(inside.values()), abs=1e-6)
    db.close()


async def test_a_day_of_one_series_is_read_as_fast_among_a_thousand_as_alone(tmp_path: Path) -> None:
    """How long it takes is bench/metrics.py's to say; here SQLite's steps are counted, which are the same anywhere."""

    async def steps(path: Path, numbers: Iterable[int]) -> int:
        def fill(tables: Tables) -> None:
            values = {f"m{number}": 1.0 for number in range(1_000)}
            tables.add("web", RUN, sample(1, BEGIN + 86_400, **values), BEGIN + 86_400)
            # A hundredth of the others' points, so that the test ends today; where each lies is the same.
            tables._db.executemany(
                "INSERT INTO raw VALUES (?, ?, ?)",
                (
                    (number, AT + slot * RAW, float(slot))
                    for number in numbers
                    for slot in range(0, 8_640, 1 if number == 500 else 100)
                ),
            )

        def act(db: sqlite3.Connection) -> int:
            taken = 0

            def count() -> int:
                nonlocal taken
                taken += 1
                return 0

            db.set_progress_handler(count, 10)
            assert len(points(db, find(db, "m499")[0].id, AT, AT + 86_400, "raw")) == 8_640
            db.set_progress_handler(None, 0)
            return taken

        async with History(path, clock=Clock(BEGIN + 86_400)) as history:
            await history._do(fill)
            return await history.ask(act)

    async with asyncio.timeout(120):
        alone = await steps(tmp_path / "alone", (500,))
        assert alone > 1_000, "nothing was counted"
        assert await steps(tmp_path / "many", range(1, 1_001)) < 1.5 * alone
