"""memory:// beyond the contract: order, names, loops."""

from __future__ import annotations

import asyncio

import pytest

from ropewalk import net
from ropewalk.loops import explore
from ropewalk.net.memory import memory_pair
from ropewalk.testing.recorder import Recorder
from tests.net.peers import Echo, echoed


async def test_name_is_free_again_after_close() -> None:
    async with await net.listen("memory://x", Echo):
        with pytest.raises(net.AddressInUse):
            await net.listen("memory://x", Echo)
    async with await net.listen("memory://x", Echo) as listener:
        assert await echoed(listener.endpoint) == b"hello"


def test_loops_do_not_see_each_others_names() -> None:
    async def listen_only() -> None:
        await net.listen("memory://x", Echo)  # left open, as by a program that dies

    async def connect() -> None:
        with pytest.raises(net.ConnectionRefused):
            await net.connect("memory://x", Recorder)

    asyncio.run(listen_only())
    asyncio.run(connect())


def test_order_is_the_same_each_time() -> None:
    async def run() -> list[str]:
        order: list[str] = []

        class Told(Recorder):
            def __init__(self, name: str) -> None:
                super().__init__()
                self.name = name

            def _note(self, name: str) -> None:
                order.append(f"{self.name} {name}")
                super()._note(name)

            def take(self, data: bytes | memoryview) -> None:
                order.append(f"{self.name} {bytes(data)!r}")
                super().take(data)

        one, two = Told("one"), Told("two")
        first, second = memory_pair(one, two)
        first.write(b"a")
        first.write(b"b")
        second.write(b"c")
        first.close()
        await one.until_lost()
        await two.until_lost()
        return order

    expected = asyncio.run(run())
    assert all(asyncio.run(run()) == expected for _ in range(5))
    assert expected[:2] == ["two connection_made", "one connection_made"]
    assert "two b'ab'" in expected


async def test_write_to_who_has_gone_is_a_reset() -> None:
    one, two = Recorder(), Recorder(keep=True)
    first, second = memory_pair(one, two)
    first.close()
    await one.until_lost()
    await two.until(lambda: "eof_received" in two.calls)
    second.write(b"too late")
    assert isinstance(await two.until_lost(), ConnectionResetError)
    with pytest.raises(TypeError):
        second.write("text")  # type: ignore[arg-type]  # what is tested


async def test_end_is_told_after_a_pause() -> None:
    one, two = Recorder(), Recorder()
    first, second = memory_pair(one, two)
    await two.until(lambda: two.calls)
    second.pause_reading()
    first.write(b"x")
    first.close()
    await asyncio.sleep(0)
    assert two.calls == ["connection_made"]
    second.resume_reading()
    await two.until_lost()
    assert two.calls == ["connection_made", "data_received", "eof_received", "connection_lost"]


def test_both_ends_are_told_before_connect_returns_in_whatever_order_tasks_go_on() -> None:
    async def main() -> None:
        reader = asyncio.StreamReader()
        async with await net.listen("memory://order", Echo):
            transport, _ = await net.connect("memory://order", lambda: asyncio.StreamReaderProtocol(reader))
            transport.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            transport.close()

    explore(main, range(50))
