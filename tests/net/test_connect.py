"""connect: why there is no connection, in our words; and the faster of several addresses."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import assert_type

import pytest

from ropewalk import net
from ropewalk.errors import Missing, Refused, RopewalkError, Unavailable
from ropewalk.metrics import Registry
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, counted, echoed


@each_loop
async def test_nobody_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # so that nobody else listens there
        with pytest.raises(net.ConnectionRefused) as caught:
            await net.connect(f"tcp://127.0.0.1:{taken.getsockname()[1]}", Recorder)
    assert isinstance(caught.value, Unavailable)
    assert caught.value.code == "net.connection-refused"


@each_loop
async def test_unknown_names_are_told() -> None:
    with pytest.raises(net.NameNotFound) as caught:
        await net.connect("tcp://no-such-host.invalid:80", Recorder)
    assert isinstance(caught.value, Missing)


@each_loop
async def test_sockets_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(net.NoSuchSocket):
        await net.connect(f"unix://{tmp_path}/none", Recorder)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(net.ConnectionRefused):
        await net.connect(f"unix://{tmp_path}/dead", Recorder)
    with pytest.raises(net.NoSuchSocket):
        await net.connect("fd://9999", Recorder)
    with pytest.raises(net.NoSuchSocket):
        await net.connect("systemd:none", Recorder)
    with pytest.raises(net.ConnectionRefused):
        await net.connect("memory://none", Recorder)


@pytest.mark.parametrize("url", ["tcp://*:80", "tcp://localhost:0"])
async def test_what_only_can_be_listened_on_is_told(url: str) -> None:
    with pytest.raises(net.BadEndpoint, match="cannot connect"):
        await net.connect(url, Recorder)


@each_loop
async def test_deadline_is_kept_in_every_layer(files: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        for url in (f"tls://127.0.0.1:{port}?ca={files['ca']}", f"ws://127.0.0.1:{port}"):
            with pytest.raises(net.ConnectTimeout) as caught:
                await net.connect(url, Recorder, deadline=0.05)
            assert isinstance(caught.value, Unavailable)


@each_loop
async def test_cancelling_leaves_nothing(files: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"tls://127.0.0.1:{mute.getsockname()[1]}?ca={files['ca']}"
        task = asyncio.create_task(net.connect(url, Recorder))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@each_loop
async def test_the_other_family_is_tried_too() -> None:
    async with await net.listen("tcp://127.0.0.1:0", Echo) as listener:
        endpoint = net.Endpoint.parse(f"tcp://localhost:{listener.endpoint.port}")
        assert await echoed(endpoint) == b"hello"


async def test_outcomes_are_counted(registry: Registry) -> None:
    async with await net.listen("memory://x", Echo) as listener:
        await echoed(listener.endpoint)
    with pytest.raises(RopewalkError):
        await net.connect("memory://x", Recorder)
    name = "ropewalk_net_connects_total"
    assert counted(registry, name, carrier="memory", outcome="connected") == 1
    assert counted(registry, name, carrier="memory", outcome="net.connection-refused") == 1


async def test_the_protocol_has_the_type_of_what_the_factory_makes() -> None:
    async with await net.listen("memory://x", Echo) as listener:
        transport, protocol = await net.connect(listener.endpoint, Recorder)
        assert_type(protocol, Recorder)  # by mypy, to which it else is any protocol
        transport.abort()
        await protocol.until(lambda: protocol.lost)


async def test_factory_that_fails_fails_the_connect() -> None:
    def factory() -> asyncio.Protocol:
        raise RuntimeError("told to")

    for url in ("tcp://127.0.0.1:0", "memory://x"):
        async with await net.listen(url, Echo) as listener:
            with pytest.raises(RuntimeError, match="told to"):
                await net.connect(listener.endpoint, factory)


async def test_limits_are_told_in_memory() -> None:
    async with await net.listen("memory://x", Echo, limits=net.Limits(connections=1)) as listener:
        transport, _ = await net.connect(listener.endpoint, Recorder)
        with pytest.raises(net.Overloaded) as caught:
            await net.connect(listener.endpoint, Recorder)
        assert isinstance(caught.value, Unavailable)
        transport.abort()


async def test_pins_need_a_certificate() -> None:
    assert issubclass(net.NotVerified, Refused)
