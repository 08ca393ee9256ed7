"""Identity: a device's keys, how they rest on disk, and the paper key (docs/spec/space.md 3).

Flow: random bytes or words -> DeviceKeys -> signatures, opened wraps; DeviceKeys -> sealed file -> DeviceKeys
Never: writes a secret that is not sealed, or logs one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from threading import Thread  # concurrent.futures loads logging, and the thread is to begin soon

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from ropewalk import argon2
from ropewalk.argon2 import LANES, MEMORY, PASSES
from ropewalk.errors import Damaged, Misuse, Refused, RopewalkError
from ropewalk.spaces.keys import BoxDamaged, hashed, keyed_stream, open_box, seal_box

__all__ = [
    "DEVICE",
    "PAPER",
    "DeviceKeys",
    "KeysAhead",
    "KeysDamaged",
    "KeysUnusable",
    "PublicKeys",
    "WrongPassphrase",
    "WrongWords",
    "open_keys",
    "seal_keys",
]

DEVICE, PAPER = 0, 1
SEED_SIZE = 32

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MOST_MEMORY = 1024 * 1024  # KiB; a sealed file must not make us ask for more than 1 GiB
_KEY_FILE_CONTEXT = b"ropewalk device keys 1"
_LOST = "restore it from a copy, or use the paper key"


class KeysDamaged(Damaged):
    """The file of device keys is not one that this version wrote."""

    code = "identity.keys-damaged"


class KeysUnusable(Damaged):
    """A device's public keys are such that nothing can be sealed for it alone."""

    code = "identity.keys-unusable"


class WrongPassphrase(Refused):
    """The passphrase does not open the device keys."""

    code = "identity.wrong-passphrase"


class WrongWords(Misuse):
    """The words are not a paper key."""

    code = "identity.wrong-words"


class PublicKeys(msgspec.Struct, frozen=True, array_like=True):
    """What others know of a device, or of a paper key."""

    kind: int
    ed25519: bytes
    mldsa: bytes
    x25519: bytes
    mlkem: bytes

    @property
    def id(self) -> bytes:
        """16 bytes."""
        return hashed("device", bytes((self.kind,)) + self.ed25519 + self.mldsa + self.x25519 + self.mlkem)[:16]

    def verify_quick(self, signature: bytes, message: bytes) -> bool:
        """Check an Ed25519 signature, as heads carry."""
        try:
            Ed25519PublicKey.from_public_bytes(self.ed25519).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def verify_slow(self, signatures: tuple[bytes, bytes], message: bytes) -> bool:
        """Check both signatures, Ed25519 and ML-DSA-65, as records carry."""
        try:
            MLDSA65PublicKey.from_public_bytes(self.mldsa).verify(signatures[1], message)
        except (InvalidSignature, ValueError):
            return False
        return self.verify_quick(signatures[0], message)

    def wrap(self, secret: bytes, info: bytes) -> bytes:
        """Encrypt for this device alone (hybrid HPKE).

        Raises:
            KeysUnusable: Its keys are none; whoever made them so can open nothing.
        """
        try:
            public = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(self.mlkem), X25519PublicKey.from_public_bytes(self.x25519)
            )
            return _SUITE.encrypt(secret, public, info=info)
        except ValueError:
            raise KeysUnusable(f"keys of device {self.id.hex()} are none that anything can be sealed for") from None


@dataclass(frozen=True)
class DeviceKeys:
    """All private keys of one device, made from one seed of 32 bytes."""

    seed: bytes = field(repr=False)
    kind: int = DEVICE

    @classmethod
    def generate(cls, kind: int = DEVICE) -> DeviceKeys:
        """New keys from the system's randomness."""
        return cls(os.urandom(SEED_SIZE), kind)

    def _derive(self, tag: str, length: int) -> bytes:
        return keyed_stream(hashed("device seed", self.seed), length, tag.encode())

    def public(self) -> PublicKeys:
        """The public half."""
        return self._public

    @cached_property
    def _public(self) -> PublicKeys:
        return PublicKeys(
            self.kind,
            self._ed25519.public_key().public_bytes_raw(),
            self._mldsa().public_key().public_bytes_raw(),
            self._x25519().public_key().public_bytes_raw(),
            self._mlkem().public_key().public_bytes_raw(),
        )

    @cached_property
    def _ed25519(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._derive("ed25519", 32))

    def _mldsa(self) -> MLDSA65PrivateKey:
        return MLDSA65PrivateKey.from_seed_bytes(self._derive("ml-dsa-65", 32))

    def _x25519(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._derive("x25519", 32))

    def _mlkem(self) -> MLKEM768PrivateKey:
        return MLKEM768PrivateKey.from_seed_bytes(self._derive("ml-kem-768", 64))

    @property
    def login(self) -> Ed25519PrivateKey:
        """The key by which nodes know this device: that of its quick signatures, so that they find it in records.

        What a login signs begins with a length, and all else that a device signs with the word ropewalk: neither can
        be taken for the other (docs/spec/broker.md 6.2).
        """
        return self._ed25519

    def sign_quick(self, message: bytes) -> bytes:
        """Ed25519, 64 bytes."""
        return self._ed25519.sign(message)

    def sign_slow(self, message: bytes) -> tuple[bytes, bytes]:
        """Ed25519 and ML-DSA-65."""
        return self.sign_quick(message), self._mldsa().sign(message)

    def unwrap(self, wrapped: bytes, info: bytes) -> bytes:
        """Open what `PublicKeys.wrap` made.

        Raises:
            BoxDamaged: Not for these keys, or changed.
        """
        try:
            private = hpke.MLKEM768X25519PrivateKey(self._mlkem(), self._x25519())
            return _SUITE.decrypt(wrapped, private, info=info)
        except (InvalidTag, ValueError):
            raise BoxDamaged("wrapped secret does not open with the keys of this device") from None

    def seal_own(self, context: bytes, plain: bytes) -> bytes:
        """A box that only this device opens, or could have made."""
        return seal_box(self._own, context, plain)

    def open_own(self, context: bytes, box: bytes) -> bytes:
        """What `seal_own` sealed.

        Raises:
            BoxDamaged: Of another device or context, or changed.
        """
        return open_box(self._own, context, box)

    @cached_property
    def _own(self) -> bytes:
        return self._derive("own state", 32)

    def words(self) -> str:
        """The seed as 24 words of the BIP-39 list, checksum included."""
        from mnemonic import Mnemonic

        return str(Mnemonic("english").to_mnemonic(self.seed))

    @classmethod
    def from_words(cls, words: str) -> DeviceKeys:
        """The paper key that `words` wrote.

        Raises:
            WrongWords: A word is not of the list, their number is wrong, or the checksum differs.
        """
        from mnemonic import Mnemonic

        try:
            seed = bytes(Mnemonic("english").to_entropy(" ".join(words.lower().split())))
        except (LookupError, ValueError) as error:
            raise WrongWords(
                f"these are not the words of a paper key: {error}", hint="check spelling and order"
            ) from None
        if len(seed) != SEED_SIZE:
            raise WrongWords(f"a paper key has 24 words, got {len(words.split())}")
        return cls(seed, PAPER)


class _KeyFile(msgspec.Struct, frozen=True, array_like=True):
    magic: str
    version: int
    memory: int  # KiB
    passes: int
    lanes: int
    salt: bytes
    kind: int
    box: bytes


def _stretch(passphrase: str, salt: bytes, memory: int, passes: int, lanes: int) -> bytes:
    # What the environment holds need not be UTF-8.
    return argon2.derive(passphrase.encode(errors="surrogateescape"), salt, memory, passes, lanes)


def seal_keys(keys: DeviceKeys, passphrase: str) -> bytes:
    """The bytes of a key file that ``passphrase`` opens (Argon2id, about 0.1 s)."""
    salt = os.urandom(16)
    key = _stretch(passphrase, salt, MEMORY, PASSES, LANES)
    box = seal_box(key, _KEY_FILE_CONTEXT + bytes((keys.kind,)), keys.seed)
    return msgspec.msgpack.encode(_KeyFile("ropewalk keys", 1, MEMORY, PASSES, LANES, salt, keys.kind, box))


def open_keys(data: bytes, passphrase: str) -> DeviceKeys:
    """The keys in a key file.

    Raises:
        KeysDamaged: Not a key file of a known version.
        WrongPassphrase: It does not open.
    """
    try:
        file = msgspec.msgpack.decode(data, type=_KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeysDamaged(f"key file does not parse: {error}", hint=_LOST) from None
    if file.magic != "ropewalk keys" or file.version != 1 or file.kind not in (DEVICE, PAPER):
        raise KeysDamaged(f"key file is {file.magic[:20]!r} version {file.version}, known is 'ropewalk keys' version 1")
    able = 1 <= file.lanes <= 16 and 8 * file.lanes <= file.memory <= _MOST_MEMORY and 1 <= file.passes <= 64
    if not able or len(file.salt) != 16:
        raise KeysDamaged("key file asks for impossible work to open it", hint=_LOST)
    try:
        key = _stretch(passphrase, file.salt, file.memory, file.passes, file.lanes)
        seed = open_box(key, _KEY_FILE_CONTEXT + bytes((file.kind,)), file.box)
    except BoxDamaged:
        raise WrongPassphrase("wrong passphrase, or the key file was changed") from None
    return DeviceKeys(seed, file.kind)


class KeysAhead:
    """A key file that is being opened in a thread before it is sure that anybody asks for its keys.

    Argon2id works without the interpreter's lock, so other work goes on meanwhile.  The thread ends with its one task;
    a process that is over sooner waits for it.

    Args:
        data: The key file.
        passphrase: The one that is likely to be asked with.
    """

    def __init__(self, data: bytes, passphrase: str) -> None:
        self._asked: tuple[bytes, str] | None = (data, passphrase)
        self._opened: DeviceKeys | RopewalkError | MemoryError | None = None
        self._thread = Thread(target=self._open, args=self._asked, name="ropewalk-keys")
        self._thread.start()

    def _open(self, data: bytes, passphrase: str) -> None:
        try:
            self._opened = open_keys(data, passphrase)
        except (RopewalkError, MemoryError) as error:  # a damaged file may ask for much memory
            self._opened = error  # for whoever asks; perhaps nobody does

    def keys(self, data: bytes, passphrase: str) -> DeviceKeys:
        """What `open_keys` gives, or raises; from the thread, once, if it has had the same file and passphrase."""
        if self._asked != (data, passphrase):
            return open_keys(data, passphrase)
        self._thread.join()
        opened, self._asked, self._opened = self._opened, None, None  # no secret stays here
        if opened is None:
            return open_keys(data, passphrase)
        if isinstance(opened, DeviceKeys):
            return opened
        raise opened
