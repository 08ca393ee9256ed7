"""Listings: whether what was put is listed, once, in order, and from where one asks.

Flow: looking -> lists; at the end of the look lists_all -> Findings
Never: takes a listing without an end.
"""

from __future__ import annotations

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.passport.ground import Ground, answer
from ropewalk.spaces.passport.record import Finding, found
from ropewalk.spaces.store import Listed, ObjectName, StoreDamaged

__all__ = ["lists", "lists_all"]

MANY = 1030  # objects; a page of most engines and of nodes is 1,000
FEW = 12
HEADS = 4  # besides: what is newest is found by listing heads, and who leaves these out alone hides it
_TOGETHER = 64  # objects of one put_many


async def lists(ground: Ground) -> list[Finding]:
    """Whether listings are in order; what is found of their being whole waits for the end."""
    made = [ground.name("listed", number) for number in range(FEW if ground.quick else MANY)]
    made += map(ground.head_name, range(HEADS))
    objects = sorted((name, name[-16:].encode()[: 1 + at % 16]) for at, name in enumerate(made))
    for start in range(0, len(objects), _TOGETHER):
        await ground.put_many(objects[start : start + _TOGETHER])
    ground.kept.update(objects[:: max(len(objects) // FEW, 1)])
    ground.listable = dict(objects)
    listing = await answer(ground.listed(f"{ground.prefix}/packs/"))
    heads = await _heads(ground)
    for one in (listing, heads):
        if isinstance(one, RopewalkError):
            ground.listed_at_once = found("list-after-write", 0, "limited", f"for a while it lists nothing: {one}")
            return []
    assert isinstance(listing, list)
    assert isinstance(heads, list)
    ground.listed_at_once = _complete(ground, ground.listable, [*listing, *heads])
    return [await _ordered(ground, listing)] if listing else []


async def lists_all(ground: Ground) -> list[Finding]:
    """Whether listings are whole: what is listed late was only late, what is not listed now nobody else will find."""
    if ground.listed_at_once is None:
        return []  # `lists` could not put it, and that was told
    packs, heads = f"{ground.prefix}/packs/", f"{ground.prefix}/heads/"
    shares = sorted(name for name in ground.listable if name.startswith(packs))
    missing: set[ObjectName] = set()
    for prefix, after in ((packs, ""), (packs, shares[len(shares) // 2]), (heads, "")):
        listing = await (_heads(ground) if prefix == heads else answer(ground.listed(prefix, after)))
        if isinstance(listing, RopewalkError):
            return [found("list-after-write", 0, "bad", f"what lies there cannot be listed: {listing}")]
        there = {listed.name for listed in listing}
        missing |= {name for name in ground.listable if name.startswith(prefix) and name > after and name not in there}
    if missing:
        count = len(ground.listable)
        what = " of heads" if all(name.startswith(heads) for name in missing) else ""
        words = f"of {count} objects its listings leave out {len(missing)}{what} at the end of the look too"
        return [found("list-after-write", count - len(missing), "bad", words)]
    return [ground.listed_at_once]


async def _heads(ground: Ground) -> list[Listed] | RopewalkError:
    """The heads that are listed; no answer is one, too, where there is one for other names."""
    try:
        return await answer(ground.listed(f"{ground.prefix}/heads/"))
    except Unavailable as error:
        await answer(ground.listed(f"{ground.prefix}/packs/", most=1))
        return StoreDamaged(f"it answers where shares are listed, and not where heads are: {error}")


def _complete(ground: Ground, objects: dict[ObjectName, bytes], listing: list[Listed]) -> Finding:
    sizes = {listed.name: listed.size for listed in listing}
    missing = sum(name not in sizes for name in objects)
    misfit = sum(sizes.get(name, len(data)) != len(data) for name, data in objects.items())
    invented = sum(name not in ground.put_here for name in sizes)
    if missing or misfit or invented:
        words = (
            f"of {len(objects)} objects its listing at once leaves out {missing}, gives {misfit} another size,"
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
    for at in sorted({0, len(names) // 2, len(names) - 1}):
        after = [listed.name for listed in await ground.listed(within, names[at])]
        if after != names[at + 1 :]:
            return found("list-order", "no", "limited", "its listing does not go on where it is told to")
        below = [listed.name for listed in await ground.listed(names[at])]
        if below != [names[at]]:
            return found("list-order", "no", "limited", "its listing does not keep to the prefix")
    return found("list-order", "yes", "good", "listings are in order, and go on from any name")
