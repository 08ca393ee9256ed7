"""Record: what was found of a store, as bytes that the device which looked has signed (docs/spec/passport.md 3).

Flow: Findings -> Passport -> sign -> bytes in the home -> open_passport -> Passport
Never: takes a passport for another store's, or believes one that this device did not sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from ropewalk.errors import Damaged
from ropewalk.spaces.identity import DEVICE, DeviceKeys, PublicKeys
from ropewalk.spaces.records import Format, RecordMalformed, encode

__all__ = [
    "LARGEST_PASSPORT",
    "MOST_FINDINGS",
    "Finding",
    "Passport",
    "PassportDamaged",
    "Verdict",
    "found",
    "open_passport",
    "sign",
    "worst",
]

Verdict = Literal["good", "limited", "bad", "unknown"]

LARGEST_PASSPORT = 64 * 1024  # bytes; three times what all probes can say
MOST_FINDINGS = 64
LONGEST_WORDS = 300  # characters; a store's error may be in them

_SIGNED = b"ropewalk passport 1\0"
_Value = int | None | Annotated[str, msgspec.Meta(max_length=100)]


class PassportDamaged(Damaged):
    """Bytes are not a passport that this device signed for this store."""

    code = "passport.damaged"


class Finding(msgspec.Struct, frozen=True, array_like=True):
    """What one probe found.

    Attributes:
        probe: Its name, which never changes.
        value: What was measured; sizes in bytes, times in microseconds, "yes" and "no".
        verdict: ``bad`` is what keeps a store from being written to, ``limited`` what it cannot do or does badly.
        words: The same for people.
    """

    probe: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z-]{0,39}$")]
    value: _Value
    verdict: Verdict
    words: Annotated[str, msgspec.Meta(max_length=LONGEST_WORDS)]


class Passport(msgspec.Struct, frozen=True, array_like=True):
    """What one device found of one store.

    Attributes:
        version: Of this form.
        store: Its identity.
        device: The Ed25519 key of the device that looked.
        kind: What the store is reached by: "folder", or the scheme of its place.
        time: When, in nanoseconds since 1970.
        software: The version that looked.
        quick: 1 where large objects and long listings were left out, else 0.
        left: What objects that were left on purpose are known by, or empty.
        findings: One for each probe.
    """

    version: Literal[1]
    store: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    device: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9+]{0,39}$")]
    time: Annotated[int, msgspec.Meta(ge=0, lt=(1 << 63) - 1)]
    software: Annotated[str, msgspec.Meta(max_length=40)]
    quick: Annotated[int, msgspec.Meta(ge=0, le=1)]  # records have no booleans
    left: Annotated[bytes, msgspec.Meta(max_length=16)]
    findings: Annotated[tuple[Finding, ...], msgspec.Meta(max_length=MOST_FINDINGS)]

    def finding(self, probe: str) -> Finding | None:
        """What a probe found, or None where it was not made."""
        return next((finding for finding in self.findings if finding.probe == probe), None)

    @property
    def verdict(self) -> Verdict:
        """The worst that was found; what is not known is no fault."""
        return worst(finding.verdict for finding in self.findings)


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    body: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


_passport = Format(Passport, LARGEST_PASSPORT, "passport")
_signed = Format(_Signed, LARGEST_PASSPORT, "signed passport")


def sign(passport: Passport, device: DeviceKeys) -> bytes:
    """The bytes to keep."""
    body = encode(passport)
    return encode(_Signed(body, device.sign_quick(_SIGNED + body)))


def open_passport(data: bytes, store: bytes, device: bytes | None) -> Passport:
    """A passport of this store.

    Args:
        data: What `sign` gave.
        store: The store's identity.
        device: The Ed25519 key of the device that must have looked; None where it is not known, and where nothing more
            follows from a passport than that it is shown.

    Raises:
        PassportDamaged: It is another's, or was changed.
    """
    try:
        signed = _signed.decode(data)
        passport = _passport.decode(signed.body)
    except RecordMalformed as error:
        raise PassportDamaged(str(error)) from None
    if passport.store != store:
        raise PassportDamaged(f"passport is of store {passport.store.hex()}, expected {store.hex()}")
    if device is not None and passport.device != device:
        raise PassportDamaged(f"passport is by device key {passport.device.hex()}, expected {device.hex()}")
    if not PublicKeys(DEVICE, passport.device, b"", b"", b"").verify_quick(signed.signature, _SIGNED + signed.body):
        raise PassportDamaged("passport is not signed by the device that it names")
    return passport


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them: bad, limited, good."""
    found = set(verdicts)
    return "bad" if "bad" in found else "limited" if "limited" in found else "good"


def found(probe: str, value: int | str | None, verdict: Verdict, words: str) -> Finding:
    """A finding, its words made such that it can hold them; the store has had a hand in some."""
    return Finding(probe, value, verdict, _plain(words))


def _plain(text: str) -> str:
    clean = "".join(char if char.isprintable() else "?" for char in text)
    return clean if len(clean) <= LONGEST_WORDS else clean[: LONGEST_WORDS - 3] + "..."
