"""Counts: what metrics say of sessions is what happened, and they keep nothing alive."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker import answering
from ropewalk.broker import broker as engine
from ropewalk.broker.counts import Counts
from ropewalk.metrics import HistogramReading, Registry, using
from tests.broker.hosts import Desk, House, Me, Raw, served, simulated, until
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


class Busy(Me):
    """Is asked for much, gives much, and takes its time, by a clock of its own."""

    clock = 0.0

    @broker.remote
    async def hold(self, value: Any) -> None:
        await self.gate.wait()

    @broker.remote
    async def blocks(self, count: int, size: int) -> AsyncIterator[bytes]:
        for _ in range(count):
            yield bytes(size)
        await self.gate.wait()

    @broker.remote
    def quick(self, seconds: float) -> None:
        Busy.clock += seconds

    @broker.remote
    def swift(self, seconds: float) -> None:
        Busy.clock += seconds

    @broker.remote
    def breaks(self, seconds: float) -> None:
        Busy.clock += seconds
        raise broker.Busy("not now")

    @broker.remote
    async def later(self, seconds: float) -> None:
        await asyncio.sleep(1)
        Busy.clock += seconds

    @broker.remote
    def promises(self, seconds: float) -> Any:
        return self.later(seconds)


class Ends:
    """Two ends of one session, each with metrics of its own."""

    def __init__(self) -> None:
        self.registries = {"client": Registry(), "server": Registry()}
        with using(self.registries["server"]):
            self.house = House(make=Busy)

    async def entered(self) -> tuple[broker.Session, Any]:
        """The client's session, and its perspective."""
        with using(self.registries["client"]):
            session = await broker.opened("memory://house", limits=broker.Limits(stream_window=100_000))
        return session, await broker.login(session)

    def values(self, name: str) -> tuple[float, float]:
        """A gauge at the client, and at the server."""
        both = [counted(self.registries[end], f"ropewalk_broker_{name}") for end in ("client", "server")]
        return both[0], both[1]

    def seconds(self) -> dict[str, tuple[int, float]]:
        """How often each method was called, and how long that took together."""
        return {
            labels[0].removeprefix("Busy."): (sum(series.counts), series.sum)
            for reading in self.registries["server"].read()
            if reading.name == "ropewalk_broker_method_seconds"
            for labels, series in reading.series.items()
            if isinstance(series, HistogramReading)
        }


def test_what_is_held_and_what_takes_room_is_told_by_the_end_where_it_does() -> None:
    async def main() -> None:
        ends = Ends()
        async with served(ends.house):
            session, me = await ends.entered()
            assert ends.values("held") == (1, 0)
            desks = [await me.desk("a"), await me.desk("b")]
            await me.say([Desk("c")])
            assert ends.values("held") == (3, 1)
            desks.clear()
            await asyncio.sleep(1)
            assert ends.values("held") == (1, 1)

            assert ends.values("window_bytes") == (0, 0)
            held = me.hold("x" * 5_000)
            await me.echo("small")
            client, server = ends.values("window_bytes")
            assert 5_000 < client < 5_050
            assert server == 0
            ends.house.given[0].gate.set()
            await held
            assert ends.values("window_bytes") == (0, 0)

            kept = [me.echo("y" * 2_000) for _ in range(3)]
            await broker.gather(*kept)
            client, server = ends.values("kept_bytes")
            assert client == 0
            assert 6_000 < server < 6_060
            await asyncio.sleep(1)
            assert ends.values("kept_bytes") == (0, 0)
            session.close()
            await session.ended(1)

    simulated(main)


def test_credit_is_told_while_it_is_in_use_and_no_longer() -> None:
    async def main() -> None:
        ends = Ends()
        async with served(ends.house):
            session, me = await ends.entered()
            stream = await me.blocks(20, 936)
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == (20_000, 0)
            assert ends.values("stream_out_bytes") == (0, 20_000)
            for _ in range(20):
                await anext(stream)
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == (
                20_000,
                0,
            )  # half of the window or more is granted at once
            more = asyncio.ensure_future(anext(stream))  # unless who reads it waits
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == ends.values("stream_out_bytes") == (0, 0)
            ends.house.given[0].gate.set()
            assert (await asyncio.gather(more, return_exceptions=True))[0].__class__ is StopAsyncIteration

            unread = await me.blocks(500, 936)
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == (100_000, 0)
            assert ends.values("stream_out_bytes") == (0, 100_000)
            await unread.aclose()
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == ends.values("stream_out_bytes") == (0, 0)

            await me.say(_three())
            await asyncio.sleep(1)
            assert ends.values("stream_in_bytes") == (0, 3_000)
            assert ends.values("stream_out_bytes") == (3_000, 0)
            session.close()
            await session.ended(1)
        assert ends.values("stream_in_bytes") == ends.values("stream_out_bytes") == (0, 0)

    simulated(main)


async def _three() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield bytes(936)


def test_how_long_methods_took_is_their_own_time_by_whatever_way_they_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Busy, "clock", 1_000.0)
    for part in (engine, answering):
        monkeypatch.setattr(part, "perf_counter", lambda: Busy.clock)

    async def main() -> None:
        ends = Ends()
        async with served(ends.house):
            session, me = await ends.entered()
            calls = [me.quick(0.25), me.swift(seconds=4), me.quick(0.5), me.swift(seconds=8), me.quick(1)]
            await broker.gather(*calls)
            Busy.clock += 100
            await me.quick(2)
            told = ends.seconds()
            assert (told["quick"], told["swift"]) == ((4, 3.75), (2, 12))
            Busy.clock += 100
            for call in (me.breaks(16), me.breaks(seconds=32)):
                with pytest.raises(broker.Busy):
                    await call
            Busy.clock += 100
            await me.later(64)
            told = ends.seconds()
            assert (told["breaks"], told["later"]) == ((2, 48), (1, 64))
            await broker.gather(me.promises(128), me.quick(0))
            await me.promises(seconds=256)
            told = ends.seconds()
            assert (told["promises"], told["quick"]) == ((2, 384), (5, 3.75))
            session.close()
            await session.ended(1)

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
