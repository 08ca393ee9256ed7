"""Files: an invite, an answer and a welcome as files, and an invite as text for a QR code (docs/spec/invites.md 6).

Flow: InviteFile <-> bytes, or text; answer and welcome <-> bytes
Never: takes a file for what it says before its form is checked, or writes one that others may read.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from ropewalk.errors import Misuse
from ropewalk.spaces.invites.errors import InviteFileDamaged
from ropewalk.spaces.invites.messages import LARGEST_MESSAGE, Hash, Id, Offer, Time
from ropewalk.spaces.invites.transcript import commitment, file_random
from ropewalk.spaces.records import NO_EXTRA, Format, RecordMalformed, encode

__all__ = [
    "FILE_SECRET_SIZE",
    "AnswerFile",
    "InviteFile",
    "WelcomeFile",
    "read_answer_file",
    "read_invite",
    "read_welcome_file",
    "write_private",
]

FILE_SECRET_SIZE = 32
MOST_MAILBOXES, LONGEST_URL = 8, 512
_TEXT = "ROPEWALK:"  # capitals, digits and the colon: the denser alphabet of QR codes
_WRONG = "ask for it again"
T = TypeVar("T")

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_URL)]


class InviteFile(msgspec.Struct, frozen=True, array_like=True):
    """An invite that is handed over; as good as a key until it is used.

    Attributes:
        slot: The name of its slot.
        secret: What SPAKE2, or the files, start from.
        inviter: Id of the device that invites.
        commitment: To what is offered.
        mailboxes: Where it waits, if anywhere.
        expires: Nanoseconds since 1970, by the inviter's clock.
    """

    magic: Literal["ropewalk invite"]
    version: Literal[1]
    slot: Id
    secret: Hash
    inviter: Id
    commitment: Hash
    mailboxes: Annotated[list[Url], msgspec.Meta(max_length=MOST_MAILBOXES)]
    expires: Time
    extra: msgspec.Raw = NO_EXTRA

    @classmethod
    def draw(cls, offer: Offer, mailboxes: list[str], *, random: Callable[[int], bytes] = os.urandom) -> InviteFile:
        """A new one, for an offer.

        Raises:
            Misuse: There are too many mailboxes, or too long ones.
        """
        if len(mailboxes) > MOST_MAILBOXES or any(not 1 <= len(url) <= LONGEST_URL for url in mailboxes):
            raise Misuse(f"an invite names up to {MOST_MAILBOXES} mailboxes of {LONGEST_URL} characters at most")
        slot, secret = random(16), random(FILE_SECRET_SIZE)
        committed = commitment(file_random(secret), offer)
        return cls("ropewalk invite", 1, slot, secret, offer.inviter.id, committed, mailboxes, offer.expires)

    def __repr__(self) -> str:
        """Without the secret."""
        return f"InviteFile({self.slot.hex()[:8]})"

    def encode(self) -> bytes:
        """The bytes of the file."""
        return encode(self)

    def text(self) -> str:
        """For a QR code, or to be pasted."""
        return _TEXT + base64.b32encode(self.encode()).decode().rstrip("=")


class AnswerFile(msgspec.Struct, frozen=True, array_like=True):
    """What a joiner gives back where there is no mailbox."""

    magic: Literal["ropewalk answer"]
    version: Literal[1]
    slot: Id
    nonce: Hash
    box: bytes
    confirmation: Hash


class WelcomeFile(msgspec.Struct, frozen=True, array_like=True):
    """What an inviter makes of an answer file."""

    magic: Literal["ropewalk welcome"]
    version: Literal[1]
    slot: Id
    nonce: Hash
    box: bytes
    confirmation: Hash


_invite = Format(InviteFile, LARGEST_MESSAGE, "invite file")
_answer = Format(AnswerFile, LARGEST_MESSAGE, "answer file")
_welcome = Format(WelcomeFile, LARGEST_MESSAGE, "welcome file")


def read_invite(data: bytes | str) -> InviteFile:
    """The invite in a file's bytes, or in the text of a QR code.

    Raises:
        InviteFileDamaged: There is none.
    """
    if isinstance(data, str) or data[: len(_TEXT)].upper() == _TEXT.encode():
        data = _bytes_of(data if isinstance(data, str) else data.decode("ascii", "replace"))
    return _read(_invite, data)


def read_answer_file(data: bytes) -> AnswerFile:
    """An answer file.

    Raises:
        InviteFileDamaged: It is none.
    """
    return _read(_answer, data)


def read_welcome_file(data: bytes) -> WelcomeFile:
    """A welcome file.

    Raises:
        InviteFileDamaged: It is none.
    """
    return _read(_welcome, data)


def write_private(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read.

    Raises:
        Misuse: There is one of this name, or it cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Misuse(f"{path} cannot be written: {error.strerror}", hint="name a new file") from None


def _read(form: Format[T], data: bytes) -> T:
    try:
        return form.decode(data)
    except RecordMalformed as error:
        raise InviteFileDamaged(str(error), hint=_WRONG) from None


def _bytes_of(text: str) -> bytes:
    """What a text stands for; line breaks and blanks may have come in on the way."""
    if len(text) > 2 * LARGEST_MESSAGE:
        raise InviteFileDamaged(f"an invite has no {len(text):,} characters", hint=_WRONG)
    packed = "".join(text.split()).upper().removeprefix(_TEXT)
    try:
        data = base64.b32decode(packed + "=" * (-len(packed) % 8))
    except (binascii.Error, ValueError):
        raise InviteFileDamaged("the text of an invite is not base32", hint=_WRONG) from None
    if base64.b32encode(data).decode().rstrip("=") != packed:
        raise InviteFileDamaged("the text of an invite ends in bits that mean nothing", hint=_WRONG)
    return data
