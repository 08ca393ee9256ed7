"""What a process and its loop tell of themselves."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
import time
from pathlib import Path

import pytest

from ropewalk import loops
from ropewalk.metrics import HistogramReading, Registry
from ropewalk.metrics.process import measure_loop, measure_process


def numbers(registry: Registry) -> dict[str, dict[tuple[str, ...], float | HistogramReading]]:
    return {reading.name: reading.series for reading in registry.read()}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_process_tells_what_the_kernel_knows() -> None:
    registry = Registry()
    stop = measure_process(registry)
    before = numbers(registry)
    assert before["process_resident_memory_bytes"][()] > 1 << 20  # type: ignore[operator]
    assert before["process_virtual_memory_bytes"][()] > before["process_resident_memory_bytes"][()]  # type: ignore[operator]
    assert before["process_max_fds"][()] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 0 < time.time() - float(before["process_start_time_seconds"][()]) < 24 * 3600  # type: ignore[arg-type]
    reader, writer = os.pipe()
    wake = threading.Event()
    thread = threading.Thread(target=wake.wait, args=(30,))
    thread.start()
    try:
        after = numbers(registry)
    finally:
        wake.set()
        thread.join(30)
        os.close(reader)
        os.close(writer)
    assert after["process_open_fds"][()] == before["process_open_fds"][()] + 2  # type: ignore[operator]
    assert after["process_threads"][()] >= 2  # type: ignore[operator]  # those of earlier tests may be ending
    assert after["process_cpu_seconds_total"][()] > before["process_cpu_seconds_total"][()] > 0  # type: ignore[operator]
    assert set(after["python_gc_collections_total"]) == {("0",), ("1",), ("2",)}
    assert list(after["python_info"].values()) == [1]
    stop()


def test_without_proc_the_rest_is_told(tmp_path: Path) -> None:
    registry = Registry()
    measure_process(registry, proc=tmp_path / "no")
    told = numbers(registry)
    assert "process_resident_memory_bytes" not in told
    assert told["process_cpu_seconds_total"][()] > 0  # type: ignore[operator]
    assert told["ropewalk_metrics_callback_failures_total"][()] == 0


def test_a_name_with_brackets_does_not_shift_the_fields(tmp_path: Path) -> None:
    proc = tmp_path / "self"
    (proc / "fd").mkdir(parents=True)
    fields = ["S", *["0"] * 16, "7", "0", "100", "9000", "3", *["0"] * 20]
    (proc / "stat").write_text(f"1 (a) S 1 (b) {' '.join(fields)}\n")
    registry = Registry()
    measure_process(registry, proc=proc)
    told = numbers(registry)
    assert told["process_threads"][()] == 7
    assert told["process_resident_memory_bytes"][()] == 3 * os.sysconf("SC_PAGE_SIZE")
    assert told["process_start_time_seconds"][()] == 0  # the file with the time of boot is hidden


def test_nothing_is_asked_before_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def read_bytes(path: Path) -> bytes:
        read.append(path)
        return b""

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "stat").touch()
    registry = Registry()
    measure_process(registry, proc=tmp_path / "self")
    assert read == []
    registry.read()
    assert read


async def test_a_loop_tells_its_tasks() -> None:
    registry = Registry()
    stop = measure_loop("main", registry)
    wake = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        before = numbers(registry)["ropewalk_loop_tasks"][("main",)]
        tasks.create_task(wake.wait())
        assert numbers(registry)["ropewalk_loop_tasks"] == {("main",): before + 1}  # type: ignore[operator]
        wake.set()
    stop()
    assert numbers(registry)["ropewalk_loop_tasks"] == {}


def test_a_loop_tells_how_late_it_was_at_each_reading() -> None:
    def observed(registry: Registry) -> int:
        lag = numbers(registry)["ropewalk_loop_lag_seconds"][()]
        assert isinstance(lag, HistogramReading)
        assert lag.sum == 0  # a simulated loop is never late
        return sum(lag.counts)

    async def main() -> None:
        registry = Registry()
        stop = measure_loop("main", registry)
        for number in range(3):
            assert observed(registry) == number
            await asyncio.sleep(0)
        stop()
        assert [observed(registry), observed(registry)] == [3, 3]

    loops.run(main(), loop=loops.Simulated(seed=0))
