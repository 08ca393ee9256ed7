"""What OpenTelemetry's exporter sends is what was counted."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from ropewalk.metrics import Registry
from ropewalk.metrics.otlp import NoOtel, Pusher


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.hold: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/metrics"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.hold:
            self.server.hold.wait(20)
        if self.server.status == 200:
            self.server.taken.append(ExportMetricsServiceRequest.FromString(body))
            self.server.headers.append(dict(self.headers))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - the base's name


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        if made.hold:
            made.hold.set()
        made.shutdown()
        thread.join(10)


async def test_numbers_arrive(server: Server) -> None:
    registry = Registry()
    registry.counter("a_bytes_total", "bytes", ("b",)).of("c").inc(3)
    registry.gauge("level", "x").of().set(-1.5)
    registry.histogram("h_seconds", "x", buckets=(1, 2)).of().observe(1.5)
    async with asyncio.timeout(20), Pusher(server.url, registry, resource={"service.name": "test"}) as pusher:
        assert await pusher.push()
        assert await pusher.push()
    (resource,) = server.taken[0].resource_metrics
    assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [("service.name", "test")]
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    total = metrics["a_bytes_total"]
    (point,) = total.sum.data_points
    assert (total.unit, total.description, total.sum.is_monotonic, point.as_int) == ("By", "bytes", True, 3)
    assert [(each.key, each.value.string_value) for each in point.attributes] == [("b", "c")]
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
    assert metrics["level"].gauge.data_points[0].as_double == -1.5
    (spread,) = metrics["h_seconds"].histogram.data_points
    assert (list(spread.explicit_bounds), list(spread.bucket_counts), spread.count, spread.sum) == (
        [1, 2],
        [0, 1, 0],
        1,
        1.5,
    )
    assert not spread.HasField("min")
    second = {metric.name: metric for metric in server.taken[1].resource_metrics[0].scope_metrics[0].metrics}
    pushes = second["ropewalk_metrics_otlp_pushes_total"].sum.data_points
    assert {each.attributes[0].value.string_value: each.as_int for each in pushes} == {"ok": 1, "failed": 0}


async def test_failures_make_it_wait_longer_and_are_made_up_for(server: Server) -> None:
    registry, waits = Registry(), []
    counter = registry.counter("a_total", "x").of()
    server.status = 400  # which is not tried again within the same push

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        counter.inc()
        if len(waits) == 8:
            server.status = 200
        if len(waits) == 10:
            raise asyncio.CancelledError

    async with asyncio.timeout(30), Pusher(server.url, registry, every=5, sleep=sleep) as pusher:
        with pytest.raises(asyncio.CancelledError):
            await pusher.run()
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300, 5, 5]
    metrics = {metric.name: metric for metric in server.taken[0].resource_metrics[0].scope_metrics[0].metrics}
    assert metrics["a_total"].sum.data_points[0].as_int == 8


async def test_a_collector_that_does_not_answer_holds_nobody_for_long(server: Server) -> None:
    server.hold = threading.Event()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async with asyncio.timeout(20), Pusher(server.url, Registry(), deadline=0.3) as pusher:
        ticker = asyncio.create_task(tick())
        assert not await pusher.push()
        ticker.cancel()
    assert ticks > 10  # the loop went on meanwhile


async def test_nobody_there_is_a_failed_push(server: Server) -> None:
    async with asyncio.timeout(20), Pusher("http://127.0.0.1:1/v1/metrics", Registry(), deadline=0.2) as pusher:
        assert not await pusher.push()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with pytest.raises(NoOtel) as caught:
        Pusher("http://127.0.0.1:1/", Registry())
    assert "ropewalk[otel]" in caught.value.hint
