"""Messages: what the two sides of an invite tell each other, in the forms of docs/spec/invites.md 4.

Flow: struct <-> bytes; an offer, grants and the joiner's keys are checked when they are made, and when they come
Never: holds a message to a transcript; a form is no proof.
"""

from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import Annotated, Literal, TypeVar

import msgspec

from ropewalk.spaces.identity import DEVICE, PAPER, DeviceKeys, PublicKeys
from ropewalk.spaces.invites.errors import BadOffer, MessageMalformed
from ropewalk.spaces.keys import Secrets
from ropewalk.spaces.members import Consent, Role, consent_message, member_id, named_together, ticket
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed

__all__ = [
    "LARGEST_MESSAGE",
    "MOST_PATHS",
    "NEW_DEVICE",
    "NEW_MEMBER",
    "SALT_SIZE",
    "Answer",
    "Done",
    "Grant",
    "GrantedStore",
    "Grants",
    "Join",
    "JoinerKeys",
    "Me",
    "Offer",
    "OfferedSpace",
    "Sealed",
    "Welcome",
    "read_answer",
    "read_done",
    "read_grants",
    "read_join",
    "read_joiner",
    "read_me",
    "read_offer",
    "read_sealed",
    "read_welcome",
]

NEW_MEMBER: Literal[1] = 1
NEW_DEVICE: Literal[2] = 2

LARGEST_MESSAGE = 64 * 1024  # bytes; 64 spaces on 64 stores with long paths fit
MOST_SPACES = MOST_STORES = 64
LONGEST_NAME = 100  # bytes of UTF-8, as labels in records have
_LONGEST_PATH = 4096  # bytes; what a file system takes
MOST_PATHS = 4  # of one store; those of 64 stores, as long as most are, fit into a message
_MOST_DOMAINS = 16
_SECRETS, _STEWARD_SECRET = 96, 32
SALT_SIZE, _ED25519, _MLDSA = 16, 64, 3309  # bytes
_SIZES = (("ed25519", 32), ("mldsa", 1952), ("x25519", 32), ("mlkem", 1184))
_JOINERS = "\u200c\u200d"  # which scripts and emoji need inside of a word
_CONTROLS = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Id = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Point = Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)]
Time = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
T = TypeVar("T")


class Join(msgspec.Struct, frozen=True, array_like=True):
    """Message 1."""

    version: Literal[1]
    what: Literal["join"]
    exchange: Point


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """Message 2."""

    version: Literal[1]
    what: Literal["answer"]
    exchange: Point
    commitment: Hash


class Me(msgspec.Struct, frozen=True, array_like=True):
    """Message 3."""

    version: Literal[1]
    what: Literal["me"]
    box: bytes
    confirmation: Hash


class Welcome(msgspec.Struct, frozen=True, array_like=True):
    """Message 4."""

    version: Literal[1]
    what: Literal["welcome"]
    box: bytes
    confirmation: Hash


class Done(msgspec.Struct, frozen=True, array_like=True):
    """Message 5."""

    version: Literal[1]
    what: Literal["done"]
    confirmation: Hash


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """What the box of a welcome holds."""

    blind: Annotated[bytes, msgspec.Meta(max_length=32)]
    offer: bytes
    wrap: bytes


class JoinerKeys(msgspec.Struct, frozen=True, array_like=True):
    """Who joins: keys, names that are for people alone, and the device's consent to come with these keys.

    Raises:
        BadOffer: They cannot be told.
    """

    device: PublicKeys
    paper: PublicKeys | None
    name: str
    device_name: str
    salt: Annotated[bytes, msgspec.Meta(max_length=SALT_SIZE)] = b""
    ed25519: Annotated[bytes, msgspec.Meta(max_length=_ED25519)] = b""
    mldsa: Annotated[bytes, msgspec.Meta(max_length=_MLDSA)] = b""
    extra: msgspec.Raw = NO_EXTRA

    def __post_init__(self) -> None:
        """Check kinds, sizes and names."""
        _check_keys(self.device, DEVICE)
        if self.paper is not None:
            _check_keys(self.paper, PAPER)
        _check_name("a person's name", self.name, 0)
        _check_name("a device's name", self.device_name)

    @property
    def keys(self) -> list[PublicKeys]:
        """All that are named."""
        return [self.device, *([self.paper] if self.paper is not None else [])]

    def agreeing(self, keys: DeviceKeys, salt: bytes, commitment: bytes) -> JoinerKeys:
        """The same, signed by the device: it comes by what was committed to, with these keys."""
        ed25519, mldsa = keys.sign_slow(consent_message(named_together(self.keys), salt, commitment))
        return msgspec.structs.replace(self, salt=salt, ed25519=ed25519, mldsa=mldsa)

    def member_in(self, offer: Offer, at: int) -> bytes:
        """The id of the member that this one is to be in one of the spaces of an offer."""
        told = offer.spaces[at].member
        return member_id(told, named_together(self.keys), self.salt) if offer.kind == NEW_MEMBER else told

    def consent(self, blind: bytes, offer: Offer) -> Consent:
        """What the records are to hold of that.

        Raises:
            BadOffer: The device has signed nothing, or something else.
        """
        made = Consent(named_together(self.keys), self.salt, blind, offer.tickets, self.ed25519, self.mldsa)
        if len(self.salt) != SALT_SIZE or not made.is_by(self.device):
            raise BadOffer("who joins has not signed what was offered")
        return made


class OfferedSpace(msgspec.Struct, frozen=True, array_like=True):
    """A space, and what the joiner is to be in it."""

    space: Hash
    member: Id
    role: Annotated[int, msgspec.Meta(ge=int(Role.STEWARD), le=int(Role.ADMIN))]


class Offer(msgspec.Struct, frozen=True, array_like=True):
    """What the inviter commits to before it knows who comes.

    Attributes:
        inviter: Its keys.
        kind: NEW_MEMBER or NEW_DEVICE.
        spaces: Ascending by id.
        expires: Nanoseconds since 1970.

    Raises:
        BadOffer: It cannot be offered.
    """

    inviter: PublicKeys
    kind: Literal[1, 2]
    spaces: list[OfferedSpace]
    expires: Time
    extra: msgspec.Raw = NO_EXTRA

    def __post_init__(self) -> None:
        """Check keys and spaces."""
        _check_keys(self.inviter, DEVICE)
        for one in self.spaces:
            if len(one.space) != 32 or len(one.member) != 16 or not Role.STEWARD <= one.role <= Role.ADMIN:
                raise BadOffer("an offered space is an id of 32 bytes, a member of 16, and a role of 1 to 4")
        if not 1 <= len(self.spaces) <= MOST_SPACES:
            raise BadOffer(f"got {len(self.spaces)} spaces to offer, expected 1 to {MOST_SPACES}")
        if any(one.space >= other.space for one, other in pairwise(self.spaces)):
            raise BadOffer("the spaces of an offer do not ascend, or one is there twice")

    @property
    def tickets(self) -> list[bytes]:
        """What who joins agrees to, one for each space."""
        new = self.kind == NEW_MEMBER
        return [ticket(one.space, one.member, one.role if new else 0) for one in self.spaces]

    @property
    def for_admin(self) -> bool:
        """Whether it makes somebody an admin, for which a code has three words."""
        return any(one.role == Role.ADMIN for one in self.spaces)


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """The secrets of one space, and how to find it.

    Attributes:
        space: Its id.
        epoch: Hash of the record of the epoch whose secrets these are.
        secrets: E || S || W; S alone for a steward.
        name: What the inviter calls the space.
        member_name: What the joiner is called in it.
        stores: Which of `Grants.stores` it lies in.
        member: Whom the joiner's keys belong to already, where that is not the member that was offered.
    """

    space: Hash
    epoch: Hash
    secrets: Annotated[bytes, msgspec.Meta(min_length=_STEWARD_SECRET, max_length=_SECRETS)]
    name: str
    member_name: str
    stores: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=MOST_STORES)]
    member: Id | None

    def member_secrets(self) -> Secrets | None:
        """All three; None for a steward."""
        parts = [self.secrets[at : at + 32] for at in range(0, _SECRETS, 32)]
        return Secrets(*parts) if len(self.secrets) == _SECRETS else None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Grant({self.space.hex()[:8]}, {self.name!r})"


class GrantedStore(msgspec.Struct, frozen=True, array_like=True):
    """A store: its id, what it can fail with, and the ways to it, if they are told, in the order to try them."""

    identity: Id
    domains: Annotated[dict[str, str], msgspec.Meta(max_length=_MOST_DOMAINS)]
    paths: Annotated[list[str], msgspec.Meta(max_length=MOST_PATHS)]


class Grants(msgspec.Struct, frozen=True, array_like=True):
    """What an admitted joiner is given, wrapped for its keys.

    Raises:
        BadOffer: It cannot be given.
    """

    spaces: Annotated[list[Grant], msgspec.Meta(max_length=MOST_SPACES)]
    stores: Annotated[list[GrantedStore], msgspec.Meta(max_length=MOST_STORES)]
    extra: msgspec.Raw = NO_EXTRA

    def __post_init__(self) -> None:
        """Check names, paths and indexes."""
        for one in self.spaces:
            _check_name("the name of a space", one.name)
            _check_name("a member's name", one.member_name, 0)
            if any(index >= len(self.stores) for index in one.stores):
                raise BadOffer(f"a space lies in a store of {len(self.stores)} that is not there")
        for store in self.stores:
            for text in (*store.domains, *store.domains.values()):
                _check_name("a domain", text)
            if len(store.paths) > MOST_PATHS:
                raise BadOffer(f"a store has {len(store.paths)} paths, expected {MOST_PATHS} at most")
            for path in store.paths:
                if not 1 <= len(_utf8("a path", path)) <= _LONGEST_PATH or "\0" in path:
                    raise BadOffer(f"a path has {len(path)} characters, or a zero, expected 1 to {_LONGEST_PATH} bytes")

    def check(self, offer: Offer) -> None:
        """Return if these are for the spaces of the offer, with secrets that go with the roles.

        Raises:
            BadOffer: They are not.
        """
        if [one.space for one in self.spaces] != [one.space for one in offer.spaces]:
            raise BadOffer("the grants are not for the spaces of the offer, in its order")
        for grant, offered in zip(self.spaces, offer.spaces, strict=True):
            size = _STEWARD_SECRET if offered.role == Role.STEWARD else _SECRETS
            if len(grant.secrets) != size:
                raise BadOffer(f"a grant has {len(grant.secrets)} bytes of secrets, expected {size} for this role")


_join = Format(Join, LARGEST_MESSAGE, "message 1")
_answer = Format(Answer, LARGEST_MESSAGE, "message 2")
_me = Format(Me, LARGEST_MESSAGE, "message 3")
_welcome = Format(Welcome, LARGEST_MESSAGE, "message 4")
_done = Format(Done, LARGEST_MESSAGE, "message 5")
_sealed = Format(Sealed, LARGEST_MESSAGE, "welcome")
_joiner = Format(JoinerKeys, LARGEST_MESSAGE, "joiner")
_offer = Format(Offer, LARGEST_MESSAGE, "offer")
_grants = Format(Grants, LARGEST_MESSAGE, "grants")


def read_join(data: bytes) -> Join:
    """Message 1; all of these raise MessageMalformed where the bytes are not in the form."""
    return _read(_join, data)


def read_answer(data: bytes) -> Answer:
    """Message 2."""
    return _read(_answer, data)


def read_me(data: bytes) -> Me:
    """Message 3."""
    return _read(_me, data)


def read_welcome(data: bytes) -> Welcome:
    """Message 4."""
    return _read(_welcome, data)


def read_done(data: bytes) -> Done:
    """Message 5."""
    return _read(_done, data)


def read_sealed(data: bytes) -> Sealed:
    """What was in the box of message 4."""
    return _read(_sealed, data)


def read_joiner(data: bytes) -> JoinerKeys:
    """What was in the box of message 3."""
    return _read(_joiner, data)


def read_offer(data: bytes) -> Offer:
    """An offer."""
    return _read(_offer, data)


def read_grants(data: bytes) -> Grants:
    """What was wrapped."""
    return _read(_grants, data)


def _read(form: Format[T], data: bytes) -> T:
    try:
        return form.decode(data)
    except (RecordMalformed, BadOffer) as error:
        raise MessageMalformed(
            f"the other side sent what is none: {error}", hint="both sides need the same version of ropewalk"
        ) from None


def _check_keys(keys: PublicKeys, kind: int) -> None:
    if keys.kind != kind:
        raise BadOffer(f"keys are of kind {keys.kind}, expected {kind}")
    for field, size in _SIZES:
        if len(getattr(keys, field)) != size:
            raise BadOffer(f"the {field} key has {len(getattr(keys, field))} bytes, expected {size}")


def _check_name(what: str, name: str, least: int = 1) -> None:
    if not least <= len(_utf8(what, name)) <= LONGEST_NAME:
        raise BadOffer(f"{what} has {len(name)} characters, expected {least} to {LONGEST_NAME} bytes")
    # A name is shown in terminals and lists: it must not steer them, nor turn the text around it.
    for letter in name:
        if unicodedata.category(letter) in _CONTROLS and letter not in _JOINERS:
            raise BadOffer(f"{what} holds the character {letter!a}, which cannot be shown")


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadOffer(f"{what} is no Unicode") from None
