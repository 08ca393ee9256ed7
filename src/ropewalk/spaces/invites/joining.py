"""Joining: what a joiner's disk keeps until it has arrived: answers, and what it was given (docs/spec/invites.md 7).

Flow: answer -> `answer` -> `answered`; Joiner.accept -> Joining -> `keep` -> `load` -> admission.arrive -> `drop`
Never: forgets what an inviter gave before the settings have it, or lets another device read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Literal

import msgspec

from ropewalk.errors import RopewalkError
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.ceremony import Invited
from ropewalk.spaces.invites.errors import InviteFileDamaged, MessageMalformed, NoInvite, TooManyInvites
from ropewalk.spaces.invites.folder import LARGEST_FILE, LONGEST_LIFE, Folder
from ropewalk.spaces.invites.messages import Id, JoinerKeys, read_grants, read_joiner, read_offer
from ropewalk.spaces.invites.transcript import code_hash
from ropewalk.spaces.keys import BoxDamaged
from ropewalk.spaces.records import Format, RecordMalformed, encode
from ropewalk.spaces.store import FileSystem

__all__ = ["ANSWER_LIFE", "MOST_JOININGS", "Joining", "Joinings"]

MOST_JOININGS = 64  # each waits for stores that somebody said there are
MOST_ANSWERS = 64
ANSWER_LIFE = 2 * LONGEST_LIFE  # nanoseconds; a welcome that was made on the last day may be a week on its way
_TIME = 8  # bytes
_JOINING, _ANSWER = ".joining", ".answer"


class Joining(msgspec.Struct, frozen=True, array_like=True):
    """An invite whose welcome has come.

    Attributes:
        id: Follows from slot and secret, so that each invite has one.
        offer: Who invited, and to what; encoded.
        grants: What was given; encoded.
        me: The keys and names that were told; encoded.
        name: What to call the space here; "" for what the inviter does.
    """

    id: Id
    offer: bytes
    grants: bytes
    me: bytes
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""

    @classmethod
    def of(cls, slot: bytes, secret: bytes, invited: Invited, me: JoinerKeys, name: str = "") -> Joining:
        """What came of an invite."""
        offer, grants = encode(invited.offer), encode(invited.grants)
        return cls(joining_id(slot, secret), offer, grants, encode(me), name)

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Joining({self.id.hex()})"

    @property
    def invited(self) -> Invited:
        """Offer and grants."""
        return Invited(read_offer(self.offer), read_grants(self.grants))

    @property
    def joiner(self) -> JoinerKeys:
        """Who joins."""
        return read_joiner(self.me)

    def check(self) -> None:
        """Return if all of it can be read.

        Raises:
            MessageMalformed: It cannot.
        """
        read_offer(self.offer), read_grants(self.grants), read_joiner(self.me)

    @property
    def spaces(self) -> frozenset[bytes]:
        """The ids of the spaces that are offered."""
        return frozenset(one.space for one in self.invited.offer.spaces)


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    version: Literal[1]
    id: Id
    wrap: bytes


_sealed = Format(_Sealed, LARGEST_FILE, "kept welcome")
_joining = Format(Joining, LARGEST_FILE, "kept welcome")


class Joinings:
    """What one device has answered and was given; its arguments are those of `Invites`, in the same folder."""

    def __init__(
        self,
        folder: str,
        *,
        clock: Callable[[], int],
        files: FileSystem | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._clock = Folder(folder, files, pause), clock

    # ---- what was given ----------------------------------------------------------------------------------------------

    def check_room(self) -> None:
        """Return if one more can be kept; to be asked before a code is used up.

        Raises:
            TooManyInvites: As many as there may be are under way.
        """
        if len(self._folder.names(_JOINING)) >= MOST_JOININGS:
            raise TooManyInvites(
                f"{MOST_JOININGS} invites are under way here",
                hint="`ropewalk join --again` goes on with them, `ropewalk join --forget` drops them",
            )

    def keep(self, joining: Joining, keys: DeviceKeys) -> None:
        """Make what an invite gave outlast this process, sealed for this device; in place of what it gave before.

        Raises:
            InvitesBusy, InvitesUnwritable.
        """
        wrap = keys.public().wrap(encode(joining), _info(joining.id))
        with self._folder.turn():
            self._folder.write(joining.id.hex() + _JOINING, encode(_Sealed(1, joining.id, wrap)))

    def ids(self) -> list[bytes]:
        """Those that are kept."""
        return [bytes.fromhex(name) for name in sorted(self._folder.names(_JOINING))]

    def load(self, joining: bytes, keys: DeviceKeys) -> Joining:
        """One that is kept.

        Raises:
            NoInvite: There is none of this id.
            InviteFileDamaged: Its file is not what this device wrote.
        """
        try:
            sealed = _sealed.decode(self._folder.read(joining.hex() + _JOINING))
            found = _joining.decode(keys.unwrap(sealed.wrap, _info(joining)))
            found.check()
        except (RecordMalformed, BoxDamaged, MessageMalformed) as error:
            raise InviteFileDamaged(
                f"what an invite gave cannot be read: {error}", hint="`ropewalk join --forget`, and ask for a new one"
            ) from None
        return found

    def offered(self, keys: DeviceKeys) -> frozenset[bytes]:
        """The ids of all spaces that we were let into and have not come into; as authentic as their invites were."""
        found: set[bytes] = set()
        for one in self.ids():
            with suppress(RopewalkError):
                found |= self.load(one, keys).spaces
        return frozenset(found)

    def drop(self, joining: bytes) -> None:
        """Forget one, durably; the answer that was given stays: no other consent is signed for the same invite."""
        with self._folder.turn():
            self._folder.remove(joining.hex() + _JOINING)

    # ---- answers by file ---------------------------------------------------------------------------------------------

    def answer(self, slot: bytes, secret: bytes, make: Callable[[], bytes]) -> bytes:
        """The answer to an invite file: the one that was kept, or a new one, which is then kept before this returns.

        Args:
            slot: Of the invite file.
            secret: Of the invite file.
            make: Makes a new one.

        Raises:
            TooManyInvites, InvitesBusy, InvitesUnwritable.
        """
        with self._folder.turn():
            self._sweep()
            with suppress(NoInvite):
                return self.answered(slot, secret)
            if len(self._folder.names(_ANSWER)) >= MOST_ANSWERS:
                raise TooManyInvites(f"{MOST_ANSWERS} invites were answered here", hint="wait some days")
            made = make()
            until = self._clock() + ANSWER_LIFE
            name = joining_id(slot, secret).hex() + _ANSWER
            self._folder.write(name, until.to_bytes(_TIME, "big") + made)
            return made

    def answered(self, slot: bytes, secret: bytes) -> bytes:
        """The answer that was given.

        Raises:
            NoInvite: There was none.
        """
        try:
            return self._folder.read(joining_id(slot, secret).hex() + _ANSWER)[_TIME:]
        except NoInvite:
            raise NoInvite(
                "this machine has given no answer to this invite", hint="first `ropewalk join --file INVITE` alone"
            ) from None

    def _sweep(self) -> None:
        self._folder.remove(*(name + _ANSWER for name in self._folder.names(_ANSWER) if self._expired(name)))

    def _expired(self, name: str) -> bool:
        return int.from_bytes(self._folder.read(name + _ANSWER)[:_TIME], "big") <= self._clock()


def joining_id(slot: bytes, secret: bytes) -> bytes:
    """What an invite is called at the joiner's."""
    return code_hash(slot, secret)[:16]


def _info(joining: bytes) -> bytes:
    return b"ropewalk joining 1\0" + joining
