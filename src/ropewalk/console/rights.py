"""Rights: who may look, who may act, who may run Python in the process.

Flow: groups of an identity, and how they came -> Operator, the perspective that portals give
Never: lets anybody act whose encryption ended at a proxy, or run Python but by SSH and the Unix socket.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ropewalk.auth import Channel, Denied, Visit

__all__ = ["ALL", "Groups", "Operator", "Right", "rights_by"]

_PYTHON_BY = frozenset({"ssh", "unix"})


class Right(StrEnum):
    """What somebody may do; each has those before it."""

    LOOK = "look"
    ACT = "act"
    PYTHON = "python"


ALL = frozenset(Right)


@dataclass(frozen=True, slots=True)
class Operator:
    """What a console may do for somebody."""

    rights: frozenset[Right]


class Groups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which groups have which right."""

    watchers: tuple[str, ...] = ("watchers",)
    operators: tuple[str, ...] = ("operators",)
    python: tuple[str, ...] = ("python",)

    def operator(self, visit: Visit) -> Operator:
        """The perspective of a visitor, for `Perspectives.give`.

        Raises:
            Denied: They have no right at all.
        """
        mine = visit.identity.groups
        if mine & set(self.python):
            return Operator(ALL)
        if mine & set(self.operators):
            return Operator(frozenset({Right.LOOK, Right.ACT}))
        if mine & set(self.watchers):
            return Operator(frozenset({Right.LOOK}))
        raise Denied("no business here")


def rights_by(operator: Operator, carrier: str, channel: Channel) -> frozenset[Right]:
    """Those of the rights that can be used over this connection."""
    rights = set(operator.rights)
    if not channel.verified or channel.at_proxy:
        rights &= {Right.LOOK}
    if carrier not in _PYTHON_BY:
        rights -= {Right.PYTHON}
    return frozenset(rights)
