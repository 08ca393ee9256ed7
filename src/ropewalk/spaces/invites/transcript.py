"""Transcript: what the key of a ceremony seals and confirms (docs/spec/invites.md 4).

Flow: K, what was said -> T1, T2 -> confirmations; plain bytes <-> boxes; joiner's keys, T1 -> wrapped grants
Never: seals two things with one key, or compares secrets in a time that tells of them.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from ropewalk.spaces.identity import DeviceKeys, KeysUnusable, PublicKeys
from ropewalk.spaces.invites.errors import MessageMalformed, NotAsOffered, WrongCode
from ropewalk.spaces.invites.messages import Grants, Offer, Sealed, read_grants, read_offer, read_sealed
from ropewalk.spaces.keys import BoxDamaged, aead_open, aead_seal, hashed, keyed
from ropewalk.spaces.members import committed
from ropewalk.spaces.records import encode

__all__ = [
    "Transcript",
    "code_hash",
    "commitment",
    "first",
    "first_of_file",
    "offer_of",
    "open_me",
    "seal_me",
    "wrapped",
]

_JOINER_BOX, _INVITER_BOX = b"joiner box", b"inviter box"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The key of a ceremony, and what was said up to message 3: ``T1``."""

    key: bytes = field(repr=False)
    said: bytes

    def confirmed_by_joiner(self) -> bytes:
        """What message 3 ends with."""
        return keyed(keyed(self.key, b"joiner confirm"), self.said)

    def confirmed_by_inviter(self, whole: bytes) -> bytes:
        """What message 4 ends with."""
        return keyed(keyed(self.key, b"inviter confirm"), whole)

    def done(self, whole: bytes) -> bytes:
        """What message 5 is."""
        return keyed(keyed(self.key, b"done"), whole)

    def whole(self, offer: bytes, wrap: bytes) -> bytes:
        """``T2``."""
        return hashed("invite transcript", encode([2, self.said, offer, hashed("object", wrap)]))

    def check_joiner(self, confirmation: bytes) -> None:
        """Return if the joiner's confirmation fits.

        Raises:
            WrongCode: It does not.
        """
        _check(confirmation, self.confirmed_by_joiner())

    def check_done(self, confirmation: bytes, whole: bytes) -> None:
        """Return if message 5 fits.

        Raises:
            WrongCode: It does not.
        """
        _check(confirmation, self.done(whole))

    def seal_welcome(self, blind: bytes, offer: bytes, wrap: bytes) -> tuple[bytes, bytes]:
        """The box of a welcome, and its confirmation."""
        box = aead_seal(keyed(self.key, _INVITER_BOX), encode(Sealed(blind, offer, wrap)), _INVITER_BOX)
        return box, self.confirmed_by_inviter(self.whole(offer, wrap))

    def open_welcome(self, box: bytes, confirmation: bytes) -> Sealed:
        """What the inviter sealed and confirmed.

        Raises:
            WrongCode: It is not the inviter's.
            MessageMalformed: It is, and is malformed.
        """
        sealed = read_sealed(_opened(self.key, _INVITER_BOX, box))
        _check(confirmation, self.confirmed_by_inviter(self.whole(sealed.offer, sealed.wrap)))
        return sealed


def first(slot: bytes, joiner: bytes, inviter: bytes, committed: bytes, me: bytes) -> bytes:
    """``T1`` of a ceremony by messages: the slot, both halves of the exchange, the commitment, who joins."""
    return hashed("invite transcript", encode([1, slot, joiner, inviter, committed, me]))


def first_of_file(slot: bytes, nonce: bytes, inviter: bytes, me: bytes) -> bytes:
    """``T1`` of a ceremony by files: the slot, the joiner's nonce, the inviter's device id, who joins."""
    return hashed("invite transcript", encode([3, slot, nonce, inviter, me]))


def commitment(random: bytes, offer: Offer) -> bytes:
    """``c``: the inviter can open it to one offer only, and nobody can try offers at it."""
    return committed(blinded(random, offer), offer.tickets)


def blinded(random: bytes, offer: Offer) -> bytes:
    """What records show of an offer, beside what who joins agrees to."""
    return hashed("invite offer", random + encode(offer))


def file_random(secret: bytes) -> bytes:
    """``r`` of an invite by file."""
    return keyed(secret, b"invite offer")


def seal_me(key: bytes, me: bytes) -> bytes:
    """The box of message 3."""
    return aead_seal(keyed(key, _JOINER_BOX), me, _JOINER_BOX)


def open_me(key: bytes, box: bytes) -> bytes:
    """Who joins.

    Raises:
        WrongCode: Another key sealed it.
    """
    return _opened(key, _JOINER_BOX, box)


def wrapped(grants: bytes, joiner: PublicKeys, said: bytes) -> bytes:
    """Grants, for the joiner's device alone.

    Raises:
        MessageMalformed: Nothing can be wrapped for these keys.
    """
    try:
        return joiner.wrap(grants, _info(said, joiner.id))
    except KeysUnusable as error:
        raise MessageMalformed(f"nothing can be wrapped for the joiner's keys: {error}") from None


def offer_of(sealed: Sealed, keys: DeviceKeys, said: bytes) -> tuple[Offer, Grants]:
    """The offer of an opened welcome, and the grants that are wrapped for us.

    Raises:
        NotAsOffered: They are not for us, or do not go with each other.
        MessageMalformed: They are not in their form.
    """
    offer = read_offer(sealed.offer)
    if offer.inviter == keys.public():
        raise NotAsOffered("the offer is by this device itself")
    try:
        grants = read_grants(keys.unwrap(sealed.wrap, _info(said, keys.public().id)))
    except BoxDamaged:
        raise NotAsOffered("the grants do not open with the keys of this device") from None
    return offer, grants


def code_hash(slot: bytes, secret: bytes) -> bytes:
    """What a joiner's disk knows of a code that was used."""
    return hashed("invite used", slot + secret)


def _info(said: bytes, device: bytes) -> bytes:
    return b"ropewalk invite 1\0" + said + device


def _opened(key: bytes, which: bytes, box: bytes) -> bytes:
    try:
        return aead_open(keyed(key, which), box, which)
    except (BoxDamaged, ValueError):
        raise WrongCode("what the other side sealed does not open: its code is another", hint=_AGAIN) from None


def _check(got: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(got, expected):
        raise WrongCode("the other side's confirmation does not fit: its code is another", hint=_AGAIN)


_AGAIN = "the code is void; make a new one, and ask whether the person you meant has typed it"
