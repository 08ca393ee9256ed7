"""The panel shows what a collector knows of other processes, and a collector that is away or lies harms nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import net
from ropewalk.collector.asking import ask_page
from ropewalk.errors import RopewalkError
from ropewalk.net import Endpoint
from ropewalk.net.errors import BadEndpoint
from ropewalk.pages.panel import Collected, Past
from ropewalk.pages.panel.charts import MOST
from ropewalk.pages.panel.collected import CollectorAway
from ropewalk.pages.panel.counted import (
    Alerts,
    BadAnswer,
    Counted,
    Listed,
    NoAnswer,
    Numbers,
    Sources,
    Stands,
    T,
    Told,
    WrongQuestion,
    read,
)
from ropewalk.pages.panel.figures import Figure, Whose, charts_of
from ropewalk.service import Application, Context, NoConfig, Plan
from tests.pages.collecting import (
    WITHIN,
    browser,
    collected,
    collector,
    liar,
    page,
    page_of,
    pushing,
    running,
    texts,
)

UP = "ropewalk_service_up"


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[Collected]:
    """web-1 and web-2 push to a collector, which has numbers of both."""
    async with (
        running(collector(folder, "web-1", "web-2")),
        running(pushing(folder, "web-1")),
        running(pushing(folder, "web-2")),
    ):
        others = collected(page_of(folder))
        await others.look()
        while {one.source for one in (await others.ask(Listed, {"name": UP})).series} < {"web-1", "web-2"}:
            pass
        await others.look()
        yield others


@asynccontextmanager
async def own_past(folder: Path) -> AsyncIterator[Past]:
    def make(_: NoConfig, context: Context) -> Past:
        return Past(folder / "past.db", context, every=0.05)

    async with running(Application("one", [Plan("past", make, NoConfig())])) as application:
        past = application.service("past")
        assert isinstance(past, Past)
        while not (await past.ask(Listed, {"name": UP})).series:
            pass
        yield past


async def check_counted(counted: Counted, sources: set[str]) -> None:
    """What every `Counted` does."""
    listed = await counted.ask(Listed, {"name": UP})
    assert {one.source for one in listed.series} == sources
    end = int(counted.now())
    query = {"name": UP, "from": str(end - 3600), "to": str(end + 10), "step": "20"}
    numbers = await counted.ask(Numbers, query)
    assert numbers.step >= 20
    assert {one.source for one in numbers.series} == sources
    for one in numbers.series:
        times = [point[0] for point in one.points]
        assert times == sorted(times)
        assert all(end - 3700 <= time <= end + 60 for time in times)
        assert [one.points[-1][value] for value in (1, 3, 4)] == [1.0, 1.0, 1.0]
    some = next(iter(sources))
    assert {one.source for one in (await counted.ask(Numbers, {**query, "source": some})).series} == {some}
    assert (await counted.ask(Numbers, {**query, "source": "nobody"})).series == ()
    assert [one.source in sources for one in (await counted.ask(Alerts, {})).standing] == [
        True for _ in counted.standing
    ]
    with pytest.raises(WrongQuestion, match="expected a number of seconds"):
        await counted.ask(Numbers, {"name": UP, "from": "y"})


async def test_what_a_process_keeps_of_itself_is_counted(tmp_path: Path) -> None:
    async with own_past(tmp_path) as past:
        await check_counted(past, {"process"})


async def test_what_a_collector_keeps_is_counted(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as others:
        await check_counted(others, {"web-1", "web-2"})


async def test_figures_compare_processes_or_show_one(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as others, browser(tmp_path, others) as client:
        compared = (await client.get("/process/figures?process=*")).text
        assert "all processes, compared</option>" in compared
        assert '<option value="web-1">web-1</option>' in compared
        assert "<bdi>web-1</bdi>" in compared
        assert "<bdi>web-2</bdi>" in compared
        assert 'aria-label="Processor: ' in compared
        assert "span=day&amp;process=%2A" in compared
        assert (await client.get("/process/figures")).text.count('<option value="*" selected>') == 1
        one = (await client.get(f"/process/figures/{UP}?process=web-2&span=day")).text
        assert '<option value="web-2" selected>' in one
        assert "<bdi>service push</bdi>" in one
        assert "web-1</bdi>" not in one


async def test_alerts_say_which_process_they_concern(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as others, browser(tmp_path, others) as client:
        while len(others.standing) < 2:  # the collector judges every 5 seconds
            await others.look()
        answer = (await client.get("/process/alerts")).text
        assert "web-1 : <b>pushing</b>".replace("<", "&lt;").replace(">", "&gt;") in texts(answer)
        assert "/process/figures?process=web-2" in answer
        assert "<b>pushing" not in answer
        assert "2 to look at" in texts((await client.get("/process")).text)


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [("<img>", 400, "pages.bad-process"), ("nobody", 404, "pages.no-such-process"), ("a" * 500, 400, "")],
)
async def test_a_process_that_is_none_is_told_so(tmp_path: Path, asked: str, status: int, code: str) -> None:
    async with running(collector(tmp_path)), browser(tmp_path, others := collected(page_of(tmp_path))) as client:
        await others.look()
        answer = await client.get(f"/process/figures?process={asked}", accept="application/json")
        assert (answer.status, answer.code) == (status, code or answer.code)


async def test_without_a_collector_other_processes_are_not_known(tmp_path: Path) -> None:
    async with browser(tmp_path, None) as client:
        answer = await client.get("/process/figures?process=web-1", accept="application/json")
        assert (answer.status, answer.code) == (404, "pages.no-such-process")
        assert "<select" not in (await client.get("/process/figures")).text


def is_away(others: Collected) -> bool:
    return others.away is not None


async def test_a_collector_that_is_away_is_told_with_since_when_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ropewalk.pages")
    now = 1_700_000_000.0
    others = collected(page_of(tmp_path), clock=lambda: now)
    async with browser(tmp_path, others) as client:
        async with running(collector(tmp_path)):
            await others.look()
            assert not is_away(others)
            assert "All is well: no alert stands at the collector" in (await client.get("/process/alerts")).text
        now += 60
        await others.look()
        assert others.away is not None
        since = others.away.since
        now += 60
        await others.look()
        assert (others.away.since, since) == (1_700_000_060.0,) * 2, "it is away since it was first found so"
        for view in ("figures?process=*", "figures?process=web-1", "alerts"):
            answer = texts((await client.get(f"/process/{view}")).text)
            assert f"The collector at {page_of(tmp_path)} has not answered since 2023-11-1" in answer
            assert "What to do: " in answer
        assert "Nobody keeps the numbers of this process" in (await client.get("/process/figures?process=")).text
        assert (await client.get("/process")).status == 200
        with pytest.raises(CollectorAway):
            await others.ask(Listed, {})
        async with running(collector(tmp_path)):
            await others.look()
            assert not is_away(others)
    said = [record.getMessage() for record in caplog.records if "collector at" in record.getMessage()]
    assert [line.partition(f"{page_of(tmp_path)} ")[2].partition(":")[0] for line in said] == [
        "answers", "is away", "answers",
    ], "each change is a line, and nothing else"  # fmt: skip


async def test_it_looks_by_itself_for_as_long_as_it_is_up(tmp_path: Path) -> None:
    looks = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 10.0
        looks.set()
        await asyncio.get_running_loop().create_future()

    def make(_: NoConfig, context: Context) -> Collected:
        return Collected(page_of(tmp_path), context, sleep=sleep)

    async with running(collector(tmp_path)), running(Application("x", [Plan("collected", make, NoConfig())])) as one:
        await looks.wait()
        found = one.service("collected")
        assert isinstance(found, Collected)
        assert found.away is None


SOURCES = {"sources": [{"name": "web-1", "state": "dead", "since": 1, "seen": 2}]}
EMPTY = json.dumps({"sources": [], "standing": [], "events": []}).encode()
LIES: dict[str, bytes] = {
    "no http": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "nothing": b"\0",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
    "longer than it may be": page(b" " * (5 << 20) + b"{}"),
    "a head without end": b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 40_000 + b"\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no json": page(b"<html><img src=x onerror=alert(1)></html>"),
    "no utf-8": page(b'{"sources":[{"name":"\xff","state":"dead","since":1,"seen":1}]}'),
    "deep": page(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "html as a name": page(b'{"sources":[{"name":"<img>","state":"dead","since":1,"seen":1}]}'),
    "not a number": page(b'{"sources":[{"name":"a","state":"dead","since":NaN,"seen":1}]}'),
    "too large a number": page(b'{"sources":[{"name":"a","state":"dead","since":1e999,"seen":1}]}'),
    "a time past all calendars": page(b'{"sources":[{"name":"a","state":"dead","since":1e18,"seen":1}]}'),
    "too many": page(json.dumps({"sources": SOURCES["sources"] * 2000}).encode()),
    "elsewhere": page(b"", "302 Found", "Location: http://127.0.0.1/\r\n"),
    "an error of its own": page(b'{"error": "<img src=x>", "code": "x"}', "503 Service Unavailable"),
    "an error that is none": page(b"[]", "400 Bad Request"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_a_collector_that_lies_harms_nothing(tmp_path: Path, lie: bytes) -> None:
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url)
    async with liar(url, lambda _: lie), browser(tmp_path, others) as client:
        await others.look()
        assert others.away is not None
        assert others.processes == ()
        for view in ("", "/figures?process=*", "/alerts", "/tasks"):
            answer = await client.get(f"/process{view}")
            assert answer.status == 200
            assert "<img" not in answer.text
            assert "onerror=alert(1)>" not in answer.text


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"], ids=["silent", "stuck"])
async def test_an_answer_that_does_not_come_is_given_up(tmp_path: Path, said: bytes) -> None:
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url, deadline=0.2)
    async with liar(url, lambda _: said, stays=True):
        await others.look()
        assert others.away is not None
        assert others.away.why == "no answer came within 0.2 seconds"


@pytest.mark.parametrize(
    ("said", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 1000),
    ],
    ids=["body", "chunks", "continue", "headers"],
)
async def test_an_answer_that_does_not_end_is_given_up(tmp_path: Path, said: bytes, endless: bytes) -> None:
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url, deadline=30.0)
    async with liar(url, lambda _: said, endless=endless):
        await others.look()
        assert others.away is not None
        assert "has more than" in others.away.why


async def test_what_it_says_of_alerts_is_text(tmp_path: Path) -> None:
    mean = '<img src=x onerror="alert(1)">\u202e'
    alert = {"rule": mean, "source": "web-1", "labels": {"a": mean}}
    event = {**alert, "kind": "raised", "time": 5, "value": -1.5}
    answers = {
        "/sources": {**SOURCES, "more": mean},
        "/alerts": {"standing": [alert] * 5000, "events": [event] * 1000},
        "/query": {"step": 20, "series": [{"name": "x", "source": "web-1", "kind": "gauge", "labels": {"l": mean},
                                           "points": [[1e308, 1, 1, 1, 1], [0, -1e308, 1, 1, 1]]}] * 50},
        "/series": {"series": []},
    }  # fmt: skip
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url)
    async with liar(url, lambda path: page(json.dumps(answers[path]).encode())), browser(tmp_path, others) as client:
        await others.look()
        assert others.away is None
        told = (await client.get("/process/alerts")).text
        assert "web-1 has pushed no numbers since 1970-01-01" in texts(told)
        assert "The first 200 of 5000." in told
        assert len(told) < 1_000_000
        drawn = (await client.get("/process/figures/x?process=web-1")).text
        assert "There are no numbers" in drawn or "<svg" in drawn
        for html in (told, drawn):
            assert "<img" not in html
            assert "\u202e" not in html


async def test_one_bad_answer_is_told_on_its_page(tmp_path: Path) -> None:
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url)
    answers: dict[str, bytes] = {"/sources": page(EMPTY), "/alerts": page(EMPTY)}
    async with liar(url, lambda path: answers.get(path, page(b"{"))), browser(tmp_path, others) as client:
        await others.look()
        assert others.away is None
        answer = await client.get("/process/figures")
        assert answer.status == 200
        assert "did not tell: the answer at /" in texts(answer.text)


async def test_questions_go_few_at_a_time_within_one_deadline(tmp_path: Path) -> None:
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url, deadline=0.2)
    silent = False
    async with liar(url, lambda path: b"" if silent else page(EMPTY)) as asked:
        await others.look()
        silent = True
        asked.clear()
        with pytest.raises(CollectorAway, match="no answer came within"):
            await charts_of(others, [Figure("x", f"x{at}") for at in range(40)], "hour")
        assert len(asked) <= 8, "four at a time, and four more whose turn came as the first were given up"


async def test_a_page_of_figures_waits_only_so_long_whatever_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.pages.panel.watching._WITHIN", 0.2)
    url = f"memory://liar-{tmp_path.name}"
    others = collected(url, deadline=WITHIN)
    silent = False
    async with liar(url, lambda _: b"" if silent else page(EMPTY)), browser(tmp_path, others) as client:
        await others.look()
        silent = True
        assert "did not come within 0.2 seconds" in texts((await client.get("/process/figures")).text)


async def test_a_name_that_no_host_can_have_is_a_collector_that_is_away() -> None:
    others = collected("tcp://a..b:1")
    await others.look()
    assert others.away is not None
    assert "no host can have" in others.away.why


async def test_the_host_that_is_asked_is_named_as_http_has_it() -> None:
    asked = asyncio.get_running_loop().create_future()

    class Listening(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            asked.set_result(data)
            self._transport.write(page(b"{}"))

    try:
        listener = await net.listen("tcp://[::1]:0", Listening)
    except RopewalkError:
        pytest.skip("this machine has no IPv6")
    async with listener:
        port = listener.endpoint.port
        assert await ask_page(Endpoint.parse(f"tcp://[::1]:{port}"), "/sources", {}, deadline=WITHIN) == (200, b"{}")
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in await asked


class Picky:
    """A history that answers for one process at a time."""

    def __init__(self, crowded: Sequence[str]) -> None:
        self.crowded, self.asked, self.standing = crowded, [""][:0], [Stands("a", "b", {})][:0]

    def now(self) -> float:
        return 1_000_000.0

    async def ask(self, told: type[T], query: Mapping[str, str]) -> T:
        source = query.get("source", "")
        self.asked.append(source)
        if not source or source in self.crowded:
            raise WrongQuestion("more than 50 series fit, expected fewer")
        series = {"name": "x", "source": source, "kind": "gauge", "labels": {}, "points": [[999_990, 7, 7, 7, 7]]}
        return read(told, 200, json.dumps({"step": 10, "series": [series]}).encode())


async def test_processes_that_are_too_many_to_ask_for_at_once_are_asked_for_one_by_one() -> None:
    names = [f"web-{at}" for at in range(20)]
    picky = Picky(["web-2"])
    (chart,) = await charts_of(picky, [Figure("X", "x")], "hour", Whose(compared=names))
    assert picky.asked == ["", *names[:MOST]]
    assert [line.label for line in chart.lines] == ["web-0", "web-1", "web-3", "web-4", "web-5"]
    (chart,) = await charts_of(picky, [Figure("X", "x")], "hour", Whose("web-2"))
    assert (chart.lines, chart.note) == ((), "more than 50 series fit, expected fewer")


@given(
    st.sampled_from([Sources, Listed, Numbers, Alerts]),
    st.sampled_from([200, 400, 503, 204, 999]),
    st.binary(max_size=200) | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sources", "series", "standing", "events", "step", "error"]), inner),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
)  # fmt: skip
def test_junk_is_an_answer_or_a_documented_error(told: type[Told], status: int, body: bytes) -> None:
    try:
        assert isinstance(read(told, status, body), told)
    except (NoAnswer, WrongQuestion, BadAnswer) as error:
        assert len(str(error)) < 500  # noqa: PT017 - or none of them


@pytest.mark.parametrize("url", ["tls://*:1", "tcp://127.0.0.1:0", "http://x", ""])
def test_a_collector_that_cannot_be_reached_at_all_is_told_at_once(url: str) -> None:
    with pytest.raises(BadEndpoint):
        collected(url)


_: Callable[[Past], Counted] = lambda past: past  # noqa: E731 - for mypy: both are what the contract says
_other: Callable[[Collected], Counted] = lambda others: others  # noqa: E731
