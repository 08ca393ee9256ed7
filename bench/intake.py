"""Intake: how many values a second a collector takes and has on its disk, beside SQLite alone.

Flow: pushes made before -> a collector's process, over TCP -> until the last is acknowledged -> values a second
Never: counts a value before its acknowledgement, which comes once it is synced.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from pathlib import Path

from figures import Load, in_turns
from measure import Failed
from network import PATIENCE, serving
from report import Report

from ropewalk.collector.wire import (
    VERSION,
    Ack,
    Define,
    Definition,
    FromCollector,
    Hello,
    Push,
    Reader,
    Refusal,
    encode,
)

__all__ = ["measure"]

SERIES = 500  # values in a push: what a process with a dozen services has
MANY = 20  # sources at the same time
PACE = 10  # seconds between pushes, as their times say


def measure(report: Report, load: Load, folder: Path) -> None:
    """One source, many sources, and the floor."""
    with serving("collector", folder) as server:
        port = int(server.addresses["collector"])
        sides = {
            "SQLite alone": lambda: _alone(folder / "alone", load.pushes),
            "collector, one source": lambda: _pushed(port, 1, load.pushes),
            f"collector, {MANY} sources": lambda: _pushed(port, MANY, load.pushes),
        }
        found = in_turns("values taken and synced", "/s", sides, load.rounds)
    report.figures += found.values()


def _pushed(port: int, sources: int, count: int) -> float:
    """Values a second; each source sends all that it has and then waits."""
    now = time.time_ns() // 1_000_000
    frames = b"".join(
        encode(Push(number + 1, now - (count - number) * PACE * 1000, [(at, at * 0.5) for at in range(SERIES)]))
        for number in range(count)
    )
    agents = [_Agent(port, f"source-{number}") for number in range(sources)]
    try:
        started = time.perf_counter()
        for agent in agents:
            agent.socket.sendall(frames)
        for agent in agents:
            agent.wait_for(count)
        return sources * count * SERIES / (time.perf_counter() - started)
    finally:
        for agent in agents:
            agent.socket.close()


class _Agent:
    """The other side of a collector, as simple as can be; it is a source that begins anew."""

    def __init__(self, port: int, source: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._reader: Reader[FromCollector] = Reader(FromCollector)  # type: ignore[arg-type]
        self.socket.sendall(encode(Hello(VERSION, source, "", os.urandom(16), float(PACE))))
        self._next()
        names = [Definition(at, f"bench_{at}", "gauge", {"service": "bench"}) for at in range(SERIES)]
        self.socket.sendall(encode(Define(names)))

    def wait_for(self, sequence: int) -> None:
        """Until it is said to be on the disk."""
        while not (isinstance(message := self._next(), Ack) and message.sequence == sequence):
            pass

    def _next(self) -> FromCollector:
        while (message := self._reader.next()) is None:
            data = self.socket.recv(65536)
            if not data:
                raise Failed("the collector closed the connection")
            self._reader.feed(data)
        if isinstance(message, Refusal):
            raise Failed(f"the collector refused: {message.message}")
        return message


def _alone(path: Path, count: int) -> float:
    """Values a second: as many rows, synced as often, with no more than one table."""
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(
            "CREATE TABLE fresh (time INTEGER, series INTEGER, value REAL, PRIMARY KEY (time, series)) WITHOUT ROWID"
        )
        started = time.perf_counter()
        for number in range(count):
            db.execute("BEGIN")
            db.executemany("INSERT INTO fresh VALUES (?, ?, ?)", [(number, at, at * 0.5) for at in range(SERIES)])
            db.execute("COMMIT")
        return count * SERIES / (time.perf_counter() - started)
    finally:
        db.close()
