"""How late the loop is, and what blocks it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ropewalk.errors import Misuse
from ropewalk.loops import Simulated, run
from ropewalk.metrics import Histogram, Registry, using
from ropewalk.threads import Watchdog
from tests.threads.turns import PATIENCE, until


class _Told(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.told.set()


@pytest.fixture
def told() -> Iterator[_Told]:
    handler = _Told()
    logging.getLogger("ropewalk.threads").addHandler(handler)
    yield handler
    logging.getLogger("ropewalk.threads").removeHandler(handler)


@contextmanager
def lag() -> Iterator[Histogram]:
    with using(Registry()) as registry:
        yield registry.histogram("ropewalk_loop_lag_seconds", "how late the loop calls what is due").of()


def _blocks_the_loop(told: threading.Event) -> bool:
    return told.wait(PATIENCE)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "qt"])
def test_what_blocks_is_named_once_for_each_stall(told: _Told, loop: str) -> None:
    async def main() -> int:
        with lag() as histogram, Watchdog(0.02) as dog:
            for stall in (1, 2):
                told.told.clear()
                assert _blocks_the_loop(told.told)
                beats = histogram.count
                await until(lambda: histogram.count > beats)  # noqa: B023 - it is over before the next
                assert dog.stalls >= stall
            assert max(i for i, n in enumerate(histogram.reading()[0]) if n) >= 4  # more than 10 ms late
            return dog.stalls

    stalls = run(main(), loop=loop)
    assert len(told.records) == stalls
    message = told.records[0].getMessage()
    assert "the event loop is blocked for" in message
    assert "in _blocks_the_loop" in message
    assert told.records[0].code == "threads.loop-blocked"  # type: ignore[attr-defined]


async def test_one_stall_is_told_once_and_the_clock_is_the_callers(told: _Told) -> None:
    now = [100.0]
    with lag(), Watchdog(60, clock=lambda: now[0]) as dog:
        dog.look()
        assert not told.records
        now[0] += 119
        dog.look()
        assert not told.records  # 59 s late
        now[0] += 2
        dog.look()
        dog.look()
        assert [record.late for record in told.records] == [61]  # type: ignore[attr-defined]


async def test_two_watch_two_loops_with_one_thread() -> None:
    def program() -> None:
        async def main() -> None:
            with lag(), Watchdog():
                both.wait(PATIENCE)
                names.append([thread.name for thread in threading.enumerate()].count("ropewalk watchdog"))
                both.wait(PATIENCE)

        run(main())

    both = threading.Barrier(2)
    names: list[int] = []
    threads = [threading.Thread(target=program) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert names == [1, 1]
    await until(lambda: "ropewalk watchdog" not in [thread.name for thread in threading.enumerate()])


def test_a_simulated_loop_has_no_lag() -> None:
    async def main() -> float:
        with Watchdog() as dog:
            await asyncio.sleep(1e6)
            return dog.stalls

    assert run(main(), loop=Simulated()) == 0


async def test_wrong_use_is_told() -> None:
    with pytest.raises(Misuse, match="expected more than 0"):
        Watchdog(0)
    with lag(), Watchdog() as dog, pytest.raises(Misuse, match="watches already"):
        dog.__enter__()
