"""Counts of a pool: who runs, who waits, for how long.

Flow: pools and queues -> PoolCounts -> the current registry
Never: counts anywhere but in the loop's thread.
"""

from __future__ import annotations

from typing import Any

from ropewalk.metrics import current_registry
from ropewalk.threads.jobs import Job

__all__ = ["PoolCounts"]


class PoolCounts:
    """The values of one pool on one loop; pools of one name on other loops add to the same."""

    def __init__(self, pool: str) -> None:
        registry, label = current_registry(), ("pool",)
        self._running = registry.gauge("ropewalk_threads_running", "jobs in worker threads", label).of(pool)
        self._waiting = registry.gauge("ropewalk_threads_waiting", "calls waiting for a worker", label).of(pool)
        self.refused = registry.counter("ropewalk_threads_refused_total", "calls refused: full", label).of(pool)
        self._wait = registry.histogram("ropewalk_threads_wait_seconds", "from call to start of a job", label).of(pool)
        self._busy = registry.histogram("ropewalk_threads_busy_seconds", "from start to end of a job", label).of(pool)
        self._ran = self._waited = 0

    def now(self, running: int, waiting: int) -> None:
        """Say how many run and wait on this loop."""
        self._running.inc(running - self._ran)
        self._waiting.inc(waiting - self._waited)
        self._ran, self._waited = running, waiting

    def ended(self, job: Job[Any], called: float) -> None:
        """Count a job that ended."""
        if job.began is not None and job.ended is not None:
            self._wait.observe(max(0.0, job.began - called))
            self._busy.observe(job.ended - job.began)
