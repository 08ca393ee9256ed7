"""Logins: who gets in, who does not and what that tells; and both ends know whom they have before them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker, net
from ropewalk.auth import (
    Anonymous,
    AnonymousChecker,
    Credentials,
    HeldKey,
    Password,
    Perspectives,
    Portal,
    Token,
    Visit,
)
from ropewalk.broker.client import opened
from ropewalk.broker.errors import WrongNode
from ropewalk.broker.logins import Hellos, Key, credentials_of
from ropewalk.broker.wires import NONE, wire_of
from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.metrics import Registry, using
from ropewalk.net.certificates import load_chain, server_context
from ropewalk.testing.recorder import Recorder
from tests.broker.hosts import Everyone, House, Me, Raw, served, simulated, until
from tests.net.loops import each_loop
from tests.net.peers import certificate, counted

EVE, NODE, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3))
TLS = "cert={cert}&key={key}&ca={ca}"


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def house(**options: Any) -> House:
    return House(AnonymousChecker(), Everyone(public(EVE)), node=NODE, **options)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> dict[str, str]:
    return certificate(tmp_path, "localhost", "127.0.0.1", ca=authority)


@pytest.fixture
def forged(tmp_path: Path, authority: trustme.CA) -> dict[str, str]:
    """Another certificate, which clients trust as well."""
    folder = tmp_path / "forged"
    folder.mkdir()
    return certificate(folder, "localhost", "127.0.0.1", ca=authority)


class Passing(asyncio.Protocol):
    """One end of somebody in the middle."""

    def __init__(self) -> None:
        self.other: Passing | None = None
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.waiting += data
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


@asynccontextmanager
async def between(target: net.Endpoint, url: str) -> AsyncIterator[str]:
    """Somebody who listens at a URL and passes all on to a server, reading along."""
    tasks: set[asyncio.Task[None]] = set()

    async def join(one: Passing) -> None:
        _, other = await net.connect(target, Passing)
        one.other, other.other = other, one
        other.transport.write(one.waiting)
        if other.waiting:
            one.transport.write(other.waiting)

    def made() -> Passing:
        one = Passing()
        tasks.add(asyncio.ensure_future(join(one)))
        return one

    async with await net.listen(url, made) as listener:
        yield str(listener.endpoint.peer())
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    "url", ["tls://127.0.0.1:0?{tls}", "wss://127.0.0.1:0/?{tls}", "unix://{folder}/s", "memory://x"]
)
@each_loop
async def test_a_key_shows_both_ends_to_each_other(url: str, tmp_path: Path, files: dict[str, str]) -> None:
    async with served(house(), url.format(folder=tmp_path, tls=TLS.format(**files))) as listener:
        peer = listener.endpoint.peer()
        async with broker.connect(peer, Key(EVE), node=public(NODE)) as me:
            assert await me.who() == ["eve", "key", True, False]
        async with broker.connect(peer, Key(EVE, "eve")) as me:
            assert await me.who() == ["eve", "key", True, False]
        for key in (Key(STRANGER), Key(STRANGER, "eve"), Key(EVE, "ann")):
            with pytest.raises(Refused) as raised:
                async with broker.connect(peer, key):
                    pass
            assert raised.value.code == "auth.denied"


@each_loop
async def test_over_an_open_channel_a_key_gets_less() -> None:
    async with (
        served(house(), "tcp://127.0.0.1:0") as listener,
        broker.connect(listener.endpoint.peer(), Key(EVE), node=public(NODE)) as me,
    ):
        assert await me.who() == ["eve", "key", False, True]


@each_loop
async def test_who_stands_between_with_a_certificate_of_his_own_is_refused(
    files: dict[str, str], forged: dict[str, str]
) -> None:
    async with (
        served(house(), f"tls://127.0.0.1:0?{TLS.format(**files)}") as listener,
        between(listener.endpoint.peer(), f"tls://127.0.0.1:0?{TLS.format(**forged)}") as url,
    ):
        with pytest.raises(Refused) as raised:
            async with broker.connect(url, Key(EVE)):
                pass
        assert raised.value.code == "auth.denied"
        for credentials in (None, Password("ann", "right")):
            with pytest.raises(WrongNode):
                async with broker.connect(url, credentials, node=public(NODE)):
                    pass
        # Who says that there is a proxy has what it asked for, and the server knows.
        async with broker.connect(url, Key(EVE, behind_proxy=True), node=public(NODE)) as me:
            assert await me.who() == ["eve", "key", False, True]


@each_loop
async def test_where_tls_ends_at_a_proxy(files: dict[str, str]) -> None:
    async with (
        served(house(), "proxy://127.0.0.1:0") as listener,
        between(listener.endpoint.peer(), f"tls://127.0.0.1:0?{TLS.format(**files)}") as url,
    ):
        async with broker.connect(url, Key(EVE, behind_proxy=True), node=public(NODE)) as me:
            assert await me.who() == ["eve", "key", False, True]
        with pytest.raises(Refused) as raised:
            async with broker.connect(url, Key(EVE)):
                pass
        assert raised.value.code == "auth.denied"
        for secret in (Password("ann", "right"), Token("word")):
            with pytest.raises(Refused) as raised:
                async with broker.connect(url, secret):
                    pass
            assert raised.value.code == "auth.channel-not-verified"


@each_loop
async def test_another_node_is_refused_before_anything_is_sent() -> None:
    house_ = house()
    async with served(house_):
        session = await opened("memory://house")
        with pytest.raises(WrongNode):
            await broker.login(session, Key(EVE), node=public(STRANGER))
        await session.ended(5)
        assert not house_.given
        with pytest.raises(WrongNode):
            async with broker.connect("memory://house", node=public(STRANGER)):
                pass
        assert not house_.given


@each_loop
async def test_a_node_that_tells_a_key_that_it_does_not_hold() -> None:
    class Liar(House):
        def protocol(self) -> broker.Session:
            session = super().protocol()
            session._node = public(NODE)
            return session

    async with served(Liar(AnonymousChecker(), node=STRANGER)):
        with pytest.raises(WrongNode, match="does not hold"):
            async with broker.connect("memory://house", node=public(NODE)):
                pass


def test_a_login_is_worth_nothing_in_another_session() -> None:
    async def main() -> None:
        async with served(house()):
            first = await opened("memory://house")
            _, sent, *_ = credentials_of(Key(EVE), first.hellos, first.wire, "")
            other = await opened("memory://house")
            with pytest.raises(RopewalkError) as raised:
                await other.door.login("key", sent, "")
            assert raised.value.code == "auth.denied"
            with pytest.raises(RopewalkError) as raised:
                await first.door.login("key", sent, "other")  # for another kind it was not signed
            assert raised.value.code == "auth.denied"
            await first.door.login("key", sent, "")
            for session in (first, other):
                session.close()
                await session.ended(5)

    simulated(main)


@pytest.mark.parametrize("change", ["name", "key", "signature", "bound"])
def test_each_part_of_a_login_is_signed(change: str) -> None:
    async def main() -> None:
        async with served(house()):
            session = await opened("memory://house")
            _, sent, *_ = credentials_of(Key(EVE), session.hellos, session.wire, "")
            sent[change] = {"name": "eve", "key": public(STRANGER), "signature": bytes(64), "bound": False}[change]
            with pytest.raises(RopewalkError) as raised:
                await session.door.login("key", sent, "")
            assert raised.value.code == "auth.denied"
            session.abort(raised.value)
            await session.wait_closed()

    simulated(main)


def test_no_part_can_be_moved_into_the_next_one() -> None:
    hellos = Hellos(b"s" * 32, b"c" * 32, b"n" * 32)
    seen = {hellos.challenge(wanted, bound=bound) for wanted in ("", "a", "\x01", "ab") for bound in (False, True)}
    seen |= {Hellos(b"c" * 32, b"s" * 32, b"n" * 32).challenge("", bound=True)}
    seen |= {Hellos(b"s" * 32, b"c" * 32).challenge("", bound=True)}
    assert len(seen) == 10


MALFORMED: dict[str, tuple[str, Any]] = {
    "kind": ("magic", {}),
    "no name": ("password", {"password": "x"}),
    "name is a number": ("password", {"name": 5, "password": "x"}),
    "token is binary": ("token", {"token": b"x"}),
    "no signature": ("key", {"name": "", "key": bytes(32), "bound": True}),
    "bound is a number": ("key", {"name": "", "key": bytes(32), "signature": bytes(64), "bound": 1}),
    "no map": ("key", 5),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_login_is_a_mistake(case: str) -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            session = await opened("memory://house")
            with pytest.raises(RopewalkError) as raised:
                await session.door.login(*MALFORMED[case], "")
            assert raised.value.code == "broker.arguments"
            session.close()
            await session.ended(5)
            assert not house_.given

    simulated(main)


def test_failures_are_equal_in_words_and_time_and_counted() -> None:
    async def main() -> None:
        registry = Registry()
        with using(registry):
            house_ = house(step=0.5)
        loop = asyncio.get_running_loop()
        told = set()
        async with served(house_):
            for credentials, wanted in (
                (Key(STRANGER), ""),
                (Key(EVE, "nobody"), ""),
                (Key(STRANGER), "no such kind"),
                (Password("ann", "wrong"), ""),
                (Password("nobody", "wrong"), "no such kind"),
                (Token("wrong"), ""),
                (None, ""),
            ):
                session = await opened("memory://house")
                began = loop.time()
                login: Any = broker.login(session, credentials, wanted=wanted)
                if credentials is None:  # a signature that is wrong
                    login.close()
                    _, sent, *_ = credentials_of(Key(EVE), session.hellos, session.wire, "")
                    login = session.door.login("key", {**sent, "signature": bytes(64)}, "")
                with pytest.raises(RopewalkError) as raised:
                    await login
                told.add((type(raised.value), raised.value.code, str(raised.value), round(loop.time() - began, 2)))
                session.close()
                await session.ended(5)
        assert len(told) == 1, told
        denied = sum(counted(registry, "ropewalk_auth_logins_total", outcome="denied", how=how) for how in HOWS)
        assert denied == 7

    simulated(main)


HOWS = ("key", "password", "token")


def test_the_kinds_of_perspective_are_told_to_those_who_are_known() -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            with pytest.raises(RopewalkError) as raised:
                async with broker.connect("memory://house", Password("ann", "right"), wanted="magic"):
                    pass
            assert raised.value.code == "auth.no-perspective"
            # By the names that clients ask for: those of classes are nobody's business.
            assert str(raised.value) == "got the kind of perspective 'magic', expected one of: '', 'other'"
            assert not house_.given

    simulated(main)


def test_a_realm_that_gives_anything_for_any_kind_gives_nothing_by_a_name_that_is_not_there() -> None:
    class Generous:
        async def perspective(self, visit: Visit, wanted: type[Any]) -> Any:
            visit.owned.callback(lambda: left.append(wanted))
            return 5 if wanted is Me else Me(visit)

    left: list[Any] = []

    async def main() -> None:
        made = broker.Host(Portal(Generous(), [AnonymousChecker()]), {"": Me})
        async with served(made):
            with pytest.raises(RopewalkError, match="expected one of: ''") as raised:
                async with broker.connect("memory://house", wanted="magic"):
                    pass
            assert raised.value.code == "auth.no-perspective"
            assert len(left) == 1
            with pytest.raises(broker.Failed):  # what it gives for that is no perspective: a bug over there
                async with broker.connect("memory://house"):
                    pass
            assert len(left) == 2
            assert not made.sessions

    simulated(main)


@pytest.mark.parametrize("kind", [int, Me(None), "Me", broker.Object])  # type: ignore[arg-type]
def test_a_kind_that_is_no_perspective_is_refused_when_the_host_is_made(kind: Any) -> None:
    with pytest.raises(Misuse, match=r"kind 'x' is .*, expected a subclass of Perspective") as raised:
        broker.Host(Portal(Perspectives(), []), {"": Me, "x": kind})
    assert raised.value.code == "broker.bad-kind"


@pytest.mark.parametrize("credentials", ["anna", "", 0, b"key", ("ann", "right"), EVE, HeldKey("eve", b"")])
def test_what_are_no_credentials_is_a_mistake_and_no_login_as_nobody(credentials: Any) -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            with pytest.raises(Misuse, match=r"got a \w+ as credentials, expected a Key, Password, Token or Anon"):
                async with broker.connect("memory://house", credentials):
                    pass
            with pytest.raises(Misuse, match="as credentials"):
                async with broker.reconnecting("memory://house", credentials):
                    pass
            assert not house_.given
            for nobody in (None, Anonymous()):
                async with broker.connect("memory://house", nobody) as me:
                    assert (await me.who())[1] == "anonymous"

    simulated(main)


@each_loop
async def test_secrets_go_only_over_private_channels(files: dict[str, str]) -> None:
    house_ = house()
    secrets: list[Credentials] = [Password("ann", "right"), Token("word")]
    async with served(house_, "tcp://127.0.0.1:0") as listener:
        for secret in secrets:
            with pytest.raises(Refused) as raised:
                async with broker.connect(listener.endpoint.peer(), secret):
                    pass
            assert raised.value.code == "auth.channel-not-verified"
        session = await opened(listener.endpoint.peer())  # one that does not care
        for kind, sent in (("password", {"name": "ann", "password": "right"}), ("token", {"token": "word"})):
            with pytest.raises(Refused) as raised:
                await session.door.login(kind, sent, "")
            assert raised.value.code == "auth.channel-not-verified"
        session.close()
        await session.ended(5)
        assert not house_.given
    async with served(house_, f"tls://127.0.0.1:0?{TLS.format(**files)}") as listener:
        for secret, name in zip(secrets, ("ann", "bob"), strict=True):
            async with broker.connect(listener.endpoint.peer(), secret, node=public(NODE)) as me:
                assert (await me.who())[0] == name


def test_several_logins_in_one_session() -> None:
    async def main() -> None:
        house_ = house(limits=broker.Limits(frame=50_000, questions=300))
        async with served(house_):
            session = await opened("memory://house")
            theirs = session.broker.lanes
            assert theirs.theirs.frame == 4096
            one: Any = await broker.login(session)
            assert (theirs.theirs.frame, theirs.theirs.questions) == (50_000, 300)
            two: Any = await broker.login(session, Password("ann", "right"), wanted="other")
            assert (theirs.theirs.frame, theirs.theirs.questions) == (200_000, 300)
            assert await one.who() == ["", "anonymous", True, False]
            assert await two.who() == ["ann", "password", True, False]
            session.close()
            await session.ended(5)
            assert [given.gone for given in house_.given] == [1, 1]
            assert house_.logouts == {0: 1, 1: 1}

    simulated(main)


def test_a_session_has_only_so_many_logins() -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            session = await opened("memory://house")
            for _ in range(16):
                await broker.login(session)
            for count in (1, 2):
                with pytest.raises(RopewalkError) as raised:
                    await broker.login(session)
                assert raised.value.code == "broker.busy"
                await until(lambda count=count: sum(house_.logouts.values()) == count)  # type: ignore[misc]
            session.close()
            await session.ended(5)
            await until(lambda: not house_.sessions)
            assert set(house_.logouts.values()) == {1}
            assert len(house_.logouts) == 18

    simulated(main)


def test_nothing_but_the_door_before_a_login() -> None:
    async def main() -> None:
        async with served(house()):
            _, raw = await net.connect("memory://house", Raw)
            raw.hello()
            raw.say([0, 1, 1, "echo", [1]], [0, 2, 0, "echo", [1]], [0, 3, 0, "fetch", [bytes(16)]])
            assert (await raw.answer(1))[3] == "broker.no-object"
            assert (await raw.answer(2))[3] == "broker.no-method"
            assert (await raw.answer(3))[3] == "auth.required"
            raw.transport.close()
            await raw.until(lambda: raw.lost)

    simulated(main)


def test_calls_can_go_with_the_login() -> None:
    async def main() -> None:
        async with served(house()):
            _, raw = await net.connect("memory://house", Raw)
            raw.hello()
            raw.say([0, 1, 0, "login", ["anonymous", {}, ""]], [0, 2, [1, 0], "echo", ["quick"]])
            assert await raw.answer(2) == [1, 2, "quick"]
            kinds = [message[0] for message in raw.said]
            assert kinds.index(12) < kinds.index(1)  # LIMITS before RETURN
            raw.transport.close()
            await raw.until(lambda: raw.lost)

    simulated(main)


@pytest.mark.parametrize("after", [0.1, 0.6, 1.1])
def test_a_login_whose_connection_dies_leaves_nothing(after: float) -> None:
    """While the checker looks, while the realm makes a perspective, and when all is done."""

    class Slow(Everyone):
        async def check(self, credentials: Any) -> Any:
            await asyncio.sleep(0.5)
            return await super().check(credentials)

    async def main() -> None:
        house_ = House(Slow())
        make = house_.portal._realm._makers[Me]  # type: ignore[attr-defined]

        async def slowly(visit: Any) -> Any:
            made = make(visit)
            await asyncio.sleep(0.5)
            return made

        house_.portal._realm._makers[Me] = slowly  # type: ignore[attr-defined]
        async with served(house_):
            session = await opened("memory://house")
            task = asyncio.create_task(broker.login(session, Password("ann", "right")))
            await asyncio.sleep(after)
            session.abort(WrongNode("changed my mind"))
            await asyncio.wait([task])
            assert isinstance(task.exception(), RopewalkError) == (after < 1)
            await session.wait_closed()
            await until(lambda: not house_.sessions)
            assert sum(house_.logouts.values()) == len(house_.given) == (after > 0.5)
            assert [given.gone for given in house_.given] == [1 if after > 1 else 0][: len(house_.given)]

    simulated(main)


# What both ends know of a certificate.


@pytest.mark.parametrize("url", ["tls://127.0.0.1:0?{tls}", "wss://127.0.0.1:0/?{tls}", "tls+unix://{folder}/s?{tls}"])
@each_loop
async def test_both_ends_see_the_same_key_of_the_server(url: str, tmp_path: Path, files: dict[str, str]) -> None:
    at_server = Recorder()
    async with await net.listen(url.format(folder=tmp_path, tls=TLS.format(**files)), lambda: at_server) as listener:
        transport, at_client = await net.connect(listener.endpoint.peer(), Recorder)
        await at_server.until(lambda: at_server.calls)
        assert net.shown_pin(transport) == net.shown_pin(at_server.transport) == net.pin_of_file(files["cert"])
        assert wire_of(transport).binding == wire_of(at_server.transport).binding != NONE
        transport.close()
        await at_client.until_lost()


@each_loop
async def test_a_connection_without_tls_shows_no_key() -> None:
    at_server = Recorder()
    async with await net.listen("tcp://127.0.0.1:0", lambda: at_server) as listener:
        transport, at_client = await net.connect(listener.endpoint.peer(), Recorder)
        assert net.shown_pin(transport) == ""
        assert wire_of(transport).binding == NONE
        transport.close()
        await at_client.until_lost()


@each_loop
async def test_a_certificate_that_is_renewed_is_told_to_new_connections_only(
    files: dict[str, str], forged: dict[str, str]
) -> None:
    servers: list[Recorder] = []

    def made() -> Recorder:
        servers.append(Recorder())
        return servers[-1]

    async with await net.listen(f"tls://127.0.0.1:0?{TLS.format(**files)}", made) as listener:
        first, one = await net.connect(listener.endpoint.peer(), Recorder)
        before = net.pin_of_file(files["cert"])
        for name in ("cert", "key"):
            shutil.copy(forged[name], files[name])
        assert isinstance(listener.certificates, net.Certificates)
        assert listener.certificates.reload()
        second, two = await net.connect(listener.endpoint.peer(), Recorder)
        for server in servers:
            await server.until(lambda server=server: server.calls)  # type: ignore[misc]
        pins = [net.shown_pin(server.transport) for server in servers]
        assert pins == [before, net.pin_of_file(forged["cert"])]
        assert [net.shown_pin(first), net.shown_pin(second)] == pins
        for transport, end in ((first, one), (second, two)):
            transport.close()
            await end.until_lost()


def test_a_context_that_somebody_else_made_tells_no_key(files: dict[str, str]) -> None:
    ours, other = server_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert _shown(ours) == ""  # it has no certificate yet
    load_chain(ours, Path(files["cert"]), Path(files["key"]))
    load_chain(other, Path(files["cert"]), Path(files["key"]))
    assert _shown(ours) == net.pin_of_file(files["cert"])
    assert _shown(other) == ""


def _shown(context: ssl.SSLContext) -> str:
    session = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    return net.shown_pin(asyncio.BaseTransport({"ssl_object": session}))
