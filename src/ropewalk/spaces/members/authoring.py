"""New records: a space's first ones, and every kind of operation (docs/spec/groups.md 1).

Flow: what is to be said, the device's keys, the records known -> (name, bytes) for every store
Never: puts a record anywhere, or writes what readers would pass over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ropewalk.errors import Refused
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keys import KeyRing, Secrets, hashed
from ropewalk.spaces.members.consent import Consent, pledged
from ropewalk.spaces.members.graph import bits
from ropewalk.spaces.members.labels import seal_label
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.members.operations import (
    NO_CUT,
    Accept,
    Add,
    AddDevice,
    Content,
    Cut,
    Deliver,
    Delivered,
    Kind,
    Prove,
    Remove,
    Revoke,
    Role,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    content_bytes,
    parse_operation,
)
from ropewalk.spaces.members.records import (
    FEATURE_LEVEL,
    MOST_PARENTS,
    EpochBody,
    Genesis,
    OperationBody,
    Policy,
    Wrap,
    epoch_info,
    record_hash,
    sign,
)
from ropewalk.spaces.members.resolve import Resolution
from ropewalk.spaces.members.room import resettle
from ropewalk.spaces.records import encode
from ropewalk.spaces.store import ObjectName

__all__ = ["NEW_LEVEL", "Author", "NoRoomLeft", "NotAllowed", "Vain", "create"]

NEW_LEVEL = 2  # the feature level of new spaces
LABELS = 2  # that from which there are operations


class NotAllowed(Refused):
    """Readers would pass over this record: its author may not do that, or nothing would come of it."""

    code = "members.not-allowed"


class Vain(NotAllowed):
    """The record is allowed, and what others have signed would leave it without the effect that it is for."""

    code = "members.vain"


class NoRoomLeft(NotAllowed):
    """The space has as many records as readers take."""

    code = "members.no-room"


def create(
    policy: Policy,
    privacy: int,
    device: DeviceKeys,
    paper: PublicKeys,
    now: int,
    feature: int | None = None,
    names: tuple[str, str] | None = None,
) -> tuple[bytes, Secrets, list[tuple[ObjectName, bytes]]]:
    """A new space: its id, its secrets, and the records to put into every store.

    Args:
        policy: Checked against the pool by the caller.
        privacy: 1 or 2 (3 and 4 need batching, which is not there yet).
        device: The first admin's device.
        paper: The public half of the paper key.
        now: Nanoseconds since 1970.
        feature: The feature level; None for that of new spaces.
        names: Of the first person and of its device; a space of level 1 does not keep them.

    Raises:
        BadName: Nobody can be called this.
    """
    public = device.public()
    feature = NEW_LEVEL if feature is None else feature
    nonce, member = os.urandom(32), os.urandom(16)
    lying = int(policy.floor > policy.k)  # stores whose word cannot be relied on, where the floor leaves room for one
    body = encode(Genesis("genesis", 1, nonce, feature, 1, privacy, policy, [lying, 1], member, [public, paper], now))
    space_id = hashed("space", body)
    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    plain = secrets.epoch + secrets.steward + secrets.space
    check, steward_check = hashed("epoch check", plain), hashed("steward check", secrets.steward)
    wraps = [Wrap(one.id, one.wrap(plain, epoch_info(space_id, 1, one.id, check))) for one in (public, paper)]
    epoch = encode(
        EpochBody("epoch", 1, space_id, 1, [record_hash(body)], public.id, check, steward_check, wraps, [], [])
    )
    bodies = [body, epoch]
    if names is not None and feature >= LABELS:
        keys = KeyRing.derive(space_id, record_hash(epoch), secrets)
        life = os.urandom(16)  # that of heads is not there yet
        for count, (bearer, name) in enumerate(zip((member, public.id), names, strict=True), start=1):
            said = content_bytes(SetLabel(bearer, seal_label(keys, bearer, name)))
            parents = [record_hash(bodies[-1])]
            bodies.append(
                encode(OperationBody("op", 1, space_id, public.id, life, count, parents, int(Kind.LABEL), said, now))
            )
    return space_id, secrets, [sign(space_id, one, device) for one in bodies]


@dataclass(frozen=True)
class Author:
    """A device that writes operations, each on top of all that ``membership`` knows.

    Whoever writes a second one reads the membership again, with the first one in it.

    Args:
        membership: What is known.
        keys: Of the device that signs.
        incarnation: That of the device's heads: a restored backup must not count where its original has counted.
        now: Nanoseconds since 1970; a hint for people.
    """

    membership: Membership
    keys: DeviceKeys
    incarnation: bytes
    now: int

    def new_member(self) -> tuple[bytes, bytes]:
        """A nonce, and what it pledges to whoever is to be a new member."""
        nonce = os.urandom(16)
        return nonce, pledged(self.membership.space_id, self.keys.public().id, nonce)

    def add(
        self,
        nonce: bytes,
        role: Role,
        keys: Sequence[PublicKeys],
        label: bytes,
        wraps: Iterable[Delivered] = (),
        *,
        consents: Iterable[Consent],
    ) -> tuple[ObjectName, bytes]:
        """A new member, its nonce that of `new_member`; ``label`` is a sealed box, and each device consents."""
        return self.write(Kind.ADD, Add(nonce, role, list(keys), label, list(wraps), list(consents)))

    def remove(self, member: bytes, cut: Cut) -> tuple[ObjectName, bytes]:
        """A member, for ever; ``cut`` names the newest head accepted of each writer of its devices."""
        found = self.membership.state.members.get(member)
        return self._put_out(Kind.REMOVE, Remove(member, cut.packed()), found.devices if found else ())

    def role(self, member: bytes, role: Role, cut: Cut = NO_CUT) -> tuple[ObjectName, bytes]:
        """Another role; with a cut where the member wrote and is to write no more."""
        found = self.membership.state.members.get(member)
        lower = found is not None and role < found.role
        return self._put_out(Kind.ROLE, SetRole(member, role, cut.packed()), found.devices if found and lower else ())

    def device(
        self, keys: PublicKeys, label: bytes, wraps: Iterable[Delivered] = (), *, consents: Iterable[Consent] = ()
    ) -> tuple[ObjectName, bytes]:
        """One more device, which consents, or a paper key of our own member."""
        return self.write(Kind.DEVICE, AddDevice(keys, label, list(wraps), list(consents)))

    def revoke(self, device: bytes, cut: Cut) -> tuple[ObjectName, bytes]:
        """A device, for ever as one of its member; once more, if it was revoked by keys that are not senior to it."""
        if device in self.membership.state.devices:
            return self._put_out(Kind.REVOKE, Revoke(device, cut.packed()), [device])
        graph = self.membership.resolution.graph
        without = 0
        for record in graph.records:
            if isinstance(record.content, Revoke) and record.content.device == device:
                without |= graph.after[record.position] | 1 << record.position
        return self.write(Kind.REVOKE, Revoke(device, cut.packed()), without=without)

    def policy(self, policy: Policy, lying: int, privacy: int) -> tuple[ObjectName, bytes]:
        """Another policy, stores that may lie, and privacy level."""
        return self.write(Kind.POLICY, SetPolicy(policy, [lying, 1], privacy))

    def level(self, feature: int = FEATURE_LEVEL) -> tuple[ObjectName, bytes]:
        """A higher feature level."""
        return self.write(Kind.LEVEL, SetLevel(feature))

    def accept(self, cut: Cut, thawed: Iterable[bytes] = ()) -> tuple[ObjectName, bytes]:
        """Heads in quarantine, and devices that were frozen."""
        return self.write(Kind.ACCEPT, Accept(cut.packed(), sorted(set(thawed))))

    def wrap(self, wraps: Iterable[Delivered] = ()) -> tuple[ObjectName, bytes]:
        """Secrets for those that came late; without any, it only joins the newest records under one."""
        return self.write(Kind.WRAP, Deliver(list(wraps)))

    def proof(self, proof: bytes, cut: Cut) -> tuple[ObjectName, bytes]:
        """A proof, with the newest heads accepted of each writer of the accused."""
        return self.write(Kind.PROOF, Prove(proof, cut.packed()))

    def label(self, bearer: bytes, box: bytes) -> tuple[ObjectName, bytes]:
        """A name for a member or a device; ``box`` is sealed by `seal_label`."""
        return self.write(Kind.LABEL, SetLabel(bearer, box))

    def _put_out(self, kind: Kind, content: Content, devices: Sequence[bytes]) -> tuple[ObjectName, bytes]:
        if not self.membership.beyond.isdisjoint(devices):
            return self._take_back(kind, content)
        try:
            return self.write(kind, content)
        except NoRoomLeft:  # perhaps because of them
            return self.write(kind, content, besides=devices)

    def _take_back(self, kind: Kind, content: Content) -> tuple[ObjectName, bytes]:
        """Put out who wrote what this version does not know, on what had not seen any such record: it is struck."""
        graph = self.membership.resolution.graph
        without = 0
        for one in self.membership.state.beyond:
            place = graph.places[one]
            without |= graph.after[place] | 1 << place
        return self.write(kind, content, without=without)

    def write(
        self, kind: Kind, content: Content, besides: Sequence[bytes] = (), without: int = 0
    ) -> tuple[ObjectName, bytes]:
        """An operation with any content.

        Args:
            kind: What it does.
            content: What it says.
            besides: Devices whose records it does not stand on, if nobody else's do.
            without: Records that it does not stand on, with all that had seen them.

        Raises:
            NoRoomLeft: Readers take no more records.
            Vain: It would be struck by what it does not stand on; nothing was signed.
            NotAllowed: Readers would pass over it; nothing was signed.
        """
        device = self.keys.public().id
        count, last = self._counted(device)
        body = encode(
            OperationBody(
                *("op", 1, self.membership.space_id, device, self.incarnation, count),
                *(self.parents(last, besides, without), int(kind), content_bytes(content), self.now),
            )
        )
        what = f"{kind.name.lower()} operation"
        operation = parse_operation(body, self.membership.space_id)
        if operation is None:
            raise NotAllowed(f"{what} of {len(body)} bytes is not what the format allows", hint="split it in two")
        digest = record_hash(body)
        graph = self.membership.resolution.graph.with_record(digest, operation)
        if not Resolution(graph).standing(graph.past([digest])).good >> graph.places[digest] & 1:
            role = self.membership.state.role_of(device)
            raise NotAllowed(
                f"{what} by a device {f'with the role {role.name.lower()}' if role else 'that is not active'} "
                "would have no effect",
                hint="ask an admin" if role is not Role.ADMIN else "look at the members as they are now",
            )
        if without and not Resolution(graph).standing(graph.everything).good >> graph.places[digest] & 1:
            raise Vain(
                f"{what} would be of no effect: somebody senior has signed the contrary",
                hint="a member who is senior to whom this is against may do it, or the paper key",
            )
        if len(graph.records) > graph.room and ((rest := resettle(graph)).crowd or digest not in rest.found):
            raise NoRoomLeft(
                f"space has {len(graph.records) - 1} membership records, readers take {graph.room}",
                hint="see who wrote so many; what nobody else has seen of them goes with who wrote it",
            )
        return sign(self.membership.space_id, body, self.keys)

    def parents(self, last: bytes | None, besides: Sequence[bytes] = (), without: int = 0) -> list[bytes]:
        """What a record of ours stands on: the newest records, as many as one may name, and our own last one.

        Args:
            last: Our own last one.
            besides: Devices whose records are left out, if nobody else has seen them.
            without: Records that are left out, all that had seen them among them.

        Raises:
            Vain: Our own last one is among those.
        """
        graph = self.membership.resolution.graph
        frontier = self.membership.frontier
        if without:
            if last is not None and without >> graph.places[last] & 1:
                raise Vain(
                    "this device itself has signed on top of what is to be struck",
                    hint="another device of an admin may do it, or a version of ropewalk that knows these records",
                )
            frontier = graph.tops(self.membership.resolution.standing(graph.everything).good & ~without)
        elif besides:
            frontier = graph.tops(self._but(besides))
        frontier = frontier[:MOST_PARENTS]
        if last is not None and not graph.past(frontier) >> graph.places[last] & 1:
            frontier = [*frontier[: MOST_PARENTS - 1], last]
        return sorted(frontier)

    def _but(self, devices: Sequence[bytes]) -> int:
        graph = self.membership.resolution.graph
        good, seen = self.membership.resolution.standing(graph.everything).good, 1  # the genesis
        for place in bits(good):
            record = graph.records[place]
            if record.author not in devices or isinstance(record.content, EpochBody):  # heads were sealed in it
                seen |= graph.before[place] | 1 << place
        return good & seen

    def _counted(self, device: bytes) -> tuple[int, bytes | None]:
        counted = [
            (record.operation.count, record.hash)
            for record in self.membership.resolution.graph.records
            if record.operation and (record.author, record.operation.incarnation) == (device, self.incarnation)
        ]
        count, last = max(counted, default=(0, None))
        return count + 1, last
