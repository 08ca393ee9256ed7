"""Outcome: the GroupState that the records which stand make up (docs/spec/groups.md 2.5).

Flow: Grounding, the records that stand, proofs found good -> GroupState
Never: asks whether a record stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from ropewalk.spaces.members.graph import bits
from ropewalk.spaces.members.grounding import Grounding, Rank
from ropewalk.spaces.members.operations import (
    NO_CUT,
    Accept,
    Add,
    AddDevice,
    Cut,
    Role,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    Unknown,
)
from ropewalk.spaces.members.records import FEATURE_LEVEL, Policy
from ropewalk.spaces.members.state import Accused, Fork, GroupState, Member, Struck

__all__ = ["is_beyond", "outcome"]


def outcome(
    base: Grounding,
    sound: int,
    grounding: Grounding,
    good: int,
    accused: Mapping[int, Accused],
    struck: Mapping[bytes, Struck],
) -> GroupState:
    """What records come to.

    Args:
        base: Verdicts on the records that stood in their own past.
        sound: Those records.
        grounding: Verdicts on the records that stand.
        good: Those records.
        accused: What proofs prove that stood in their own past, by position.
        struck: For the audit.
    """
    return _Outcome(base, sound, grounding, good, accused).state(struck)


def is_beyond(content: object) -> bool:
    """Whether this version does not know what a record does, or what holds since."""
    return isinstance(content, Unknown) or (isinstance(content, SetLevel) and content.feature > FEATURE_LEVEL)


class _Outcome:
    def __init__(
        self, base: Grounding, sound: int, grounding: Grounding, good: int, accused: Mapping[int, Accused]
    ) -> None:
        self._base = base
        self._grounding, self._graph, self._index = grounding, grounding.graph, grounding.index
        self._ever, self._good, self._shown = sound | good, good, accused
        self._accused = {place: one for place, one in accused.items() if good >> place & 1}

    def state(self, struck: Mapping[bytes, Struck]) -> GroupState:
        devices: dict[bytes, bytes] = {}
        ranks: dict[bytes, list[tuple[Rank, bytes]]] = {}
        for member in self._index.adds:
            if self._grounding.is_member(member, self._good):
                ranks[member] = []
        for device in self._index.admits:
            if (seat := self._grounding.seat(device, self._good)) is not None:
                devices[device] = seat.member
                ranks[seat.member].append((self._grounding.rank(device, seat, self._good), device))
        members = self._members(ranks)
        frozen = self._frozen()
        policy, thresholds = self._policy()
        feature = self._grounding.level(self._good)
        records = self._graph.records
        beyond = frozenset(records[place].hash for place in bits(self._good) if is_beyond(records[place].content))
        may_write = {
            device for device, member in devices.items() if members[member].role >= Role.WRITER and device not in frozen
        }
        return GroupState(
            members=members,
            devices=devices,
            gone=self._gone(may_write),
            forks=self._forks(),
            frozen=frozen,
            feature=feature,
            policy=policy,
            privacy=self._grounding.privacy(self._good),
            thresholds=thresholds,
            struck=struck,
            accused=tuple(self._accused.values()),
            labels=self._labels(devices),
            beyond=beyond,
        )

    def _members(self, ranks: Mapping[bytes, list[tuple[Rank, bytes]]]) -> dict[bytes, Member]:
        admitted = {member: next(bits(self._index.adds[member] & self._good)) for member in ranks}
        order = sorted(ranks, key=lambda one: min(ranks[one], default=((admitted[one],), b""))[0])
        members: dict[bytes, Member] = {}
        for rank, member in enumerate(order):
            record = self._graph.records[admitted[member]]
            members[member] = Member(
                id=member,
                role=self._grounding.role(member, self._good),
                label=self._label(member, record.content.label if isinstance(record.content, Add) else b""),
                devices=tuple(device for _, device in sorted(ranks[member])),
                added_by=record.author,
                record=record.hash,
                rank=rank,
            )
        return members

    def _labels(self, devices: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for place in bits(self._index.device_records & self._good):
            content = self._graph.records[place].content
            if isinstance(content, AddDevice) and (device := self._index.brings[place][0]) in devices:
                found[device] = content.label
        return {device: self._label(device, found.get(device, b"")) for device in devices}

    def _label(self, bearer: bytes, otherwise: bytes) -> bytes:
        chosen = self._chosen(self._index.labels.get(bearer, 0))
        return chosen.label if isinstance(chosen, SetLabel) else otherwise

    def _policy(self) -> tuple[Policy, tuple[int, int]]:
        genesis, chosen = self._index.genesis, self._chosen(self._index.policies)
        if isinstance(chosen, SetPolicy):
            return chosen.policy, (chosen.thresholds[0], chosen.thresholds[1])
        return genesis.policy, (genesis.thresholds[0], 1)

    def _chosen(self, among: int) -> object:
        """Of the newest of some records the one by the most senior author; of those of one, that of greater hash."""
        chosen: object = None
        best: tuple[Rank, int] | None = None
        for place in self._tops(among & self._good):
            verdict, record = self._grounding.verdicts[place], self._graph.records[place]
            assert verdict is not None
            rank = (verdict.rank, -int.from_bytes(record.hash, "big"))
            if best is None or rank < best:
                best, chosen = rank, record.content
        return chosen

    # ---- cuts --------------------------------------------------------------------------------------------------------

    def _gone(self, may_write: set[bytes]) -> dict[bytes, Cut]:
        taken = self._takings()
        proven: defaultdict[bytes, int] = defaultdict(int)
        for place, one in self._accused.items():
            proven[one.device] |= 1 << place
        accepted = [place for place in bits(self._good) if isinstance(self._graph.records[place].content, Accept)]
        kept: dict[int, Cut] = {}
        gone: dict[bytes, Cut] = {}
        for device, members in self._once_writing().items():
            if device in may_write:
                continue
            among = 0
            for member in members:
                among |= self._tops_of(taken[member, None] | taken[member, device])
            among = among or proven[device]  # who proves chooses no cuts for a device that an admin took out
            if among not in kept:
                kept[among] = self._united(among, accepted)
            gone[device] = kept[among]
        return gone

    def _once_writing(self) -> dict[bytes, set[bytes]]:
        """Devices that any record let in, also one struck since, and the members that they came to."""
        roles: defaultdict[bytes, Role] = defaultdict(lambda: Role.STEWARD)
        for member in self._index.adds:
            for place in bits((self._index.adds[member] | self._index.roles.get(member, 0)) & self._ever):
                roles[member] = max(roles[member], self._index.given[place])
        found: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for place in bits(self._ever):
            if (of := self._member_at(place)) is not None and roles[of] >= Role.WRITER:
                for device in self._index.brings.get(place, ()):
                    found[device].add(of)
        return found

    def _member_at(self, place: int) -> bytes | None:
        if (member := self._index.added.get(place)) is not None:
            return member
        verdict = self._grounding.verdicts[place] or self._base.verdicts[place]
        return None if verdict is None else verdict.subject

    def _takings(self) -> defaultdict[tuple[bytes, bytes | None], int]:
        """What takes the right to write: removals, revocations, roles below writer."""
        found: defaultdict[tuple[bytes, bytes | None], int] = defaultdict(int)
        for place in bits(self._grounding.takings & self._good):
            verdict, content = self._grounding.verdicts[place], self._graph.records[place].content
            taking = None if verdict is None else verdict.taking
            if taking is None or (isinstance(content, SetRole) and content.role >= Role.WRITER):
                continue
            found[taking.member, taking.device] |= 1 << place
        return found

    def _united(self, among: int, accepted: list[int]) -> Cut:
        """Cuts of concurrent records, and of what was accepted since: the greatest sequence of each writer."""
        heads: dict[bytes, tuple[int, bytes]] = {}
        seen = 0
        for place in bits(among):
            seen |= self._graph.before[place]
        for place in [*bits(among), *(one for one in accepted if not seen >> one & 1)]:
            operation = self._graph.records[place].operation
            assert operation is not None
            for writer, head in operation.cut.heads.items():
                heads[writer] = max(heads.get(writer, (0, b"")), head)
        return Cut(heads) if heads else NO_CUT

    def _tops(self, among: int) -> list[int]:
        return list(bits(self._tops_of(among)))

    def _tops_of(self, among: int) -> int:
        covered = 0
        for place in bits(among):
            covered |= self._graph.before[place]
        return among & ~covered

    # ---- proofs ------------------------------------------------------------------------------------------------------

    def _frozen(self) -> frozenset[bytes]:
        """Accused devices, but for those that a record thaws which had seen the accusation, or one of that matter."""
        thawed: defaultdict[bytes, int] = defaultdict(int)
        for place in bits(self._good):
            content = self._graph.records[place].content
            if isinstance(content, Accept):
                for device in content.thawed:
                    thawed[device] |= self._graph.before[place]
        let_off = {one.matter for place, one in self._shown.items() if thawed[one.device] >> place & 1}
        return frozenset(one.device for one in self._accused.values() if one.matter not in let_off)

    def _forks(self) -> tuple[Fork, ...]:
        heads: dict[tuple[bytes, bytes, int], frozenset[bytes]] = {}
        for one in self._accused.values():
            if one.writer:
                place = one.device, one.writer, one.sequence
                heads[place] = heads.get(place, frozenset()) | one.exhibits
        return tuple(Fork(*place, heads[place]) for place in sorted(heads))
