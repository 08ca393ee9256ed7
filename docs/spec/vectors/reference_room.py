"""The format once more: which records count where there are more than a space has room for (groups.md 2.1).

Flow: Group -> turns, each on the outcome of what was taken before -> Group of what there is room for
Never: imports ropewalk, or does anything fast.
"""

from __future__ import annotations

from docs.spec.vectors.reference_groups import ADMIN, Group

__all__ = ["settled"]

MOST_TURNS = 64


def settled(group: Group, room: int) -> tuple[Group, set[bytes]]:
    """The group of the records that there is room for, and the devices that flood."""
    if len(group.records) <= room:
        return group, set()
    (genesis,) = (one.hash for one in group.records.values() if one.kind == -1)
    chosen = group.only({genesis})
    had: set[bytes] = set()
    over: set[bytes] = set()
    for _ in range(MOST_TURNS):
        homes, admins = _active(chosen)
        grown = _turn(group, chosen, admins, homes - had, had, over, room)
        if len(grown.records) == len(chosen.records):
            return chosen, over & homes
        chosen = grown
    homes, _ = _active(chosen)
    return chosen, homes & over | homes - had


def _active(chosen: Group) -> tuple[set[bytes], list[bytes]]:
    """The active devices; those of admins, the most senior first."""
    good = chosen.outcome().good
    homes = chosen.homes(good)
    ranks = {device: chosen.rank(device, good) for device, home in homes.items() if home[1] == ADMIN}
    return set(homes), sorted(ranks, key=ranks.__getitem__)


def _turn(
    group: Group,
    chosen: Group,
    admins: list[bytes],
    waiting: set[bytes],
    had: set[bytes],
    over: set[bytes],
    room: int,
) -> Group:
    before = set(chosen.records)
    for device in admins:
        if device in waiting:
            had.add(device)
            waiting.discard(device)
            if len(grown := before | _signed(group, device)) > room:
                over.add(device)
            elif grown != before:
                return group.only(grown)
    brings = {device: min(len(_signed(group, device) | before), room + 1) for device in waiting}
    taken = before
    for device in sorted(waiting, key=lambda one: (brings[one], one)):
        had.add(device)
        if len(grown := taken | _signed(group, device)) > room:
            over.add(device)
        else:
            taken = grown
    return group.only(taken)


def _signed(group: Group, device: bytes) -> set[bytes]:
    mine = [one for one in group.records.values() if one.author == device]
    return {one.hash for one in mine}.union(*(one.past for one in mine))
