"""Proofs: what was found against devices, made into files that others can check.

Flow: evidence in the ledger, doubled records -> exhibits -> proof file, cuts -> an operation, by whoever may write one
Never: accuses twice for one thing, or of what a device was let off for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.learning.exhibits import head_of, keep_proof
from ropewalk.spaces.learning.standing import cut_of
from ropewalk.spaces.members import Cut
from ropewalk.spaces.members.operations import LARGEST_EXHIBITS
from ropewalk.spaces.members.records import parse, record_hash
from ropewalk.spaces.proof import Kind, introductions, opened_exhibit, prove, signed_exhibit
from ropewalk.spaces.state import KnownHead, State

__all__ = ["Due", "due_proofs", "reported"]

MOST_AT_ONCE = 16

_Row = tuple[int, str, str]  # of the evidence: a kind, and names of heads


@dataclass(frozen=True, slots=True)
class Due:
    """A proof that should be in the records and is not."""

    proof: bytes  # the file
    kind: Kind
    device: bytes  # the accused
    cut: Cut  # the newest heads of its writers and branches that are accepted here
    evidence: _Row | None  # None where the records themselves are


async def due_proofs(core: Core) -> list[Due]:
    """What should be written into the records, so that everybody reads forks alike and the device is frozen.

    A device that may write does so before it signs its next head (docs/spec/groups.md 5.3, 5.4).  The files are made
    and kept whether it may or not.
    """
    found: list[Due] = []
    told = _Told(core)
    for row in await core.ledger.do(State.evidence):
        first, second = [await core.ledger.do(State.head_named, name) for name in row[1:]]
        if first is None or second is None:
            continue
        if told.heads(Kind(row[0]), first, second):
            await reported(core, row)
            continue
        if len(found) >= MOST_AT_ONCE or not told.is_new(row[0], first):
            continue
        if (due := await _of_heads(core, row, first, second)) is not None:
            found.append(due)
            told.add(row[0], first)
    for device, pair in (await _doubled(core, told)).items():
        if len(found) < MOST_AT_ONCE and (due := await _of_records(core, device, pair)) is not None:
            found.append(due)
    return found


async def reported(core: Core, evidence: _Row | None) -> None:
    """A proof of this is in the records now."""
    if evidence is not None:
        await core.ledger.do(State.report_evidence, *evidence)


class _Told:
    """What needs no proof any more, and what was made in this call."""

    def __init__(self, core: Core) -> None:
        self._members = core.membership
        state = core.membership.state
        self._frozen = state.frozen
        self._places = {(fork.writer, fork.sequence) for fork in state.forks}
        self._shown = {(one.device, one.exhibits) for one in state.accused}
        self._counts = {(one.device, one.incarnation, one.sequence) for one in state.accused if one.incarnation}
        self._new: set[tuple[bytes, int]] = set()

    def heads(self, kind: Kind, one: KnownHead, other: KnownHead) -> bool:
        """Whether two heads are told of.  Each fork needs a proof, for its place must be known; of all else one."""
        if kind is Kind.FORK:
            return (one.writer, one.sequence) in self._places
        if one.device in self._frozen or (one.device, frozenset((one.hash, other.hash))) in self._shown:
            return True
        frontiers = one.frontier, other.frontier
        return all(map(self._members.knows, frontiers)) and self._members.let_off(one.device, (), frontiers)

    def records(self, device: bytes, pair: tuple[bytes, bytes]) -> bool:
        """Whether two records are."""
        graph = self._members.resolution.graph
        one = graph.records[graph.places[pair[0]]].operation
        if device in self._frozen or (one is not None and (device, one.incarnation, one.count) in self._counts):
            return True
        return self._members.let_off(device, pair, ())

    def is_new(self, kind: int, head: KnownHead) -> bool:
        """Whether nothing that was made by now tells of it."""
        return self._about(kind, head) not in self._new

    def add(self, kind: int, head: KnownHead) -> None:
        """A proof was made."""
        self._new |= {self._about(kind, head), (head.device, 0)}

    def is_new_of(self, device: bytes) -> bool:
        """The same, of records of a device."""
        return (device, 0) not in self._new

    def _about(self, kind: int, head: KnownHead) -> tuple[bytes, int]:
        return (head.writer, head.sequence) if kind == Kind.FORK else (head.device, 0)


async def _of_heads(core: Core, row: _Row, first: KnownHead, second: KnownHead) -> Due | None:
    kind = Kind(row[0])

    async def exhibits() -> tuple[bytes, bytes]:
        one, other = [await head_of(core, _name(head)) for head in (first, second)]
        exhibit = opened_exhibit if kind is Kind.WENT_BACK else signed_exhibit
        return exhibit(one), exhibit(other)

    about = b"".join(sorted((first.hash, second.hash)))
    try:
        proof = await core.ledger.do(State.proof_about, kind, first.device, about)
        if proof is None:
            proof = await _prove(core, kind, first.device, about, await exhibits())
    except RopewalkError as error:
        _warn(core, first.device, f"which cannot be shown to others: {error}")
        return None
    return await _due(core, kind, first.device, proof, row)


def _name(head: KnownHead) -> HeadName:
    parsed = HeadName.decode(head.name)
    assert parsed is not None
    return parsed


async def _doubled(core: Core, told: _Told) -> dict[bytes, tuple[bytes, bytes]]:
    """Of each device that signed two records under one number, and is not told of, the objects of the smallest two."""
    pairs = core.membership.doubled
    if not pairs:
        return {}
    graph = core.membership.resolution.graph
    wanted = [(graph.records[graph.places[one]].author, (one, other)) for one, other in pairs]
    untold = [(device, pair) for device, pair in wanted if told.is_new_of(device) and not told.records(device, pair)]
    objects = await core.ledger.do(_objects, {one for _, pair in untold for one in pair})
    found: dict[bytes, tuple[bytes, bytes]] = {}
    for device, (one, other) in untold:
        if one in objects and other in objects:
            pair = objects[one], objects[other]
            if device not in found or sum(map(len, pair)) < sum(map(len, found[device])):
                found[device] = pair
    return found


def _objects(state: State, records: Iterable[bytes]) -> dict[bytes, bytes]:
    wanted = set(records)
    found: dict[bytes, bytes] = {}
    for _, data in state.records() if wanted else ():
        if (signed := parse(data)) is not None and (digest := record_hash(signed.body)) in wanted:
            found[digest] = min(data, found.get(digest, data))
    return found


async def _of_records(core: Core, device: bytes, pair: tuple[bytes, bytes]) -> Due | None:
    about = b"".join(sorted(record_hash(signed.body) for one in pair if (signed := parse(one)) is not None))
    kind = Kind.FORKED_RECORD
    try:
        proof = await core.ledger.do(State.proof_about, kind, device, about)
        if proof is None:
            proof = await _prove(core, kind, device, about, pair)
    except RopewalkError as error:
        _warn(core, device, f"which cannot be shown to others: {error}")
        return None
    return await _due(core, kind, device, proof, None)


async def _prove(core: Core, kind: Kind, device: bytes, about: bytes, exhibits: tuple[bytes, bytes]) -> bytes:
    objects: Sequence[bytes] = [data for _, data in await core.ledger.do(State.records)]
    proof = prove(kind, core.space_id, introductions(core.space_id, objects, [device]), exhibits)
    await keep_proof(core, kind, device, about, proof)
    if len(proof) > LARGEST_EXHIBITS:
        _warn(core, device, "and the proof of it is too large to freeze it: an admin should put it out")
    return proof


def _warn(core: Core, device: bytes, what: str) -> None:
    line = f"device {device.hex()[:8]} broke the rules, {what}"
    if line not in core.warnings:
        core.warnings.append(line)


async def _due(core: Core, kind: Kind, device: bytes, proof: bytes, row: _Row | None) -> Due | None:
    if len(proof) > LARGEST_EXHIBITS:
        return None  # it would stop all else that is due
    return Due(proof, kind, device, await core.ledger.do(cut_of, frozenset((device,))), row)
