"""Logins: what a client gives to say who it is, and how both ends show that they hold their keys.

Flow: Key, `auth`'s Password, Token or Anonymous -> `credentials_of` -> the door's `login` -> `auth`'s credentials;
      `challenge_of` -> a proof of each end
Never: sends a secret over a channel that others may read.
Source: docs/spec/broker.md section 6.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ropewalk.auth import (
    Anonymous,
    ChannelNotVerified,
    Credentials,
    Denied,
    HeldKey,
    KeyChallenge,
    Password,
    Token,
    ed25519_blob,
    proof_message,
    verify_ed25519,
)
from ropewalk.broker.errors import BadArguments, WrongNode
from ropewalk.broker.wires import NONE, Wire
from ropewalk.errors import Refused

if TYPE_CHECKING:
    from ropewalk.broker.broker import Broker

__all__ = ["Hellos", "Key", "another_node", "check_node", "credentials_of", "hellos_of", "node_proof", "taken"]

_WHAT = b"ropewalk broker login 1\0"


@dataclass(frozen=True, slots=True)
class Key:
    """A login by an Ed25519 key.

    Attributes:
        private: The key.
        name: Who that is; "" where the key alone tells.
        behind_proxy: TLS ends at a proxy in front of the server: the login is not bound to the channel, and gets fewer
            rights.
    """

    private: Ed25519PrivateKey = field(repr=False)
    name: str = ""
    behind_proxy: bool = False


@dataclass(frozen=True, slots=True)
class Hellos:
    """What both ends have said of themselves.

    Attributes:
        server, client: Their nonces.
        node: The server's key, b"" where it has none.
    """

    server: bytes
    client: bytes
    node: bytes = b""

    def challenge(self, wanted: str, *, bound: bool) -> bytes:
        """What both sign: no other session has it."""
        parts = (self.server, self.client, self.node or bytes(32), b"\x01" if bound else b"\x00", wanted.encode())
        return hashlib.sha256(_WHAT + b"".join(parts)).digest()


def hellos_of(broker: Broker) -> Hellos:
    """What both ends of a session have said of themselves."""
    hello = broker.hello
    assert hello is not None
    if broker.server:
        return Hellos(broker.nonce, hello.nonce, broker.node or b"")
    return Hellos(hello.nonce, broker.nonce, hello.node or b"")


def credentials_of(
    login: Key | Credentials, hellos: Hellos, wire: Wire, wanted: str
) -> tuple[str, dict[str, Any], bytes, bool]:
    """What a client sends: kind and credentials; the challenge that its node must sign; whether it is bound.

    Raises:
        BadArguments: These are none.
        ChannelNotVerified: A password or token would go over a channel that others may read.
    """
    # A key's login says what its holder sees: where that is no private channel, the server must not believe in one.
    bound = not isinstance(login, Key) or (wire.channel.verified and not login.behind_proxy)
    challenge = hellos.challenge(wanted, bound=bound)
    match login:
        case Key(private, name):
            public = private.public_key().public_bytes_raw()
            binding = wire.binding if bound else NONE
            signature = private.sign(proof_message("client", binding, challenge, name, public))
            return "key", {"name": name, "key": public, "signature": signature, "bound": bound}, challenge, bound
        case Password(name, password):
            kind, sent = "password", {"name": name, "password": password}
        case Token(token):
            kind, sent = "token", {"token": token}
        case Anonymous():
            return "anonymous", {}, challenge, bound
        case _:
            raise BadArguments(
                f"got a {type(login).__name__} as credentials, expected a Key, Password, Token or Anonymous",
                hint="auth.Password(name, password), auth.Token(token), broker.Key(private); None for nobody",
            )
    if not wire.channel.verified:
        raise ChannelNotVerified(f"a {kind} is not sent over this connection", hint="use tls://, wss:// or unix://")
    return kind, sent, challenge, bound


def taken(kind: str, sent: dict[str, Any], hellos: Hellos, wire: Wire, wanted: str) -> tuple[Credentials, bool]:
    """What a server got: credentials for the portal, and whether they are bound to the channel.

    Raises:
        BadArguments: They are not of the kind's form.
    """
    try:
        match kind:
            case "anonymous":
                return Anonymous(), True
            case "password":
                return Password(_text(sent["name"]), _text(sent["password"])), True
            case "token":
                return Token(_text(sent["token"])), True
            case "key":
                return _key(sent, hellos, wire, wanted)
    except (KeyError, TypeError):
        raise BadArguments(f"login: these are not the credentials of kind {kind}") from None
    raise BadArguments(f"login: got kind {kind!r:.40}, expected anonymous, password, token or key")


def _key(sent: dict[str, Any], hellos: Hellos, wire: Wire, wanted: str) -> tuple[HeldKey, bool]:
    name, key, signature, bound = sent["name"], sent["key"], sent["signature"], sent["bound"]
    if type(bound) is not bool or type(key) is not bytes or type(signature) is not bytes:
        raise TypeError
    binding = wire.binding if bound else NONE
    challenge = KeyChallenge("client", binding, hellos.challenge(wanted, bound=bound))
    try:
        return challenge.answered(_text(name), key, signature), bound
    except Denied:
        return HeldKey("", b""), bound  # nobody's: the portal says so, in its own time, and counts it


def node_proof(private: Ed25519PrivateKey, hellos: Hellos, wire: Wire, wanted: str, *, bound: bool) -> bytes:
    """The server's signature of a login."""
    binding = wire.binding if bound else NONE
    return private.sign(proof_message("server", binding, hellos.challenge(wanted, bound=bound), "", hellos.node))


def another_node(found: bytes, expected: bytes) -> WrongNode:
    """That the other end says it is another node than the one that was meant."""
    told = f"node {found.hex()}" if any(found) else "no node"
    return WrongNode(f"the other end is {told}, expected {expected.hex()}")


def check_node(expected: bytes, proof: object, hellos: Hellos, wire: Wire, challenge: bytes, *, bound: bool) -> None:
    """Return if the other end is the node that was meant.

    Raises:
        WrongNode: It is not, or does not show it.
    """
    if hellos.node != expected:
        raise another_node(hellos.node, expected)
    binding = wire.binding if bound else NONE
    message = proof_message("server", binding, challenge, "", expected)
    try:
        verify_ed25519(ed25519_blob(expected), message, proof if isinstance(proof, bytes) else b"")
    except Refused:
        raise WrongNode("the other end does not hold the key of the node that was meant") from None


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value
