"""Precedence: who is senior to whom, and who came by whom: what is left open when somebody is put out.

Flow: Membership -> devices that could undo it, members and devices that stay -> command line
Never: settles anything: `resolve` does, by the ranks in each record's own past.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ropewalk.spaces.members.graph import introduced
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.members.operations import AddDevice
from ropewalk.spaces.members.state import GroupState

__all__ = ["Brought", "brought_by", "is_senior"]


@dataclass(frozen=True, slots=True)
class Brought:
    """Who is in because somebody let them in; devices of such members are not listed again."""

    members: tuple[bytes, ...]
    devices: tuple[bytes, ...]


def is_senior(state: GroupState, one: bytes, other: bytes) -> bool:
    """Whether an active device is senior to another one: could undo what that does to it, by a record of old date."""
    return _order(state, one) < _order(state, other)


def _order(state: GroupState, device: bytes) -> tuple[int, int]:
    member = state.members[state.devices[device]]
    return member.rank, member.devices.index(device)


def brought_by(membership: Membership, devices: Collection[bytes]) -> Brought:
    """Who is in by records of these devices, or of any that they let in."""
    state = membership.state
    by, members, more = set(devices), dict[bytes, None](), dict[bytes, None]()
    for record in membership.records:
        if not record.grounded or record.author not in by:
            continue
        if record.admitted:
            members[record.admitted] = None
        if isinstance(record.content, AddDevice):
            more[record.content.keys.id] = None
        by.update(keys.id for keys in introduced(record.content))
    active = tuple(one for one in members if one in state.members)
    stay = (one for one in more if one in state.devices and one not in devices)
    return Brought(active, tuple(one for one in stay if state.devices[one] not in active))
