"""GroupState: what a set of records comes to (docs/spec/groups.md 2.5).

Flow: resolve -> GroupState -> whoever asks who may do what
Never: is changed; another set of records gives another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ropewalk.spaces.members.operations import Cut, Role
from ropewalk.spaces.members.records import Policy

__all__ = ["Accused", "Fork", "GroupState", "Member", "Struck"]


@dataclass(frozen=True, slots=True)
class Member:
    """Who belongs to a space."""

    id: bytes
    role: Role
    label: bytes  # its name in a sealed box, or b"" where it has none
    devices: tuple[bytes, ...]  # the active ones, the most senior first
    added_by: bytes  # the device that let it in; for the first member its own
    record: bytes  # the hash of the record that did
    rank: int  # 0 for the most senior of the active members, and so on


@dataclass(frozen=True, slots=True)
class Accused:
    """What a proof that was found good says; only a fork has a place, which is a writer and a sequence."""

    device: bytes
    writer: bytes = b""
    sequence: int = 0  # of two records their count
    exhibits: frozenset[bytes] = frozenset()  # hashes of both: heads, or records
    incarnation: bytes = b""  # of two records

    @property
    def matter(self) -> tuple[object, ...]:
        """What it is about: another proof of the same matter says nothing new."""
        if self.writer or self.incarnation:
            return self.device, self.writer, self.incarnation, self.sequence
        return self.device, self.exhibits


@dataclass(frozen=True, slots=True)
class Fork:
    """A writer with two heads of one sequence."""

    device: bytes
    writer: bytes
    sequence: int
    heads: frozenset[bytes]  # the hashes known from proofs


@dataclass(frozen=True, slots=True)
class Struck:
    """Why a record that stood in its own past has no effect."""

    by: bytes  # hash of the record that took something from whoever signed it, and that it had not seen
    why: str  # "removed", "revoked" or "demoted"


@dataclass(frozen=True, slots=True)
class GroupState:
    """What a set of records comes to."""

    members: Mapping[bytes, Member]  # the active ones
    devices: Mapping[bytes, bytes]  # active device -> its member
    gone: Mapping[bytes, Cut]  # devices that once were active and may no longer write -> up to where they count
    forks: Sequence[Fork]
    frozen: frozenset[bytes]  # active or not; proven to have lied, and not thawed since
    feature: int
    policy: Policy
    privacy: int
    thresholds: tuple[int, int]  # stores that may lie; admins needed, always 1
    struck: Mapping[bytes, Struck]  # by record hash
    accused: Sequence[Accused] = ()  # by proofs that stand, thawed since or not
    labels: Mapping[bytes, bytes] = field(default_factory=dict)  # active device -> its name in a sealed box, or b""
    beyond: frozenset[bytes] = frozenset()  # hashes of records that stand, and that this version does not know

    @property
    def read_only(self) -> bool:
        """Whether an admin wrote what this version does not know."""
        return bool(self.beyond)

    def role_of(self, device: bytes) -> Role | None:
        """The role of the member that a device is of, or None where it is not active."""
        member = self.devices.get(device)
        return None if member is None else self.members[member].role

    def may_write(self, device: bytes) -> bool:
        """Whether heads of this device count, those within its cuts aside."""
        role = self.role_of(device)
        return role is not None and role >= Role.WRITER and device not in self.frozen

    def admins(self) -> list[Member]:
        """Members that may change the group, with a device to do so; none are left if all of them went."""
        return [one for one in self.members.values() if one.role is Role.ADMIN and one.devices]
