"""Which records stand: each is judged by what it had seen, and by nothing else (docs/spec/groups.md 2.2, 2.3).

Flow: Graph, less the records struck -> a Verdict on each record -> resolve
Never: lets a record that does not stand weigh on any other, or a later one on an earlier.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.members.consent import Consent, pledged, ticket
from ropewalk.spaces.members.graph import Graph, Record, bits
from ropewalk.spaces.members.index import Index
from ropewalk.spaces.members.operations import (
    Accept,
    Add,
    AddDevice,
    Content,
    Remove,
    Revoke,
    Role,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
    Unknown,
)
from ropewalk.spaces.members.records import EpochBody, Genesis

__all__ = ["MOST_DEVICES", "Grounding", "Rank", "Seat", "Taking", "Verdict"]

MOST_DEVICES = 32  # of one member at a time, paper key included
MOST_EVER = 256  # of one member, those revoked among them: each new one is compared to all before


class Rank(NamedTuple):
    """Seniority of a device: the lower, the more senior. Positions stand for generation and hash."""

    member: int  # the record that let its member in, or last made it an admin
    device: bool  # a paper key that came with its member comes before the others
    admitted: int  # the record that let the device in
    listed: int  # where among the keys of that record


class Seat(NamedTuple):
    """What a device is at some point: whose, and with what right."""

    member: bytes
    role: Role
    admitted: int


@dataclass(frozen=True, slots=True)
class Taking:
    """Whom a record takes something from."""

    member: bytes
    device: bytes | None  # None: all of the member's
    lowered: bool  # only the role, so what the lower one permits as well is left
    own: bool = False  # signed by the very device, or by one of the very member: a retirement or a leave


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a record stands."""

    member: bytes  # of whoever signed it
    rank: Rank
    needed_admin: bool
    taking: Taking | None = None
    promotes: bool = False  # to admin, who was none
    subject: bytes = b""  # the member that a device comes to, or is taken from


class Grounding:
    """Verdicts on the records of a graph, with a set of them left out.

    Args:
        graph: The records.
        within: Only these exist.
    """

    def __init__(self, graph: Graph, within: int) -> None:
        self.graph, self._within = graph, within
        self.verdicts: list[Verdict | None] = [None] * len(graph.records)
        self.good = 0
        self.takings = 0
        self.signed: defaultdict[bytes, int] = defaultdict(int)  # member -> records of its devices that stand
        self.needed_admin = 0
        self.retirements = self.leaves = 0
        self._promotions = 0
        self.index = Index(graph)
        for place in bits(within):
            self._judge(place)

    def copy(self, within: int) -> Grounding:
        """The same for fewer records, all of whose ancestors are among them; nothing is judged anew."""
        other = object.__new__(Grounding)
        other.graph, other._within, other.index = self.graph, within, self.index
        other.verdicts = list(self.verdicts)
        other.good, other.takings = self.good & within, self.takings & within
        other.signed = defaultdict(int, {member: among & within for member, among in self.signed.items()})
        other.needed_admin, other._promotions = self.needed_admin & within, self._promotions & within
        other.retirements, other.leaves = self.retirements & within, self.leaves & within
        return other

    def leave_out(self, among: int) -> bool:
        """Strike records, and judge anew what had seen them; whether any record gained by it."""
        affected = 0
        for place in bits(among):
            affected |= self.graph.after[place]
            self._set(place, None)
        self._within &= ~among
        gained = False
        for place in bits(affected & self._within):
            before = self.verdicts[place]
            self._judge(place)
            gained |= self.verdicts[place] not in (before, None)
        return gained

    # ---- what was so in some past ------------------------------------------------------------------------------------

    def is_member(self, member: bytes, past: int) -> bool:
        """Whether a member was there, among the standing records of ``past``."""
        index = self.index
        return bool(index.adds.get(member, 0) & past) and not index.removals.get(member, 0) & past

    def role(self, member: bytes, past: int) -> Role:
        """The role that a member had: the lowest of those that concurrent records gave it last."""
        index, before = self.index, self.graph.before
        rest = index.roles.get(member, 0) & past or index.adds[member] & past
        lowest = Role.ADMIN
        while rest:
            top = rest.bit_length() - 1
            lowest = min(lowest, index.given[top])
            rest &= ~(before[top] | 1 << top)
        return lowest

    def seat(self, device: bytes, past: int) -> Seat | None:
        """Whose a device was: of several members, as two admins may add one, where it may do most."""
        best: Seat | None = None
        for place in bits(self.index.admits.get(device, 0) & past):
            member = self._subject(place)
            if not self.is_member(member, past) or self._is_revoked(device, member, past):
                continue
            role = self.role(member, past)
            if best is None or role > best.role:
                best = Seat(member, role, place)
        return best

    def devices(self, member: bytes, past: int) -> list[tuple[bytes, int]]:
        """Devices of a member that were not revoked, with the records that let them in; in the order they came."""
        index = self.index
        came = (index.adds.get(member, 0) | index.device_records & self.signed.get(member, 0)) & past
        found: dict[bytes, int] = {}
        for place in bits(came):
            for device in index.brings[place]:
                if not self._is_revoked(device, member, past):
                    found.setdefault(device, place)
        return list(found.items())

    def rank(self, device: bytes, seat: Seat, past: int, *, as_admin: bool = True) -> Rank:
        """How senior a device was: as one of an admin, or for what takes none."""
        member = (self.index.adds[seat.member] & past & -(self.index.adds[seat.member] & past)).bit_length() - 1
        rest = self.index.roles.get(seat.member, 0) & self._promotions & past if as_admin else 0
        while rest:
            member = rest.bit_length() - 1
            rest &= ~(self.graph.before[member] | 1 << member)
        # One that came later is junior to who let it in: else a device that is put out makes itself a senior.
        paper = self.graph.keys[device].kind == PAPER and seat.admitted in self.index.added
        return Rank(member, not paper, seat.admitted, self.index.brings[seat.admitted].index(device))

    def level(self, past: int) -> int:
        """The feature level."""
        levels = self.index.levels
        return max(self.index.genesis.feature, *(level for level in levels if levels[level] & past), 1)

    def privacy(self, past: int) -> int:
        """The privacy level."""
        return 2 if self.index.private & past else self.index.genesis.privacy

    def _is_revoked(self, device: bytes, member: bytes, past: int) -> bool:
        return any(self._subject(place) == member for place in bits(self.index.revocations.get(device, 0) & past))

    def _subject(self, place: int) -> bytes:
        verdict = self.verdicts[place]
        return verdict.subject if verdict is not None else b""

    # ---- judging -----------------------------------------------------------------------------------------------------

    def _judge(self, place: int) -> None:
        record = self.graph.records[place]
        if isinstance(record.content, Genesis):
            subject = record.content.member
            self._set(place, Verdict(subject, Rank(0, True, 0, 0), needed_admin=True, subject=subject))
            return
        past = self.graph.before[place] & self.good
        seat = self.seat(record.author, past)
        if seat is None:
            self._set(place, None)
            return
        found = self._weigh(record, seat, past)
        self._set(place, None if found is None else self._found(found, record, seat, past))

    def _found(self, found: _Finding, record: Record, seat: Seat, past: int) -> Verdict | None:
        if found.needs_admin and seat.role < Role.ADMIN:
            return None
        rank = self.rank(record.author, seat, past, as_admin=found.needs_admin)
        return Verdict(seat.member, rank, found.needs_admin, found.taking, found.promotes, found.subject)

    def _weigh(self, record: Record, seat: Seat, past: int) -> _Finding | None:
        content = record.content
        if isinstance(content, EpochBody):
            return _Finding(needs_admin=True) if content.number == self.index.numbers[record.position] else None
        if isinstance(content, Genesis) or (not isinstance(content, SetLevel) and self.level(past) < 2):
            return None
        match content:
            case Add(nonce=nonce, keys=keys, role=role, consents=consents):
                member = self.index.added[record.position]
                taken = any(self.seat(one.id, past) for one in keys) or self.index.adds[member] & past
                may = not taken and self._is_wanted(consents, pledged(self.graph.space_id, record.author, nonce), role)
                return _Finding(needs_admin=True, subject=member) if may else None
            case AddDevice(keys=keys, consents=consents):
                wanted = self._is_wanted(consents, seat.member)
                may = wanted and self._may_come(seat.member, keys.id, keys.kind, past)
                return _Finding(subject=seat.member) if may else None
            case Remove(member=member):
                if not self.is_member(member, past):
                    return None
                own = member == seat.member
                return _Finding(not own, Taking(member, None, lowered=False, own=own))
            case SetRole(member=member, role=role):
                if not self.is_member(member, past):
                    return None
                had = self.role(member, past)
                taking = Taking(member, None, lowered=True) if role < had else None
                return _Finding(needs_admin=True, taking=taking, promotes=role is Role.ADMIN and had < Role.ADMIN)
            case Revoke(device=device):
                if (of := self.seat(device, past)) is None:
                    return None
                taking = Taking(of.member, device, lowered=False, own=device == record.author)
                return _Finding(of.member != seat.member, taking, subject=of.member)
            case SetLabel(bearer=bearer):
                named = self._bearing(bearer, past)
                return None if named is None else _Finding(needs_admin=named != seat.member)
        return self._weigh_rules(content, past)

    def _weigh_rules(self, content: Content, past: int) -> _Finding | None:
        match content:
            case SetPolicy(privacy=privacy):
                return _Finding(needs_admin=True) if privacy >= self.privacy(past) else None
            case SetLevel(feature=feature):
                return _Finding(needs_admin=True) if feature > self.level(past) else None
            case Accept() | Unknown():
                return _Finding(needs_admin=True)
        return _Finding()  # deliveries and proofs

    def _bearing(self, bearer: bytes, past: int) -> bytes | None:
        """The member whom a name would be of, or of whose device."""
        if self.is_member(bearer, past):
            return bearer
        seat = self.seat(bearer, past)
        return None if seat is None else seat.member

    def _is_wanted(self, consents: Sequence[Consent], pledge: bytes, role: int = 0) -> bool:
        """Whether all who come have agreed to be a new member in this role; or, without one, a member's device."""
        return all(ticket(self.graph.space_id, pledge, role) in one.tickets for one in consents)

    def _may_come(self, member: bytes, device: bytes, kind: int, past: int) -> bool:
        came = self.index.device_records & self.signed.get(member, 0) & past
        if self.seat(device, past) is not None or came.bit_count() >= MOST_EVER:
            return False
        others = [one for one, _ in self.devices(member, past)]
        paper = kind == PAPER and any(self.graph.keys[one].kind == PAPER for one in others)
        return len(others) < MOST_DEVICES and not paper and not self._is_revoked(device, member, past)

    def _set(self, place: int, verdict: Verdict | None) -> None:
        bit = 1 << place
        if (old := self.verdicts[place]) is not None:
            self.signed[old.member] &= ~bit
        self.verdicts[place] = verdict
        self.good &= ~bit
        self.takings &= ~bit
        self.needed_admin &= ~bit
        self._promotions &= ~bit
        self.retirements &= ~bit
        self.leaves &= ~bit
        if verdict is not None:
            self.signed[verdict.member] |= bit
            self.good |= bit
            self.takings |= bit if verdict.taking else 0
            self.needed_admin |= bit if verdict.needed_admin else 0
            self._promotions |= bit if verdict.promotes else 0
            if verdict.taking is not None and verdict.taking.own:
                self.retirements |= bit if verdict.taking.device is not None else 0
                self.leaves |= bit if verdict.taking.device is None else 0


@dataclass(frozen=True, slots=True)
class _Finding:
    needs_admin: bool = False
    taking: Taking | None = None
    promotes: bool = False
    subject: bytes = b""
