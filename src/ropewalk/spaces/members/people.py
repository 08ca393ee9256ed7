"""People: who belongs to a space, as its members see it: with names.

Flow: GroupState, KeyRing -> Person, Machine -> command line, audit; a name or the first digits of an id -> one of them
Never: guesses whom a name means.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ropewalk.errors import Missing
from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members.labels import open_label
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.members.operations import Add, AddDevice, Role, SetLabel
from ropewalk.spaces.members.records import Genesis

__all__ = ["Machine", "Names", "NoSuchPerson", "Person", "find_person", "machines_called", "people"]

SHORTEST_ID = 4  # hex digits that name somebody
SHOWN_ID = 8


class NoSuchPerson(Missing):
    """Nobody, or more than one, is called this."""

    code = "members.no-such-person"


@dataclass(frozen=True, slots=True)
class Machine:
    """One device, or a paper key."""

    id: bytes
    name: str | None  # as people call it, where it has a name that opens here
    paper: bool
    ours: bool  # the device that looks
    frozen: bool

    @property
    def called(self) -> str:
        """Its name, or what stands for one."""
        return self.name or ("paper key" if self.paper else f"device {self.id.hex()[:SHOWN_ID]}")


@dataclass(frozen=True, slots=True)
class Person:
    """One member."""

    id: bytes
    name: str | None
    role: Role
    machines: Sequence[Machine]  # the most senior first
    added_by: bytes  # device
    ours: bool  # the one that the device that looks is of

    @property
    def called(self) -> str:
        """Its name, or what stands for one."""
        return self.name or f"member {self.id.hex()[:SHOWN_ID]}"


def people(membership: Membership, keys: KeyRing, device: bytes) -> list[Person]:
    """The members, the most senior first.

    Args:
        membership: What the records say.
        keys: Open the names.
        device: The device that looks.
    """
    state = membership.state
    return [
        Person(
            one.id,
            open_label(keys, one.id, one.label),
            one.role,
            [
                Machine(
                    id=machine,
                    name=open_label(keys, machine, state.labels.get(machine, b"")),
                    paper=membership.devices[machine].kind == PAPER,
                    ours=machine == device,
                    frozen=machine in state.frozen,
                )
                for machine in one.devices
            ],
            one.added_by,
            device in one.devices,
        )
        for one in sorted(state.members.values(), key=lambda member: member.rank)
    ]


class Names:
    """What members and devices are called, those that are gone too.

    Args:
        membership: What the records say.
        keys: Open the names.
    """

    def __init__(self, membership: Membership, keys: KeyRing) -> None:
        self._devices = membership.devices
        self._boxes: dict[bytes, bytes] = {}  # by member or device
        self._owners: dict[bytes, bytes] = {}  # device -> the member that it was let in for first
        self._keys = keys
        for record in membership.records:
            match record.content:
                case Genesis(devices=devices, member=member):
                    self._own(member, [one.id for one in devices])
                case Add(keys=devices, label=label) if record.admitted:
                    self._own(record.admitted, [one.id for one in devices])
                    self._boxes.setdefault(record.admitted, label)
                case AddDevice(keys=device, label=label) if record.author in self._owners:
                    self._own(self._owners[record.author], [device.id])
                    self._boxes.setdefault(device.id, label)
                case SetLabel(bearer=bearer, label=label) if record.grounded:
                    self._boxes[bearer] = label
        self._owners.update(membership.state.devices)
        self._boxes.update({one.id: one.label for one in membership.state.members.values() if one.label})
        self._boxes.update({device: label for device, label in membership.state.labels.items() if label})

    def _own(self, member: bytes, devices: Iterable[bytes]) -> None:
        for device in devices:
            self._owners.setdefault(device, member)

    def devices_of(self, member: bytes) -> frozenset[bytes]:
        """Those that a member has or had."""
        return frozenset(device for device, owner in self._owners.items() if owner == member)

    def member(self, member: bytes) -> str:
        """What a member is or was called."""
        return open_label(self._keys, member, self._boxes.get(member, b"")) or f"member {member.hex()[:SHOWN_ID]}"

    def device(self, device: bytes) -> str:
        """What a device is or was called."""
        paper = device in self._devices and self._devices[device].kind == PAPER
        name = open_label(self._keys, device, self._boxes.get(device, b""))
        return name or ("paper key" if paper else f"device {device.hex()[:SHOWN_ID]}")

    def whose(self, device: bytes) -> str:
        """A device with the name of its member, as far as there are names: ``anna (laptop)``."""
        owner = self._owners.get(device)
        person = None if owner is None else open_label(self._keys, owner, self._boxes.get(owner, b""))
        return self.device(device) if person is None else f"{person} ({self.device(device)})"


def find_person(among: Iterable[Person], who: str) -> Person:
    """The member of this name, or whose id begins with these digits.

    Raises:
        NoSuchPerson.
    """
    known = list(among)
    found = [one for one in known if one.called == who or _is_id(one.id, who)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one.id.hex()[:SHOWN_ID] for one in found)
        raise NoSuchPerson(f"{len(found)} members are called {who!r}: {ids}", hint="say which by these digits")
    names = ", ".join(one.called for one in known)
    raise NoSuchPerson(f"no member is called {who!r}, there are {names or 'none'}")


def machines_called(among: Iterable[Machine], which: str) -> list[Machine]:
    """The devices of this name, or whose id begins with these digits."""
    return [one for one in among if one.called == which or _is_id(one.id, which)]


def _is_id(one: bytes, digits: str) -> bool:
    return len(digits) >= SHORTEST_ID and one.hex().startswith(digits.lower())
