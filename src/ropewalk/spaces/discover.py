"""Discover: spaces in some stores that our keys open, for a machine that does not know them yet.

Flow: stores -> first name of each space in them -> records checked, secrets opened -> FoundSpace
Never: reads more of a space than its records, or believes a store: an id is what a genesis hashes to. That our keys
    open a space does not say that it is ours: whoever can write to the store could have made it for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ropewalk.errors import Damaged, Refused, RopewalkError
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import read_membership
from ropewalk.spaces.members import LARGEST_RECORD, MOST_RECORDS, Membership, NotAMember, is_record, records_prefix
from ropewalk.spaces.members.wraps import open_ring
from ropewalk.spaces.pool.pool import Pool
from ropewalk.spaces.store import StoreDamaged

__all__ = ["Discovery", "FoundSpace", "discover"]

MOST_SPACES = 10_000  # in one store; each costs a listing and reads of its records
_ID_DIGITS = 64
_PAST = "~"  # sorts after all that a name may hold, so a listing goes on with the next space


@dataclass(frozen=True, slots=True)
class FoundSpace:
    """A space that our keys open."""

    id: bytes
    stores: Sequence[str]  # those of the pool that hold its records
    membership: Membership
    records: Mapping[str, bytes]  # by name


@dataclass(frozen=True, slots=True)
class Discovery:
    """What some stores hold.

    Attributes:
        spaces: Those that our keys open, by id.
        closed: How many others there are.
        problems: What kept us from looking, or from understanding what was found.
    """

    spaces: Sequence[FoundSpace]
    closed: int
    problems: Sequence[str]


@dataclass(slots=True)
class _Found:
    records: dict[str, bytes] = field(default_factory=dict)
    stores: list[str] = field(default_factory=list)


async def discover(pool: Pool, device: DeviceKeys) -> Discovery:
    """Look into every store of a pool."""
    found: dict[bytes, _Found] = {}
    problems = [f"store {name} is not there: {why}" for name in pool.names if (why := pool.why_down(name))]
    for name in pool.names:
        if not pool.up(name):
            continue
        try:
            for space_id in await _spaces_in(pool, name):
                records = await _records(pool, name, space_id)
                if records:
                    here = found.setdefault(space_id, _Found())
                    here.records.update(records)
                    here.stores.append(name)
        except RopewalkError as error:
            problems.append(f"store {name}: {error}")
    return _opened(found, device, problems)


def _opened(found: Mapping[bytes, _Found], device: DeviceKeys, problems: list[str]) -> Discovery:
    spaces = []
    closed = 0
    for space_id, one in sorted(found.items()):
        try:
            membership = read_membership(space_id, one.records.values(), partly=True)
            open_ring(membership.epochs, device)
        except NotAMember:
            closed += 1
        except (Damaged, Refused) as error:
            problems.append(str(error))
        else:
            spaces.append(FoundSpace(space_id, one.stores, membership, one.records))
    return Discovery(spaces, closed, problems)


async def _spaces_in(pool: Pool, name: str) -> list[bytes]:
    spaces: list[bytes] = []
    after = ""
    while True:
        async for listed in pool.list(name, "", after):
            top = listed.name.partition("/")[0]
            break
        else:
            return spaces
        if len(top) == _ID_DIGITS and all(digit in "0123456789abcdef" for digit in top):
            spaces.append(bytes.fromhex(top))
        if len(spaces) > MOST_SPACES:
            raise StoreDamaged(f"store {name} holds more than {MOST_SPACES} spaces")
        after = f"{top}/{_PAST}"


async def _records(pool: Pool, name: str, space_id: bytes) -> dict[str, bytes]:
    records = {}
    async for listed in pool.list(name, records_prefix(space_id)):
        if listed.size <= LARGEST_RECORD:
            data = await pool.get(name, listed.name, 0, LARGEST_RECORD + 1)
            if is_record(listed.name, data):
                records[str(listed.name)] = data
            if len(records) > MOST_RECORDS:
                raise StoreDamaged(f"store {name} lists more than {MOST_RECORDS} records of one space")
    return records
