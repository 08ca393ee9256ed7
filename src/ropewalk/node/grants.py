"""Grants: who may do what with the stores that a node offers, and at whose cost (docs/spec/node.md 3).

Flow: Grant, as the owner gave them; what somebody is in a space -> paying
Never: does I/O, reads a clock, or gives a right because somebody else lacks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ropewalk.spaces.members import Role

__all__ = ["OUTSIDE", "Act", "Grant", "Standing", "paying"]


class Act(StrEnum):
    """What somebody may do with objects."""

    GET = "get"  # and list them, and hear of hints
    PUT = "put"  # and replace hints
    DELETE = "delete"


_BY_ROLE = {
    Role.READER: frozenset({Act.GET}),
    Role.WRITER: frozenset({Act.GET, Act.PUT}),
    Role.STEWARD: frozenset(Act),
    Role.ADMIN: frozenset(Act),  # it could make itself a steward
}


@dataclass(frozen=True, slots=True)
class Grant:
    """What the owner of a node allows.

    Attributes:
        id: Names it for as long as it lasts, and in the accounts.
        offer: Which of the stores.
        keys: Ed25519 keys of those who may; of one person, as a rule.
        space: Instead of keys, those who stand in this space may, as far as their roles go.
        may: And no more than this.
        spaces: Those that it is good for; None for all.
        alone: Only for the keys themselves, and not for members of the spaces in which one of these is an admin.
        quota: Bytes that may lie there at its cost; None for as much as there is room.
        until: Seconds since 1970; None for ever.
        label: What the owner calls it.
    """

    id: str
    offer: str
    keys: frozenset[bytes] = frozenset()
    space: bytes | None = None
    may: frozenset[Act] = frozenset(Act)
    spaces: frozenset[bytes] | None = None
    alone: bool = False
    quota: int | None = None
    until: int | None = None
    label: str = ""

    def covers(self, space: bytes | None) -> bool:
        """Whether it speaks of this space; None are the names that belong to no space."""
        if self.space is not None:
            return space == self.space
        return self.spaces is None or space in self.spaces

    def holds(self, now: float) -> bool:
        """Whether it has not ended."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Standing:
    """What the records of a space say of a key.

    Attributes:
        role: Of its member, where it is active.
        put_out: It was active once, and is not any more.
        admins: The keys of all active devices of admins.
        known: There are records of it, so that whoever is not in them is a stranger to it.
    """

    role: Role | None = None
    put_out: bool = False
    admins: frozenset[bytes] = frozenset()
    known: bool = False


OUTSIDE = Standing()  # of a space of which nothing is known


def paying(
    grants: Iterable[Grant], offer: str, key: bytes, space: bytes | None, standing: Standing, act: Act, now: float
) -> list[Grant]:
    """The grants by which somebody may do something, in the order in which they are to pay for it; none: he may not.

    Args:
        grants: All of a node, the oldest first.
        offer: The store.
        key: Who asks.
        space: Whose object it is; None where its name belongs to no space.
        standing: What ``space`` says of ``key``.
        act: What is to be done.
        now: Seconds since 1970.
    """
    if standing.put_out:
        return []
    by_role = standing.role is not None and act in _BY_ROLE[standing.role]
    groups: tuple[list[Grant], list[Grant], list[Grant]] = ([], [], [])
    for grant in grants:
        if grant.offer != offer or act not in grant.may or not grant.holds(now) or not grant.covers(space):
            continue
        if grant.space is not None:
            if by_role:
                groups[0].append(grant)
        elif key in grant.keys:
            # Room for whatever one keeps is not a right to what others keep beside it.
            if by_role or not standing.known or grant.spaces is not None:
                groups[1].append(grant)
        elif by_role and not grant.alone and grant.keys & standing.admins:
            groups[2].append(grant)
    return [grant for group in groups for grant in group]
