"""Conversations by telnet: the contract of carriers, on each endpoint and with real clients; what options bring."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ropewalk import net
from ropewalk.auth import PasswordsChecker, stretch
from ropewalk.terminal import Host, Talk, Terminal
from tests.net.peers import certificate
from tests.telnet.clients import (
    CHARSET,
    DO,
    DONT,
    ECHO,
    ENVIRON,
    IAC,
    LINEMODE,
    NAWS,
    SB,
    SE,
    SGA,
    TTYPE,
    WILL,
    WONT,
    Raw,
    RawPeer,
    raw,
    real,
    serving,
)
from tests.terminal.contract import Peer, check_terminal
from tests.terminal.houses import Desk, portal


async def tell(terminal: Terminal) -> None:
    """Says what is known of the visitor, each time it is asked."""
    while True:
        terminal.write(
            f"{terminal.term or '?'} {terminal.columns}x{terminal.rows} keys={terminal.keys} colour={terminal.colour}\n"
        )
        line = await terminal.read_line("> ")
        terminal.write(f"<{line}>\n")


def is_type(client: Raw, *names: str) -> None:
    """Say that the terminal is this."""
    for name in names:
        client.send(IAC, SB, TTYPE, b"\0", name.encode(), IAC, SE)


@pytest.mark.parametrize("carrier", ["tcp", "tls", "unix", "memory", "ws"])
async def test_it_keeps_the_contract_on_each_endpoint(carrier: str, tmp_path: Path) -> None:
    files = certificate(tmp_path, "localhost", "127.0.0.1")
    url, trusted = {
        "tcp": ("tcp://127.0.0.1:0", {}),
        "tls": (f"tls://127.0.0.1:0?cert={files['cert']}&key={files['key']}", {"ca": files["ca"]}),
        "unix": (f"unix://{tmp_path}/talk.sock", {}),
        "memory": ("memory://talk", {}),
        "ws": ("ws://127.0.0.1:0", {}),
    }[carrier]

    @asynccontextmanager
    async def connect(talk: Talk) -> AsyncIterator[Peer]:
        async with serving(talk, url) as listener:
            endpoint = listener.endpoint.peer()
            if trusted:
                endpoint = net.Endpoint.parse(f"{endpoint}?ca={trusted['ca']}")
            async with raw(endpoint) as client:
                yield RawPeer(client)

    await check_terminal(connect)


@pytest.mark.parametrize("term", ["xterm-256color", "MUDLET"])
async def test_it_keeps_the_contract_with_a_real_client(term: str) -> None:
    @asynccontextmanager
    async def connect(talk: Talk) -> AsyncIterator[Peer]:
        async with serving(talk, settle=2) as listener, real(listener.endpoint, term) as peer:
            yield peer

    await check_terminal(connect)


async def test_a_desk_is_in_character_mode_and_a_mud_client_in_line_mode() -> None:
    async with serving(tell, settle=2) as listener:
        async with real(listener.endpoint, "xterm-256color") as peer:
            await peer.expect("xterm-256color 100x30 keys=True colour=True")
            await peer.say("abc\x1b[D\x1b[DX\n")
            await peer.expect("<aXbc>")
        async with real(listener.endpoint, "MUDLET") as peer:
            await peer.expect("mudlet 100x30 keys=False colour=False")


@pytest.mark.parametrize(("keys", "term", "expected"), [(False, "xterm", "keys=False"), (True, "MUDLET", "keys=True")])
async def test_a_mode_that_is_asked_for_is_used(keys: bool, term: str, expected: str) -> None:
    async with serving(tell, keys=keys, settle=2) as listener, real(listener.endpoint, term) as peer:
        await peer.expect(expected)


async def test_who_does_not_negotiate_is_talked_to_soon() -> None:
    async with serving(tell, settle=0.2) as listener, raw(listener.endpoint) as client:
        began = asyncio.get_running_loop().time()
        assert (await client.expect(b"> ")).replace(IAC, b"").endswith(b"? 80x24 keys=False colour=False\r\n> ")
        assert asyncio.get_running_loop().time() - began < 2.0
        client.send(b"look\n")
        await client.expect(b"<look>\r\n")


async def test_who_speaks_first_is_talked_to_at_once() -> None:
    async with serving(tell, settle=3600) as listener, raw(listener.endpoint) as client:
        client.send(b"look\n")
        await client.expect(b"<look>")


async def test_who_says_late_what_it_is_is_believed() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        await client.expect(b"keys=False colour=False\r\n> ")
        client.send(IAC, WILL, TTYPE, IAC, WILL, NAWS, IAC, SB, NAWS, b"\0\x64\0\x1e", IAC, SE)
        await client.expect(IAC + SB + TTYPE + b"\x01" + IAC + SE)
        is_type(client, "XTERM")
        await client.expect(IAC + WILL + ECHO)
        client.send(IAC, DO, SGA, IAC, DO, ECHO, b"on\r\0")
        await client.expect(b"on\r\n<on>\r\nxterm 100x30 keys=True colour=True")


async def test_what_a_mud_client_can_do_is_asked_for() -> None:
    async with serving(tell, settle=2) as listener, raw(listener.endpoint) as client:
        client.send(IAC, WILL, TTYPE)
        for name in ("MUSHCLIENT", "ANSI", "MTTS 9"):
            await client.expect(IAC + SB + TTYPE + b"\x01" + IAC + SE)
            is_type(client, name)
        client.send(b"\r\n")
        await client.expect(b"ansi 80x24 keys=False colour=True")


async def test_an_encoding_is_agreed_on() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        await client.expect(b"> ")
        client.send("ü\r\n".encode())
        await client.expect("<ü>".encode())
        client.send(IAC, WILL, CHARSET)
        await client.expect(IAC + SB + CHARSET + b"\x01 UTF-8")
        client.send(IAC, SB, CHARSET, b"\x02ISO-8859-1", IAC, SE, "ü€\r\n".encode("latin-1", "replace"))
        await client.expect("<ü?>".encode("latin-1"))
        client.send(IAC, SB, CHARSET, b"\x01;KLINGON;UTF-8", IAC, SE, "ü\r\n".encode())
        await client.expect(IAC + SB + CHARSET + b"\x02UTF-8" + IAC + SE)
        await client.expect("<ü>".encode())
        client.send(IAC, SB, CHARSET, b"\x01;KLINGON;punycode", IAC, SE)
        await client.expect(IAC + SB + CHARSET + b"\x03" + IAC + SE)


async def test_the_environment_is_asked_for_what_is_needed_alone() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        client.send(IAC, WILL, ENVIRON)
        asked = await client.expect(IAC + SE)
        assert asked.endswith(IAC + SB + ENVIRON + b"\x01\0LANG\0COLORTERM" + IAC + SE)
        client.send(IAC, SB, ENVIRON, b"\0\0LANG\x01de_DE.ISO-8859-1\0USER\x01root", IAC, SE, b"\xfc\r\n")
        await client.expect(b"<\xfc>")


async def test_bytes_that_are_no_text_are_replaced() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        client.send(b"a\x80\xff\xff\xe2\x82b\r\n")
        await client.expect("<a\ufffd\ufffd\ufffdb>".encode())


async def test_a_command_is_answered_in_its_place() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        await client.expect(b"> ")
        client.send(b"tyop", IAC, b"\xf7", IAC, b"\xf7po gone", IAC, b"\xf8new\r\n", IAC, b"\xf6", IAC, b"\xf1")
        await client.expect(b"[yes]")
        await client.expect(b"<new>")


async def test_prompts_are_marked_for_clients_that_care() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        assert IAC + b"\xf9" not in await client.expect(b"> ")
        client.send(IAC, WONT, TTYPE, b"\r\n")
        await client.expect(b"> " + IAC + b"\xf9")
        client.send(IAC, DO, b"\x19", b"\r\n")
        await client.expect(b"> " + IAC + b"\xef")


async def test_options_that_we_do_not_have_are_refused() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        client.send(IAC, WILL, LINEMODE, IAC, DO, b"\x56", IAC, WILL, b"\x57", IAC, DO, b"\x12", IAC, DO, ECHO)
        await client.expect(IAC + DONT + LINEMODE)
        await client.expect(IAC + WONT + b"\x56")
        await client.expect(IAC + DONT + b"\x57")
        await client.expect(IAC + WONT + b"\x12")
        await client.expect(IAC + WONT + ECHO)


async def test_secrets_are_not_shown_by_the_client_and_a_late_answer_changes_nothing() -> None:
    async def talk(terminal: Terminal) -> None:
        for _ in range(2):
            await terminal.read_line("word: ", secret=True)
            await terminal.read_line("plain: ")

    async with serving(talk) as listener, raw(listener.endpoint) as client:
        for _ in range(2):
            await client.expect(IAC + WILL + ECHO)
            client.send(b"xyzzy\r\n")
            await client.expect(IAC + WONT + ECHO)
            await client.expect(b"plain: ")
            client.send(IAC, DO, ECHO, b"\r\n")
        await client.wait_lost()
        assert client.heard.count(IAC + WILL + ECHO) == 2


async def test_half_of_a_connection_is_enough_for_a_script() -> None:
    async with serving(tell) as listener, raw(listener.endpoint) as client:
        client.send(b"one\ntwo\nlast")
        client.transport.write_eof()
        heard = await client.wait_lost()
        assert b"<one>" in heard
        assert b"<two>" in heard
        assert b"<last>" not in heard


async def test_a_carriage_return_alone_is_sent_as_it_must_be() -> None:
    async def talk(terminal: Terminal) -> None:
        terminal.write("10%\r20%\nÿ\r\n")

    async with serving(talk) as listener, raw(listener.endpoint) as client:
        await client.expect("10%\r\x0020%\r\nÿ\r\n".encode())


async def test_passwords_are_taken_by_tls_and_by_nothing_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "people").write_text(f"ann:{stretch('xyzzy')}:staff\n")
    (tmp_path / "people").chmod(0o600)
    house = portal(PasswordsChecker(tmp_path / "people"))
    files = certificate(tmp_path, "127.0.0.1")

    async def talk(terminal: Terminal) -> None:
        terminal.write(f"hello {terminal.identity.name} of {sorted(terminal.identity.groups)}\n")
        await terminal.read_line()

    url = f"tls://127.0.0.1:0?cert={files['cert']}&key={files['key']}"
    async with (
        serving(Host(talk, house, wanted=Desk), url) as listener,
        raw(net.Endpoint.parse(f"{listener.endpoint.peer()}?ca={files['ca']}")) as client,
    ):
        for word in (b"wrong", b"xyzzy"):
            await client.expect(b"login: ")
            client.send(b"ann\r\n")
            await client.expect(b"password: ")
            client.send(word, b"\r\n")
        await client.expect(b"hello ann of ['staff']")
        assert b"xyzzy" not in client.heard
    async with serving(Host(talk, house, wanted=Desk)) as listener, raw(listener.endpoint) as client:
        heard = await client.wait_lost()
        assert b"a password is not taken by this connection: use TLS, SSH or a Unix socket" in heard
        assert b"password:" not in heard


@pytest.mark.system
async def test_a_plain_socket_of_another_program_works() -> None:
    script = (
        "import socket, sys\n"
        "with socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20) as one:\n"
        "    one.sendall(b'look\\n'); one.shutdown(socket.SHUT_WR)\n"
        "    while part := one.recv(4096): sys.stdout.buffer.write(part)\n"
    )
    async with serving(tell) as listener:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", script, str(listener.endpoint.port)],
            stdout=subprocess.PIPE,
            timeout=30,
            check=True,
        )
        assert b"<look>\r\n" in done.stdout
