"""Looking: all probes of one store, one after the other, and the store left as it was found.

Flow: Store -> sweep -> probe by probe, Findings -> sweep -> Passport
Never: makes a passport of a store that stopped answering: what would be in it is only what it chose to show.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from ropewalk._version import __version__
from ropewalk.counting import count
from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.spaces.passport.bounds import has_room, stands_on, takes_names, takes_sizes
from ropewalk.spaces.passport.ground import Ground, answer, left_prefix, prefix_of, within
from ropewalk.spaces.passport.hinting import replaces
from ropewalk.spaces.passport.lasting import keeps, lasts, leave, names_left, not_tried
from ropewalk.spaces.passport.listings import lists, lists_all
from ropewalk.spaces.passport.record import Finding, Passport, Verdict, found
from ropewalk.spaces.passport.speed import takes_time
from ropewalk.spaces.passport.taken import protects, races
from ropewalk.spaces.passport.writing import deletes, reads_after_writes, reads_ranges, shows_whole, writes
from ropewalk.spaces.store import Store

__all__ = ["NothingLeft", "look", "sweep_left"]

NONCE = 16  # bytes
END = 3600.0  # seconds for a look; 64 MiB at a slow line's 64 KiB/s take a third of it to and fro
QUICK_END = 300.0  # seconds; somebody waits for it
SWEEPING = 60.0  # seconds for leaving a store clean when the look is over; the next one sweeps too

Probe = Callable[[Ground], Awaitable[list[Finding]]]

# What each is called where it could not be made at all; in this order, since whether a store deletes decides how much
# is put into it.
_WRITING: tuple[tuple[str, Probe], ...] = (
    ("delete", deletes),
    ("read-after-write", reads_after_writes),
    ("whole", shows_whole),
    ("ranges", reads_ranges),
    ("list-order", lists),
    ("overwrite", protects),
    ("race", races),
    ("hints", replaces),
    ("names", takes_names),
    ("largest", takes_sizes),
    ("put-time", takes_time),
    ("keeps", keeps),
    ("list-after-write", lists_all),
)
_READING: tuple[tuple[str, Probe], ...] = (("room", has_room), ("ground", stands_on))


# Without these nothing that is put into a store can be relied on: what cannot even be tried is as bad as what fails.
_NEEDED = frozenset({"read-after-write", "ranges", "list-order", "list-after-write", "keeps"})


class NothingLeft(Misuse):
    """Nothing was left in this store that could be looked for after a restart."""

    code = "passport.nothing-left"


async def look(
    store: Store,
    identity: bytes,
    device: bytes,
    kind: str,
    *,
    clock: Callable[[], float],
    now: Callable[[], int],
    chance: Callable[[int], bytes],
    before: Passport | None = None,
    quick: bool = False,
    leaving: bool = False,
    restarted: bool = False,
) -> Passport:
    """Find out what a store does.

    Args:
        store: Open; it is not closed here.
        identity: Its 16 bytes.
        device: The Ed25519 key of who looks.
        kind: What the store is reached by.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        chance: So many random bytes.
        before: What was known of it, by the same device.
        quick: Leave out what is large or long.
        leaving: Leave something to be looked for after a restart.
        restarted: Look for what was left before.

    Raises:
        Unavailable: It stopped answering, is full, or was not done in time; nothing is known by that.
        NothingLeft: ``restarted``, and nothing was left.
    """
    left = before.left if before is not None else b""
    if restarted and not left:
        raise NothingLeft("nothing was left in this store to look for", hint="look with --leave first, then restart it")
    ground = Ground(store, prefix_of(device, identity), chance(NONCE), clock, now, quick=quick)
    findings: list[Finding] = []
    try:
        async with within(QUICK_END if quick else END, "a look at the store was not done within"):
            await answer(ground.sweep())
            if restarted:
                findings.append(await lasts(_beside(ground, left_prefix(device, identity), left)))
                left = b""
            findings += await _made("writes", writes, ground)
            if findings[-1].verdict == "good":
                for name, probe in _WRITING:
                    findings += await _made(name, probe, ground)
                if leaving:
                    left = chance(NONCE)
                    await leave(_beside(ground, left_prefix(device, identity), left))
            for name, probe in _READING:
                findings += await _made(name, probe, ground)
            findings.append(await _clean(ground))
    except BaseException:
        with suppress(RopewalkError):  # what is left, the next look sweeps
            async with within(SWEEPING, "sweeping the store was not done within"):
                await ground.sweep()
        raise
    if not restarted:
        known = before.finding("durability") if before is not None else None
        findings.append(known if known is not None and known.verdict != "unknown" else not_tried(left))
    return Passport(1, identity, device, kind, now(), __version__, int(quick), left, tuple(findings))


async def sweep_left(
    store: Store,
    identity: bytes,
    device: bytes,
    left: bytes,
    *,
    clock: Callable[[], float],
    now: Callable[[], int],
) -> None:
    """Delete what was left on purpose, but for what ``left`` stands for.

    Raises:
        Refused, StoreGone: Some of it stays, for the next time.
    """
    ground = Ground(store, left_prefix(device, identity), left, clock, now)
    async with within(SWEEPING, "sweeping the store was not done within"):
        await ground.sweep(names_left(ground) if left else ())


async def _made(name: str, probe: Probe, ground: Ground) -> list[Finding]:
    try:
        return await probe(ground)
    except Unavailable:
        raise
    except RopewalkError as error:
        verdict: Verdict = "bad" if name in _NEEDED else "limited"
        return [found(name, None, verdict, f"{name} could not be tried: {error}")]


def _beside(ground: Ground, prefix: str, nonce: bytes) -> Ground:
    return Ground(ground.store, prefix, nonce, ground.clock, ground.now)


async def _clean(ground: Ground) -> Finding:
    refused = await answer(ground.sweep())
    if isinstance(refused, RopewalkError):
        left = len(ground.put_here)
        stay = count(left, "object of this look stays/objects of this look stay")
        return found("cleanup", left, "limited" if left else "good", f"{stay} there: {refused}")
    there = await ground.listed(f"{ground.prefix}/")
    if there:
        return found("cleanup", len(there), "limited", f"still listed: {count(len(there), 'object')} of this look")
    return found("cleanup", 0, "good", "it was left as it was found")
