"""Addresses: the node that is meant is in the URL, and no other one is talked to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk import broker, net, threads
from ropewalk.auth import AnonymousChecker, Password
from ropewalk.broker.addresses import pinned, with_node
from ropewalk.errors import Misuse, Refused, RopewalkError
from tests.broker.hosts import Everyone, House, served, simulated, until
from tests.net.loops import each_loop
from tests.net.peers import certificate

NODE, STRANGER, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (2, 3, 1))


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def house(node: Ed25519PrivateKey | None = NODE, **options: Any) -> House:
    return House(AnonymousChecker(), Everyone(public(EVE)), node=node, **options)


def of(key: Ed25519PrivateKey, url: str = "memory://house") -> str:
    """An address with the key of a node in it."""
    return str(with_node(net.Endpoint.parse(url), public(key)))


def test_an_address_is_text_and_back() -> None:
    text = of(NODE, "tls://anna.example:4433?pin=sha256:" + "0" * 64)
    assert text.endswith(f"#ed25519:{public(NODE).hex()}")
    endpoint, key = pinned(text)
    assert (str(endpoint), key) == (text, public(NODE))
    assert pinned(endpoint) == (endpoint, key)
    assert pinned("tcp://localhost:1") == (net.Endpoint.parse("tcp://localhost:1"), None)


HEX = "8a" * 32
MALFORMED = {
    "no kind": HEX,
    "another kind": f"sha256:{HEX}",
    "no key": "ed25519:",
    "short": f"ed25519:{HEX[:-1]}",
    "long": f"ed25519:{HEX}8a",
    "upper case": f"ed25519:{HEX.upper()}",
    "no hexadecimal digits": f"ed25519:{HEX[:-1]}g",
    "an end of line": f"ed25519:{HEX}%0A",
    "two": f"ed25519:{HEX},ed25519:{HEX}",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_address_whose_end_is_no_key_is_refused_before_anything_is_sent(case: str) -> None:
    url = f"memory://house#{MALFORMED[case]}"

    async def main() -> None:
        house_ = house()
        async with served(house_):
            for begin in (
                lambda: broker.connect(url).__aenter__(),
                lambda: broker.opened(url),
                lambda: broker.reconnecting(url).__aenter__(),
            ):
                with pytest.raises(Misuse, match="after #, expected ed25519: and the node's key") as caught:
                    await begin()
                assert caught.value.code == "net.bad-endpoint"
                assert caught.value.hint
            assert not house_.sessions

    simulated(main)


def test_the_right_node_is_talked_to_and_another_is_not() -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            for credentials in (None, Password("ann", "right"), broker.Key(EVE)):
                async with broker.connect(of(NODE), credentials) as me:
                    assert await me.echo(1) == 1
            async with broker.connect(of(NODE), node=public(NODE)) as me:
                assert await me.echo(2) == 2
            given = len(house_.given)
            with pytest.raises(broker.WrongNode, match=r"is node [0-9a-f]{64}, expected [0-9a-f]{64}"):
                async with broker.connect(of(STRANGER), Password("ann", "right")):
                    pass
            with pytest.raises(broker.WrongNode, match=r"is node [0-9a-f]{64}, expected"):
                await broker.opened(of(STRANGER))
            assert len(house_.given) == given

    simulated(main)


def test_a_node_without_a_key_is_not_the_one_that_is_meant() -> None:
    async def main() -> None:
        async with served(house(node=None)):
            with pytest.raises(broker.WrongNode, match="is no node, expected"):
                await broker.opened(of(NODE))

    simulated(main)


def test_a_node_that_only_says_the_key_of_the_address_is_found_out_by_the_login() -> None:
    class Liar(House):
        def protocol(self) -> broker.Session:
            session = super().protocol()
            session._node = public(NODE)
            return session

    async def main() -> None:
        async with served(Liar(AnonymousChecker(), node=STRANGER)):
            session = await broker.opened(of(NODE))
            with pytest.raises(broker.WrongNode, match="does not hold"):
                await broker.login(session)
            await session.wait_closed()

    simulated(main)


@pytest.mark.parametrize(("node", "said"), [(b"short", "got 5 bytes"), ("text", "got a str"), (EVE, "Ed25519")])
def test_a_key_that_is_none_is_a_mistake(node: Any, said: str) -> None:
    async def main() -> None:
        house_ = house()
        async with served(house_):
            with pytest.raises(Misuse, match=rf"{said}.* as the node's key, expected 32 bytes"):
                async with broker.connect("memory://nobody", node=node):
                    pass
            session = await broker.opened("memory://house")
            with pytest.raises(Misuse, match="as the node's key"):
                await broker.login(session, node=node)
            assert session.error is None  # the mistake of a caller, who may try again
            session.close()
            await session.ended(5)

    simulated(main)


def test_two_keys_that_differ_are_a_mistake() -> None:
    async def main() -> None:
        async with served(house()):
            with pytest.raises(Misuse, match="and another in the address"):
                async with broker.connect(of(NODE, "memory://nobody"), node=public(STRANGER)):
                    pass
            session = await broker.opened(of(NODE))
            with pytest.raises(Misuse, match="and another in the address"):
                await broker.login(session, node=public(STRANGER))
            session.close()
            await session.ended(5)

    simulated(main)


def test_a_link_holds_each_session_to_the_address() -> None:
    async def main() -> None:
        quick = broker.Backoff(most=1, jitter=lambda: 1.0)
        with pytest.raises(broker.WrongNode):
            async with served(house()), broker.reconnecting(of(STRANGER), backoff=quick):
                pass
        first = house()
        listener = await net.listen("memory://house", first.protocol)
        async with broker.reconnecting(of(NODE), backoff=quick) as link:
            assert await link.perspective.echo(1) == 1
            await listener.drain(1, lambda transport, _: transport.abort())
            await until(lambda: not link.connected)
            async with served(house(node=STRANGER)):  # somebody took its place
                with pytest.raises(broker.WrongNode):
                    await link.perspective.echo(2)
                assert isinstance(link.error, broker.WrongNode)
            await asyncio.gather(*(session.wait_closed() for session in list(first.sessions)))

    simulated(main)


def test_a_plain_program_holds_the_server_to_the_address_too() -> None:
    async def start() -> tuple[House, net.Listener]:
        made = house()
        return made, await net.listen("tcp://127.0.0.1:0", made.protocol)

    with threads.portal() as door:
        made, listener = door.call(start)
        with door.enter(listener):
            with broker.connect_sync(made.address(listener.endpoint.peer()), through=door) as me:
                assert me.echo(1) == 1
            with (
                pytest.raises(broker.WrongNode),
                broker.connect_sync(of(STRANGER, str(listener.endpoint.peer())), through=door),
            ):
                pass


@pytest.mark.parametrize("url", ["tls://127.0.0.1:0?{tls}", "wss://127.0.0.1:0/way?{tls}"])
@each_loop
async def test_the_pin_of_a_certificate_lets_a_password_pass(url: str, tmp_path: Path) -> None:
    """Nobody that this machine trusts has signed it, and the name is another: the address alone says who is meant."""
    files = certificate(tmp_path, "elsewhere.example", ca=trustme.CA())
    made = house()
    async with served(made, url.format(tls="cert={cert}&key={key}".format(**files))) as listener:
        pin = net.pin_of_file(files["cert"])
        address = made.address(listener.endpoint.peer(pin=pin))
        assert f"pin={pin}" in str(address)
        assert str(address).endswith(f"#ed25519:{public(NODE).hex()}")
        async with broker.connect(str(address), Password("ann", "right")) as me:
            assert await me.who() == ["ann", "password", True, False]
        for wrong in (listener.endpoint.peer(), listener.endpoint.peer(pin="sha256:" + "0" * 64)):
            with pytest.raises(Refused) as caught:
                async with broker.connect(wrong, Password("ann", "right")):
                    pass
            assert caught.value.code == "net.not-verified"
        assert len(made.given) == 1


def test_only_a_host_with_a_key_can_put_it_into_its_address() -> None:
    async def main() -> None:
        endpoint = net.Endpoint.parse("memory://house")
        assert str(house().address(endpoint)) == of(NODE)
        with pytest.raises(Misuse, match="this host has no key"):
            house(node=None).address(endpoint)

    simulated(main)


def test_an_address_with_a_key_stays_one_when_it_is_a_listeners() -> None:
    async def main() -> None:
        async with served(house(), of(NODE)) as listener, broker.connect(listener.endpoint.peer()) as me:
            assert await me.echo(1) == 1
        with pytest.raises(RopewalkError):
            await broker.opened(of(NODE))

    simulated(main)
