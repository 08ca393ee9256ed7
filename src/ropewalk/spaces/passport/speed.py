"""Speed: how long a store takes, in the middle of a few tries.

Flow: looking -> takes_time -> Findings
Never: refuses a store because it is slow; what others can do quicker the pool finds out by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable
from statistics import median

from ropewalk.spaces.passport.ground import Ground
from ropewalk.spaces.passport.record import Finding, found

__all__ = ["takes_time"]

TRIES = 5  # of each; a quick look has 3
SLOW = 2.0  # seconds for a small call; a read of a file waits for some
SLOW_RATE = 256 * 1024  # bytes a second; a pack of 32 MiB then takes a minute or more
_SMALL = 1000  # bytes
_LARGE = 1024 * 1024


async def takes_time(ground: Ground) -> list[Finding]:
    """Times of small calls in microseconds, rates of large ones in bytes a second."""
    tries = range(3 if ground.quick else TRIES)
    small = [(ground.name("small", at), ground.bytes_of(f"small {at}", _SMALL)) for at in tries]
    large = [(ground.name("rate", at), ground.bytes_of(f"rate {at}", _LARGE)) for at in tries]

    async def took(call: Awaitable[object]) -> float:
        started = ground.clock()  # a coroutine does nothing before it is awaited
        await call
        return ground.clock() - started

    puts = [await took(ground.put(name, data)) for name, data in small]
    gets = [await took(ground.get(name)) for name, _ in small]
    lists = [await took(ground.listed(name)) for name, _ in small]
    large_puts = [await took(ground.put(name, data)) for name, data in large]
    large_gets = [await took(ground.get(name, 0, _LARGE)) for name, _ in large]
    return [
        _time("put-time", "a small put", puts),
        _time("get-time", "a small get", gets),
        _time("list-time", "a short listing", lists),
        _rate("put-rate", "puts", large_puts),
        _rate("get-rate", "gets", large_gets),
    ]


def _time(probe: str, what: str, seconds: list[float]) -> Finding:
    middle = max(median(seconds), 0.0)
    words = f"{what} takes {1000 * middle:.1f} ms"
    return found(probe, round(1e6 * middle), "limited" if middle > SLOW else "good", words)


def _rate(probe: str, what: str, seconds: list[float]) -> Finding:
    middle = median(seconds)
    if middle <= 0:
        return found(probe, None, "unknown", f"{what} took no time that the clock could show")
    rate = round(_LARGE / middle)
    words = f"{what} of 1 MiB run at {rate / _LARGE:.1f} MiB/s"
    return found(probe, rate, "limited" if rate < SLOW_RATE else "good", words)
