"""The service kind ``ssh``: in an application, from its configuration to its farewell."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest

from ropewalk.auth import Accounts, Perspectives, Portal, checker_of
from ropewalk.metrics import Registry
from ropewalk.net import BadEndpoint, Limits
from ropewalk.service import Application, Context, kind_of, parse
from ropewalk.ssh import BadHostKey, HostKeyUnreadable, NotInstalled, SshConfig, SshLimits, SshService
from ropewalk.terminal import BadTalk, Host, Terminal
from tests.ssh.place import ANN, WITHIN, client, gone, parrot, said

HERE = "tests.ssh.test_service"


def lobby(context: Context) -> Host:
    """A host whose people are in a file of accounts."""
    realm = Perspectives()
    realm.give(object, lambda visit: object())
    return Host(parrot, Portal(realm, [checker_of("accounts:users.db", context.folder)], step=0.01), grace=1.0)


def stubborn(context: Context) -> Host:
    """A talk that does not heed the end of its visitor."""

    async def talk(terminal: Terminal) -> None:
        terminal.write("ready\n")
        await asyncio.Event().wait()

    return Host(talk, grace=0.1)


def config(**more: Any) -> SshConfig:
    return msgspec.convert({"listen": "memory://ssh-service", "talk": f"{HERE}:lobby", **more}, SshConfig)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    accounts = Accounts(tmp_path / "users.db")
    accounts.add("ann", "tulips and roses")
    accounts.add_key("ann", ANN.public_data)
    return tmp_path


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[SshService]:
    service = SshService(config(**more), Context("desk", "shop", Registry(), folder=folder))
    async with AsyncExitStack() as service.owned, asyncio.TaskGroup() as service.tasks:
        await service.start()
        yield service
        async with asyncio.timeout(WITHIN):
            await service.stop(5)


def trusting(service: SshService) -> Any:
    return [asyncssh.import_public_key(service.key.line)], [], []


@pytest.mark.parametrize("options", [{}, {"client_keys": None, "password": "tulips and roses"}], ids=["key", "word"])
async def test_it_lets_in_whom_the_accounts_know_and_says_good_bye(options: dict[str, Any], folder: Path) -> None:
    async with running(folder) as service:
        url = str(service.listeners[0].endpoint.peer())
        with pytest.raises(asyncssh.PermissionDenied):
            await client(url, client_keys=None, password="nails and screws")
        connection = await client(url, known_hosts=trusting(service), **options)
        idle = await client(url, known_hosts=trusting(service), **options)
        process = await connection.create_process(term_type=None)
        await said(process, "hello ann\n")
        assert service.statistics() == {"connections": 2, "channels": 1}
        async with asyncio.timeout(WITHIN):
            await service.stop(5)
            assert (await process.stdout.read()).endswith("\nthe server stops: good-bye\n")
            await connection.wait_closed()
            await idle.wait_closed()
        assert service.statistics() == {"connections": 0, "channels": 0}


async def test_what_does_not_heed_the_end_is_cut_off(folder: Path) -> None:
    async with running(folder, talk=f"{HERE}:stubborn") as service:
        connection = await client(str(service.listeners[0].endpoint.peer()))
        process = await connection.create_process(term_type=None)
        await said(process, "ready\n")
        async with asyncio.timeout(WITHIN):
            await service.stop(2)
            await connection.wait_closed()


async def test_it_is_known_again_after_a_restart(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ropewalk.ssh")
    async with running(folder, host_key="keys/host") as service:
        known = trusting(service)
        fingerprint = service.key.fingerprint
    async with running(folder, host_key="keys/host") as service:
        await gone(await client(str(service.listeners[0].endpoint.peer()), known_hosts=known))
        assert service.key.fingerprint == fingerprint
    assert caplog.text.count(f"host key of desk: {fingerprint}") == 2


async def test_another_key_is_taken_up_at_a_reload_and_talks_go_on(folder: Path) -> None:
    async with running(folder) as service:
        url = str(service.listeners[0].endpoint.peer())
        old = trusting(service)
        connection = await client(url, known_hosts=old)
        process = await connection.create_process(term_type=None)
        await said(process, "hello ann\n")
        path = folder / "ssh_host_key"
        path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        await service.reload()
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await client(url, known_hosts=old)
        await gone(await client(url, known_hosts=trusting(service)))
        process.stdin.write("still\n")
        await said(process, "still still\n")
        await gone(connection)


async def test_a_key_that_is_wrong_at_a_reload_changes_nothing(folder: Path) -> None:
    async with running(folder) as service:
        url, path = str(service.listeners[0].endpoint.peer()), folder / "ssh_host_key"
        path.write_bytes(b"junk")
        with pytest.raises(BadHostKey):
            await service.reload()
        path.unlink()
        with pytest.raises(HostKeyUnreadable):
            await service.reload()
        assert not path.exists()
        await gone(await client(url, known_hosts=trusting(service)))


async def test_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    service = SshService(config(), Context("desk", "shop", Registry(), folder=folder))
    with pytest.raises(NotInstalled) as raised:
        await service.start()
    assert not (folder / "ssh_host_key").exists()
    assert raised.value.hint == "pip install 'ropewalk[ssh]'"


async def test_it_is_a_kind_of_its_own() -> None:
    assert kind_of("ssh") is SshService


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("talk", "nowhere:talk"),
        ("talk", f"{HERE}:HERE"),
        ("listen", "tcp://"),
        ("limits", {"tries": 0}),
        ("limits", {"login_within": -1}),
        ("limits", {"rekey_bytes": 1000}),
        ("limits", {"made_up": 1}),
        ("port", 22),
    ],
)
def test_what_is_wrong_is_found_before_it_starts(key: str, value: Any) -> None:
    with pytest.raises((msgspec.ValidationError, BadTalk, BadEndpoint)):
        config(**{key: value})


def test_limits_are_those_of_the_listener_and_of_each_connection() -> None:
    assert config().limits.limits() == Limits()
    assert config().limits.of_connection() == SshLimits()
    given = config(limits={"per_address": 3, "handshake": 5, "tries": 2, "unread": 7.5}).limits
    assert given.limits() == Limits(per_address=3, handshake=5)
    assert given.of_connection() == SshLimits(handshake=5, tries=2, unread=7.5)


async def test_it_is_a_part_of_an_application(folder: Path) -> None:
    text = f"""
        [application]
        name = "chat"
        [services.ssh]
        kind = "ssh"
        listen = "tcp://127.0.0.1:0"
        talk = "{HERE}:lobby"
    """
    application = Application("chat", parse(text, "chat.toml").plans, folder=folder)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(WITHIN):
        run = tasks.create_task(application.run())
        await application.wait_up()
        application.stop()
        await run
    assert (folder / "ssh_host_key").exists()
