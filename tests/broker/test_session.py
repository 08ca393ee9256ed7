"""Sessions: they live as long as they should, whatever carries them, and leave nothing behind."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.outbox import frame_of
from ropewalk.errors import RopewalkError
from tests.broker.hosts import Desk, House, RawMessages, served, simulated, until
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
