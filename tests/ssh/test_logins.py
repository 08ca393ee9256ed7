"""Who is not let in: wrong keys and passwords, borrowed keys, weak ones, too many tries, too little time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.packet import Boolean, String

from ropewalk.auth import FailureLimits, HeldKey, Password, Portal, Rate
from ropewalk.ssh.limits import SshLimits
from tests.ssh.place import ANN, BOB, MALLORY, WITHIN, Place, gone, said, served

USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_PK_OK = 50, 51, 60
SERVICE = "ssh-connection"


class Hearing(asyncssh.SSHClient):
    """A client that remembers what it is told."""

    def __init__(self) -> None:
        self.banners: list[str] = []

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banners.append(msg)


@asynccontextmanager
async def among_others(place: Place) -> AsyncIterator[None]:
    """Somebody is in the middle of a line: nothing is left of what comes within, a third is let in, the line ends."""
    ann = await place.client()
    process = await ann.create_process(term_type=None)
    await said(process, "hello ann\n")
    process.stdin.write("still ")
    wires, tasks = set(place.server.wires), asyncio.all_tasks()
    yield
    async with asyncio.timeout(WITHIN):
        while (  # noqa: ASYNC110 - nobody tells
            set(place.server.wires) != wires or place.listener.connections != 1 or not asyncio.all_tasks() <= tasks
        ):
            await asyncio.sleep(0.001)
    third = await place.client()
    other = await third.create_process(term_type=None)
    await said(other, "hello ann\n")
    await gone(third)
    process.stdin.write("here\n")
    assert await said(process, "still here still here\n")
    await gone(ann)


async def test_a_wrong_key_ten_times_is_refused_and_the_others_are_unharmed(tmp_path: Path) -> None:
    limits = SshLimits(tries=10)
    async with served(tmp_path, limits=limits) as place, among_others(place):
        wrong = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(11)]
        with pytest.raises(asyncssh.PermissionDenied, match="too many logins failed"):
            await place.client(client_keys=wrong)
        asked = [one.key for one in place.people.asked[1:] if isinstance(one, HeldKey)]
        assert asked == [key.public_data for key in wrong[:10]]


async def test_a_wrong_key_in_ten_connections_at_once_is_refused_and_the_others_are_unharmed(tmp_path: Path) -> None:
    async with served(tmp_path) as place, among_others(place):
        told = await asyncio.gather(
            *(place.client(name, client_keys=[MALLORY]) for name in ("ann", "bob", "nobody", "root", "x") * 2),
            return_exceptions=True,
        )
        assert [type(one) for one in told] == [asyncssh.PermissionDenied] * 10


async def test_many_tries_from_one_address_are_put_off_and_told_so(tmp_path: Path) -> None:
    def portal(realm: Any, people: Any) -> Portal:
        limits = FailureLimits(time.monotonic, address=Rate(3, 1000), pair=Rate(100, 1))
        return Portal(realm, [people], limits, step=0.01)

    hearing = Hearing()
    async with served(tmp_path, portal=portal, url="tcp://127.0.0.1:0") as place:
        for _ in range(3):
            with pytest.raises(asyncssh.PermissionDenied):
                await place.client(client_keys=[MALLORY])
        with pytest.raises(asyncssh.PermissionDenied):
            await place.client(client_factory=lambda: hearing)
        assert len(place.people.asked) == 3
    assert hearing.banners[0].startswith("too many logins failed: try again in ")


async def test_a_name_that_nobody_has_is_refused_like_a_wrong_password(tmp_path: Path) -> None:
    answers = []
    step = 0.2
    async with served(tmp_path, portal=lambda realm, people: Portal(realm, [people], step=step)) as place:
        for name in ("ann", "nobody", "", "n" * 1000):
            began = time.monotonic()
            hearing = Hearing()
            with pytest.raises(asyncssh.PermissionDenied) as refused:
                await place.client(name, client_keys=None, password="wrong", client_factory=lambda told=hearing: told)
            answers.append((refused.value.code, refused.value.reason.replace(name, "NAME") if name else None))
            assert time.monotonic() - began >= step * 0.9
            assert hearing.banners == []
    assert answers[0] == answers[1] == answers[3]
    assert [one.name for one in place.people.asked] == ["ann", "nobody"]  # the portal knows what cannot be a name


async def test_a_realm_may_say_why_it_does_not_let_somebody_in(tmp_path: Path) -> None:
    hearing = Hearing()
    async with served(tmp_path) as place:
        with pytest.raises(asyncssh.PermissionDenied):
            await place.client("bob", client_keys=[BOB], client_factory=lambda: hearing)
        assert place.left == []
    assert hearing.banners == ["bob has no business here\r\n"]


async def test_to_ask_for_a_key_tells_nothing_and_asks_nobody(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        for name, key in (("ann", ANN), ("ann", MALLORY), ("nobody", MALLORY)):
            told = await asked(place.url, name, Boolean(False), String("ssh-ed25519"), String(key.public_data))
            assert told == USERAUTH_PK_OK
        assert place.people.asked == []


async def test_who_knows_a_public_key_does_not_hold_it(tmp_path: Path) -> None:
    """The signature is another key's, or of another connection, or of another name, or cut, or none."""
    async with served(tmp_path) as place:
        by_another = lambda data: MALLORY.sign(data, b"ssh-ed25519")  # noqa: E731
        for sign in (
            by_another,
            lambda data: ANN.sign(data[1:], b"ssh-ed25519"),
            lambda data: ANN.sign(data, b"ssh-ed25519")[:-1],
            lambda data: b"",
            lambda data: String("ssh-ed25519") + String(b""),
            lambda data: String("none") + String(b""),
        ):
            assert await asked_signed(place.url, "ann", ANN.public_data, sign) == USERAUTH_FAILURE
        assert place.people.asked == []
        assert place.left == []


async def test_a_signature_over_sha_1_is_not_taken_and_one_over_sha_2_is(tmp_path: Path) -> None:
    rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    async with served(tmp_path) as place:
        place.people.keys[rsa.public_data] = "ann"
        sign = lambda data: rsa.sign(data, b"ssh-rsa")  # noqa: E731
        assert await asked_signed(place.url, "ann", rsa.public_data, sign, "ssh-rsa") == USERAUTH_FAILURE
        assert place.people.asked == []
        connection = await place.client(client_keys=[rsa])
        await gone(connection)
        assert len(place.people.asked) == 1


@pytest.mark.parametrize("kind", ["rsa of 1,024 bits", "dsa", "ed448", "certificate", "junk", "none"])
async def test_what_is_no_key_that_is_taken_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    match kind:
        case "rsa of 1,024 bits":
            data = asyncssh.generate_private_key("ssh-rsa", key_size=1024).public_data
        case "dsa":
            data = asyncssh.generate_private_key("ssh-dss").public_data
        case "ed448":
            data = String("ssh-ed448") + String(bytes(57))
        case "certificate":
            data = MALLORY.generate_user_certificate(ANN, "ann", principals=["ann"]).public_data
        case _:
            data = b"" if kind == "none" else bytes(range(256))
    async with served(tmp_path) as place:
        told = await asked(place.url, "ann", Boolean(False), String("ssh-ed25519"), String(data))
        assert told == USERAUTH_FAILURE
        assert place.people.asked == []


async def test_a_password_is_not_asked_for_where_only_keys_are_taken(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        place.people.takes = (HeldKey,)
        place.server.use_key(place.server.key)
        with pytest.raises(asyncssh.PermissionDenied):
            await place.client(client_keys=None, password="right")
        assert place.people.asked == []
        assert await asked(place.url, "ann", Boolean(False), String("right"), method="password") == USERAUTH_FAILURE
        assert place.people.asked == []


async def test_other_ways_in_are_not_there(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        for method in ("none", "hostbased", "gssapi-with-mic", "gssapi-keyex", "keyboard-interactive", "made-up"):
            assert await asked(place.url, "ann", String(""), String(""), method=method) == USERAUTH_FAILURE
        change = (Boolean(True), String("right"), String("other"))
        assert await asked(place.url, "ann", *change, method="password") == USERAUTH_FAILURE
        assert place.people.asked == []


async def test_a_login_that_is_overtaken_by_the_next_counts_as_one(tmp_path: Path) -> None:
    """Guesses sent one after the other, without waiting for answers, are neither quicker nor more."""

    async with served(tmp_path, limits=SshLimits(tries=3), portal=lambda r, p: Portal(r, [p], step=1000.0)) as place:
        options, connection = await at_login(place.url)
        for number in range(10):
            request(connection, "ann", Boolean(False), String(f"guess {number}"), method="password")
            await asyncio.sleep(0)
        with pytest.raises(asyncssh.PermissionDenied, match="too many logins failed"):
            async with asyncio.timeout(WITHIN):
                await options.waiter
        assert [one.password for one in place.people.asked if isinstance(one, Password)] == [
            "guess 0",
            "guess 1",
            "guess 2",
        ]
        connection.abort()


async def test_a_login_whose_connection_is_lost_meanwhile_is_ended(tmp_path: Path) -> None:
    entered, may_go_on = asyncio.Event(), asyncio.Event()

    async with served(tmp_path) as place:
        check = place.people.check

        async def slow(credentials: Any) -> Any:
            entered.set()
            await may_go_on.wait()
            return await check(credentials)

        place.people.check = slow  # type: ignore[method-assign]
        trying = asyncio.create_task(place.client())
        await entered.wait()
        (wire,) = place.server.wires
        wire.transport.abort()
        with pytest.raises((asyncssh.Error, OSError)):
            await trying
        may_go_on.set()
        await place.empty()
        assert place.server._logins == {}


async def test_who_comes_when_the_service_has_ended_is_not_let_in(tmp_path: Path) -> None:
    async with served(tmp_path) as place:
        there = await place.client()
        start = place.server._start

        def over(work: Any) -> asyncio.Task[None]:
            raise RuntimeError("the group is shutting down")

        place.server._start = over
        with pytest.raises(asyncssh.PermissionDenied):
            await place.client()
        assert place.left == ["ann"]
        process = await there.create_process(term_type=None)
        assert (await process.wait()).stdout == ""
        place.server._start = start
        await gone(there)


async def test_nobody_may_take_longer_than_a_login_may(tmp_path: Path) -> None:
    async with served(tmp_path, limits=SshLimits(login_within=2.0)) as place:
        options, connection = await at_login(place.url)
        with pytest.raises(asyncssh.DisconnectError, match="login took longer than"):
            async with asyncio.timeout(WITHIN):
                await options.waiter
        connection.abort()


async def test_nobody_may_take_longer_than_an_exchange_of_keys_may(tmp_path: Path) -> None:
    async with served(tmp_path, limits=SshLimits(handshake=0.2)) as place:
        silent = await place.raw()
        assert (await silent.ended()).startswith(b"SSH-2.0-Ropewalk\r\n")
        slow = await place.raw()
        slow.transport.write(b"SSH-2.0-slow\r\n")
        assert b"exchange of keys took longer" in await slow.ended()


async def test_who_is_in_and_opens_no_channel_is_asked_to_go(tmp_path: Path) -> None:
    async with served(tmp_path, limits=SshLimits(unused=0.2)) as place:
        connection = await place.client()
        async with asyncio.timeout(WITHIN):
            await connection.wait_closed()


# ---- the client's side, by hand ----


async def at_login(url: str) -> tuple[Any, asyncssh.SSHClientConnection]:
    """A client that has exchanged keys, and says no more by itself."""
    loop = asyncio.get_running_loop()
    options = asyncssh.SSHClientConnectionOptions(
        username="ann", client_keys=None, known_hosts=None, config=None, agent_path=None, login_timeout=0
    )
    options.waiter = loop.create_future()
    ready = asyncio.Event()

    class Waiting(asyncssh.SSHClientConnection):
        def try_next_auth(self, *, next_method: bool = False) -> None:
            ready.set()

    from ropewalk import net

    _, connection = await net.connect(url, lambda: Waiting(loop, options, wait="auth"))
    async with asyncio.timeout(WITHIN):
        await ready.wait()
    return options, connection


def request(connection: asyncssh.SSHClientConnection, name: str, *args: bytes, method: str = "publickey") -> None:
    connection.send_packet(USERAUTH_REQUEST, String(name), String(SERVICE), String(method), *args)


async def told_by(connection: asyncssh.SSHClientConnection) -> asyncio.Future[int]:
    """The type of the next packet about the login."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Listening:
        def log_received_packet(self, *args: Any) -> None:
            pass

        def process_packet(self, kind: int, number: int, packet: Any) -> bool:
            told.set_result(kind)
            return True

        def cancel(self) -> None:
            pass

    handlers = dict(connection._packet_handlers)
    handlers[USERAUTH_FAILURE] = lambda self, kind, *_: told.set_result(kind)
    connection._packet_handlers = handlers
    connection._auth = Listening()  # type: ignore[assignment]
    return told


async def asked(url: str, name: str, *args: bytes, method: str = "publickey") -> int:
    """What a request for a login is answered with."""
    _, connection = await at_login(url)
    told = await told_by(connection)
    request(connection, name, *args, method=method)
    async with asyncio.timeout(WITHIN):
        kind = await told
    connection.abort()
    await asyncio.sleep(0)
    return kind


async def asked_signed(url: str, name: str, data: bytes, sign: Any, algorithm: str = "ssh-ed25519") -> int:
    """What a signed request is answered with."""
    _, connection = await at_login(url)
    told = await told_by(connection)
    args = Boolean(True), String(algorithm), String(data)
    body = b"".join((bytes([USERAUTH_REQUEST]), String(name), String(SERVICE), String("publickey"), *args))
    request(connection, name, *args, String(sign(String(connection._session_id) + body)))
    async with asyncio.timeout(WITHIN):
        kind = await told
    connection.abort()
    await asyncio.sleep(0)
    return kind
