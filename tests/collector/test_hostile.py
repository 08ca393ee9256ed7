"""An agent that lies, a clock that jumps, a disk that is full: the others' numbers stay right, and all goes on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.collector import history as history_module
from ropewalk.collector.agent import Agent
from ropewalk.collector.alerts import AlertKey, Alerts, Rule
from ropewalk.collector.history import Busy, History
from ropewalk.collector.intake import Intake
from ropewalk.collector.outbox import Sampler
from ropewalk.collector.sources import Sources
from ropewalk.collector.tables import LEVELS, Tables, find, points
from ropewalk.collector.wire import (
    MOST_BEFORE_HELLO,
    MOST_VALUE,
    VERSION,
    Ack,
    BadFrame,
    Hello,
    Push,
    Refusal,
    Welcome,
    encode,
)
from ropewalk.metrics import Registry
from ropewalk.net.memory import memory_pair
from tests.collector.agents import BEGIN, DEFINE, HELLO, RUN, Clock, Peer, collecting, sample, until

AT = int(BEGIN)


def rows(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a table of ours


@pytest.mark.parametrize("value", [1e300, -1e300, MOST_VALUE * 1.01])
def test_values_whose_sums_are_no_numbers_are_refused(value: float) -> None:
    intake = Intake()
    intake.feed(encode(HELLO) + encode(DEFINE) + encode(Push(1, 5, [(1, value)])))
    assert isinstance(intake.next(), Hello)
    with pytest.raises(BadFrame, match="1e"):
        intake.next()


async def test_the_largest_values_are_moved_like_any(tmp_path: Path) -> None:
    """Sums that are no numbers could not be stored: nothing would be moved any more, of nobody."""
    clock = Clock()
    async with asyncio.timeout(20), History(tmp_path / "h", clock=clock) as history:
        for sequence, value in enumerate((MOST_VALUE, MOST_VALUE, -MOST_VALUE, -MOST_VALUE) * 3, 1):
            clock.now += 600
            await history.add("evil", RUN, sample(sequence, clock.now, level=value, a_total=MOST_VALUE))
            await history.add("web", RUN, sample(sequence, clock.now, level=1.0))
            await history.roll()
        clock.now += 600
        await history.roll()
        assert await history.ask(lambda db: rows(db, "fresh")) == 0


def test_an_agent_says_nothing_that_would_be_refused() -> None:
    registry = Registry()
    registry.gauge("huge", "x").of().set(1e300)
    registry.gauge("level", "x").of().set(1.0)
    registry.counter("a_total", "x").of().inc(1e300)
    said = Sampler().sample(registry.read())
    assert max(said.values()) == 1.0


async def test_a_source_cannot_take_the_place_of_the_others(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "h", isolation_level=None)
    tables = Tables(db, 1_000, most_of_source=50)
    for run in range(4):  # a connection may define only so many; it comes again with others
        names = {f"evil_{run}_{number}": 1.0 for number in range(30)}
        dropped = tables.add("evil", bytes([run]) * 16, sample(1, BEGIN, **names), BEGIN)
        assert dropped == (0, 10, 30, 30)[run]
    assert tables.add("web", RUN, sample(1, BEGIN, level=1), BEGIN) == 0
    assert rows(db, "series") == 51
    db.close()


async def test_runs_that_a_source_makes_up_are_forgotten(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "h", isolation_level=None)
    tables = Tables(db, 10)
    for number in range(100):
        run = number.to_bytes(16)
        assert tables.begin("evil", run, 10.0, BEGIN + number) == 0
        tables.add("evil", run, sample(2, BEGIN, level=1), BEGIN + number)
    assert rows(db, "runs") <= 9
    db.close()


@pytest.mark.parametrize("time", [0, 253_402_300_799_000, 2**53])
async def test_times_that_lie_move_nothing_into_the_future(tmp_path: Path, time: int) -> None:
    clock = Clock()
    async with collecting(tmp_path, clock) as (collector, port), Peer.connected(port) as peer:
        peer.send(HELLO, DEFINE, Push(1, time, [(0, 1), (1, 5)]))
        assert [await peer.receive(), await peer.receive()] == [Welcome(VERSION, 0), Ack(1)]
        clock.now += 600
        await collector.history.roll()
        await collector.history.prune()
        found = await collector.history.ask(lambda db: [points(db, each.id, 0, 2**40, "hour") for each in find(db)])
        assert all(point.time <= clock.now for each in found for point in each)
        assert await collector.history.ask(lambda db: rows(db, "fresh")) == 0


async def test_another_sources_name_needs_its_token(tmp_path: Path) -> None:
    tokens = {"web": "secret", "evil": "other"}

    async def check(source: str, token: str) -> bool:
        return tokens.get(source) == token

    registry = Registry()
    async with (
        collecting(tmp_path, Clock(), registry=registry) as (collector, port),
        Peer.connected(port) as web,
        Peer.connected(port) as evil,
    ):
        collector.check = check
        web.send(Hello(VERSION, "web", "secret", RUN, 10.0), DEFINE)
        assert await web.receive() == Welcome(VERSION, 0)
        evil.send(Hello(VERSION, "web", "other", RUN, 10.0))
        answer = await evil.receive()
        assert isinstance(answer, Refusal)
        assert answer.code == "collector.token"
        web.send(Push(1, 5, [(0, 1)]))  # and is not put out by it
        assert await web.receive() == Ack(1)
    assert registry.counter("ropewalk_collector_refusals_total", "", ("reason",)).of("collector.token").value == 1


async def test_who_is_not_known_yet_can_make_us_keep_little(tmp_path: Path) -> None:
    checking = asyncio.Event()

    async def slow(source: str, token: str) -> bool:
        await checking.wait()
        return False

    async with collecting(tmp_path, Clock()) as (collector, port), Peer.connected(port) as peer:
        collector.check = slow
        peer.send(HELLO, *[bytes(64 * 1024)] * 64)
        await until(lambda: any(each._paused for each in collector.connections))
        (connection,) = collector.connections
        assert connection._intake.waiting <= 2 * MOST_BEFORE_HELLO + 256 * 1024  # and what one read brings
        checking.set()
        assert isinstance(await peer.receive(), Refusal)


async def test_a_full_disk_is_told_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most, told = 40, []
    connect = history_module._connect

    def limited(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.execute(f"PRAGMA max_page_count = {most}")
        return db

    monkeypatch.setattr(history_module, "_connect", limited)
    clock, kept = Clock(), 0
    async with asyncio.timeout(30), History(tmp_path / "h", clock=clock) as history:
        await history.begin("web", RUN, 10.0)
        for sequence in range(1, 40):
            clock.now += 10
            try:
                await history.add("web", RUN, sample(sequence, clock.now, **{f"m{n}": 1.0 for n in range(300)}))
                kept = sequence
            except Busy as error:
                told.append(str(error))
        assert told
        assert all("full" in each for each in told)
        most = 10_000  # somebody made room; the file is opened anew after each failure
        assert await history.add("web", RUN, sample(kept + 1, clock.now, m1=2.0)) == 0
        found = await history.ask(lambda db: points(db, find(db, "m1")[0].id, 0, 2**40, "raw"))
        assert len(found) == kept + 1  # what was acknowledged, and no more
    assert not [name for name in os.listdir(tmp_path) if "damaged" in name]


async def test_a_clock_that_is_set_back_stops_nothing(tmp_path: Path) -> None:
    clock = Clock(BEGIN + 10 * 365 * 86_400)  # wrong when the machine was started
    async with collecting(tmp_path, clock) as (collector, port), Peer.connected(port) as peer:
        peer.send(HELLO, DEFINE, Push(1, AT * 1000, [(1, 5)]))
        assert [await peer.receive(), await peer.receive()] == [Welcome(VERSION, 0), Ack(1)]
        await collector.tidy()
        clock.now = BEGIN + 1_200
        await collector.tidy()
        assert await collector.history.ask(lambda db: rows(db, "fresh")) == 0
        await collector.judge()
        clock.now += 300  # it says nothing more
        await collector.judge()
        assert [source.state for source in collector.sources.all()] == ["dead"]


def test_silence_and_alerts_count_from_the_moment_that_the_clock_was_right() -> None:
    sources = Sources()
    sources.saw("web", 10, 10_000)
    assert sources.judge(100) == []
    assert [change.after for change in sources.judge(206)] == ["dead"]
    alerts = Alerts([Rule("busy", "level", ">", 1.0, seconds=20)])
    alerts.see("web", "level", "{}", 5.0)
    assert alerts.judge(10_000) == []
    assert alerts.judge(100) == []
    assert [event.key for event in alerts.judge(120)] == [AlertKey("busy", "web", "{}")]


async def test_pushes_are_kept_between_the_steps_of_moving_and_removing(tmp_path: Path) -> None:
    clock, order = Clock(), []
    names = {f"m{number}": 1.0 for number in range(1_000)}
    async with asyncio.timeout(60), History(tmp_path / "h", clock=clock) as history:
        for sequence in range(1, 6):
            clock.now += 10
            await history.add("web", RUN, sample(sequence, clock.now, **names))
        clock.now += 1_200

        async def moving() -> None:
            await history.roll()
            order.append("moved")
            await history.prune()
            order.append("pruned")

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(moving())
            sequence = 6
            while not task.done():
                await history.add("other", RUN, sample(sequence, clock.now, level=1))
                order.append("push")
                sequence += 1
        assert order.index("moved") >= 4
        assert order.index("pruned") - order.index("moved") >= 4
        assert await history.ask(lambda db: rows(db, "raw")) == 5_000


async def test_what_is_read_is_of_one_moment(tmp_path: Path) -> None:
    clock, loop = Clock(), asyncio.get_running_loop()
    async with asyncio.timeout(20), History(tmp_path / "h", clock=clock) as history:
        await history.add("web", RUN, sample(1, BEGIN, level=1))
        clock.now += 1_200

        def read(db: sqlite3.Connection) -> tuple[int, int]:
            raw = rows(db, "raw")
            asyncio.run_coroutine_threadsafe(history.roll(), loop).result(10)
            return raw, rows(db, "fresh")

        assert await history.ask(read) == (0, 1)
        assert await history.ask(lambda db: (rows(db, "raw"), rows(db, "fresh"))) == (1, 0)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 200), st.floats(-100, 100)), min_size=1, max_size=60),
    st.integers(0, 4_000),
)
def test_moving_in_steps_is_moving_at_once(pushes: list[tuple[int, int, float]], before: int) -> None:
    """Many series far apart, over more than ten minutes: all that is older is moved, each to where it belongs."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    tables = Tables(db, 10_000)
    expected: dict[tuple[int, int], float] = {}
    for number, slot, value in pushes:
        series, time = 1 + number * 7, AT + slot * 20
        db.execute("INSERT OR IGNORE INTO series VALUES (?, 'web', ?, 'gauge', '{}')", (series, f"m{series}"))
        db.execute("INSERT OR REPLACE INTO fresh VALUES (?, ?, ?)", (time, series, value))
        expected[series, time] = value
    steps = 0
    while tables.roll(AT + before):
        steps += 1
    old = {key: value for key, value in expected.items() if key[1] < AT + before}
    assert steps <= len(old)
    assert {(row[0], row[1]): row[2] for row in db.execute("SELECT series, time, value FROM raw")} == old
    assert rows(db, "fresh") == len(expected) - len(old)
    for level in ("minute", "hour"):
        counts = db.execute(f"SELECT sum(count), min(low), max(high) FROM {level}").fetchone()  # noqa: S608
        assert counts == ((len(old), min(old.values()), max(old.values())) if old else (None, None, None))
    assert all(
        [point.count for point in points(db, each.id, 0, 2**40, level)]
        for each in find(db, most=1_000)
        for level in LEVELS
    )
    db.close()


async def test_what_a_collector_says_is_shown_and_chooses_no_label(caplog: pytest.LogCaptureFixture) -> None:
    registry, done = Registry(), asyncio.Event()
    says = [Refusal(f"code-{number}", "no\n\x1b[2Jroot: all is well", 0.0) for number in range(5)]

    class Liar(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.write(encode(says.pop()))  # type: ignore[attr-defined]

    async def connect(factory: Callable[[], asyncio.Protocol]) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        protocol = factory()
        return memory_pair(protocol, Liar())[0], protocol

    async def sleep(seconds: float) -> None:
        if not says:
            done.set()
            await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(20):
        agent = Agent(connect, "web", "secret", registry=registry, sleep=sleep)
        task = asyncio.create_task(agent._push())
        await done.wait()
        task.cancel()
        await asyncio.wait([task])
    reasons = registry.counter("ropewalk_collector_agent_failures_total", "", ("reason",)).read().series
    assert reasons == {("collector.agent-refused",): 5}
    assert len(caplog.records) == 5
    assert all(record.getMessage().isprintable() for record in caplog.records)
