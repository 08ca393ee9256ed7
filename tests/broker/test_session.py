"""Sessions: they live as long as they should, whatever carries them, and leave nothing behind."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.errors import Ended, Lost
from ropewalk.broker.limits import Limits
from ropewalk.broker.outbox import frame_of
from ropewalk.errors import RopewalkError, Unavailable
from tests.broker.hosts import Desk, House, Me, Raw, RawMessages, served, simulated, until
from tests.net.loops import each_loop
from tests.net.peers import certificate

TLS = "cert={cert}&key={key}&ca={ca}"
URLS = {
    "tcp": "tcp://127.0.0.1:0",
    "tls": f"tls://127.0.0.1:0?{TLS}",
    "unix": "unix://{folder}/socket",
    "ws": "ws://127.0.0.1:0/path",
    "wss": f"wss://127.0.0.1:0/?{TLS}",
    "memory": "memory://name",
    "ws over memory": "ws+memory://name",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")


@pytest.mark.parametrize("kind", URLS)
@each_loop
async def test_a_session_over_everything(kind: str, tmp_path: Path, files: dict[str, str]) -> None:
    house = House()
    async with served(house, URLS[kind].format(folder=tmp_path, **files)) as listener:
        async with broker.connect(listener.endpoint.peer()) as me:
            assert await me.echo(5) == 5
            assert await me.desk("gold").quote("x") == "gold: x"
            assert await me.ask(Desk("mine")) == "mine: you"
            for size in (70_000, 300_000, 3_000_000):
                assert await me.echo(b"x" * size) == b"x" * size
            text = "y" * 500_000  # a frame longer than what a layer might cut
            assert await me.echo(text) == text
            assert [number async for number in await me.count(300)] == list(range(300))
            answers = [me.echo(number) for number in range(2000)]
            assert await broker.gather(*answers) == list(range(2000))
        assert house.given[0].gone == 1
        assert house.logouts == {0: 1}
        await until(lambda: not house.sessions)


@pytest.mark.parametrize("size", [10, 150_000, 700_000])
@each_loop
async def test_a_message_of_a_websocket_is_one_frame(size: int) -> None:
    async with served(House(), "ws+memory://house"):
        _, raw = await net.connect("ws+memory://house", RawMessages)
        await raw.enter()
        raw.say([0, 2, [1, 0], "echo", ["z" * size]], [0, 3, [1, 0], "desk", ["a"]])
        assert (await raw.answer(2))[2] == "z" * size
        assert len(raw.messages) >= 3  # each of which was one frame: see `RawMessages`
        raw.transport.abort()


@pytest.mark.parametrize("cut", ["two in one", "one in two", "nothing", "short"])
def test_a_message_that_is_not_one_frame_ends_the_session(cut: str) -> None:
    async def main() -> None:
        async with served(House(), "ws+memory://house"):
            _, raw = await net.connect("ws+memory://house", RawMessages)
            raw.hello()
            frame = b"".join(frame_of(b"\x91\x92\x0a\x01"))
            pieces = {
                "two in one": [frame + frame],
                "one in two": [frame[:9], frame[9:]],
                "nothing": [b""],
                "short": [b"abc"],
            }
            for piece in pieces[cut]:
                # As a foreign client would: an empty message is nothing to our own transport.
                raw.transport._side.machine.send_binary(piece)  # type: ignore[attr-defined]
                raw.transport._side._send()  # type: ignore[attr-defined]
            await raw.until(lambda: raw.lost)
            assert [message[:2] for message in raw.said if message[0] == 14] == [[14, "broker.frame"]]

    simulated(main)


def test_frames_over_a_websocket_fit_its_messages() -> None:
    async def main() -> None:
        async with served(House(), "ws+memory://house?max_message=100000"):
            session = await broker.opened("ws+memory://house")
            await broker.login(session)
            assert session.broker.lanes.theirs.frame == 100_000
            session.close()
            await session.ended(1)

    simulated(main)


@each_loop
async def test_a_handshake_that_fails_leaves_no_session(files: dict[str, str]) -> None:
    house = House()
    async with served(house, f"tls://127.0.0.1:0?{TLS.format(**files)}") as listener:
        reader, writer = await asyncio.open_connection(listener.endpoint.host, listener.endpoint.port)
        writer.write(b"this is no TLS\r\n\r\n")
        while await reader.read(1000):
            pass
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        assert not house.sessions


# Times.


def test_no_hello_in_time() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(hello=4))):
            began = asyncio.get_running_loop().time()
            _, raw = await net.connect("memory://house", Raw)
            await raw.until(lambda: raw.lost)
            assert raw.said == [[14, "broker.late", "no hello within 4 s"]]
            assert asyncio.get_running_loop().time() - began == pytest.approx(4, abs=0.1)

    simulated(main)


def test_no_login_in_time() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(login=7))):
            began = asyncio.get_running_loop().time()
            _, raw = await net.connect("memory://house", Raw)
            raw.hello()
            await raw.until(lambda: raw.lost)
            assert raw.said[-1] == [14, "broker.late", "no login within 7 s"]
            assert asyncio.get_running_loop().time() - began == pytest.approx(7, abs=0.1)

    simulated(main)


def test_who_has_logged_in_may_be_quiet_as_long_as_it_answers() -> None:
    async def main() -> None:
        house = House(limits=Limits(quiet=20))
        async with served(house), broker.connect("memory://house") as me:
            await asyncio.sleep(1000)
            assert await me.echo(1) == 1
            assert next(iter(house.sessions)).broker.pings > 20

    simulated(main)


def test_silence_is_asked_once_and_then_taken_as_the_end() -> None:
    async def main() -> None:
        house = House(limits=Limits(quiet=20))
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            began = asyncio.get_running_loop().time()
            await raw.until(lambda: raw.said[-1][0] == 10)
            assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=1)
            await raw.until(lambda: raw.lost)
            assert asyncio.get_running_loop().time() - began == pytest.approx(40, abs=1)
            assert [message[0] for message in raw.said].count(10) == 1
            assert house.given[0].gone == 1

    simulated(main)


def test_a_session_that_does_nothing_ends_even_where_both_ends_ask_each_other() -> None:
    async def main() -> None:
        house = House(limits=Limits(idle=100, quiet=7))
        async with served(house):
            session = await broker.opened("memory://house", limits=Limits(quiet=5))
            me: Any = await broker.login(session)
            for _ in range(10):
                await asyncio.sleep(60)
                assert await me.echo(1) == 1
            began = asyncio.get_running_loop().time()
            await session.wait_closed()
            assert 100 <= asyncio.get_running_loop().time() - began <= 130
            assert isinstance(session.error, Ended)
            assert "idle for 100 s" in str(session.error)

    simulated(main)


def test_a_session_with_something_open_is_not_idle() -> None:
    async def main() -> None:
        async with served(House(limits=Limits(idle=10))), broker.connect("memory://house") as me:
            assert await me.slow(200) == 200
            view = await me.state()
            await asyncio.sleep(200)
            assert await me.echo(view.version) == 0

    simulated(main)


def test_who_reads_nothing_is_left() -> None:
    async def main() -> None:
        house = House(limits=Limits(unread=50, quiet=1000))
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            began = asyncio.get_running_loop().time()
            answer = me.echo(b"x" * 3_000_000)
            await asyncio.sleep(0)
            transport = session.transport
            assert transport is not None
            transport.pause_reading()
            await until(lambda: house.given[0].gone)
            assert asyncio.get_running_loop().time() - began == pytest.approx(50, abs=2)
            transport.resume_reading()
            with pytest.raises(Lost):
                await answer

    simulated(main)


def test_who_asks_and_never_reads_is_left_before_memory_is_full() -> None:
    """FINISH frees a question before its answer is read, so nothing else bounds the answers."""

    async def main() -> None:
        house = House(limits=Limits(window=1 << 20, unread=1e6, quiet=1e6))
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            server = next(iter(house.sessions))
            raw.transport.pause_reading()
            most = 0
            for question in range(2, 3000):
                raw.say([0, question, [1, 0], "echo", ["x" * 10_000]], [4, [question]])
                await asyncio.sleep(0)
                if server.transport is None:
                    break
                most = max(most, server.transport.get_write_buffer_size())
            assert isinstance(server.error, Lost)
            assert 1 << 20 < most < 4 << 20

    simulated(main)


# The end.


def test_close_lets_what_was_asked_be_answered() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            slow = me.slow(3)
            crossing: list[Any] = []
            await asyncio.sleep(1)
            closing = asyncio.create_task(house.close(10))
            await asyncio.sleep(0)
            crossing += [me.echo(7)]  # GOAWAY is on its way here
            assert await slow == 3
            assert await crossing[0] == 7
            await closing
            await session.wait_closed()
            assert isinstance(session.error, Ended)
            assert not house.sessions

    simulated(main)


def test_close_lets_a_stream_come_to_its_end() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house", limits=Limits(stream_window=16_384))
            me: Any = await broker.login(session)
            stream = await me.count(1000)
            assert await anext(stream) == 0
            closing = asyncio.create_task(house.close(10))
            assert [number async for number in stream] == list(range(1, 1000))
            await closing
            await session.wait_closed()

    simulated(main)


def test_close_does_not_wait_longer_than_its_deadline() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            waits = me.wait()
            await me.echo(1)
            began = asyncio.get_running_loop().time()
            await house.close(10)
            assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)
            with pytest.raises(Lost):
                await waits
            await session.wait_closed()

    simulated(main)


def test_close_is_not_held_up_by_an_end_that_does_not_close() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            next(iter(house.sessions)).close("enough")
            await raw.until(lambda: raw.said[-1] == [13, "enough"])
            raw.say([0, 9, [1, 0], "echo", ["late"]])
            assert await raw.answer(9) == [1, 9, "late"]
            await raw.until(lambda: raw.lost)
            await until(lambda: not house.sessions)

    simulated(main)


def test_leaving_does_not_wait_for_a_stream_that_nobody_reads() -> None:
    async def main() -> None:
        async with served(House()):
            began = asyncio.get_running_loop().time()
            async with broker.connect("memory://house", limits=Limits(stream_window=16_384)) as me:
                stream = await me.count(10_000)
                assert await anext(stream) == 0
            assert asyncio.get_running_loop().time() - began < 1

    simulated(main)


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_connection_is_told_once_and_stops_the_work(seed: int) -> None:
    async def main() -> None:
        house = House()
        ends: list[broker.Session] = []
        async with served(house):
            session = await broker.opened("memory://house")
            session._gone = ends.append
            me: Any = await broker.login(session)
            calls = [me.slow(1000), me.wait(), me.count(5)]
            await me.echo(1)
            server = next(iter(house.sessions))
            server.abort(Ended("cut"))
            for call in calls[:2]:
                with pytest.raises(Lost, match="whether the call was done is not known"):
                    await call
            with pytest.raises(Unavailable):
                await me.echo(1)
            await session.wait_closed()
            await server.wait_closed()
            assert ends == [session]
            assert house.given[0].stopped == 1
            assert house.given[0].gone == 1
            assert house.logouts == {0: 1}
            assert not house.sessions
            assert len(asyncio.all_tasks()) == 1

    simulated(main, seed)


def test_abort_tells_the_reason() -> None:
    async def main() -> None:
        house = House()
        async with served(house):
            _, raw = await net.connect("memory://house", Raw)
            await raw.enter()
            raw.say([1, 77, "an answer to nothing"])
            await raw.until(lambda: raw.lost)
            assert raw.said[-1][:2] == [14, "broker.message"]
            assert "77" in raw.said[-1][2]
            assert house.given[0].gone == 1

    simulated(main)


def test_a_method_that_does_not_stop_is_left_behind_and_told(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Me):
        @broker.remote
        async def wait(self) -> str:
            while not self.gate.is_set():
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.stopped += 1
            return "at last"

    async def main() -> None:
        house = House(make=Stubborn)
        async with served(house):
            session = await broker.opened("memory://house")
            me: Any = await broker.login(session)
            waits = me.wait()
            await me.echo(1)
            with caplog.at_level(logging.ERROR):
                await house.close(1)
            assert [record.code for record in caplog.records] == ["broker.left-behind"]  # type: ignore[attr-defined]
            with pytest.raises(Lost):
                await waits
            house.given[0].gate.set()
            await until(lambda: not house.sessions)

    simulated(main)


def test_leaving_that_fails_is_logged_and_the_login_ends_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Me):
        def left(self) -> None:
            super().left()
            raise ValueError("left badly")

    async def main() -> None:
        house = House(make=Broken)
        async with served(house):
            async with broker.connect("memory://house") as me:
                await me.echo(1)
            await until(lambda: not house.sessions)
            assert house.given[0].gone == 1
            assert house.logouts == {0: 1}
            assert [record.code for record in caplog.records] == ["broker.left-failed"]  # type: ignore[attr-defined]

    simulated(main)


@each_loop
async def test_a_reference_dropped_in_another_thread_is_released() -> None:
    house = House()
    async with served(house), broker.connect("memory://house") as me:
        desks = [await me.desk("a")]
        server = next(iter(house.sessions))
        assert len(server.broker.objects.shown) == 3
        thread = threading.Thread(target=desks.clear)
        thread.start()
        await asyncio.to_thread(thread.join)
        await until(lambda: len(server.broker.objects.shown) == 2)


@each_loop
async def test_what_is_said_in_no_hurry_survives_a_loop_that_is_closed() -> None:
    async with served(House()):
        session = await broker.opened("memory://house")
        await broker.login(session)
        session.close()
        await session.ended(5)
    loop = session.loop
    session.loop = asyncio.new_event_loop()
    session.loop.close()
    thread = threading.Thread(target=session.late)
    thread.start()
    await asyncio.to_thread(thread.join)
    session.loop = loop


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async def main() -> None:
        async with await net.listen("memory://mute", asyncio.Protocol):
            with pytest.raises(RopewalkError) as raised:
                await broker.opened("memory://mute", deadline=3)
            assert raised.value.code == "broker.deadline"
            assert len(asyncio.all_tasks()) == 1

    simulated(main)


def test_a_server_that_speaks_something_else_is_told_so() -> None:
    class Greets(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.write(b"220 mail.example.org ESMTP ready for you\r\n")

    async def main() -> None:
        async with await net.listen("memory://mail", Greets):
            with pytest.raises(RopewalkError) as raised:
                await broker.opened("memory://mail")
            assert raised.value.code in {"broker.limit", "broker.frame"}

    simulated(main)
