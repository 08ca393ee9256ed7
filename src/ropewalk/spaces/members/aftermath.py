"""Aftermath: what is left open after a device or a member was put out: who could undo it, and who stays by its hand.

Flow: group state or membership, before and after -> plain facts -> command line, pages
Never: changes anything, or puts it into words.
"""

from __future__ import annotations

from collections.abc import Collection

from ropewalk.spaces.identity import PAPER
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.members.membership import Membership
from ropewalk.spaces.members.operations import Role
from ropewalk.spaces.members.people import Names
from ropewalk.spaces.members.precedence import brought_by, is_senior
from ropewalk.spaces.members.state import GroupState

__all__ = ["seniors_of_device", "seniors_of_member", "undoes", "who_stays"]


def undoes(state: GroupState, out: bytes, signer: bytes) -> bool:
    """Whether a device that is put out could undo it, since it is senior to the one that signs."""
    return out in state.devices and signer in state.devices and is_senior(state, out, signer)


def seniors_of_device(membership: Membership, device: bytes) -> tuple[bool, list[bytes]]:
    """Whether the paper key of its member is senior to a device, and which others of the member's are."""
    state = membership.state
    devices = state.members[state.devices[device]].devices
    before = devices[: devices.index(device)]
    papers = [one for one in before if membership.devices[one].kind == PAPER]
    return bool(papers), [one for one in before if one not in papers]


def seniors_of_member(state: GroupState, member: bytes) -> list[bytes]:
    """Admins who are senior to a member."""
    return [one.id for one in state.admins() if one.role is Role.ADMIN and one.rank < state.members[member].rank]


def who_stays(
    membership: Membership, keys: KeyRing, mine: bytes, out: Collection[bytes]
) -> dict[str, list[dict[str, str]]]:
    """Who is in because a device that is out let them in.

    Args:
        membership: As it is afterwards.
        keys: Open the names.
        mine: The device that looks, which is left out.
        out: The devices that are out.

    Returns:
        ``members`` and ``devices``, each with ``id`` in hex and ``name``.
    """
    names = Names(membership, keys)
    brought = brought_by(membership, out)
    ours = names.devices_of(membership.state.devices.get(mine, b""))
    return {
        "members": [{"id": one.hex(), "name": names.member(one)} for one in brought.members],
        "devices": [
            {"id": one.hex(), "name": names.device(one) if one in ours else names.whose(one)}
            for one in brought.devices
            if one != mine
        ],
    }
