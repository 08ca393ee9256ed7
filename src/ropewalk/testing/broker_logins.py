"""What an implementation of the broker must do with logins of every kind, right and wrong.

Flow: Peer, which has said hello -> a case of LOGINS -> nothing, or NotAsSpecified
Never: uses anything of the implementation to sign or to check a signature.
Source: docs/spec/broker.md section 6 and annex A.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ropewalk.testing.broker_peer import NONCE, RETURN, NotAsSpecified, Peer, failed, reference, same, unpacked

__all__ = ["LOGINS", "NAME", "PASSWORD", "SEED", "TOKEN", "challenge", "proof"]

NAME, PASSWORD, TOKEN = "conformance", "a password for tests", "a token for tests"
SEED = bytes(range(1, 33))  # of the key; RFC 8032 calls it the private key
_PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)
_NOBODY = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
_NONE = bytes(32)


def challenge(server: bytes, client: bytes, node: bytes, wanted: str, *, bound: bool) -> bytes:
    """What both ends sign: the nonces of both hellos, the server's key, whether the channel counts, what is wanted."""
    parts = (b"ropewalk broker login 1\0", server, client, node or _NONE, bytes([bound]), wanted.encode())
    return hashlib.sha256(b"".join(parts)).digest()


def proof(side: str, binding: bytes, challenge: bytes, name: str, key: bytes) -> bytes:
    """What one end signs of it."""
    parts = (b"ropewalk login 1", side.encode(), binding, challenge, name.encode(), key)
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _public(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _challenge(peer: Peer, *, bound: bool, client: bytes = NONCE) -> bytes:
    told = peer.hello or {}
    return challenge(told["nonce"], client, told.get("node", b""), "", bound=bound)


def _key(peer: Peer, *, bound: bool, private: Ed25519PrivateKey = _PRIVATE, **other: Any) -> dict[str, Any]:
    """The credentials of a login by key."""
    binding = peer.binding if bound else _NONE
    signed = proof("client", binding, _challenge(peer, bound=bound), NAME, _public(private))
    return {"name": NAME, "key": _public(private), "signature": private.sign(signed), "bound": bound} | other


async def _login(peer: Peer, kind: str, credentials: dict[str, Any], wanted: str = "") -> list[Any]:
    return await peer.call(0, "login", [kind, credentials, wanted])


async def _in(peer: Peer, name: str, kind: str, credentials: dict[str, Any], *, bound: bool = True) -> None:
    """This lets somebody in, and the server shows that it is the node that it says it is."""
    answer = await _login(peer, kind, credentials)
    if answer[0] != RETURN or type(answer[2]) is not list or len(answer[2]) != 2:
        raise NotAsSpecified(f"a login by {kind} gives {answer!r:.200}, expected [perspective, proof]")
    same(await peer.value(reference(answer[2][0]), "who", []), name, "who has logged in")
    node, signature = (peer.hello or {}).get("node"), answer[2][1]
    if node is None:
        same(signature, None, "the proof of a server without a key")
        return
    signed = proof("server", peer.binding if bound else _NONE, _challenge(peer, bound=bound), "", node)
    try:
        Ed25519PublicKey.from_public_bytes(node).verify(signature, signed)
    except (InvalidSignature, TypeError):
        raise NotAsSpecified("the proof in a login is no signature by the node of the hello") from None


async def _secret(peer: Peer, kind: str, credentials: dict[str, Any]) -> None:
    """A secret is taken by a private channel, and by no other."""
    if peer.private:
        await _in(peer, NAME, kind, credentials)
    else:
        failed(await _login(peer, kind, credentials), "refused", "auth.channel-not-verified")


async def anonymous(peer: Peer) -> None:
    """Nobody in particular."""
    await _in(peer, "", "anonymous", {})


async def password(peer: Peer) -> None:
    """By name and password."""
    await _secret(peer, "password", {"name": NAME, "password": PASSWORD})


async def token(peer: Peer) -> None:
    """By a token."""
    await _secret(peer, "token", {"token": TOKEN})


async def wrong_secrets(peer: Peer) -> None:
    """What is wrong is not told."""
    code = "auth.denied" if peer.private else "auth.channel-not-verified"
    for kind, credentials in (
        ("password", {"name": NAME, "password": "another"}),
        ("password", {"name": "nobody", "password": PASSWORD}),
        ("token", {"token": "another"}),
    ):
        failed(await _login(peer, kind, credentials), "refused", code)


async def key(peer: Peer) -> None:
    """By a key that is bound to the channel."""
    if peer.private:
        await _in(peer, NAME, "key", _key(peer, bound=True))


async def unbound_key(peer: Peer) -> None:
    """By a key that is not."""
    await _in(peer, NAME, "key", _key(peer, bound=False), bound=False)


async def wrong_keys(peer: Peer) -> None:
    """A signature is good for one key, one session, one channel and one end."""
    old = proof("client", _NONE, _challenge(peer, bound=False, client=_NONE), NAME, _public(_PRIVATE))
    other = proof("client", bytes(range(32)), _challenge(peer, bound=True), NAME, _public(_PRIVATE))
    ours = proof("server", _NONE, _challenge(peer, bound=False), NAME, _public(_PRIVATE))
    for what, credentials in (
        ("nobody's key", _key(peer, bound=False, private=_NOBODY)),
        ("a signature of zeros", _key(peer, bound=False, signature=bytes(64))),
        ("a signature by another key", _key(peer, bound=False, key=_public(_NOBODY))),
        ("a signature of another session", _key(peer, bound=False, signature=_PRIVATE.sign(old))),
        ("a signature of another channel", _key(peer, bound=True, signature=_PRIVATE.sign(other))),
        ("a signature of the other end", _key(peer, bound=False, signature=_PRIVATE.sign(ours))),
        ("a signature that is not bound, as one that is", _key(peer, bound=False) | {"bound": True}),
    ):
        try:
            failed(await _login(peer, "key", credentials), "refused", "auth.denied")
        except NotAsSpecified as error:
            raise NotAsSpecified(f"{what}: {error}") from None


async def no_credentials(peer: Peer) -> None:
    """What is no login by its form."""
    right = _key(peer, bound=False)
    for kind, credentials in (
        ("nothing", {}),
        ("key", {}),
        ("key", right | {"bound": 1}),
        ("key", right | {"signature": "text"}),
        ("key", {name: value for name, value in right.items() if name != "name"}),
        ("token", {"token": 5}),
    ):
        failed(await _login(peer, kind, credentials), "misuse", "broker.arguments")
    failed(await peer.call(0, "login", ["anonymous", {}]), "misuse", "broker.arguments")


async def wanted(peer: Peer) -> None:
    """A kind of perspective that is not there; a stranger does not learn which are."""
    failed(await _login(peer, "anonymous", {}, "nothing"), "missing", "auth.no-perspective")
    stranger = await _login(peer, "key", _key(peer, bound=False, private=_NOBODY), "nothing")
    failed(stranger, "refused", "auth.denied")


async def before(peer: Peer) -> None:
    """Before a login there is the door, and nothing else."""
    for number in (1, 2):
        failed(await peer.call(number, "echo", [1]), "missing", "broker.no-object")
    failed(await peer.call(0, "echo", [1]), "missing", "broker.no-method")
    if "login" not in (await peer.value(0, "@describe", []))["methods"]:
        raise NotAsSpecified("the door does not describe login")
    answer = await peer.call(0, "fetch", [bytes(16)])
    if answer[2:4] != ["refused", "auth.required"]:
        failed(answer, "missing", "broker.no-sturdy")


async def twice(peer: Peer) -> None:
    """A second login gives a second perspective, and LIMITS come before each."""
    numbers = []
    for _ in range(2):
        peer.heard.clear()
        question = peer.ask(0, "login", ["anonymous", {}, ""])
        await peer.message(lambda one: one[0] == 12, "LIMITS before the answer")
        answer = await peer.answer(question)
        numbers.append(unpacked(answer[2][0])[0])
    same(numbers[0] != numbers[1], True, "whether there are two perspectives")
    failed(await peer.call(0, "fetch", [bytes(16)]), "missing", "broker.no-sturdy")


LOGINS: dict[str, Callable[[Peer], Awaitable[None]]] = {
    "anonymous": anonymous,
    "password": password,
    "token": token,
    "wrong secrets": wrong_secrets,
    "key": key,
    "a key that is not bound": unbound_key,
    "wrong keys": wrong_keys,
    "no credentials": no_credentials,
    "what is wanted": wanted,
    "before": before,
    "twice": twice,
}
