"""Agents and a collector over real connections: nothing is counted twice or lost, whatever breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ropewalk.collector.agent import Agent
from ropewalk.collector.alerts import Event, Rule
from ropewalk.collector.collector import UP, Collector
from ropewalk.collector.queries import Queries
from ropewalk.collector.tables import find, points
from ropewalk.collector.wire import MOST_FRAME, VERSION, Ack, Hello, Push, Refusal, Welcome
from ropewalk.metrics import Registry
from ropewalk.metrics.page import Page, Request
from tests.collector.agents import BEGIN, DEFINE, HELLO, RUN, Clock, Peer, collecting, until

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]


def connecting(port: int) -> Connect:
    async def connect(
        factory: Callable[[], asyncio.Protocol],
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        transport, protocol = await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)
        # As if it were; otherwise no token would be sent.
        transport._extra["ropewalk.private"] = True  # type: ignore[attr-defined]
        return transport, protocol

    return connect


async def total(collector: Collector, name: str) -> float:
    def read(db: Any) -> float:
        return sum(point.sum for series in find(db, name) for point in points(db, series.id, 0, 2**40, "raw"))

    return await collector.history.ask(read)


async def never(seconds: float) -> None:
    await asyncio.get_running_loop().create_future()


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_registry_arrives(tmp_path: Path) -> None:
    clock, registry = Clock(), Registry()
    registry.counter("a_total", "x", ("b",)).of("c").inc(5)
    registry.gauge("level", "x").of().set(-2.5)
    registry.gauge("odd", "x").of().set(float("nan"))
    registry.histogram("h_seconds", "x", buckets=(1, 2)).of().observe(1.5)
    async with collecting(tmp_path, clock) as (collector, port):
        agent = Agent(connecting(port), "web", "secret", registry=registry, clock=clock, sleep=never)
        task = asyncio.create_task(agent.run())
        await until(lambda: agent._acked.value == 1)
        registry.counter("a_total", "x", ("b",)).of("c").inc(2)
        clock.now += 10
        agent.measure()
        await until(lambda: agent._acked.value == 2)
        assert await total(collector, "a_total") == 7
        found = {(series.name, *series.labels.items()): series for series in await collector.history.ask(find)}
        assert found["a_total", ("b", "c")].kind == "counter"
        assert ("h_seconds_bucket", ("le", "2.0")) in found
        assert ("h_seconds_count",) in found
        assert ("odd",) not in found
        assert [(source.name, source.state) for source in collector.sources.all()] == [("web", "alive")]
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("seed", range(4))
async def test_connections_that_break_anywhere_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """A way between them that cuts after so many bytes, in either direction."""
    rng, clock, registry = random.Random(seed), Clock(), Registry()
    counter, cuts = registry.counter("a_total", "x").of(), 0
    async with collecting(tmp_path, clock) as (collector, port):

        async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal cuts
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

            async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, most: int) -> None:
                while most > 0 and (data := await source.read(min(most, 200))):
                    target.write(data)
                    most -= len(data)

            budgets = (rng.randrange(50, 8_000), rng.randrange(5, 120)) if cuts < 40 else (10**9, 10**9)
            tasks = [
                asyncio.create_task(carry(reader, far_writer, budgets[0])),
                asyncio.create_task(carry(far_reader, writer, budgets[1])),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            cuts += 1
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            writer.transport.abort()
            far_writer.transport.abort()

        proxy = await asyncio.start_server(meddle, "127.0.0.1", 0)
        agent = Agent(
            connecting(proxy.sockets[0].getsockname()[1]),
            *("web", "secret"),
            registry=registry,
            clock=clock,
            sleep=at_once,
            buffer=5,
            rng=rng,
        )
        pushing = asyncio.create_task(agent._push())
        for _ in range(60):
            counter.inc(rng.randrange(5))
            clock.now += 10
            before = agent._acked.value, cuts
            agent.measure()
            await until(lambda before=before: (agent._acked.value, cuts) != before)  # type: ignore[misc]
        await until(lambda: len(agent._outbox) == 0)
        assert cuts > 3
        assert await total(collector, "a_total") == counter.value
        proxy.close()
        pushing.cancel()
        await asyncio.wait([pushing])
        await until(lambda: not collector.connections)
        await asyncio.sleep(0.01)


async def test_a_collector_that_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    clock, registry, port = Clock(), Registry(), 0
    counter = registry.counter("a_total", "x").of()

    async def connect(
        factory: Callable[[], asyncio.Protocol],
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        return await connecting(port)(factory)

    agent = Agent(connect, "web", "secret", registry=registry, clock=clock, sleep=at_once)
    async with asyncio.timeout(60):
        pushing = asyncio.create_task(agent._push())
        for _ in range(3):
            counter.inc(3)
            clock.now += 10
            agent.measure()
            async with collecting(tmp_path, clock) as (collector, port):
                await until(lambda: len(agent._outbox) == 0)
                assert await total(collector, "a_total") == counter.value
        pushing.cancel()
        await asyncio.wait([pushing])


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello(VERSION, "web", "wrong", RUN, 10.0), "collector.token"),
        (Hello(99, "web", "secret", RUN, 10.0), "collector.version"),
        (b"GET / HTTP/1.1\r\n\r\n", "collector.limit"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10, "collector.limit"),
        (b"\x00\x00\x00\x01\xff", "collector.frame"),
        (Push(1, 5, []), "collector.frame"),
    ],
)
async def test_who_is_not_welcome_is_told_why(
    tmp_path: Path, hello: Hello | Push | bytes, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry()
    caplog.set_level(logging.WARNING, "ropewalk.collector")
    async with (
        collecting(tmp_path, Clock(), registry=registry) as (_, port),
        Peer.connected(port) as good,
        Peer.connected(port) as bad,
    ):
        good.send(HELLO)
        assert await good.receive() == Welcome(VERSION, 0)
        bad.send(hello)
        answer = await bad.receive()
        assert isinstance(answer, Refusal)
        assert answer.code == code
        assert await bad.receive() is None
        good.send(DEFINE, Push(1, 5, [(0, 1)]))  # and the others go on
        assert await good.receive() == Ack(1)
    assert registry.counter("ropewalk_collector_refusals_total", "", ("reason",)).of(code).value == 1
    assert code in [record.__dict__["code"] for record in caplog.records]


async def test_who_says_nothing_and_who_stops_are_ended(tmp_path: Path) -> None:
    async with collecting(tmp_path, Clock(), hello_within=0.05) as (collector, port):
        async with Peer.connected(port) as silent:
            answer = await silent.receive()
            assert isinstance(answer, Refusal)
            assert answer.code == "collector.silent"
        async with Peer.connected(port) as half:
            half.send(HELLO, b"\x00\x00")
            assert await half.receive() == Welcome(VERSION, 0)
            (connection,) = [each for each in collector.connections if each._intake.hello]
            connection._limit = 0.05
            answer = await half.receive()
            assert isinstance(answer, Refusal)


async def test_a_source_that_connects_anew_takes_the_place_of_its_old_connection(tmp_path: Path) -> None:
    async with (
        collecting(tmp_path, Clock()) as (collector, port),
        Peer.connected(port) as old,
        Peer.connected(port) as new,
    ):
        old.send(HELLO, DEFINE, Push(1, 5, [(0, 1)]))
        assert [await old.receive(), await old.receive()] == [Welcome(VERSION, 0), Ack(1)]
        new.send(HELLO)
        assert await new.receive() == Welcome(VERSION, 1)
        answer = await old.receive()
        assert isinstance(answer, Refusal)
        assert answer.code == "collector.replaced"
        assert len(collector.of_source) == 1


async def test_a_check_that_fails_ends_one_conversation_alone(tmp_path: Path) -> None:
    async with collecting(tmp_path, Clock()) as (collector, port):
        right = collector.check

        async def wrong(source: str, token: str) -> bool:
            raise ZeroDivisionError

        collector.check = wrong
        async with Peer.connected(port) as one:
            one.send(HELLO)
            assert await one.receive() is None
        collector.check = right
        async with Peer.connected(port) as other:
            other.send(HELLO)
            assert await other.receive() == Welcome(VERSION, 0)


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with collecting(tmp_path, Clock(), most_connections=1) as (_, port), Peer.connected(port) as first:
        first.send(HELLO)
        await first.receive()
        async with Peer.connected(port) as second:
            answer = await second.receive()
            assert isinstance(answer, Refusal)
            assert answer.code == "collector.connections"


async def test_a_flood_of_pushes_is_taken_one_by_one(tmp_path: Path) -> None:
    async with collecting(tmp_path, Clock()) as (collector, port), Peer.connected(port) as peer:
        peer.send(HELLO, DEFINE, *(Push(number, 5, [(0, 1)] * 1) for number in range(1, 301)))
        peer.send(Push(301, 5, [(1, float(0))]))
        await until(lambda: collector.connections)
        (connection,) = collector.connections
        got = [await peer.receive() for _ in range(302)]
        assert got[-1] == Ack(301)
        assert connection._intake.waiting <= 4 * MOST_FRAME
        assert await total(collector, "a_total") == 300


async def test_alerts_are_raised_kept_and_cleared(tmp_path: Path) -> None:
    clock, told = Clock(), []

    async def on_event(event: Event) -> None:
        told.append((event.kind, event.key.rule, event.time - BEGIN))
        raise ZeroDivisionError  # which harms nobody

    rules = [
        Rule("busy", "a_total", ">", 1.0, labels={"source": "web-1"}, seconds=20),
        Rule("gone", UP, "<", 1.0),
    ]
    async with collecting(tmp_path, clock, rules=rules, on_event=on_event) as (collector, port):
        async with Peer.connected(port) as peer:
            peer.send(HELLO, DEFINE)
            await peer.receive()
            for sequence, added in enumerate((100, 100, 100, 0, 0, 0), 1):
                clock.now += 10
                values = [(0, float(added))] if added else []  # what did not grow is not sent
                peer.send(Push(sequence, int(clock.now * 1000), values))
                assert await peer.receive() == Ack(sequence)
                await collector.judge()
        clock.now += 200
        await collector.judge()
        assert told == [("raised", "busy", 30), ("cleared", "busy", 60), ("raised", "gone", 260)]
    async with collecting(tmp_path, clock, rules=rules, on_event=on_event) as (collector, port):
        assert [key.rule for key in collector.alerts.standing()] == ["gone"]
        async with Peer.connected(port) as peer:
            peer.send(HELLO)
            await peer.receive()
            clock.now += 1
            await collector.judge()
        assert told[3:] == [("cleared", "gone", 261)]


async def ask(collector: Collector, path: str, **query: str) -> tuple[int, Any]:
    page = await Queries(collector).answer(Request(path, {word.replace("__", "."): query[word] for word in query}))
    assert isinstance(page, Page)
    return page.status, json.loads(page.body)


async def test_queries_tell_what_was_pushed(tmp_path: Path) -> None:
    clock = Clock()
    rules = [Rule("busy", "level", ">", 5.0)]
    async with collecting(tmp_path, clock, rules=rules) as (collector, port):
        async with Peer.connected(port) as peer:
            peer.send(HELLO, DEFINE)
            await peer.receive()
            for sequence in range(1, 13):
                peer.send(Push(sequence, int(clock.now * 1000), [(0, 2), (1, sequence)]))
                await peer.receive()
                clock.now += 10
            await collector.judge()
        assert (await ask(collector, "/sources"))[1]["sources"] == [
            {"name": "web-1", "state": "alive", "since": BEGIN, "first": BEGIN, "seen": BEGIN + 110, "every": 10.0}
        ]
        status, answer = await ask(collector, "/series", name="a_total", label__b="c")
        assert (status, answer["more"]) == (200, False)
        assert answer["series"] == [{"name": "a_total", "source": "web-1", "kind": "counter", "labels": {"b": "c"}}]
        assert (await ask(collector, "/series", label__b="d"))[1]["series"] == []
        at, end = str(int(BEGIN)), str(int(BEGIN) + 120)
        status, answer = await ask(collector, "/query", name="a_total", **{"from": at, "to": end, "step": "60"})
        assert (status, answer["resolution"], answer["step"]) == (200, 60, 60)
        assert answer["series"][0]["points"] == [[BEGIN, 12, 0.2, 2, 2], [BEGIN + 60, 12, 0.2, 2, 2]]
        _, answer = await ask(collector, "/query", name="level", **{"from": at, "to": end, "step": "60"})
        assert answer["series"][0]["points"] == [[BEGIN, 6, 3.5, 1, 6], [BEGIN + 60, 12, 9.5, 7, 12]]
        _, answer = await ask(collector, "/query", name="level", source="web-1")
        assert len(answer["series"][0]["points"]) == 12
        _, answer = await ask(collector, "/query", name="level", **{"from": str(int(BEGIN) - 40 * 86_400)})
        assert answer["resolution"] == 3600
        _, answer = await ask(collector, "/alerts")
        assert [alert["rule"] for alert in answer["standing"]] == ["busy"]
        assert [(event["kind"], event["value"]) for event in answer["events"]] == [("raised", 12)]
        assert await Queries(collector).answer(Request("/other", {})) is None


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/sources", {"a": "b"}),
        ("/query", {}),
        ("/query", {"name": "level", "step": "1"}),
        ("/query", {"name": "level", "step": "nan"}),
        ("/query", {"name": "level", "from": "x"}),
        ("/query", {"name": "level", "from": "-1"}),
        ("/query", {"name": "level", "from": "1e300"}),
        ("/query", {"name": "level", "from": "20", "to": "10"}),
        ("/query", {"name": "level", "from": "0", "to": str(2**39)}),
        ("/query", {"name": "level", "from": "0", "step": "10"}),
        ("/alerts", {"from": "inf"}),
    ],
)
async def test_queries_that_cannot_be_answered_are_refused(tmp_path: Path, path: str, query: dict[str, str]) -> None:
    async with collecting(tmp_path, Clock()) as (collector, _):
        status, answer = await ask(collector, path, **query)
        assert (status, answer["code"]) == (400, "collector.query")


async def test_the_agent_waits_as_it_is_told_and_longer_each_time(tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) > 9:
            raise asyncio.CancelledError

    async def nobody(factory: object) -> Any:
        raise ConnectionRefusedError

    class Most(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    registry = Registry()
    agent = Agent(nobody, "web", "secret", registry=registry, sleep=sleep, rng=Most())
    with pytest.raises(asyncio.CancelledError):
        await agent._push()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert registry.counter("ropewalk_collector_agent_failures_total", "", ("reason",)).of("collector.lost").value == 10
    waits.clear()
    async with collecting(tmp_path, Clock()) as (_, port):
        agent = Agent(connecting(port), "web", "wrong", registry=registry, sleep=sleep, rng=Most())
        with pytest.raises(asyncio.CancelledError):
            await agent._push()
    assert set(waits) == {300.0}


async def test_an_agent_leaves_a_collector_that_does_not_answer_or_lies(tmp_path: Path) -> None:
    registry, done = Registry(), asyncio.Event()
    answers = [b"", b"junk that is no frame", b"\x00\x00\x00\x04\x93\x04\x01\x63"]  # the last: a push never made

    class Liar(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(answers.pop(0))

    async def sleep(seconds: float) -> None:
        if not answers:
            done.set()
            await asyncio.get_running_loop().create_future()

    async with asyncio.timeout(20):
        server = await asyncio.get_running_loop().create_server(Liar, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        agent = Agent(connecting(port), "web", "secret", registry=registry, deadline=0.05, sleep=sleep)
        task = asyncio.create_task(agent._push())
        await done.wait()
        task.cancel()
        await asyncio.wait([task])
        server.close()
        await asyncio.sleep(0.01)
    reasons = registry.counter("ropewalk_collector_agent_failures_total", "", ("reason",)).read().series
    assert reasons == {("collector.lost",): 1, ("collector.limit",): 1, ("collector.frame",): 1}
