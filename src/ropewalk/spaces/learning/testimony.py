"""Testimony: what stores did, written down and signed while it can still be seen.

Flow: a store that shows less than before, or what is another space's -> proof file in the ledger
Never: says more of a store than it showed, or fills the disk: so many files of each store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ropewalk.errors import Damaged, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.envelope import read_envelope
from ropewalk.spaces.head import HeadName, heads_prefix, signed_part
from ropewalk.spaces.learning.exhibits import head_of, keep_proof
from ropewalk.spaces.members import is_record, records_prefix
from ropewalk.spaces.proof import (
    Kind,
    Statement,
    exhibit_of,
    introductions,
    listing_without,
    prove,
    record_says,
    signed_exhibit,
)
from ropewalk.spaces.state import State

__all__ = ["MOST_STRANGE", "Strange", "WentBack", "strange", "testify", "witness"]

MOST_STRANGE = 4  # objects of other spaces that are taken from one store in one look
MOST_TRIES = 4  # files that are made about one store in one look


@dataclass(frozen=True, slots=True)
class WentBack:
    """A store that shows less than it did: it was rolled back, or it hides something."""

    store: str
    name: str  # of the head or record that it had
    listed: tuple[str, ...] = ()  # what it lists now of that head's writer, or of records
    ended: bool = True  # whether that is all of it


@dataclass(frozen=True, slots=True)
class Strange:
    """A store that shows an object of another space as one of this."""

    store: str
    name: str
    data: bytes


def strange(core: Core, name: str, data: bytes) -> bool:
    """Whether an object of this space says, by what was signed, that it is of another."""
    if HeadName.decode(name) is None:
        says = record_says(data) if is_record(name, data) else None
        return says is not None and says.space != core.space_id
    try:
        signed, _ = signed_part(data)
        return read_envelope(signed).space != core.space_id
    except Damaged:
        return False


async def testify(core: Core, found: Iterable[WentBack | Strange]) -> None:
    """Write down what stores did, as far as there is room for more of each."""
    tries: Counter[str] = Counter()
    for one in found:
        marker = core.markers.get(one.store)
        if marker is None or tries[one.store] >= MOST_TRIES:
            continue
        kind = Kind.ROLLBACK if isinstance(one, WentBack) else Kind.REPLAY
        if await core.ledger.do(State.has_room_for, kind, marker, one.name.encode(), max(core.now(), 0)):
            tries[one.store] += 1
            await witness(core, one, marker)


async def witness(core: Core, one: WentBack | Strange, marker: bytes) -> bytes | None:
    """A file that says what a store did; None where what it is about is nowhere to be had.

    Args:
        core: The space; this device signs.
        one: What `learn` found.
        marker: The store's id.
    """
    kind = Kind.ROLLBACK if isinstance(one, WentBack) else Kind.REPLAY
    finder = core.device.public().id
    try:
        objects = await core.ledger.do(State.records)
        devices, pair, what = await (_gone(core, one, dict(objects)) if isinstance(one, WentBack) else _foreign(one))
        records = introductions(core.space_id, [data for _, data in objects], [*devices, finder])
        statement = Statement(finder, marker, f"store {one.store} {what}"[:500], max(core.now(), 0))
        proof = prove(kind, core.space_id, records, pair, statement, core.device)
    except RopewalkError:
        return None
    await keep_proof(core, kind, marker, one.name.encode(), proof)
    return proof


_Shown = tuple[Sequence[bytes], tuple[bytes, bytes], str]  # devices to introduce, exhibits, what is said


async def _gone(core: Core, gone: WentBack, records: dict[str, bytes]) -> _Shown:
    if (data := records.get(gone.name)) is not None:
        says = record_says(data)
        prefix, exhibit, device, what = records_prefix(core.space_id), data, says.author if says else b"", "record"
    else:
        name = HeadName.decode(gone.name)
        if name is None:
            raise Damaged(f"{gone.name} is neither a head nor a record that is known")
        head = await head_of(core, name)
        prefix, exhibit = heads_prefix(core.space_id, name.writer), signed_exhibit(head)
        device, what = head.envelope.device, "head"
    names = [one for one in gone.listed if one.startswith(prefix)]
    listed = listing_without(gone.name, names, ended=gone.ended)
    return [device], (exhibit, listed), f"had this {what} and no longer lists it"


async def _foreign(one: Strange) -> _Shown:
    said = "shows this under a name of this space, and it is of another"
    return [], (exhibit_of(one.name, one.data), one.name.encode()), said
