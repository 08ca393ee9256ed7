"""Proofs: what was found against devices and stores, made into files that others can check.

Flow: evidence in the ledger -> heads from stores -> proof file, cuts -> an operation, by whoever may write one
Never: accuses twice for one thing, or a store by more than our word.
"""

from __future__ import annotations

from dataclasses import dataclass

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import LARGEST_HEAD, Head, HeadName, heads_prefix, open_head
from ropewalk.spaces.learning.looking import WentBack
from ropewalk.spaces.learning.records import known_records
from ropewalk.spaces.learning.standing import newest
from ropewalk.spaces.members import Cut
from ropewalk.spaces.proof import Kind, Statement, digest, introductions, listing, opened_exhibit, prove, signed_exhibit
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.vectors import MOST_SEEN

__all__ = ["Due", "due_proofs", "reported", "witness"]

MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Due:
    """A proof that should be in the records and is not."""

    proof: bytes  # the file
    kind: Kind
    device: bytes  # the accused
    cut: Cut  # the newest heads of its writers and branches that are accepted here
    evidence: tuple[int, str, str]


async def due_proofs(core: Core) -> list[Due]:
    """What should be written into the records, so that everybody reads forks alike and the device is frozen.

    A device that may write does so before it signs its next head (docs/spec/groups.md 5.3).
    """
    found: list[Due] = []
    state = core.membership.state
    told = {(fork.writer, fork.sequence) for fork in state.forks} | {(device, 0) for device in state.frozen}
    now: set[tuple[bytes, int]] = set()
    for row in await core.ledger.do(State.evidence):
        first, second = [await core.ledger.do(State.head_named, name) for name in row[1:]]
        if first is None or second is None:
            continue
        # Each fork needs a proof, for its place must be known; of all else one freezes the device.
        about = (first.writer, first.sequence) if row[0] == Kind.FORK else (first.device, 0)
        if about in told:
            await reported(core, row)
            continue
        if about in now or len(found) >= MOST_AT_ONCE:
            continue
        if (due := await _prove(core, row, first, second)) is not None:
            found.append(due)
            now |= {about, (first.device, 0)}
    return found


async def reported(core: Core, evidence: tuple[int, str, str]) -> None:
    """A proof of this is in the records now."""
    await core.ledger.do(State.report_evidence, *evidence)


async def _prove(core: Core, row: tuple[int, str, str], first: KnownHead, second: KnownHead) -> Due | None:
    kind = Kind(row[0])
    try:
        heads = [await _head(core, one.name) for one in (first, second)]
        exhibit = opened_exhibit if kind is Kind.WENT_BACK else signed_exhibit
        records = introductions(core.space_id, await known_records(core), [first.device])
        proof = prove(kind, core.space_id, records, (exhibit(heads[0]), exhibit(heads[1])))
    except RopewalkError as error:
        core.warnings.append(
            f"device {first.device.hex()[:8]} broke the rules, which cannot be shown to others: {error}"
        )
        return None
    await core.ledger.do(_keep, proof, kind, core.now())
    return Due(proof, kind, first.device, await core.ledger.do(_cut, first.device), row)


async def _head(core: Core, name: str) -> Head:
    parsed = HeadName.decode(name)
    assert parsed is not None
    data = await core.ledger.do(State.head_data, name)
    if data is None or not parsed.fits(data):
        data = await core.pool.get_any(parsed.encode(), parsed.fits, LARGEST_HEAD + 1)
    return open_head(data, parsed, core.membership, core.keys)


def _cut(state: State, device: bytes) -> Cut:
    tops = sorted((head for head in newest(state) if head.device == device), key=lambda head: -head.time)
    return Cut({head.writer: (head.sequence, head.hash) for head in tops[:MOST_SEEN]})


def _keep(state: State, proof: bytes, kind: Kind, now: int) -> None:
    with state.transaction():
        state.add_proof(digest(proof), kind, max(now, 0), proof)


async def witness(core: Core, gone: WentBack, marker: bytes) -> bytes | None:
    """A file that says that a store went back; None where the head that it had is nowhere to be had.

    Args:
        core: The space; this device signs.
        gone: What `learn` found.
        marker: The store's id.
    """
    parsed = HeadName.decode(gone.name)
    if parsed is None:
        return None  # records are not shown this way
    try:
        head = await _head(core, gone.name)
        finder = core.device.public().id
        records = introductions(core.space_id, await known_records(core), [head.envelope.device, finder])
        names = [name for name in gone.listed if name.startswith(heads_prefix(core.space_id, parsed.writer))]
        shown = listing("", names, ended=True)
        text = f"store {gone.store} had this head and no longer lists it"
        statement = Statement(finder, marker, text[:500], max(core.now(), 0))
        proof = prove(Kind.ROLLBACK, core.space_id, records, (signed_exhibit(head), shown), statement, core.device)
    except RopewalkError:
        return None
    await core.ledger.do(_keep, proof, Kind.ROLLBACK, core.now())
    return proof
