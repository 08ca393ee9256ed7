"""The Unix socket: who is let in, what they may send, and what becomes of those who do not keep to it."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.auth import Anonymous, Channel, Denied, Identity, Visit
from ropewalk.console import BadSocket, ConsoleConfig, ConsoleService, Groups, NoConsole, Right, talk
from ropewalk.console import service as service_module
from ropewalk.console import socket as socket_module
from ropewalk.console.client import NoServer, NotOurs, told
from ropewalk.console.place import socket_of
from ropewalk.console.wire import MOST_DATA, BadFrame, Frames, Opening, frame, opening_of, window
from ropewalk.service import Application, Context, Plan, Service
from ropewalk.ssh.commands import Commands as TalkOrCommand
from tests.console.stage import plans

pytestmark = pytest.mark.system


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a short name."""
    return tmp_path


@asynccontextmanager
async def served(folder: Path, config: ConsoleConfig | None = None) -> AsyncIterator[Application]:
    plan = Plan("console", ConsoleService, config or ConsoleConfig())
    application = Application("shop", [*plans(), plan], deadline=3, folder=folder)
    async with asyncio.timeout(60):
        run = asyncio.create_task(application.run())
        try:
            await application._board.until(lambda: application.service("console") is not None)
            await application.control.start("web")
            yield application
        finally:
            application.stop()
            await run


def _socket(folder: Path) -> Path:
    return folder / "run" / "console.sock"


class Client:
    """The other side, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def rest(self) -> tuple[str, str, int | None]:
        """Until the server closes: what is shown, what failed, and the status."""
        shown, failed, status = b"", b"", None
        frames = Frames(b"dfx")
        while data := await self.reader.read(65_536):
            for letter, part in frames.feed(data):
                if letter == b"x":
                    status = part[0]
                shown += part if letter == b"d" else b""
                failed += part if letter == b"f" else b""
        return shown.decode(), failed.decode(), status


@asynccontextmanager
async def client(folder: Path, *data: bytes) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(_socket(folder))
    try:
        for part in data:
            writer.write(part)
        yield Client(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def opening(**fields: object) -> bytes:
    return msgspec.json.encode(fields) + b"\n"


async def test_the_socket_is_for_its_user_alone(folder: Path) -> None:
    async with served(folder):
        path = _socket(folder)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not _socket(folder).exists()


async def test_a_folder_that_others_can_change_is_refused(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run").chmod(0o777)
    with pytest.raises(BadSocket):
        service_module._prepare(folder / "run")
    (folder / "file").touch()
    with pytest.raises(BadSocket):
        service_module._prepare(folder / "file" / "run")


async def test_one_command_and_its_status(folder: Path, audit: list[dict[str, str]]) -> None:
    async with served(folder):
        async with client(folder, opening(words=["uptime"])) as one:
            shown, failed, status = await one.rest()
            assert (shown.startswith("shop: for"), failed, status) == (True, "", 0)
        async with client(folder, opening(words=["stop", "dat"])) as one:
            shown, failed, status = await one.rest()
            assert (shown, failed.splitlines()[0], status) == ("", "error: no service 'dat'", 3)
        async with client(folder, opening(words=["python"])) as one:
            assert (await one.rest())[2] == 4
        async with client(folder, opening(words=["stop", "console"])) as one:
            assert (await one.rest())[2] == 4
    assert {one["by"] for one in audit} == {"unix"}
    assert {one["who"] for one in audit} == {socket_module._user(os.geteuid())}


async def test_the_client_by_its_own_function(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with served(folder):
        assert await asyncio.to_thread(told, _socket(folder), ["services", "--json"], 0) == 0
        assert await asyncio.to_thread(told, _socket(folder), ["bogus"], 0) == 2
        said = capfd.readouterr()
        assert msgspec.json.decode(said.out)[0]["name"]
        assert said.err.startswith("error: no command 'bogus'")


async def test_a_conversation_in_lines_without_prompts(folder: Path) -> None:
    async with (
        served(folder),
        client(folder, opening(quiet=True), frame(b"d", b"uptime\nbog"), frame(b"d", b"us\n"), frame(b"e")) as one,
    ):
        shown, _, status = await one.rest()
        assert shown.startswith("shop: for")
        assert "error: no command 'bogus'" in shown
        assert ">" not in shown
        assert status == 2


async def test_a_conversation_with_keys_and_a_window(folder: Path) -> None:
    async with served(folder), client(folder, opening(keys=True, columns=80, term="xterm")) as one:
        one.writer.write(window(44, 20) + frame(b"d", b"service dx\x7fa"))
        one.writer.write(frame(b"d", b"ta\rquit\r"))
        shown, _, status = await one.rest()
        assert "sold today" in shown
        assert status == 0


async def test_its_own_service_restarts_when_it_is_meant(folder: Path) -> None:
    async with served(folder) as application:
        async with client(folder, opening(words=["restart", "console", "--force"])) as one:
            await one.rest()
        await application._board.until(lambda: application.control.service("console").starts == 2)
        async with client(folder, opening(words=["uptime"])) as one:
            assert (await one.rest())[2] == 0


async def test_conversations_end_when_the_service_stops(folder: Path) -> None:
    async with served(folder) as application, client(folder, opening()) as one:
        await one.reader.readuntil(b"> ")
        application.stop()
        shown, _, _ = await one.rest()
        assert "the server stops" in shown


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x00" * 1_000 + b"\n",
        b"[" * 60_000 + b"\n",
        b"x" * 200_000,
        b'{"columns": -1}\n',
        b'{"words": ["' + b"x" * 5_000 + b'"]}\n',
        opening(quiet=True) + b"z\x00\x00",
        opening(quiet=True) + b"d\xff\xff",
        opening(quiet=True) + b"w\x00\x01x",
    ],
)
async def test_junk_ends_its_own_connection_alone(folder: Path, data: bytes) -> None:
    async with served(folder):
        async with client(folder, data) as one:
            with suppress(ConnectionResetError):
                assert (await one.rest())[2] in (None, 0)
        async with client(folder, opening(words=["uptime"])) as one:
            assert (await one.rest())[2] == 0


@pytest.mark.parametrize("how", [[], ["--now"]])
async def test_a_connection_is_listed_and_closed_by_its_number(folder: Path, how: list[str]) -> None:
    async with served(folder) as application, client(folder, opening()) as one:
        await one.reader.readuntil(b"> ")
        (found,), count = application.control.connections(10, "console")
        assert (found.listener, count, found.peer) == ("console", 1, f"unix pid={os.getpid()} uid={os.geteuid()}")
        async with client(folder, opening(words=["close", str(found.number), *how])) as other:
            shown, _, status = await other.rest()
            assert (status, shown) == (0, f"connection {found.number} of console with {found.peer} is closed\n")
        await one.reader.read()
        async with client(folder, opening(words=["close", str(found.number)])) as other:
            assert (await other.rest())[2] == 3


async def test_who_says_nothing_is_hung_up_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "_OPENS_WITHIN", 0.05)
    async with served(folder), client(folder, b'{"wo') as one:
        assert await one.rest() == ("", "", None)


async def test_who_never_reads_is_cut_off_and_harms_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module, "_TAKES_WITHIN", 0.1)
    async with served(folder) as application, client(folder, opening(quiet=True)) as one:
        cast(asyncio.Transport, one.writer.transport).pause_reading()
        one.writer.write(frame(b"d", b"tasks --stacks\nmetrics\n" * 300))
        async with client(folder, opening(words=["uptime"])) as other:
            assert (await other.rest())[2] == 0
        ended = application.registry.counter("ropewalk_net_ended_total", "", ("listener", "reason"))
        while not ended.of("console", "console.unread").value:  # noqa: ASYNC110 - a counter tells nobody
            await asyncio.sleep(0.01)
        while application.control.presence.all():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_another_user_is_not_let_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_module.SocketProtocol.__init__, "__defaults__", (lambda _: (1, os.geteuid() + 1),))
    async with served(folder), client(folder, opening(words=["uptime"])) as one:
        with suppress(ConnectionResetError):
            assert await one.rest() == ("", "", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_is_not_let_in_by_the_kernel(folder: Path) -> None:
    """Even where the folder and the socket are open to all."""
    script = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
os.chdir(sys.argv[1])
os.setgid(65534); os.setuid(65534)
sock.connect("console.sock")
try:
    sock.sendall(b'{"words": ["uptime"]}\\n')
    sys.stdout.write(repr(sock.recv(100)))
except (ConnectionResetError, BrokenPipeError):
    sys.stdout.write("b''")
"""
    async with served(folder):
        _socket(folder).chmod(0o666)
        _socket(folder).parent.chmod(0o755)
        run = [sys.executable, "-c", script, str(_socket(folder).parent)]
        done = await asyncio.to_thread(subprocess.run, run, capture_output=True, text=True, timeout=60, check=False)
        assert (done.stdout, done.stderr) == ("b''", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_client_does_not_talk_to_another_users_socket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(folder):
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
        # The listener is root's, which is let through; a third user's is not.
        monkeypatch.setattr("ropewalk.console.client._CREDENTIALS", _Third())
        with pytest.raises(NotOurs):
            await asyncio.to_thread(told, _socket(folder), ["uptime"], 0)


class _Third:
    size = 12

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return 1, 777, 777


async def test_no_server(folder: Path) -> None:
    for name in ("nothing", "file"):
        (folder / "file").touch()
        with pytest.raises(NoServer):
            told(folder / name, ["uptime"], 0)


def test_a_path_that_is_too_long_for_a_socket_is_elsewhere(tmp_path: Path) -> None:
    assert socket_of(Path("/home/ann/state")) == Path("/home/ann/state/run/console.sock")
    far = socket_of(tmp_path / ("x" * 120))
    assert len(os.fsencode(far)) < 108
    assert far == socket_of(tmp_path / ("x" * 120)) != socket_of(tmp_path / ("y" * 120))


async def test_telnet_and_ssh_talk_by_a_console_that_knows_people(tmp_path: Path) -> None:
    context = Context("ssh", "shop", Application("shop", []).registry)
    with pytest.raises(NoConsole, match="needs 0 consoles"):
        talk(context)
    console = ConsoleService(ConsoleConfig(), Context("console", "shop", context.registry))
    with pytest.raises(NoConsole, match="knows nobody"):
        talk(Context("ssh", "shop", context.registry, {"console": console}))
    with pytest.raises(NoConsole, match="within an application"):
        await console.start()
    async with served(tmp_path, ConsoleConfig(checkers=("accounts:users.db",))) as application:
        up = application.service("console")
        assert isinstance(up, Service)
        host = talk(Context("ssh", "shop", context.registry, {"console": up}))
        assert host.portal is not None
        assert isinstance(host.talk, TalkOrCommand)
        with pytest.raises(Denied):
            await host.portal.login(Anonymous(), host.wanted, Channel(verified=True))


def test_groups_give_rights_one_after_the_other() -> None:
    groups = Groups(watchers=("all",), operators=("staff",), python=("root",))

    def rights(*mine: str) -> set[Right]:
        return set(groups.operator(Visit(Identity("ann", frozenset(mine)), Channel(verified=True))).rights)

    assert rights("all") == {Right.LOOK}
    assert rights("all", "staff") == {Right.LOOK, Right.ACT}
    assert rights("root") == set(Right)
    with pytest.raises(Denied):
        rights("other")


@given(parts=st.lists(st.tuples(st.sampled_from([b"d", b"e"]), st.binary(max_size=300))), cuts=st.randoms())
def test_frames_are_the_same_wherever_they_are_cut(parts: list[tuple[bytes, bytes]], cuts: object) -> None:
    data = b"".join(frame(letter, part) for letter, part in parts)
    frames, found = Frames(b"de"), []
    at = 0
    while at < len(data):
        step = cuts.randint(1, 50)  # type: ignore[attr-defined]
        found += list(frames.feed(data[at : at + step]))
        at += step
    assert found == parts


@given(data=st.binary(max_size=500))
def test_junk_is_a_frame_or_is_refused(data: bytes) -> None:
    with suppress(BadFrame):
        for letter, part in Frames(b"dwe").feed(data):
            assert letter in b"dwe"
            assert len(part) <= MOST_DATA
    with suppress(BadFrame):
        assert isinstance(opening_of(data), Opening)


def test_much_data_takes_several_frames() -> None:
    found = list(Frames(b"d").feed(frame(b"d", b"x" * 40_000)))
    assert [len(part) for _, part in found] == [MOST_DATA, MOST_DATA, 40_000 - 2 * MOST_DATA]
