"""Kept: what a device's disk knows of invites: which are open, and which codes are used up (docs/spec/invites.md 7).

Flow: OpenInvite -> `keep` -> `load`; Inviter.answer -> `burn`; Joiner.ask -> `mark`
Never: says that something is burnt or marked before that outlasts a power cut.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal

import msgspec

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.errors import (
    BadOffer,
    CodeUsed,
    InviteExpired,
    InviteFileDamaged,
    NoInvite,
    TooManyInvites,
)
from ropewalk.spaces.invites.folder import LARGEST_FILE, LONGEST_LIFE, Folder
from ropewalk.spaces.invites.messages import Id, Offer, Time, read_offer
from ropewalk.spaces.invites.transcript import code_hash
from ropewalk.spaces.keys import BoxDamaged
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.store import FileSystem

__all__ = ["MOST_OPEN", "Invites", "OpenInvite"]

MOST_OPEN = 16  # of a kind; a person cannot tell more apart
MOST_MARKS = 256  # codes that one device has tried in a week
_LONGEST_NOTE = 4096  # bytes
_LONGEST_WORDS = 3  # bytes of the secret of a code; that of a file has 32
_OPEN, _BURNT, _ANSWERED, _WELCOME, _USED = ".open", ".burnt", ".answered", ".welcome", ".used"


class OpenInvite(msgspec.Struct, frozen=True, array_like=True):
    """An invite that waits for its joiner.

    Attributes:
        id: What it is called on this device.
        slot: The name of its slot.
        secret: That of its code or file.
        offer: The encoded offer.
        mailboxes: Where it waits.
        note: For who made it; not told to anybody.
    """

    id: Id
    slot: Annotated[bytes, msgspec.Meta(min_length=4, max_length=16)]
    secret: Annotated[bytes, msgspec.Meta(min_length=2, max_length=32)]
    offer: bytes
    mailboxes: Annotated[list[str], msgspec.Meta(max_length=8)]
    note: Annotated[bytes, msgspec.Meta(max_length=_LONGEST_NOTE)] = b""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"OpenInvite({self.id.hex()})"

    @property
    def by_file(self) -> bool:
        """Whether it was handed over, and not said."""
        return len(self.secret) > _LONGEST_WORDS

    def read_offer(self) -> Offer:
        """The offer."""
        return read_offer(self.offer)


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    version: Literal[1]
    id: Id
    expires: Time
    by_file: bool
    wrap: bytes


_sealed = Format(_Sealed, LARGEST_FILE, "kept invite")
_open = Format(OpenInvite, LARGEST_FILE, "kept invite")


class Invites:
    """What one device has offered, and which codes it has tried.

    Args:
        folder: The absolute path of a folder; made if it is not there, and its parent is.
        clock: Nanoseconds since 1970.
        files: The file system.
        pause: Waits so many seconds; calls of this class block, and are for a thread where a loop must go on.
    """

    def __init__(
        self,
        folder: str,
        *,
        clock: Callable[[], int],
        files: FileSystem | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._clock = Folder(folder, files, pause), clock

    # ---- the inviter's side ------------------------------------------------------------------------------------------

    def keep(self, invite: OpenInvite, keys: DeviceKeys) -> None:
        """Make an invite outlast this process; sealed for this device.

        Raises:
            TooManyInvites: As many of its kind as there may be are open.
            BadOffer: It would live too long, or has run out.
            InvitesBusy.
        """
        expires = invite.read_offer().expires
        if not self._clock() < expires <= self._clock() + LONGEST_LIFE:
            raise BadOffer(f"an invite lives up to {LONGEST_LIFE // 10**9:,} s, and not in the past")
        plain = encode(invite)
        try:
            _open.decode(plain)
        except RecordMalformed as error:
            raise BadOffer(f"an invite like this could not be read again: {error}") from None
        data = encode(_Sealed(1, invite.id, expires, invite.by_file, keys.public().wrap(plain, _info(invite.id))))
        with self._folder.turn():
            self._sweep()
            names = self._folder.names(_OPEN)
            if invite.id.hex() in names:
                raise BadOffer("an invite of this id is there already")
            if self._count(names - self._folder.names(_BURNT), by_file=invite.by_file) >= MOST_OPEN:
                raise TooManyInvites(
                    f"{MOST_OPEN} invites by {'file' if invite.by_file else 'code'} are open",
                    hint="`ropewalk invite --list` shows them, and `--withdraw ID` takes one back",
                )
            self._folder.write(invite.id.hex() + _OPEN, data)

    def load(self, invite: bytes, keys: DeviceKeys, answer: bytes = b"") -> OpenInvite:
        """An open invite.

        Args:
            invite: Its id.
            keys: The device's.
            answer: The hash of what it is to be burnt by: it is there still, if that is what it was burnt by.

        Raises:
            NoInvite: There is none of this id.
            CodeUsed: It was burnt.
            InviteExpired: Its time is over.
            InviteFileDamaged: Its file is not what this device wrote.
        """
        if invite.hex() in self._folder.names(_BURNT) and not self._was_answered_by(invite, answer):
            raise CodeUsed("this invite was used", hint="make a new one")
        try:
            sealed = _sealed.decode(self._folder.read(invite.hex() + _OPEN))
            if sealed.id != invite:
                raise InviteFileDamaged("a kept invite has another id than its name")
            if self._clock() >= sealed.expires:
                raise InviteExpired("the time of this invite is over", hint="make a new one")
            return _open.decode(keys.unwrap(sealed.wrap, _info(invite)))
        except (RecordMalformed, BoxDamaged) as error:
            raise InviteFileDamaged(f"a kept invite cannot be read: {error}", hint="make a new one") from None

    def open_ids(self) -> list[bytes]:
        """The ids of invites that are neither burnt nor expired."""
        names = sorted(self._folder.names(_OPEN) - self._folder.names(_BURNT))
        return [bytes.fromhex(name) for name in names if not self._expired(name + _OPEN)]

    def burn(self, invite: bytes, answer: bytes = b"") -> None:
        """Make it durable that an invite is used up, or was withdrawn. At most one call ever returns for an id.

        After a crash within it the invite may be open or burnt; nothing was answered.

        Args:
            invite: Its id.
            answer: The hash of a file that burns it. With the very same, this may be called, and returns, again.

        Raises:
            CodeUsed: It was burnt, by something else.
            NoInvite: There is none of this id.
            InvitesBusy.
        """
        with self._folder.turn():
            name = invite.hex()
            if name not in self._folder.names(_OPEN):
                raise NoInvite("there is no such invite on this device", hint="make a new one")
            if name not in self._folder.names(_BURNT):
                if answer:
                    self._folder.write(name + _ANSWERED, answer)
                elif name in self._folder.names(_ANSWERED):  # a crash came before the mark, and now it is withdrawn
                    self._folder.remove(name + _ANSWERED)
            if not self._folder.mark(name + _BURNT) and not self._was_answered_by(invite, answer):
                raise CodeUsed("this invite was used", hint="make a new one")

    def keep_welcome(self, invite: bytes, welcome: bytes) -> bytes:
        """Make a welcome durable before it leaves; the one that was kept, where there is one.

        A key seals one message: two welcomes to one answer would be two.
        """
        with self._folder.turn():
            if (kept := self.welcome(invite)) is not None:
                return kept
            self._folder.write(invite.hex() + _WELCOME, welcome)
            return welcome

    def welcome(self, invite: bytes) -> bytes | None:
        """The welcome that was kept, if one was."""
        with suppress(NoInvite):
            return self._folder.read(invite.hex() + _WELCOME)
        return None

    # ---- the joiner's side -------------------------------------------------------------------------------------------

    def mark(self, slot: bytes, secret: bytes) -> None:
        """Make it durable that a code was used here.

        Raises:
            CodeUsed: It was before.
            TooManyInvites: Too many were.
            InvitesBusy.
        """
        name = code_hash(slot, secret)[:16].hex()
        with self._folder.turn():
            self._sweep()
            used = self._folder.names(_USED)
            if name in used:
                raise CodeUsed("this code was used here before, and is good for one try", hint="ask for a new one")
            if len(used) >= MOST_MARKS:
                raise TooManyInvites(f"{MOST_MARKS} codes were used on this device", hint="wait some days")
            self._folder.write(name + _USED, (self._clock() + LONGEST_LIFE).to_bytes(8, "big"))

    # ---- files -------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Remove what has expired; an open file durably before its mark, which else would come to life again."""
        names = self._folder.names(_OPEN)
        gone = {name for name in names if self._expired(name + _OPEN)}
        self._folder.remove(*(name + _OPEN for name in gone))
        beside = (_BURNT, _ANSWERED, _WELCOME)
        self._folder.remove(*(name + one for one in beside for name in self._folder.names(one) - (names - gone)))
        self._folder.remove(*(name + _USED for name in self._folder.names(_USED) if self._expired(name + _USED)))

    def _count(self, names: set[str], *, by_file: bool) -> int:
        """How many of these are of one kind; `_sweep` has left none that cannot be read."""
        return sum(_sealed.decode(self._folder.read(name + _OPEN)).by_file is by_file for name in names)

    def _was_answered_by(self, invite: bytes, answer: bytes) -> bool:
        with suppress(NoInvite):
            return bool(answer) and hmac.compare_digest(self._folder.read(invite.hex() + _ANSWERED), answer)
        return False

    def _expired(self, name: str) -> bool:
        """Whether a file's time is over; one that is not in its form never counted, and is over too."""
        try:
            data = self._folder.read(name)
            if name.endswith(_USED):
                return len(data) != 8 or int.from_bytes(data, "big") <= self._clock()
            return _sealed.decode(data).expires <= self._clock()
        except NoInvite:
            return False
        except RecordMalformed:
            return True


def _info(invite: bytes) -> bytes:
    return b"ropewalk kept invite 1\0" + invite
