"""Counts: what metrics say of sessions is what happened, and they keep nothing alive."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.counts import Counts
from ropewalk.metrics import HistogramReading, Registry, using
from tests.broker.hosts import Desk, House, Raw, served, simulated, until
from tests.net.peers import counted


def test_a_registry_is_not_kept_alive() -> None:
    registry = Registry()
    with using(registry):
        counts = Counts.current()
        assert Counts.current() is counts
    gone = weakref.ref(registry)
    del registry, counts
    gc.collect()
    assert gone() is None


def test_what_is_counted() -> None:
    async def main() -> None:
        registry = Registry()

        def value(name: str, **labels: str) -> float:
            return counted(registry, f"ropewalk_broker_{name}", **labels)

        with using(registry):
            house = House()
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            for _ in range(10):
                await me.echo(1)
            assert await me.slow(2) == 2
            with pytest.raises(broker.Failed):
                await me.fail()
            desks = [await me.desk("a"), await me.desk("b")]
            assert await me.ask(Desk("c")) == "c: you"
            view = await me.state()
            stream = await me.count(5)
            waits = me.wait()
            await me.echo("x" * 5000)

            assert value("open_sessions") == value("sessions_total") == 1
            assert value("answers") >= 1
            assert value("shown") == 4  # perspective, two desks, the shared object
            assert value("watched") == 1
            assert value("streams") == 1
            assert value("asked_total") == 1  # of the client's desk
            assert value("failed_total") == 1
            assert value("served_total") >= 18
            assert 5000 < value("received_bytes_total") < 20_000
            assert 5000 < value("sent_bytes_total") < 20_000

            seconds = {
                labels[0]: series
                for reading in registry.read()
                if reading.name == "ropewalk_broker_method_seconds"
                for labels, series in reading.series.items()
            }
            echo, slow = seconds["Me.echo"], seconds["Me.slow"]
            assert isinstance(echo, HistogramReading)
            assert isinstance(slow, HistogramReading)
            assert sum(echo.counts) == 11
            assert sum(slow.counts) == 1

            del desks, view, stream
            waits.future().cancel()
            session.close()
            await session.ended(1)
            await until(lambda: not house.sessions)
        assert value("open_sessions") == value("answers") == value("shown") == value("watched") == value("streams") == 0
        assert value("asked_total") == 1
        assert value("sessions_total") == 1

    simulated(main)


def test_calls_of_the_short_way_are_counted_too() -> None:
    async def main() -> None:
        registry = Registry()
        house = House()
        async with served(house):
            with using(registry):
                session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            before = counted(registry, "ropewalk_broker_asked_total")
            seen = before
            for number in range(100):
                await me.echo(number)
                now = counted(registry, "ropewalk_broker_asked_total")
                assert now == seen + 1
                seen = now
            waits = me.wait()
            assert counted(registry, "ropewalk_broker_questions") == 1
            del waits
            session.close()
            await session.ended(1)
            assert counted(registry, "ropewalk_broker_questions") == 0

    simulated(main)


def test_faults_are_counted_by_their_code() -> None:
    async def main() -> None:
        registry = Registry()
        with using(registry):
            house = House(limits=broker.Limits(hello=1))
        async with served(house):
            for said in (b"\0" * 20, b"\xff" * 20, b""):
                _, raw = await net.connect("memory://house", Raw)
                raw.transport.write(said)
                await raw.until(lambda raw=raw: raw.lost)  # type: ignore[misc]
        for code in ("broker.frame", "broker.late"):
            assert counted(registry, "ropewalk_broker_faults_total", code=code) >= 1
        assert counted(registry, "ropewalk_broker_sessions_total") == 3

    simulated(main)


def test_metrics_are_read_in_another_thread_while_sessions_come_and_go() -> None:
    async def main() -> None:
        registry = Registry()
        with using(registry):
            house = House()
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                registry.read()

        thread = threading.Thread(target=read)
        thread.start()
        try:
            async with served(house):
                for _ in range(50):
                    async with broker.connect("memory://house") as me:
                        await me.echo(1)
        finally:
            over.set()
            thread.join()
        await until(lambda: not house.sessions)
        assert counted(registry, "ropewalk_metrics_callback_failures_total") == 0
        assert counted(registry, "ropewalk_broker_sessions_total") == 50
        assert counted(registry, "ropewalk_broker_open_sessions") == 0

    simulated(main)
