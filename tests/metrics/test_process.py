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


async def test_a_loop_tells_its_tasks_and_takes_its_lag() -> None:
    registry = Registry()
    lag, stop = measure_loop("main", registry)
    lag.observe(0.2)
    wake = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        before = numbers(registry)["ropewalk_loop_tasks"][("main",)]
        tasks.create_task(wake.wait())
        assert numbers(registry)["ropewalk_loop_tasks"] == {("main",): before + 1}  # type: ignore[operator]
        wake.set()
    assert sum(numbers(registry)["ropewalk_loop_lag_seconds"][()].counts) == 1  # type: ignore[union-attr]
    stop()
    assert numbers(registry)["ropewalk_loop_tasks"] == {}
