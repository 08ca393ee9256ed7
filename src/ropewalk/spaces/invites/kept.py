"""Kept: what a device's disk knows of invites: which are open, and which codes are used up (docs/spec/invites.md 7).

Flow: OpenInvite -> `keep` -> `load`; Inviter.answer -> `burn`; Joiner.ask -> `mark`
Never: says that something is burnt or marked before that outlasts a power cut.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Literal

import msgspec

from ropewalk.errors import Unavailable
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.errors import (
    BadOffer,
    CodeUsed,
    InviteExpired,
    InviteFileDamaged,
    NoInvite,
    TooManyInvites,
)
from ropewalk.spaces.invites.messages import LARGEST_MESSAGE, Id, Offer, Time, read_offer
from ropewalk.spaces.invites.transcript import code_hash
from ropewalk.spaces.keys import BoxDamaged
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.store import FileSystem, OsFileSystem

__all__ = ["LONGEST_LIFE", "MOST_OPEN", "Invites", "InvitesBusy", "InvitesUnwritable", "OpenInvite"]

MOST_OPEN = 16  # a person cannot tell more apart
MOST_MARKS = 256  # codes that one device has tried in a week
LONGEST_LIFE = 7 * 24 * 3600 * 10**9  # nanoseconds
_LARGEST = 2 * LARGEST_MESSAGE
_LONGEST_NOTE = 4096  # bytes
_MOST_NAMES = 4096  # in the folder; anybody could have put files there
_PAUSE, _TRIES = 0.05, 100  # seconds; 5 s for others, who need some ms
_OPEN, _BURNT, _USED = ".open", ".burnt", ".used"


class InvitesBusy(Unavailable):
    """Another process of this device is at its invites."""

    code = "invite.busy"


class InvitesUnwritable(Unavailable):
    """The device's disk does not take what must be remembered of an invite."""

    code = "invite.unwritable"


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

    def read_offer(self) -> Offer:
        """The offer."""
        return read_offer(self.offer)


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    version: Literal[1]
    id: Id
    expires: Time
    wrap: bytes


_sealed = Format(_Sealed, _LARGEST, "kept invite")
_open = Format(OpenInvite, _LARGEST, "kept invite")


class Invites:
    """A folder of one device.

    Args:
        folder: Its absolute path; made if it is not there, and its parent is.
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
        self._folder, self._clock, self._files, self._pause = folder, clock, files or OsFileSystem(), pause
        self._rooted = False

    # ---- the inviter's side ------------------------------------------------------------------------------------------

    def keep(self, invite: OpenInvite, keys: DeviceKeys) -> None:
        """Make an invite outlast this process; sealed for this device.

        Raises:
            TooManyInvites: As many as there may be are open.
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
        data = encode(_Sealed(1, invite.id, expires, keys.public().wrap(plain, _info(invite.id))))
        with self._turn():
            self._sweep()
            if len(self._names(_OPEN) - self._names(_BURNT)) >= MOST_OPEN:
                raise TooManyInvites(f"{MOST_OPEN} invites are open", hint="withdraw one, or wait until one expires")
            if not self._write(invite.id.hex() + _OPEN, data):
                raise BadOffer("an invite of this id is there already")

    def load(self, invite: bytes, keys: DeviceKeys) -> OpenInvite:
        """An open invite.

        Raises:
            NoInvite: There is none of this id.
            CodeUsed: It was burnt.
            InviteExpired: Its time is over.
            InviteFileDamaged: Its file is not what this device wrote.
        """
        if invite.hex() in self._names(_BURNT):
            raise CodeUsed("this invite was used", hint="make a new one")
        try:
            sealed = _sealed.decode(self._read(invite.hex() + _OPEN))
            if sealed.id != invite:
                raise InviteFileDamaged("a kept invite has another id than its name")
            if self._clock() >= sealed.expires:
                raise InviteExpired("the time of this invite is over", hint="make a new one")
            return _open.decode(keys.unwrap(sealed.wrap, _info(invite)))
        except (RecordMalformed, BoxDamaged) as error:
            raise InviteFileDamaged(f"a kept invite cannot be read: {error}", hint="make a new one") from None

    def open_ids(self) -> list[bytes]:
        """The ids of invites that are neither burnt nor expired."""
        names = sorted(self._names(_OPEN) - self._names(_BURNT))
        return [bytes.fromhex(name) for name in names if not self._expired(name + _OPEN)]

    def burn(self, invite: bytes) -> None:
        """Make it durable that an invite is used up, or was withdrawn. At most one call ever returns for an id.

        After a crash within it the invite may be open or burnt; nothing was answered.

        Raises:
            CodeUsed: It was burnt.
            NoInvite: There is none of this id.
            InvitesBusy.
        """
        with self._turn():
            if invite.hex() not in self._names(_OPEN):
                raise NoInvite("there is no such invite on this device", hint="make a new one")
            if not self._write(invite.hex() + _BURNT, b""):
                raise CodeUsed("this invite was used", hint="make a new one")

    # ---- the joiner's side -------------------------------------------------------------------------------------------

    def mark(self, slot: bytes, secret: bytes) -> None:
        """Make it durable that a code was used here.

        Raises:
            CodeUsed: It was before.
            TooManyInvites: Too many were.
            InvitesBusy.
        """
        name = code_hash(slot, secret)[:16].hex() + _USED
        with self._turn():
            self._sweep()
            if len(self._names(_USED)) >= MOST_MARKS:
                raise TooManyInvites(f"{MOST_MARKS} codes were used on this device", hint="wait some days")
            if not self._write(name, (self._clock() + LONGEST_LIFE).to_bytes(8, "big")):
                raise CodeUsed("this code was used here before, and is good for one try", hint="ask for a new one")

    # ---- files -------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Remove what has expired; an open file durably before its mark, which else would come to life again."""
        gone = [name for name in self._names(_OPEN) if self._expired(name + _OPEN)]
        for name in gone:
            self._files.unlink(self._path(name + _OPEN))
        if gone:
            self._sync()
        for name in self._names(_BURNT) - self._names(_OPEN):
            self._files.unlink(self._path(name + _BURNT))
        for name in self._names(_USED):
            if self._expired(name + _USED):
                self._files.unlink(self._path(name + _USED))

    def _expired(self, name: str) -> bool:
        """Whether a file's time is over; one that a crash tore never counted, and is over too."""
        try:
            data = self._read(name)
            if name.endswith(_USED):
                return len(data) != 8 or int.from_bytes(data, "big") <= self._clock()
            return _sealed.decode(data).expires <= self._clock()
        except NoInvite:
            return False
        except RecordMalformed:
            return True

    def _names(self, ending: str) -> set[str]:
        """Ids, in hex, of files with this ending."""
        found: set[str] = set()
        try:
            for number, name in enumerate(self._files.scan(self._folder)):
                if number >= _MOST_NAMES:
                    raise TooManyInvites(f"{self._folder} holds over {_MOST_NAMES:,} files", hint="remove what is old")
                if name.endswith(ending) and _is_id(name.removesuffix(ending)):
                    found.add(name.removesuffix(ending))
        except FileNotFoundError:
            pass
        return found

    def _write(self, name: str, data: bytes) -> bool:
        """A new file, durably; False where the name is taken."""
        try:
            fd = self._files.open(self._path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        try:
            left = memoryview(data)
            while left:
                left = left[self._files.writev(fd, [left]) :]
            self._files.fsync(fd)
        finally:
            self._files.close(fd)
        self._sync()
        return True

    def _read(self, name: str) -> bytes:
        try:
            fd = self._files.open(self._path(name), os.O_RDONLY)
        except FileNotFoundError:
            raise NoInvite("there is no such invite on this device", hint="make a new one") from None
        try:
            data = b""
            while len(data) <= _LARGEST and (more := self._files.pread(fd, _LARGEST, len(data))):
                data += more
            return data
        finally:
            self._files.close(fd)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time."""
        try:
            with suppress(FileExistsError):
                self._files.mkdir(self._folder)
            if not self._rooted:  # who made it may have been killed before it was safe
                self._sync(os.path.dirname(self._folder) or "/")
                self._rooted = True
            fd = self._files.open(self._path(".lock"), os.O_RDWR | os.O_CREAT)
            try:
                self._wait_lock(fd)
                yield
            finally:
                self._files.close(fd)
        except OSError as error:
            raise InvitesUnwritable(f"{self._folder} cannot be written: {error.strerror}") from error

    def _wait_lock(self, fd: int) -> None:
        """Others hold it for the time of some syncs."""
        for _ in range(_TRIES):
            if self._files.lock(fd):
                return
            self._pause(_PAUSE)
        raise InvitesBusy("another process is at the invites of this device", hint="try again")

    def _sync(self, folder: str | None = None) -> None:
        fd = self._files.open(folder or self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._files.fsync(fd)
        finally:
            self._files.close(fd)

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"


def _is_id(text: str) -> bool:
    with suppress(ValueError):
        return len(bytes.fromhex(text)) == 16 and text == text.lower()
    return False


def _info(invite: bytes) -> bytes:
    return b"ropewalk kept invite 1\0" + invite
