"""The format once more: who belongs to a space, from the bodies of its records (groups.md 1 and 2).

Flow: bodies, their signatures taken as good -> records that count -> grounded, struck -> outcome
Never: imports ropewalk, or does anything fast: sets of hashes, and everything anew in each round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from docs.spec.vectors.reference import h
from docs.spec.vectors.reference_records import Refused, number, pack, unpack

__all__ = [
    "ADMIN",
    "Group",
    "Outcome",
    "Record",
    "committed",
    "consent_message",
    "device_id",
    "member_id",
    "operation_body",
    "pledged",
    "ticket",
]

STEWARD, READER, WRITER, ADMIN = 1, 2, 3, 4
_ADD, _REMOVE, _ROLE, _DEVICE, _REVOKE, _POLICY, _LEVEL, _ACCEPT, _WRAP, _PROOF = range(1, 11)
_LABEL = 12
_TAKINGS = (_REMOVE, _REVOKE, _ROLE)

Rank = tuple[int, bytes, bool, int, bytes, int]


def device_id(public: object) -> bytes:
    """The id of public keys, as a record holds them."""
    assert isinstance(public, list)
    return h("device", number(int(public[0]), 1) + b"".join(public[1:]))[:16]


def pledged(space_id: bytes, author: bytes, nonce: bytes) -> bytes:
    """What a device pledges to whoever is to be a new member."""
    return h("pledge", space_id + author + nonce)[:16]


def member_id(pledge: bytes, names: list[bytes], salt: bytes) -> bytes:
    """The id of a new member."""
    return h("member", pledge + salt + b"".join(sorted(names)))[:16]


def ticket(space_id: bytes, pledge: bytes, role: int) -> bytes:
    """What a consent is good for; with role 0 the id of a member stands for the pledge."""
    return h("ticket", space_id + pledge + number(role, 1))


def committed(blind: bytes, tickets: list[bytes]) -> bytes:
    """What is signed before anybody says what the tickets are."""
    return h("invite commit", blind + b"".join(tickets))


def consent_message(names: list[bytes], salt: bytes, commitment: bytes) -> bytes:
    """What a device signs before it is let in."""
    return b"ropewalk consent 1\0" + h("consent", pack([names, salt, commitment]))


def operation_body(
    space_id: bytes,
    author: bytes,
    incarnation: bytes,
    count: int,
    parents: list[bytes],
    kind: int,
    content: object,
    time: int,
) -> bytes:
    """The body of an operation."""
    return pack(["op", 1, space_id, author, incarnation, count, sorted(parents), kind, content, time, {}])


@dataclass
class Record:
    """A record that counts."""

    hash: bytes
    parents: list[bytes]
    author: bytes
    kind: int  # of an operation; 0 for an epoch, -1 for the genesis
    content: list[object]
    generation: int = 0
    past: set[bytes] = field(default_factory=set)
    chain: tuple[bytes, bytes, int] | None = None

    @property
    def order(self) -> tuple[int, bytes]:
        return self.generation, self.hash


@dataclass
class Outcome:
    """What a set of records comes to."""

    members: dict[bytes, int]  # and their roles
    devices: dict[bytes, bytes]
    struck: dict[bytes, bytes]
    good: set[bytes]
    feature: int
    privacy: int
    policy: object
    labels: dict[bytes, object]  # of active members and devices
    frozen: set[bytes]
    unknown: bool  # an admin wrote what this version does not know


class Group:
    """The records that count, of those given."""

    def __init__(self, space_id: bytes, bodies: list[bytes]) -> None:
        self.space_id = space_id
        self.records: dict[bytes, Record] = {}
        self._introduced: dict[bytes, list[object]] = {}
        waiting = [record for body in bodies if (record := self._parse(body))]
        waiting.sort(key=lambda one: one.kind)  # the genesis first
        while ready := [one for one in waiting if all(parent in self.records for parent in one.parents)]:
            for one in ready:
                waiting.remove(one)
                if one.hash not in self.records and self._counts(one):
                    self.records[one.hash] = one

    def _parse(self, body: bytes) -> Record | None:
        try:
            fields = unpack(body, 2 << 20)
        except Refused:
            return None
        digest = h("record", body)
        match fields:
            case ["genesis", 1, *_] if h("space", body) == self.space_id:
                self.genesis = fields
                devices = fields[9]
                assert isinstance(devices, list)
                return Record(digest, [], device_id(devices[0]), -1, fields)
            case ["epoch", 1, self.space_id, int(), list(parents), bytes(author), *_]:
                return Record(digest, parents, author, 0, fields)
            case [
                "op",
                1,
                self.space_id,
                bytes(author),
                bytes(life),
                int(count),
                list(parents),
                int(kind),
                list(said),
                *_,
            ]:
                return Record(digest, parents, author, kind, said, chain=(author, life, count))
        return None

    def _counts(self, one: Record) -> bool:
        past = [self.records[parent] for parent in one.parents]
        one.generation = 1 + max((parent.generation for parent in past), default=-1)
        one.past = {parent.hash for parent in past}.union(*(parent.past for parent in past))
        before = [self.records[other] for other in one.past]
        if one.kind != -1 and one.author not in {device_id(keys) for other in before for keys in brought(other)}:
            return False
        if one.chain:
            *life, count = one.chain
            counts = [other.chain[2] for other in before if other.chain and list(other.chain[:2]) == life]
            return max(counts, default=0) == count - 1
        return True

    # ---- what was so, among some records ---------------------------------------------------------------------------

    def _in_order(self, among: set[bytes]) -> list[Record]:
        return sorted((self.records[one] for one in among), key=lambda one: one.order)

    def _came(self, one: Record) -> bytes:
        """The member that a record lets in."""
        if one.kind == -1:
            member = one.content[8]
        else:
            nonce = one.content[0]
            assert isinstance(nonce, bytes)
            consents = one.content[5]
            assert isinstance(consents, list)
            names = [device_id(keys) for keys in brought(one)]
            member = member_id(pledged(self.space_id, one.author, nonce), names, consents[0][1] if consents else b"")
        assert isinstance(member, bytes)
        return member

    def members(self, among: set[bytes]) -> dict[bytes, int]:
        """Members and their roles."""
        found: dict[bytes, int] = {}
        for one in self._in_order(among):
            if one.kind in (-1, _ADD):
                member = self._came(one)
                found[member] = min(found.get(member, ADMIN), ADMIN if one.kind == -1 else int(str(one.content[1])))
        for member, role in found.items():
            given = [self.records[one] for one in among if self._is(one, _ROLE, member)]
            tops = [one for one in given if not any(one.hash in other.past for other in given)]
            found[member] = min((int(str(one.content[1])) for one in tops), default=role)
        return {
            member: role for member, role in found.items() if not any(self._is(one, _REMOVE, member) for one in among)
        }

    def _is(self, one: bytes, kind: int, what: bytes) -> bool:
        return self.records[one].kind == kind and self.records[one].content[0] == what

    def homes(self, among: set[bytes]) -> dict[bytes, tuple[bytes, int, Record]]:
        """Devices: whose, with what role, let in by which record."""
        members = self.members(among)
        found: dict[bytes, tuple[bytes, int, Record]] = {}
        for one in self._in_order(among):
            member = self.subjects.get(one.hash, b"") if one.kind == _DEVICE else b""
            member = self._came(one) if one.kind in (-1, _ADD) else member
            if member not in members:
                continue
            for keys in brought(one):
                device = device_id(keys)
                revoked = any(self._is(r, _REVOKE, device) and self.subjects.get(r) == member for r in among)
                if not revoked and (device not in found or members[member] > found[device][1]):
                    found[device] = member, members[member], one
        return found

    def rank(self, device: bytes, among: set[bytes], *, as_admin: bool = True) -> Rank:
        """How senior a device is, the lower the more."""
        member, _, admitted = self.homes(among)[device]
        adds = [one for one in self._in_order(among) if one.kind in (-1, _ADD) and self._came(one) == member]
        since = adds[0]
        raised = [self.records[one] for one in among if one in self.promotions and self._is(one, _ROLE, member)]
        tops = [one for one in raised if not any(one.hash in other.past for other in raised)]
        if tops and as_admin:
            since = min(tops, key=lambda one: one.order)
        kinds = {device_id(keys): keys[0] for one in self._in_order(among) for keys in brought(one)}  # type: ignore[index]
        listed = [device_id(keys) for keys in brought(admitted)].index(device)
        later = kinds[device] != 1 or admitted.kind == _DEVICE
        return (*since.order, later, *admitted.order, listed)

    def _feature(self, among: set[bytes]) -> int:
        return max(
            [
                int(str(self.genesis[3])),
                *(self._number(self.records[one], 0) for one in among if self._kind(one) == _LEVEL),
            ]
        )

    def _privacy(self, among: set[bytes]) -> int:
        return max(
            [
                int(str(self.genesis[5])),
                *(self._number(self.records[one], 2) for one in among if self._kind(one) == _POLICY),
            ]
        )

    def _kind(self, one: bytes) -> int:
        return self.records[one].kind

    def _number(self, one: Record, at: int) -> int:
        return int(str(one.content[at]))

    # ---- grounding and striking ------------------------------------------------------------------------------------

    def ground(self, without: set[bytes]) -> set[bytes]:
        """The records that stand, with some left out."""
        self.subjects: dict[bytes, bytes] = {}  # the member that a device record or a revocation is about
        self.signer: dict[bytes, bytes] = {}
        self.ranks: dict[bytes, Rank] = {}
        self.taking: dict[bytes, bytes] = {}  # from which member
        self.promotions: set[bytes] = set()
        self.as_admin: set[bytes] = set()
        good: set[bytes] = set()
        for one in self._in_order(set(self.records)):
            past = one.past & good
            if one.kind == -1:
                good.add(one.hash)
            elif one.hash not in without and one.author in (homes := self.homes(past)):
                member, role, _ = homes[one.author]
                needs = self._weigh(one, past, member, homes)
                if needs is None or (needs and role != ADMIN):
                    for where in (self.subjects, self.taking):
                        where.pop(one.hash, None)
                    self.promotions.discard(one.hash)
                    continue
                self.signer[one.hash] = member
                self.ranks[one.hash] = self.rank(one.author, past, as_admin=needs)
                self.as_admin |= {one.hash} if needs else set()
                good.add(one.hash)
        return good

    def _weigh(
        self, one: Record, past: set[bytes], mine: bytes, homes: dict[bytes, tuple[bytes, int, Record]]
    ) -> bool | None:
        """Whether it takes an admin, or None where nobody could."""
        if one.kind == 0:
            seen = [self._epoch_number(self.records[other]) for other in one.past if self._kind(other) == 0]
            return True if one.content[3] == max(seen, default=0) + 1 else None
        if one.kind != _LEVEL and self._feature(past) < 2:
            return None
        first = one.content[0]
        if one.kind in (_ADD, _DEVICE):
            return self._weigh_add(one, past, homes) if one.kind == _ADD else self._weigh_device(one, past, mine, homes)
        members = self.members(past)
        if one.kind in (_REMOVE, _ROLE):
            assert isinstance(first, bytes)
            if first not in members:
                return None
            if one.kind == _REMOVE or int(str(one.content[1])) < members[first]:
                self.taking[one.hash] = first
            elif members[first] < ADMIN == one.content[1]:
                self.promotions.add(one.hash)
            return one.kind == _ROLE or first != mine
        if one.kind == _REVOKE:
            if first not in homes:
                return None
            assert isinstance(first, bytes)
            self.subjects[one.hash] = self.taking[one.hash] = homes[first][0]
            return homes[first][0] != mine
        if self._lowers(one, past):
            return None
        if one.kind == _LABEL:
            return self._weigh_label(one, members, mine, homes)
        return one.kind not in (_WRAP, _PROOF)

    def _lowers(self, one: Record, past: set[bytes]) -> bool:
        lowers = one.kind == _POLICY and self._number(one, 2) < self._privacy(past)
        return lowers or (one.kind == _LEVEL and self._number(one, 0) <= self._feature(past))

    def _weigh_add(self, one: Record, past: set[bytes], homes: dict[bytes, tuple[bytes, int, Record]]) -> bool | None:
        known = any(device_id(keys) in homes for keys in brought(one))
        before = any(self._kind(o) == _ADD and self._came(self.records[o]) == self._came(one) for o in past)
        nonce = one.content[0]
        assert isinstance(nonce, bytes)
        pledge = pledged(self.space_id, one.author, nonce)
        wanted = self._agreed(one.content[5], ticket(self.space_id, pledge, self._number(one, 1)))
        return None if known or before or not wanted else True

    def _agreed(self, consents: object, wanted: bytes) -> bool:
        """Whether all consents have this ticket."""
        assert isinstance(consents, list)
        return all(wanted in tickets for _, _, _, tickets, *_ in consents)

    def _weigh_label(
        self, one: Record, members: dict[bytes, int], mine: bytes, homes: dict[bytes, tuple[bytes, int, Record]]
    ) -> bool | None:
        bearer = one.content[0]
        assert isinstance(bearer, bytes)
        owner = bearer if bearer in members else homes[bearer][0] if bearer in homes else None
        return None if owner is None else owner != mine

    def _weigh_device(
        self, one: Record, past: set[bytes], mine: bytes, homes: dict[bytes, tuple[bytes, int, Record]]
    ) -> bool | None:
        (keys,) = brought(one)
        assert isinstance(keys, list)
        device = device_id(keys)
        revoked = any(self._is(r, _REVOKE, device) and self.subjects.get(r) == mine for r in past)
        others = [other for other, home in homes.items() if home[0] == mine]
        kinds = {device_id(k): k[0] for other in past for k in brought(self.records[other])}  # type: ignore[index]
        paper = keys[0] == 1 and any(kinds[other] == 1 for other in others)
        wanted = self._agreed(one.content[3], ticket(self.space_id, mine, 0))
        if device in homes or revoked or len(others) >= 32 or paper or not wanted:
            return None
        self.subjects[one.hash] = mine
        return False

    def _epoch_number(self, one: Record) -> int:
        return 1 + max((self._epoch_number(self.records[o]) for o in one.past if self._kind(o) == 0), default=0)

    def outcome(self) -> Outcome:
        """Strikes, until there are none; then what is left."""
        struck: dict[bytes, bytes] = {}
        while True:
            good = self.ground(set(struck))
            for one in self._in_turn(good):
                if hits := self._hits(one, good):
                    struck |= dict.fromkeys(hits, one.hash)
                    break
            else:
                break
        homes = self.homes(good)
        devices = {device: home[0] for device, home in homes.items()}
        features = self._feature(good), self._privacy(good)
        policy = self._newest([one for one in good if self._kind(one) == _POLICY])
        labels = self._labels({**self.members(good), **devices}, good)
        unknown = any(self._kind(one) not in (-1, 0, *range(1, 11), _LABEL) for one in good)
        agreed = self.genesis[6] if policy is None else policy.content[0]
        frozen = self._frozen(good)
        return Outcome(self.members(good), devices, struck, good, *features, agreed, labels, frozen, unknown)

    def _frozen(self, good: set[bytes]) -> set[bytes]:
        """Who is accused of what no accept had seen a proof of; a file is taken to be `[device id, matter, ..]`."""
        ever = {one: self._shows(one) for one in self.ground(set()) if self._kind(one) == _PROOF}
        let_off: set[tuple[object, object]] = set()
        for one in (self.records[o] for o in good if self._kind(o) == _ACCEPT):
            thawed = one.content[1]
            assert isinstance(thawed, list)
            let_off |= {shown for place, shown in ever.items() if place in one.past and shown[0] in thawed}
        return {
            device
            for one, (device, matter) in ever.items()
            if one in good and (device, matter) not in let_off
            if isinstance(device, bytes)
        }

    def _shows(self, one: bytes) -> tuple[object, object]:
        file = self.records[one].content[0]
        assert isinstance(file, bytes)
        device, matter, *_ = unpack(file, len(file))
        return device, matter

    def _labels(self, bearers: dict[bytes, object], good: set[bytes]) -> dict[bytes, object]:
        found: dict[bytes, object] = dict.fromkeys(bearers, b"")
        for one in self._in_order(good):
            if one.kind == _DEVICE and (device := device_id(one.content[0])) in found:
                found[device] = one.content[1]
        for one in reversed(self._in_order(good)):
            if one.kind == _ADD and (member := self._came(one)) in found:
                found[member] = one.content[3]  # of several, that of the first
        for bearer in bearers:
            if (newest := self._newest([one for one in good if self._is(one, _LABEL, bearer)])) is not None:
                found[bearer] = newest.content[1]
        return found

    def _hits(self, one: Record, good: set[bytes]) -> set[bytes]:
        found = set()
        against = self._opponents(one)
        for other in (self.records[o] for o in good if o in self.signer):
            if other.hash == one.hash or other.hash in one.past or one.hash in other.past or other.kind == _PROOF:
                continue
            if self.signer[other.hash] != self.taking[one.hash]:
                continue
            if one.kind == _REVOKE and other.author != one.content[0]:
                continue
            if one.kind == _ROLE and other.hash not in self.as_admin:
                continue
            if other.hash in self.as_admin and any(self.ranks[o.hash] < self.ranks[other.hash] for o in against):
                continue
            if other.hash in self.taking and not self._takes_back(one, other):
                continue
            found.add(other.hash)
        return found

    def _takes_back(self, one: Record, other: Record) -> bool:
        """Whether a taking may strike another one."""
        if one.author != other.author:
            return self.ranks[one.hash] < self.ranks[other.hash]
        if self._is_own(other):
            return self._is_own(one) and one.kind == _REVOKE and other.kind == _REMOVE
        return self._is_own(one) or self.ranks[one.hash] < self.ranks[other.hash]

    def _is_own(self, one: Record) -> bool:
        """Whether it takes from who signed it: a retirement or a leave."""
        if one.kind == _REVOKE:
            return one.author == one.content[0]
        return one.kind == _REMOVE and self.taking[one.hash] == self.signer[one.hash]

    def _in_turn(self, good: set[bytes]) -> list[Record]:
        """Takings in the order in which they may strike, less those that wait for a retirement or a leave."""
        takings = sorted((self.records[one] for one in self.taking), key=lambda one: (self.ranks[one.hash], one.order))
        own = [one for one in takings if self._is_own(one)]
        late = {o for one in own for o in self._hits(one, good) if self.records[o].author == one.author}
        return [one for one in takings if one.hash not in late]

    def _opponents(self, one: Record) -> list[Record]:
        """For a taking that took no admin: those concurrent with it that did, and that take from whoever signed it."""
        takings = [self.records[o] for o in self.taking if o in self.as_admin and one.hash not in self.as_admin]
        return [
            o
            for o in takings
            if o.hash not in one.past and one.hash not in o.past and self.taking[o.hash] == self.signer[one.hash]
            if o.kind != _REVOKE or o.content[0] == one.author
        ]

    def _newest(self, among: list[bytes]) -> Record | None:
        """Of what no other of them has seen the most senior one's; among equals that with the greater hash."""
        given = [self.records[one] for one in among]
        tops = [one for one in given if not any(one.hash in other.past for other in given)]
        if not tops:
            return None
        senior = min(self.ranks[one.hash] for one in tops)
        return max((one for one in tops if self.ranks[one.hash] == senior), key=lambda one: one.hash)

    def only(self, chosen: set[bytes]) -> Group:
        """The group of some of the records, all their ancestors among them."""
        other = object.__new__(Group)
        other.space_id, other.genesis = self.space_id, self.genesis
        other.records = {one: self.records[one] for one in chosen}
        return other


def brought(one: Record) -> list[object]:
    """The keys that come with a record."""
    if one.kind == _DEVICE:
        return [one.content[0]]
    keys = one.content[9] if one.kind == -1 else one.content[2] if one.kind == _ADD else []
    assert isinstance(keys, list)
    return keys
