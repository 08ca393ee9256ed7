"""Process: what the system and the interpreter know of this process, under Prometheus' standard names, and of its loop.

Flow: an application begins -> measure_process(), measure_loop() -> Registry.read calls back -> values are set
Never: asks anything before somebody reads, keeps a timer, waits, or fails where a system does not tell.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ropewalk.metrics.registry import Registry, current_registry

__all__ = ["measure_loop", "measure_process"]

_PROC = Path("/proc/self")
_THREADS, _STARTED, _SIZE, _RESIDENT = 17, 19, 20, 21  # fields of /proc/self/stat after the name, from 0


def measure_process(registry: Registry | None = None, *, proc: Path = _PROC) -> Callable[[], None]:
    """Let a registry tell of this process: processor time, memory, files, threads, garbage collection.

    Where the system has no /proc, what `resource` and `time` know is told and the rest is left out.

    Args:
        registry: This context's own by default.
        proc: Where the kernel tells of this process.

    Returns:
        What stops it.
    """
    registry = registry or current_registry()
    tell = [_processor_time(registry), _garbage(registry)]
    if (proc / "stat").exists():
        tell.append(_kernel(registry, proc))
    if files := _files(registry, proc):
        tell.append(files)
    _python(registry)

    def update() -> None:
        for each in tell:
            each()

    return registry.before_collect(update)


def _processor_time(registry: Registry) -> Callable[[], None]:
    seconds = registry.counter("process_cpu_seconds_total", "processor time in user and system mode").of()

    def update() -> None:
        seconds.value = time.process_time()

    return update


def _kernel(registry: Registry, proc: Path) -> Callable[[], None]:
    """What Linux says in /proc/self/stat."""
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    virtual = registry.gauge("process_virtual_memory_bytes", "address space").of()
    resident = registry.gauge("process_resident_memory_bytes", "memory that is in RAM").of()
    threads = registry.gauge("process_threads", "threads, those of libraries among them").of()
    started = registry.gauge("process_start_time_seconds", "when the process began, since 1970").of()
    boot = functools.cache(_boot_time)

    def update() -> None:
        # The name in brackets may itself hold blanks and brackets.
        fields = (proc / "stat").read_bytes().rpartition(b")")[2].split()
        virtual.set(int(fields[_SIZE]))
        resident.set(int(fields[_RESIDENT]) * page)
        threads.set(int(fields[_THREADS]))
        if booted := boot(proc):
            started.set(booted + int(fields[_STARTED]) / tick)

    return update


def _boot_time(proc: Path) -> float:
    try:
        lines = (proc.parent / "stat").read_bytes().splitlines()
    except OSError:  # a container may hide it
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), 0.0)


def _files(registry: Registry, proc: Path) -> Callable[[], None] | None:
    """Open files and how many there may be."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    folder = next((path for path in (proc / "fd", Path("/dev/fd")) if path.is_dir()), None)
    most = registry.gauge("process_max_fds", "files that may be open at once").of()
    count = registry.gauge("process_open_fds", "files that are open").of() if folder else None

    def update() -> None:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most.set(float("inf") if soft == resource.RLIM_INFINITY else soft)
        if folder and count:
            count.set(len(os.listdir(folder)) - 1)  # but for the folder itself

    return update


def _garbage(registry: Registry) -> Callable[[], None]:
    labels = ("generation",)
    runs = registry.counter("python_gc_collections_total", "runs of the garbage collector", labels)
    found = registry.counter("python_gc_objects_collected_total", "objects freed by the garbage collector", labels)
    stuck = registry.counter("python_gc_objects_uncollectable_total", "objects it found and could not free", labels)

    def update() -> None:
        for generation, row in enumerate(gc.get_stats()):
            name = str(generation)
            runs.of(name).value = row["collections"]
            found.of(name).value = row["collected"]
            stuck.of(name).value = row["uncollectable"]

    return update


def _python(registry: Registry) -> None:
    version = sys.version_info
    labels = {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "major": str(version.major),
        "minor": str(version.minor),
        "patchlevel": str(version.micro),
    }
    registry.gauge("python_info", "the interpreter", tuple(labels)).of(*labels.values()).set(1)


def measure_loop(name: str, registry: Registry | None = None) -> Callable[[], None]:
    """Let a registry tell of the event loop that runs here: how many tasks it has, and how late it is just then.

    Args:
        name: The loop's label.
        registry: This context's own by default.

    Returns:
        What stops it, before the loop ends.
    """
    loop = asyncio.get_running_loop()
    registry = registry or current_registry()
    tasks = registry.gauge("ropewalk_loop_tasks", "tasks that are not done", ("loop",))
    lag = registry.histogram("ropewalk_loop_lag_seconds", "how late the loop calls what is due").of()

    def called(due: float) -> None:
        lag.observe(max(0.0, loop.time() - due))

    def update() -> None:
        tasks.of(name).set(len(asyncio.all_tasks(loop)))
        # The next reading tells of it.  By the loop's own clock, so that a simulated one tells the same each time.
        loop.call_soon_threadsafe(called, loop.time())

    take_back = registry.before_collect(update)

    def stop() -> None:
        take_back()
        tasks.drop(name)

    return stop
