"""Admission: what an inviter offers and gives in open spaces (docs/spec/invites.md 4).

Flow: spaces, role -> Offer; JoinerKeys -> records on the floor of stores -> Grants
Never: gives a secret before the record that admits is durable, or lets the same keys in twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ropewalk.errors import Misuse, Refused
from ropewalk.spaces.group import BelowFloor, TooOld
from ropewalk.spaces.home import Home
from ropewalk.spaces.invites import (
    MOST_PATHS,
    NEW_DEVICE,
    NEW_MEMBER,
    Grant,
    GrantedStore,
    Grants,
    JoinerKeys,
    Offer,
    OfferedSpace,
)
from ropewalk.spaces.learning import short_records
from ropewalk.spaces.members import Consent, Names, Role, member_id, pledged, why_read_only
from ropewalk.spaces.records import encode
from ropewalk.spaces.space import Space

__all__ = ["Admission", "name_of"]

_note = msgspec.msgpack.Decoder(tuple[str, bool, list[tuple[bytes, bytes]]])
_A = {Role.STEWARD: "a steward", Role.READER: "a reader", Role.WRITER: "a writer", Role.ADMIN: "an admin"}


class Admission:
    """What is offered, and how somebody is let in; an `invites.Admit`.

    Args:
        home: Where the stores of the spaces are set up.
        spaces: Open ones; one for a new member, any number for one more device of our own.
        expires: Nanoseconds since 1970.
        role: Of a new member; None for one more device.
        name: What the new member is to be called; "" for what it calls itself.
        nonces: By space: 16 random bytes, by which the member is pledged.
        places: Whether the joiner is told where the stores are.
        elsewhere: The ways by which others reach stores, by id in hex, that are at other places here, as folders that
            are offered; the best first.

    Attributes:
        offer: What is offered.
        already: The spaces in which those that `admit` was called with were before.
    """

    def __init__(
        self,
        home: Home,
        spaces: Sequence[Space],
        expires: int,
        *,
        role: Role | None = None,
        name: str = "",
        nonces: Mapping[bytes, bytes] | None = None,
        places: bool = True,
        elsewhere: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._home, self.role, self._name, self._places = home, role, name, places
        self._elsewhere = elsewhere or {}
        self._nonces = dict(nonces or {})
        self._spaces = sorted(spaces, key=lambda space: space.core.space_id)
        offered = [OfferedSpace(space.core.space_id, *self._offered(space)) for space in self._spaces]
        inviter = self._spaces[0].core.device.public()
        self.offer = Offer(inviter, NEW_DEVICE if role is None else NEW_MEMBER, offered, expires)
        self.already: set[bytes] = set()

    @property
    def note(self) -> bytes:
        """What it takes to make the same admission again, besides the offer; for `OpenInvite.note`."""
        return encode([self._name, self._places, sorted(self._nonces.items())])

    @classmethod
    def again(
        cls,
        home: Home,
        spaces: Sequence[Space],
        offer: Offer,
        note: bytes,
        elsewhere: Mapping[str, Sequence[str]] | None = None,
    ) -> Admission:
        """The admission that an invite was kept of.

        Raises:
            Misuse: These are not the spaces of the offer.
        """
        name, places, nonces = _note.decode(note)
        wanted = {one.space for one in offer.spaces}
        known = [space for space in spaces if space.core.space_id in wanted]
        if len(known) < len(wanted):
            raise Misuse("this invite was made for another space", hint="name the one that it was made for")
        role = None if offer.kind == NEW_DEVICE else Role(offer.spaces[0].role)
        made = cls(
            *(home, known, offer.expires),
            role=role,
            name=name,
            nonces=dict(nonces),
            places=places,
            elsewhere=elsewhere,
        )
        if made.offer != offer:
            raise Misuse("what this invite offers does not hold any more", hint="make a new one")
        return made

    def _offered(self, space: Space) -> tuple[bytes, int]:
        core = space.core
        device = core.device.public().id
        if core.membership.read_only:
            why, hint = why_read_only(core.membership, core.keys)
            raise TooOld(why, hint=hint)
        mine = core.membership.state.devices.get(device)
        ours = core.membership.state.role_of(device)
        if mine is None or ours is None:
            raise Refused(f"this device does not belong to {space.name} any more", hint="ask an admin for an invite")
        if self.role is None:
            return mine, ours
        if ours is not Role.ADMIN:
            raise Refused(
                f"only an admin of {space.name} may invite, and you are a {ours.name.lower()}", hint="ask an admin to"
            )
        return pledged(core.space_id, device, self._nonces[core.space_id]), self.role

    async def check_ready(self) -> None:
        """Return if somebody could be let in now, as far as this side knows; to be asked before an invite is used up.

        Raises:
            BelowFloor: Too few stores would take the record.
            TooOld, Refused: We may not let anybody in any more.
        """
        for space in self._spaces:
            async with space.group() as group:
                group.check_known()
                group.check_floor()
                self._offered(space)

    def check_joiner(self, joiner: JoinerKeys) -> None:
        """Return if these keys can be let in, or are in as what is offered.

        Raises:
            Misuse: They are in some space as something else, or the paper key that comes with them is another's.
        """
        for space, offered in zip(self._spaces, self.offer.spaces, strict=True):
            self._known(space, joiner, offered)

    async def admit(self, joiner: JoinerKeys, consent: Consent) -> bytes:
        """Let these keys in, everywhere; the encoded `Grants`. Keys that are in are given the grants anew.

        Raises:
            Misuse: They are in some space as something else than was offered; nothing was written.
            RopewalkError: It is not known to be done everywhere.
        """
        self.check_joiner(joiner)
        self.already = set()
        stores: dict[str, GrantedStore] = {}
        grants: list[Grant] = []
        for space, offered in zip(self._spaces, self.offer.spaces, strict=True):
            name = self._name or joiner.name or joiner.device_name
            async with space.group() as group:
                known = self._known(space, joiner, offered)
                if known is not None:  # as after a crash, or a welcome that was lost: `tend` wraps for it again
                    self.already.add(offered.space)
                elif self.role is None:
                    await group.add_device(joiner.device_name, joiner.device, [consent])
                else:
                    await group.add(self.role, name, joiner.keys, self._nonces[offered.space], [consent])
            if short := await short_records(space.core):  # of the epoch that is given, perhaps
                raise BelowFloor(
                    f"{len(short)} membership records of {space.name} are in too few stores",
                    hint="bring stores back, and invite again: nobody is let in twice by that",
                )
            setting = self._home.space(space.name)
            for store, one in zip(setting.stores, self._home.stores(setting.stores), strict=True):
                paths = list(self._elsewhere.get(one.id, [one.path, *one.others])[:MOST_PATHS]) if self._places else []
                stores.setdefault(store, GrantedStore(bytes.fromhex(one.id), one.domains, paths))
            keys_now = space.core.keys
            if offered.role == Role.STEWARD:
                secrets = keys_now.steward_secret(keys_now.current)
            else:
                three = keys_now.secrets(keys_now.current)
                secrets = three.epoch + three.steward + three.space
            indices = [list(stores).index(store) for store in setting.stores]
            called = _called(space, joiner.device.id) or ("" if self.role is None else name)
            due = offered.member if self.role is None else member_id(offered.member, consent.names, consent.salt)
            other = None if known in (None, due) else known
            grants.append(Grant(offered.space, keys_now.current, secrets, space.name, called, indices, other))
        return encode(Grants(grants, list(stores.values())))

    def _known(self, space: Space, joiner: JoinerKeys, offered: OfferedSpace) -> bytes | None:
        """The member that these keys belong to already, if they do.

        Raises:
            Misuse: It is not what is offered, or the paper key that comes with them is another's.
        """
        state, device = space.core.membership.state, joiner.device.id
        member, has = state.devices.get(device), state.role_of(device)
        if member is None or has is None:
            if self.role is not None and joiner.paper is not None and joiner.paper.id in state.devices:
                owner = Names(space.core.membership, space.core.keys).whose(joiner.paper.id)
                raise Misuse(
                    f"the paper key that comes with this machine is in {space.name} already, of {owner}",
                    hint="nothing was changed; new words can come in: `ropewalk recovery paper` at the machine that"
                    " joins, then a new invite; if both are one person's, `ropewalk device add` at the other machine; a"
                    " member who named a key that is not its own is put out with `ropewalk member remove`",
                )
            return None
        who = _called(space, device) or f"member {member.hex()[:8]}"
        is_in = f"this machine is in {space.name} already, as {who}, {has.name.lower()}"
        if self.role is None and member != offered.member:
            raise Misuse(
                f"{is_in}; the invite is for a machine of your own",
                hint="nothing was changed; if it is to be yours, its keys have to leave that space first",
            )
        if has != offered.role:
            wanted = Role(offered.role).name.lower()
            raise Misuse(
                f"{is_in}; the invite is for {_A[Role(offered.role)]}",
                hint=f"nothing was changed; `ropewalk member role {who} {wanted}` makes it one, and an invite for"
                f" {_A[has]} gives it again what it was given",
            )
        return member


def name_of(note: bytes) -> str:
    """What who joins is to be called, by the note of a kept invite; "" for what it calls itself."""
    return _note.decode(note)[0]


def _called(space: Space, device: bytes) -> str | None:
    """What the member is called that a device belongs to, as far as there is a name."""
    owner = next((one for one in space.people() if any(own.id == device for own in one.machines)), None)
    return None if owner is None else owner.name
