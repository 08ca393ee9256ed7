"""Listings: whether what was put is listed, once, in order, and from where one asks.

Flow: looking -> lists -> Findings
Never: takes a listing without an end.
"""

from __future__ import annotations

from ropewalk.spaces.passport.ground import Ground
from ropewalk.spaces.passport.record import Finding, found
from ropewalk.spaces.store import Listed, ObjectName

__all__ = ["lists"]

MANY = 1030  # objects; a page of most engines and of nodes is 1,000
FEW = 12
_TOGETHER = 64  # objects of one put_many


async def lists(ground: Ground) -> list[Finding]:
    """Whether listings are whole, and in order."""
    made = [ground.name("listed", number) for number in range(FEW if ground.quick else MANY)]
    objects = sorted((name, name[-16:].encode()[: 1 + at % 16]) for at, name in enumerate(made))
    for start in range(0, len(objects), _TOGETHER):
        await ground.put_many(objects[start : start + _TOGETHER])
    ground.kept.update(objects[:: max(len(objects) // FEW, 1)])
    listing = await ground.listed(f"{ground.prefix}/packs/")
    return [_complete(ground, dict(objects), listing), await _ordered(ground, listing)]


def _complete(ground: Ground, objects: dict[ObjectName, bytes], listing: list[Listed]) -> Finding:
    sizes = {listed.name: listed.size for listed in listing}
    missing = sum(name not in sizes for name in objects)
    misfit = sum(sizes.get(name, len(data)) != len(data) for name, data in objects.items())
    invented = sum(name not in ground.put_here for name in sizes)
    if missing or misfit or invented:
        words = (
            f"of {len(objects)} objects its listing leaves out {missing}, gives {misfit} another size,"
            f" and adds {invented}"
        )
        return found("list-after-write", len(objects) - missing - misfit, "limited", words)
    return found("list-after-write", len(objects), "good", f"{len(objects)} objects are listed at once")


async def _ordered(ground: Ground, listing: list[Listed]) -> Finding:
    names = [listed.name for listed in listing]
    within = f"{ground.prefix}/packs/"
    if names != sorted(set(names)):
        return found("list-order", "no", "limited", "its listing is not in the order of names, each once")
    if any(not name.startswith(within) for name in names):
        return found("list-order", "no", "limited", "its listing shows other names than were asked for")
    for at in sorted({0, len(names) // 2, len(names) - 1} if names else set()):
        after = [listed.name for listed in await ground.listed(within, names[at])]
        if after != names[at + 1 :]:
            return found("list-order", "no", "limited", "its listing does not go on where it is told to")
        below = [listed.name for listed in await ground.listed(names[at])]
        if below != [names[at]]:
            return found("list-order", "no", "limited", "its listing does not keep to the prefix")
    return found("list-order", "yes", "good", "listings are in order, and go on from any name")
