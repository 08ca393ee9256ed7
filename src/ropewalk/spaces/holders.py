"""Holders: which copies of a space's keys there are, as its records say.

Flow: Membership, names, what was written down on this machine -> KeyHolder of each, for the promise
Never: counts a key that the newest epoch was not given to, or words that no record names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import PAPER, KeysDamaged
from ropewalk.spaces.members import Membership, Names, Role
from ropewalk.spaces.promise import KeyHolder

__all__ = ["Written", "holders", "paper_note", "written_here"]

HERE = {"machine": "here"}  # as the stores on this machine are to be marked


@dataclass(frozen=True, slots=True)
class Written:
    """The paper key whose words were last written down on this machine."""

    key: bytes = b""  # its id, b"" where there is none
    day: str = ""


def written_here(home: Home) -> Written:
    """What was written down on this machine; the keys in the records count, whether that file is there or not."""
    try:
        return Written(home.paper_key().id, home.load().paper_shown)
    except KeysDamaged:
        return Written()


def holders(membership: Membership, names: Names, mine: bytes, written: Written) -> list[KeyHolder]:
    """Whoever can open the space: devices and paper keys of all members, those of this device's own member first.

    What an epoch was wrapped for is what others wrote: that a wrap opens, only its device can tell. Of machines nothing
    is known but that one device is on one; of paper, that it burns with none.

    Args:
        membership: What the records say.
        names: Of members and devices.
        mine: The device that looks.
        written: What was written down here.
    """
    state, epoch = membership.state, membership.epochs.current
    own = state.devices.get(mine)
    found: list[KeyHolder] = []
    for member in sorted(state.members.values(), key=lambda one: (one.id != own, one.rank)):
        if member.role is Role.STEWARD:
            continue
        papers = {one for one in member.devices if membership.devices[one].kind == PAPER}
        for device in sorted(member.devices, key=lambda one: (one != mine, one in papers)):
            if not epoch.holds(device, as_steward=False):
                continue
            writes = state.may_write(device)
            if device == mine:
                found.append(KeyHolder("this device", HERE, "", writes))
            if device in papers:  # a machine that works with a paper key is one copy, the paper another
                name = "your paper key" if member.id == own else names.whose(device)
                found.append(KeyHolder(_unlike(name, device, found), {}, _said(device, mine, written), writes))
            elif device != mine:
                name = f"your {names.device(device)}" if member.id == own else names.whose(device)
                name = _unlike(name, device, found)
                found.append(KeyHolder(name, {"machine": f"of {name}"}, "", writes))
    return found


def _unlike(name: str, device: bytes, others: list[KeyHolder]) -> str:
    """A name that no other has: people may call two devices alike."""
    taken = {one.name for one in others}
    return next(one for one in (name, f"{name} {device.hex()[:8]}", f"{name} {device.hex()}") if one not in taken)


def _said(paper: bytes, mine: bytes, written: Written) -> str:
    if paper == mine:
        return "which this machine works with"
    return f"shown on {written.day}" if paper == written.key and written.day else ""


def paper_note(membership: Membership, mine: bytes, written: Written) -> str:
    """What somebody would be wrong to think of the words he has, "" where there is no cause to."""
    if membership.state.role_of(mine) in (None, Role.STEWARD):
        return ""  # there is nothing to be opened by words
    papers = list(_papers(membership, mine))
    if mine in papers or written.key in papers or (papers and not written.key):
        return ""
    if not papers:
        return "no words on paper of yours open this space; `ropewalk recovery paper` makes some that do"
    shown = (
        f"the words that were shown on this machine on {written.day}" if written.day else "the words of this machine"
    )
    return f"{shown} do not open this space: your paper key for it was written down elsewhere"


def _papers(membership: Membership, mine: bytes) -> Iterator[bytes]:
    member = membership.state.devices.get(mine)
    for device in membership.state.members[member].devices if member is not None else ():
        if membership.devices[device].kind == PAPER:
            yield device
