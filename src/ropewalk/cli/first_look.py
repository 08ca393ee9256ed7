"""First look: stores that came with a space are tried before anything is put into them.

Flow: names of stores without a passport -> a quick look at each, beside each other -> what people should know of them
Never: keeps somebody from a space because a store cannot be looked at, or waits for one without an end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from ropewalk.cli.output import Voice
from ropewalk.cli.passport import Known, brief
from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import Passport, PassportDamaged, load, renew, said_of_refused, terms
from ropewalk.spaces.places import opener

__all__ = ["look_first"]

ALL = 60.0  # seconds for all of them together: somebody waits
AT_ONCE = 8  # looks; each may have an object of 5 MiB in memory, twice
SWEEPING = 5.0  # seconds in which those that were too slow may still clear away what they put


async def look_first(
    home: Home, names: Collection[str], keys: DeviceKeys, voice: Voice, *, puts: bool = True, within: float = ALL
) -> None:
    """Look quickly at those of these stores that this device has never looked at, and say what was found.

    Args:
        home: Whose.
        names: Of the stores.
        keys: Of this device.
        voice: Is told.
        puts: Whether anything is to be put into them: who only reads need not worry about one that takes nothing.
        within: Seconds for all of them.
    """
    new = [name for name in dict.fromkeys(names) if _is_new(home, name, keys)]
    turns = asyncio.Semaphore(AT_ONCE)
    looks = {name: asyncio.create_task(_look(turns, home, name, keys), name=f"first look at {name}") for name in new}
    try:
        if looks:
            await asyncio.wait(looks.values(), timeout=within)
    finally:
        await _end([look for look in looks.values() if not look.done()])
    good: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    for name, look in looks.items():
        found = f"they were not done within {within:g} s" if look.cancelled() else look.result()
        if isinstance(found, str):
            unknown.setdefault(found, []).append(name)
        elif (use := terms(found)).refused:
            voice.warning(said_of_refused(name, use))
        else:
            good.setdefault(brief(Known(found), time.time_ns()), []).append(name)
    for said, which in good.items():
        voice.note(f"looked at {', '.join(which)}: {said}")
    for why, which in unknown.items():
        (voice.warning if puts else voice.note)(
            f"what these stores do could not be found out: {', '.join(which)}: {why};"
            f" `ropewalk store passport {which[0]}` tries it, and a running `ropewalk up` does once they answer"
        )


def _is_new(home: Home, name: str, keys: DeviceKeys) -> bool:
    """A damaged passport was one: nothing is put there, which whoever opens the space is told."""
    try:
        return load(home, bytes.fromhex(home.store(name).id), keys.public().ed25519) is None
    except PassportDamaged:
        return False


async def _look(turns: asyncio.Semaphore, home: Home, name: str, keys: DeviceKeys) -> Passport | str:
    async with turns:
        try:
            return await renew(home, name, keys, opener(home, keys), clock=time.monotonic, now=time.time_ns, quick=True)
        except (RopewalkError, OSError) as error:
            return str(error)


async def _end(late: Collection[asyncio.Task[Passport | str]]) -> None:
    """Stop looks, which sweep as they go; the next look sweeps what is left."""
    for again in (SWEEPING, None):
        for look in late:
            look.cancel()
        if late:
            await asyncio.wait(late, timeout=again)
