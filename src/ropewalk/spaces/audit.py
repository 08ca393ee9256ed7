"""Audit: who did what, when, as signed; what had no effect and why; what was proven of whom.

Flow: Membership, heads and proofs in the ledger -> Audit: plain values, which the command line puts into words
Never: leaves out a record that was struck, or takes a time for more than its author's word.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ropewalk.spaces.core import Core
from ropewalk.spaces.learning import due_proofs, standing
from ropewalk.spaces.members import Membership
from ropewalk.spaces.members.operations import (
    Accept,
    Add,
    AddDevice,
    Content,
    Deliver,
    Prove,
    Remove,
    Revoke,
    Role,
    SetLabel,
    SetLevel,
    SetPolicy,
    SetRole,
)
from ropewalk.spaces.members.records import EpochBody, Genesis, parse, record_hash
from ropewalk.spaces.proof import Kind, ProofDamaged, verify
from ropewalk.spaces.state import ACKED, BROKEN, QUARANTINED, REFUSED, KnownHead, State

__all__ = ["Audit", "Deed", "Effect", "HeadLine", "ProofLine", "RecordLine", "Stand", "audit"]


class Deed(StrEnum):
    """What a record does."""

    BEGIN = "begin"
    EPOCH = "epoch"
    ADD = "add"
    REMOVE = "remove"
    ROLE = "role"
    DEVICE = "device"
    REVOKE = "revoke"
    POLICY = "policy"
    LEVEL = "level"
    ACCEPT = "accept"
    WRAP = "wrap"
    PROOF = "proof"
    LABEL = "label"
    UNKNOWN = "unknown"


class Effect(StrEnum):
    """What became of a record."""

    STANDS = "stands"
    STRUCK = "struck"  # somebody senior took the right from its author at the same time
    VOID = "void"  # its author might not do that, or it rests on one that was struck


class Stand(StrEnum):
    """What became of a head."""

    COUNTS = "counts"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RecordLine:
    """One membership record.

    Attributes:
        hash: What it is known by.
        deed: What it does.
        author: The device that signed it.
        member: The member whom it is about, if any.
        device: The device that it is about, if any.
        role: The role that it gives, if any.
        time: As its author says, nanoseconds; 0 where it says nothing.
        after: That of what an epoch followed, which says nothing of time itself; 0 where that is not known either.
        seen: When it was first seen here, nanoseconds; 0 where that is not known.
        effect: What became of it.
        by: The record that struck it.
        why: Why that did: "removed", "revoked" or "demoted".
        accused: What a proof proves, if it does.
    """

    hash: bytes
    deed: Deed
    author: bytes
    member: bytes = b""
    device: bytes = b""
    role: Role | None = None
    time: int = 0
    after: int = 0
    seen: int = 0
    effect: Effect = Effect.STANDS
    by: bytes = b""
    why: str = ""
    accused: ProofLine | None = None


@dataclass(frozen=True, slots=True)
class HeadLine:
    """One head."""

    hash: bytes
    device: bytes  # b"" for heads of before devices were kept
    writer: bytes
    sequence: int
    time: int  # as its author says; 0 for a steward, who is not told
    note: str
    stand: Stand
    seen: int = 0  # when a steward first saw it


@dataclass(frozen=True, slots=True)
class ProofLine:
    """One proof, or one testimony."""

    file: bytes  # hash of the file, by which it is exported
    kind: Kind
    proven: bool  # to anyone; else it is the finder's word
    device: bytes
    writer: bytes
    sequences: tuple[int, int]
    finder: bytes = b""
    store: bytes = b""  # marker id
    text: str = ""
    time: int = 0
    recorded: bool = False  # it is in the space's records; else it lies here alone
    of_record: bool = False  # a testimony about a membership record, not a change


@dataclass(frozen=True, slots=True)
class Audit:
    """All of it, oldest first."""

    records: Sequence[RecordLine]
    heads: Sequence[HeadLine]
    proofs: Sequence[ProofLine]
    doubled: Sequence[tuple[bytes, bytes]]  # pairs of records under one number, which no honest device signs
    frozen: frozenset[bytes]  # devices
    forks: Sequence[tuple[bytes, int]]  # writers and sequences, those known only here among them
    standing: Sequence[bytes]  # hashes of the newest heads


async def audit(core: Core) -> Audit:
    """What the known records and heads say was done, and by whom; what can be proven of it is, in files."""
    await due_proofs(core)
    held = await core.ledger.do(_held)
    membership = core.membership
    recorded = _recorded(membership)
    files = {line.file: line for line in recorded.values() if line is not None}
    for name, _, _, data in held.proofs:
        if name not in files and (line := _proof(data, recorded=False)) is not None:
            files[name] = line
    return Audit(
        records=_records(membership, held.seen, recorded),
        heads=[_head(head) for head in held.heads],
        proofs=sorted(files.values(), key=lambda line: (line.kind, line.device, line.sequences, line.file)),
        doubled=membership.doubled,
        frozen=membership.state.frozen,
        forks=[(writer, sequence) for writer, places in sorted(held.forks.items()) for sequence in places],
        standing=held.standing,
    )


@dataclass(frozen=True, slots=True)
class _Held:
    heads: list[KnownHead]
    proofs: list[tuple[bytes, int, int, bytes]]
    forks: dict[bytes, list[int]]
    seen: dict[bytes, int]  # by record hash
    standing: list[bytes]


def _held(state: State) -> _Held:
    heads = sorted([*state.heads(ACKED), *state.set_aside()], key=_age)
    now = [head.hash for head in standing(state).heads]
    times = state.records_seen()
    seen = {record_hash(signed.body): times[name] for name, data in state.records() if (signed := parse(data))}
    return _Held(heads, state.proofs(), state.forks(), seen, now)


def _age(head: KnownHead) -> tuple[int, int, bytes]:
    """Grows from a head to any that has seen it."""
    return sum(sequence for sequence, _ in head.vector.values()), head.time, head.hash


def _records(
    membership: Membership, seen: Mapping[bytes, int], proofs: Mapping[bytes, ProofLine | None]
) -> list[RecordLine]:
    lines = []
    times: dict[bytes, int] = {}  # each record comes after what it had seen
    for kept in membership.records:
        after = 0 if kept.time else max((times[parent] for parent in kept.parents), default=0)
        times[kept.hash] = kept.time or after
        effect, by, why = Effect.STANDS if kept.grounded else Effect.VOID, b"", ""
        if (struck := membership.state.struck.get(kept.hash)) is not None:
            effect, by, why = Effect.STRUCK, struck.by, struck.why
        deed, member, device, role = _deed(kept.content, kept.admitted, membership.devices)
        accused = proofs.get(kept.hash)
        lines.append(
            RecordLine(
                *(kept.hash, deed, kept.author, member, device, role, kept.time, after),
                *(seen.get(kept.hash, 0), effect, by, why, accused),
            )
        )
    return lines


_PLAIN: Mapping[type, Deed] = {
    EpochBody: Deed.EPOCH,
    SetPolicy: Deed.POLICY,
    SetLevel: Deed.LEVEL,
    Accept: Deed.ACCEPT,
    Deliver: Deed.WRAP,
    Prove: Deed.PROOF,
}


def _deed(
    content: Genesis | EpochBody | Content, admitted: bytes, devices: Container[bytes]
) -> tuple[Deed, bytes, bytes, Role | None]:
    match content:
        case Genesis(member=member):
            return Deed.BEGIN, member, b"", Role.ADMIN
        case Add(role=role):
            return Deed.ADD, admitted, b"", Role(role)
        case Remove(member=member):
            return Deed.REMOVE, member, b"", None
        case SetRole(member=member, role=role):
            return Deed.ROLE, member, b"", Role(role)
        case AddDevice(keys=keys):
            return Deed.DEVICE, b"", keys.id, None
        case Revoke(device=device):
            return Deed.REVOKE, b"", device, None
        case SetLabel(bearer=bearer):
            return Deed.LABEL, *((b"", bearer) if bearer in devices else (bearer, b"")), None
    return _PLAIN.get(type(content), Deed.UNKNOWN), b"", b"", None


def _head(head: KnownHead) -> HeadLine:
    stands = {ACKED: Stand.COUNTS, QUARANTINED: Stand.QUARANTINED, REFUSED: Stand.REFUSED, BROKEN: Stand.REFUSED}
    time, seen = (0, head.time) if head.unread else (head.time, 0)
    return HeadLine(head.hash, head.device, head.writer, head.sequence, time, head.note, stands[head.state], seen)


def _recorded(membership: Membership) -> dict[bytes, ProofLine | None]:
    """What each record with a proof shows, by the record's hash."""
    found: dict[bytes, ProofLine | None] = {}
    for kept in membership.records:
        if isinstance(kept.content, Prove):
            found[kept.hash] = _proof(kept.content.proof, recorded=True)
    return found


def _proof(data: bytes, *, recorded: bool) -> ProofLine | None:
    try:
        found = verify(data)
    except ProofDamaged:
        return None
    said = found.statement
    return ProofLine(
        *(found.file, found.kind, found.proven, found.device, found.writer, found.sequences),
        finder=said.finder if said else b"",
        store=(said.store or b"") if said else b"",
        text=said.text if said else "",
        time=said.time if said else 0,
        recorded=recorded,
        of_record=found.of_record,
    )
