"""Seats: who has a seat in a space, and who had one, as rows of a page.

Flow: Space.people, membership records, newest heads -> PersonRow, DeviceRow, GoneRow
Never: takes a time for more than its author's word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ropewalk.pages.names import moment, shown, stamp
from ropewalk.spaces.members import Membership, Names
from ropewalk.spaces.members.operations import Add, AddDevice, Remove, Revoke
from ropewalk.spaces.members.records import Genesis
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State

__all__ = ["DeviceRow", "GoneRow", "PersonRow", "Time", "gone", "rows"]

MOST_GONE = 100  # of who was put out; the others are in the audit


@dataclass(frozen=True, slots=True)
class Time:
    """A time, for people and for programs; both "" where it is not known."""

    text: str = ""
    stamp: str = ""

    @classmethod
    def of(cls, nanoseconds: int) -> Time:
        """0 is not known."""
        return cls(moment(nanoseconds), stamp(nanoseconds)) if nanoseconds > 0 else cls()


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device that a member has, or had.

    Attributes:
        id: In hex.
        label: Its name.
        paper, ours, frozen: As in `Machine`.
        since, out: When it was let in, and put out.
        wrote: When it last wrote.
    """

    id: str
    label: str
    paper: bool
    ours: bool
    frozen: bool
    since: Time
    wrote: Time
    out: Time | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A member."""

    id: str
    label: str
    role: str
    ours: bool
    since: Time
    devices: Sequence[DeviceRow]


@dataclass(frozen=True, slots=True)
class GoneRow:
    """Who was a member."""

    label: str
    out: Time


@dataclass(slots=True)
class _Times:
    members: dict[bytes, int]
    devices: dict[bytes, int]
    removed: dict[bytes, int]
    revoked: dict[bytes, int]


async def rows(space: Space) -> list[PersonRow]:
    """The members, the most senior first."""
    core = space.core
    membership, names = core.membership, Names(core.membership, core.keys)
    times = _times(membership)
    wrote: dict[bytes, int] = {}
    for head in await core.ledger.do(State.newest_heads):
        wrote[head.device] = max(wrote.get(head.device, 0), head.time)

    def former(device: bytes) -> DeviceRow:
        out = Time.of(times.revoked.get(device, 0))
        label = shown(names.device(device))
        return DeviceRow(device.hex(), label, False, False, False, _at(times.devices, device), _at(wrote, device), out)

    made = []
    for person in space.people():
        now = [
            DeviceRow(
                *(machine.id.hex(), shown(machine.called), machine.paper, machine.ours, machine.frozen),
                since=_at(times.devices, machine.id), wrote=_at(wrote, machine.id),
            )
            for machine in person.machines
        ]  # fmt: skip
        before = sorted(names.devices_of(person.id) - membership.state.devices.keys())
        since = _at(times.members, person.id)
        devices = [*now, *map(former, before)]
        made.append(
            PersonRow(person.id.hex(), shown(person.called), person.role.name.lower(), person.ours, since, devices)
        )
    return made


def gone(space: Space) -> list[GoneRow]:
    """Who was put out or left, the last ones first."""
    membership = space.core.membership
    names, times = Names(membership, space.core.keys), _times(membership)
    out = sorted(times.members.keys() - membership.state.members.keys(), key=lambda one: -times.removed.get(one, 0))
    return [GoneRow(shown(names.member(one)), _at(times.removed, one)) for one in out[:MOST_GONE]]


def _at(times: Mapping[bytes, int], key: bytes) -> Time:
    return Time.of(times.get(key, 0))


def _times(membership: Membership) -> _Times:
    """When who came and went, by the first record that stands and says so."""
    found = _Times({}, {}, {}, {})
    for record in membership.records:
        if not record.grounded or record.hash in membership.state.struck:
            continue
        match record.content:
            case Genesis(devices=devices, member=member):
                found.members.setdefault(member, record.time)
                for device in devices:
                    found.devices.setdefault(device.id, record.time)
            case Add(keys=devices) if record.admitted:
                found.members.setdefault(record.admitted, record.time)
                for device in devices:
                    found.devices.setdefault(device.id, record.time)
            case AddDevice(keys=device):
                found.devices.setdefault(device.id, record.time)
            case Remove(member=member):
                found.removed.setdefault(member, record.time)
            case Revoke(device=device_id):
                found.revoked.setdefault(device_id, record.time)
    return found
