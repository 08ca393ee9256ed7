"""Who is let in by SSH talks with the talk, as a terminal of theirs is, and is out again afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ropewalk.auth import AnonymousChecker, Identity, Portal
from ropewalk.ssh.commands import Commands, exit_status, is_command
from ropewalk.terminal import Ended, Host, Interrupted, Terminal
from tests.ssh.place import ANN, WITHIN, gone, parrot, said, served

PASSWORD: dict[str, Any] = {"client_keys": None, "password": "right"}


@pytest.mark.parametrize(
    "url", ["memory://ssh", "tcp://127.0.0.1:0", "unix://{}/socket", "ws://127.0.0.1:0/ssh", "proxy+tcp://127.0.0.1:0"]
)
@pytest.mark.parametrize("options", [{}, PASSWORD], ids=["key", "password"])
async def test_who_is_known_is_let_in_whatever_carries_it(url: str, options: dict[str, Any], tmp_path: Path) -> None:
    async with served(tmp_path, url=url.format(tmp_path)) as place:
        connection = await place.client(**options)
        process = await connection.create_process(term_type=None)
        assert await said(process, "\n") == "hello ann\n"
        process.stdin.write("so\n")
        assert await said(process, "so so\n")
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 0
        await gone(connection)
        await place.empty()
        assert place.left == ["ann"]


async def test_a_talk_knows_who_came_and_how(tmp_path: Path) -> None:
    seen: list[Terminal] = []

    async def look(terminal: Terminal) -> None:
        seen.append(terminal)

    async with served(tmp_path, look, url="tcp://127.0.0.1:0") as place:
        connection = await place.client()
        await (await connection.create_process(term_type=None)).wait()
        await gone(connection)
    assert seen[0].identity == Identity("ann", how="key", key=ANN.public_data)
    assert type(seen[0].perspective) is object
    channel = seen[0].channel
    assert (channel.verified, channel.address, channel.at_proxy) == (True, "127.0.0.1", False)


async def test_a_login_ends_when_its_connection_does_and_the_last_talk_with_it(tmp_path: Path) -> None:
    going, may_end = asyncio.Event(), asyncio.Event()

    async def slow(terminal: Terminal) -> None:
        going.set()
        await may_end.wait()

    async with served(tmp_path, slow) as place:
        connection = await place.client()
        await connection.create_process(term_type=None)
        await going.wait()
        (wire,) = place.server.wires
        connection.abort()
        await wire.lost.wait()
        assert place.left == []
        may_end.set()
        await place.empty()
        assert place.left == ["ann"]


async def test_channels_of_one_connection_are_terminals_of_their_own(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        first, second = [await connection.create_process(term_type=None) for _ in range(2)]
        for process, word in ((first, "one"), (second, "two")):
            await said(process, "hello ann\n")
            process.stdin.write(f"{word}\n")
        assert await said(second, "\n") == "two two\n"
        assert await said(first, "\n") == "one one\n"
        first.stdin.write_eof()
        await first.wait()
        assert place.server.channels == 1
        second.stdin.write("still\n")
        assert await said(second, "still still\n")
        await gone(connection)


async def test_without_a_portal_everybody_is_let_in(tmp_path: Path) -> None:
    async with served(tmp_path, Host(parrot)) as place:
        connection = await place.client("whoever", client_keys=None)
        process = await connection.create_process(term_type=None)
        assert await said(process, "\n") == "hello \n"
        await gone(connection)


async def test_where_everybody_is_nobody_there_is_no_question(tmp_path: Path) -> None:
    async with served(tmp_path, portal=lambda realm, _: Portal(realm, [AnonymousChecker()])) as place:
        connection = await place.client("whoever", client_keys=None)
        process = await connection.create_process(term_type=None)
        assert await said(process, "\n") == "hello \n"
        await gone(connection)
        await place.empty()
        assert place.left == [""]


async def test_where_some_are_somebody_nobody_is_let_in_as_nobody(tmp_path: Path) -> None:
    both = lambda realm, people: Portal(realm, [people, AnonymousChecker()], step=0.01)  # noqa: E731
    async with served(tmp_path, portal=both) as place:
        with pytest.raises(asyncssh.PermissionDenied):
            await place.client("whoever", client_keys=None)


# ---- what a terminal of the peer's says of itself ----


async def shows(terminal: Terminal) -> None:
    """Tells what it knows, then each new size."""
    terminal.write(f"{terminal.columns}x{terminal.rows} {terminal.term!r} {terminal.colour} {terminal.keys}\n")
    while True:
        try:
            line = await terminal.read_line()
        except Interrupted:
            line = "^C"
        terminal.write(f"{line!r} {terminal.columns}x{terminal.rows}\n")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"term_type": None}, "80x24 '' False False\n"),
        ({"term_type": "xterm-256color", "term_size": (100, 30)}, "100x30 'xterm-256color' True True\r\n"),
        ({"term_type": "XTERM"}, "80x24 'xterm' True True\r\n"),
        ({"term_type": "dumb"}, "80x24 'dumb' False True\r\n"),
        ({"term_type": "x\x1by"}, "80x24 '' False True\r\n"),
        ({"term_type": "t" * 5000}, f"80x24 '{'t' * 64}' True True\r\n"),
        ({"term_type": "vt100", "term_size": (2**32 - 1, 2**31)}, "500x500 'vt100' True True\r\n"),
        ({"term_type": None, "env": {"TERM": "vt220"}}, "80x24 'vt220' False False\n"),
    ],
)
async def test_what_a_terminal_is(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    async with served(tmp_path, shows) as place:
        connection = await place.client()
        process = await connection.create_process(**options)
        assert (await said(process, "\n")).startswith(told)
        await gone(connection)


async def test_a_new_size_comes_through(tmp_path: Path) -> None:
    async with served(tmp_path, shows) as place:
        connection = await place.client()
        process = await connection.create_process(term_type="dumb", term_size=(100, 30))
        await said(process, "\n")
        process.change_terminal_size(0, 0)
        process.change_terminal_size(120, 40)
        process.stdin.write("x\r")
        assert "120x40" in await said(process, "'x' 120x40\r\n")
        await gone(connection)


@pytest.mark.parametrize("way", ["key", "signal", "break"])
async def test_an_interrupt_comes_through(way: str, tmp_path: Path) -> None:
    async with served(tmp_path, shows) as place:
        connection = await place.client()
        process = await connection.create_process(term_type="dumb")
        await said(process, "\n")
        if way == "key":
            process.stdin.write("half a line\x03")
        elif way == "signal":
            process.send_signal("INT")
        else:
            process.send_break(100)
        await said(process, "'^C'")
        process.stdin.write("whole\r")
        await said(process, "'whole'")
        await gone(connection)


async def test_a_hang_up_ends_the_talk(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None)
        await said(process, "\n")
        process.send_signal("HUP")
        await process.wait()
        process = await connection.create_process(term_type=None)
        await said(process, "hello ann\n")
        await gone(connection)


async def test_what_is_typed_before_the_end_of_input_is_still_read(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None)
        process.stdin.write("first\nsecond\n")
        process.stdin.write_eof()
        done = await process.wait()
        assert done.stdout == "hello ann\nfirst first\nsecond second\n"
        await gone(connection)


@pytest.mark.parametrize(
    ("lang", "charset"), [(None, "utf-8"), ("de_DE.UTF-8", "utf-8"), ("de_DE.ISO-8859-1", "latin-1"), ("C", "utf-8")]
)
async def test_text_is_decoded_as_it_comes_byte_by_byte(lang: str | None, charset: str, tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        env = {"LANG": lang} if lang else {}
        process = await connection.create_process(term_type=None, encoding=None, env=env)
        for byte in "Grüße\n".encode(charset):
            process.stdin.write(bytes([byte]))
            await asyncio.sleep(0)
        process.stdin.write_eof()
        assert (await process.wait()).stdout == "hello ann\nGrüße Grüße\n".encode(charset)
        await gone(connection)


async def test_junk_is_harmless(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None, encoding=None)
        junk = bytes(set(range(256)) - {3, 4})  # but ^C and ^D
        process.stdin.write(junk * 100 + b"\nafter\n")
        process.stdin.write_eof()
        out = (await process.wait()).stdout
        assert isinstance(out, bytes)
        assert out.endswith(b"after after\n")
        await gone(connection)


# ---- commands ----


async def runs(terminal: Terminal) -> None:
    """Takes commands, of which some fail."""
    async for line in terminal:
        terminal.write(f"{line} of {terminal.identity.name}, {terminal.keys}, {is_command(terminal)}\n")
        if line == "break":
            raise ZeroDivisionError
        if line == "interrupt":
            raise Interrupted
        try:
            await terminal.read_line("more? ")
        except Ended:
            terminal.write("no more\n")
        exit_status(terminal, int(line.split()[-1]))


@pytest.mark.parametrize("term", [None, "xterm"])
@pytest.mark.parametrize("status", [0, 7])
async def test_a_command_is_one_line_and_has_an_exit_status(term: str | None, status: int, tmp_path: Path) -> None:
    async with served(tmp_path, Commands(runs)) as place:
        connection = await place.client()
        done = await connection.run(f"fail with {status}", term_type=term, input="not read\n", check=False)
        newline = "\r\n" if term else "\n"
        assert done.stdout == f"fail with {status} of ann, False, True{newline}no more{newline}"
        assert done.exit_status == status
        await gone(connection)


@pytest.mark.parametrize(("command", "status"), [("break", 1), ("interrupt", 130)])
async def test_a_command_that_fails_says_so(command: str, status: int, tmp_path: Path) -> None:
    async with served(tmp_path, Commands(runs)) as place:
        connection = await place.client()
        done = await connection.run(command)
        assert done.exit_status == status
        assert str(done.stdout).startswith(f"{command} of ann, False, True\n")
        await gone(connection)


async def test_who_talks_to_what_takes_commands_just_talks(tmp_path: Path) -> None:
    async with served(tmp_path, Commands(runs)) as place:
        connection = await place.client()
        process = await connection.create_process(term_type=None)
        process.stdin.write("line 3\n")
        assert await said(process, "more? ") == "line 3 of ann, False, False\nmore? "
        process.stdin.write("\n")
        process.stdin.write_eof()
        assert (await process.wait()).exit_status == 3
        await gone(connection)


@pytest.mark.parametrize("command", ["two\nlines", "an \x1b[A escape", "x" * 5000])
async def test_what_is_no_line_is_no_command(command: str, tmp_path: Path) -> None:
    async with served(tmp_path, Commands(runs)) as place:
        connection = await place.client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run(command)
        assert (await connection.run("still 0")).stdout
        await gone(connection)


async def test_a_talk_that_takes_no_commands_gets_none(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.run("ls")
        await gone(connection)


# ---- what is not offered ----


async def test_nothing_is_forwarded_and_no_files_are_given(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 1)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/tmp/x")
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: lambda *_: None, "127.0.0.1", 0)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_unix_server(lambda: lambda *_: None, str(tmp_path / "x"))
        with pytest.raises((asyncssh.SFTPError, asyncssh.ChannelOpenError)):
            await connection.start_sftp_client()
        process = await connection.create_process(term_type=None)
        await said(process, "hello ann\n")
        channel = process.channel
        for request in (b"x11-req", b"auth-agent-req@openssh.com", b"made-up"):
            args = [b"\0", b"\0\0\0\0", b"\0\0\0\0", b"\0\0\0\0"] if request == b"x11-req" else []
            async with asyncio.timeout(WITHIN):
                assert not await channel._make_request(request, *args)
        await gone(connection)


async def test_the_environment_is_not_kept(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        connection = await place.client()
        env = {f"NAME{number}": "x" * 100 for number in range(100)} | {"LANG": "x" * 65}
        process = await connection.create_process(term_type=None, env=env)
        await said(process, "hello ann\n")
        (wire,) = place.server.wires
        (session,) = wire.sessions
        assert session._channel._env == {}  # type: ignore[attr-defined]
        await gone(connection)
