"""Unix sockets: who may connect, what the name is taken over from, and what is left of it."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.testing.recorder import Recorder
from tests.net.peers import Echo, echoed


class TestUnixSockets:
    async def test_file_has_the_mode_asked_for_and_goes_with_the_listener(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        async with await net.listen(f"unix://{path}?mode=600", Echo) as listener:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert await echoed(listener.endpoint) == b"hello"
        assert not path.exists()

    async def test_file_of_a_dead_process_is_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        async with await net.listen(f"unix://{path}", Echo) as listener:
            assert await echoed(listener.endpoint) == b"hello"

    async def test_file_of_a_living_listener_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        async with await net.listen(f"unix://{path}", Echo) as listener:
            with pytest.raises(net.AddressInUse):
                await net.listen(f"unix://{path}", Echo)
            assert await echoed(listener.endpoint) == b"hello"

    async def test_file_that_is_no_socket_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_text("precious")
        with pytest.raises(net.AddressInUse, match="no socket"):
            await net.listen(f"unix://{path}", Echo)
        assert path.read_text() == "precious"

    async def test_file_that_another_one_put_there_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        async with await net.listen(f"unix://{path}", Echo):
            os.unlink(path)
            path.write_text("mine")
        assert path.read_text() == "mine"

    async def test_socket_of_another_kind_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.bind(str(path))
            with pytest.raises(net.Unreachable, match="wrong type"):
                await net.listen(f"unix://{path}", Echo)
        assert path.exists()

    async def test_socket_whose_backlog_is_full_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
            busy.bind(str(path))
            busy.listen(0)
            waiting.connect(str(path))
            with pytest.raises(net.AddressInUse):
                await net.listen(f"unix://{path}", Echo)
        assert path.exists()

    async def test_path_too_long_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(net.BadEndpoint, match="longer than"):
            await net.listen(f"unix://{tmp_path}/{'x' * 120}", Echo)

    async def test_abstract_names_need_no_file(self) -> None:
        async with await net.listen(f"unix:@ropewalk-test-{os.getpid()}", Echo) as listener:
            assert await echoed(listener.endpoint) == b"hello"

    async def test_peer_is_told_by_process(self, tmp_path: Path) -> None:
        async with await net.listen(f"unix://{tmp_path}/s", Echo) as listener:
            transport, _ = await net.connect(listener.endpoint, Recorder)
            assert f"pid={os.getpid()}" in transport.get_extra_info("ropewalk.peer")
            transport.abort()
