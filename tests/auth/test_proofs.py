"""Proofs: a signature lets in whom it was made by, on the connection that it was made for, once."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.auth import Denied, HeldKey, KeyChallenge, ed25519_blob, proof_message, verify_ed25519
from ropewalk.errors import Misuse

BINDING = bytes(range(32))


class Device:
    """A peer that holds a key."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.key = self.private.public_key().public_bytes_raw()

    def signs(self, **changed: Any) -> bytes:
        parts = {"side": "client", "binding": BINDING, "challenge": b"c" * 32, "name": "anna", "key": self.key}
        return self.private.sign(proof_message(**{**parts, **changed}))


def asked(**changed: Any) -> KeyChallenge:
    return KeyChallenge(**{"side": "client", "binding": BINDING, "challenge": b"c" * 32, **changed})


def test_who_holds_the_key_is_let_ask() -> None:
    device = Device()
    held = asked().answered("anna", device.key, device.signs())
    assert held == HeldKey("anna", ed25519_blob(device.key))
    assert asked().answered("", device.key, device.signs(name="")).name == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"side": "server"},  # our own question, sent back to us
        {"binding": bytes(32)},  # made for another server, which passes it on
        {"challenge": b"d" * 32},  # made before
        {"name": "bob"},
        {"name": ""},
        {"key": bytes(32)},
    ],
)
def test_a_signature_for_something_else_is_denied(changed: dict[str, Any]) -> None:
    device = Device()
    with pytest.raises(Denied):
        asked().answered("anna", device.key, device.signs(**changed))


def test_a_challenge_takes_one_answer() -> None:
    device, other = Device(), Device()
    challenge = asked()
    challenge.answered("anna", device.key, device.signs())
    with pytest.raises(Denied):
        challenge.answered("anna", device.key, device.signs())
    challenge = asked()
    with pytest.raises(Denied):
        challenge.answered("anna", other.key, device.signs())
    with pytest.raises(Denied):  # nor after a wrong one
        challenge.answered("anna", device.key, device.signs())


def test_challenges_are_fresh_and_bound() -> None:
    drawn = {KeyChallenge("server", BINDING).challenge for _ in range(100)}
    assert (len(drawn), {len(one) for one in drawn}) == (100, {32})
    with pytest.raises(Misuse, match="got a channel binding of 15 bytes, expected 16 or more"):
        KeyChallenge("client", b"x" * 15)
    with pytest.raises(Misuse, match="got a challenge of 4 bytes, expected 32"):
        KeyChallenge("client", BINDING, b"seen")


@pytest.mark.parametrize("name", ["x" * 257, "\udc80", "a\nb"])
def test_what_nobody_is_called(name: str) -> None:
    with pytest.raises(Denied):
        asked().answered(name, Device().key, bytes(64))


@given(st.tuples(*[st.binary(max_size=40)] * 3, st.text(st.characters(codec="utf-8"), max_size=20)))
def test_no_two_messages_are_the_same(parts: tuple[bytes, bytes, bytes, str]) -> None:
    """However the bytes are shifted from one part into the next."""
    binding, challenge, key, name = parts
    message = proof_message("client", binding, challenge, name, key)
    assert message != proof_message("server", binding, challenge, name, key)
    assert message != proof_message("client", binding + b"x", challenge, name, key)
    if binding:
        assert message != proof_message("client", binding[:-1], binding[-1:] + challenge, name, key)


@given(st.binary(max_size=64), st.binary(max_size=80))
def test_junk_is_denied(key: bytes, signature: bytes) -> None:
    with pytest.raises(Denied):
        asked().answered("anna", key, signature)


def test_signatures_show_who_holds_a_key() -> None:
    private, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    blob = ed25519_blob(private.public_key().public_bytes_raw())
    assert blob == base64.b64decode(
        private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1]
    )
    verify_ed25519(blob, b"challenge", private.sign(b"challenge"))
    for key, message, signature in (
        (blob, b"another", private.sign(b"challenge")),
        (blob, b"challenge", other.sign(b"challenge")),
        (blob[:-1], b"challenge", private.sign(b"challenge")),
        (b"", b"", b""),
        (os.urandom(51), b"challenge", os.urandom(64)),
    ):
        with pytest.raises(Denied):
            verify_ed25519(key, message, signature)


ORDER_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"


@pytest.mark.parametrize(
    "point",
    [
        "01" + "00" * 31,
        "00" * 32,
        "ec" + "ff" * 30 + "7f",
        "00" * 31 + "80",
        "ed" + "ff" * 30 + "7f",  # nought, written as the prime
        "ee" + "ff" * 31,
        ORDER_8,
        ORDER_8[:-2] + "fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ],
)
def test_a_key_that_everybody_holds_is_none(point: str) -> None:
    """Points of small order: with them there are signatures that need no private key."""
    key = bytes.fromhex(point)
    for signature in (bytes.fromhex("01" + "00" * 63), bytes(64), key + bytes(32)):
        for n in range(20):
            with pytest.raises(Denied):
                verify_ed25519(ed25519_blob(key), b"message %d" % n, signature)
