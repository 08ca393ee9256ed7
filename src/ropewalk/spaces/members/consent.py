"""Consent: what a device signs before it is let in: as which member, and with which keys (docs/spec/groups.md 1.4).

Flow: device keys, tickets -> Consent -> `add` and `device` operations -> graph, grounding
Never: says who may let somebody in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from ropewalk.spaces.identity import DEVICE, DeviceKeys, PublicKeys
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members.records import MOST_KEYS, Digest, Id
from ropewalk.spaces.records import encode

__all__ = [
    "MOST_TICKETS",
    "Consent",
    "are_consents",
    "committed",
    "consent",
    "member_id",
    "message",
    "named",
    "pledged",
    "ticket",
]

MOST_TICKETS = 64  # the spaces of an offer
_SIGNED = b"ropewalk consent 1\0"


class Consent(msgspec.Struct, frozen=True, array_like=True):
    """A device's word that it comes with these keys and no others, and only as what one of the tickets says.

    Attributes:
        names: The ids of all keys that come with it, its own among them, ascending.
        salt: Drawn by the device, so that nobody could choose a member's id.
        blind: So that nobody can try out what the tickets are, before one of them is used.
        tickets: Each a hash of one space, member and role.
        ed25519: With the next, the device's signatures.
    """

    names: Annotated[list[Id], Meta(min_length=1, max_length=MOST_KEYS)]
    salt: Id
    blind: Digest
    tickets: Annotated[list[Digest], Meta(min_length=1, max_length=MOST_TICKETS)]
    ed25519: bytes
    mldsa: bytes

    def is_by(self, keys: PublicKeys) -> bool:
        """Whether this device has signed it, with both keys."""
        said = message(self.names, self.salt, committed(self.blind, self.tickets))
        return keys.verify_slow((self.ed25519, self.mldsa), said)


def pledged(space_id: bytes, author: bytes, nonce: bytes) -> bytes:
    """What the device ``author`` pledges before it knows who comes: a member that nobody else can add."""
    return hashed("pledge", space_id + author + nonce)[:16]


def member_id(pledge: bytes, names: Sequence[bytes], salt: bytes) -> bytes:
    """The id of a new member: whoever adds it with other keys adds another one."""
    return hashed("member", pledge + salt + b"".join(names))[:16]


def ticket(space_id: bytes, pledge: bytes, role: int = 0) -> bytes:
    """What a consent is good for: to be the new member of a pledge, in a role; or one more device of a member."""
    return hashed("ticket", space_id + pledge + bytes((role,)))


def committed(blind: bytes, tickets: Iterable[bytes]) -> bytes:
    """What a joiner signs before it is told what the tickets are."""
    return hashed("invite commit", blind + b"".join(tickets))


def message(names: Sequence[bytes], salt: bytes, commitment: bytes) -> bytes:
    """What a device signs."""
    return _SIGNED + hashed("consent", encode([list(names), salt, commitment]))


def named(keys: Iterable[PublicKeys]) -> list[bytes]:
    """The names that the consents of those hold which come together."""
    return sorted(one.id for one in keys)


def consent(
    keys: DeviceKeys, beside: Iterable[PublicKeys], salt: bytes, blind: bytes, tickets: Sequence[bytes]
) -> Consent:
    """The consent of a device whose private keys are at hand.

    Args:
        keys: Of the device that comes.
        beside: Keys that come with it.
        salt: 16 random bytes.
        blind: 32 random bytes.
        tickets: What it is good for.
    """
    names = named([keys.public(), *beside])
    return Consent(names, salt, blind, list(tickets), *keys.sign_slow(message(names, salt, committed(blind, tickets))))


def are_consents(consents: Sequence[Consent], keys: Sequence[PublicKeys], *, all_named: bool) -> bool:
    """Whether there is one for each of these keys but paper keys, in their order, that names it.

    Args:
        consents: As they stand in an operation.
        keys: That come with it.
        all_named: Whether each names all these keys and no others.
    """
    devices = [one for one in keys if one.kind == DEVICE]
    if len(consents) != len(devices):
        return False
    names = named(keys)
    for one, own in zip(consents, devices, strict=True):
        if any(name >= other for name, other in itertools.pairwise(one.names)):
            return False
        if one.names != names if all_named else own.id not in one.names:
            return False
    return True
