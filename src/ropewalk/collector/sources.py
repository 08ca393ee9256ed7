"""Sources: who pushes, and whether they still do.

Flow: a push -> saw; the collector's tick -> judge -> what changed; the page of sources -> all
Never: reads a clock; forgets a source that is not dead.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ropewalk.errors import Refused

__all__ = ["MOST_SOURCES", "Change", "Source", "Sources", "State", "TooManySources"]

State = Literal["alive", "late", "dead"]
MOST_SOURCES = 1_000
_GRACE = 5.0  # seconds beside a source's own pace, for the network and a busy machine
_LATE, _DEAD = 2, 10  # paces without a push
_SOONEST_DEAD = 60.0


class TooManySources(Refused):
    """No place for another source."""

    code = "collector.sources"


@dataclass(slots=True)
class Source:
    """One that pushes.  Times are seconds since 1970."""

    name: str
    every: float
    first: float
    seen: float
    state: State = "alive"
    since: float = 0.0  # when the state began


@dataclass(frozen=True, slots=True)
class Change:
    """A source's state changed."""

    source: str
    before: State
    after: State
    time: float


class Sources:
    """All sources of a collector."""

    def __init__(self, known: Iterable[Source] = (), *, most: int = MOST_SOURCES) -> None:
        self._known = {source.name: source for source in known}
        self._most = most

    def admit(self, name: str) -> None:
        """Whether this one may push.

        Raises:
            TooManySources: It is new and there is no place; dead ones were made to give theirs up.
        """
        if name in self._known or len(self._known) < self._most:
            return
        dead = [source for source in self._known.values() if source.state == "dead"]
        if not dead:
            raise TooManySources(f"{len(self._known)} sources push already, expected at most {self._most}")
        del self._known[min(dead, key=lambda source: source.seen).name]

    def saw(self, name: str, every: float, now: float) -> Change | None:
        """It pushed."""
        source = self._known.get(name)
        if source is None:
            self._known[name] = Source(name, every, first=now, seen=now, since=now)
            return None
        source.every, source.seen = every, now
        return _become(source, "alive", now)

    def judge(self, now: float) -> list[Change]:
        """Who became late or dead."""
        for source in self._known.values():
            source.seen = min(source.seen, now)  # the clock was ahead when it was seen: its silence begins now
        changes = (_become(source, _state(source, now), now) for source in self._known.values())
        return [change for change in changes if change]

    def all(self) -> list[Source]:
        """All of them, by name."""
        return [self._known[name] for name in sorted(self._known)]


def _state(source: Source, now: float) -> State:
    silent = now - source.seen - _GRACE
    if silent <= _LATE * source.every:
        return "alive"
    return "late" if silent <= max(_DEAD * source.every, _SOONEST_DEAD) else "dead"


def _become(source: Source, state: State, now: float) -> Change | None:
    before = source.state
    if before == state:
        return None
    source.state, source.since = state, now
    return Change(source.name, before, state, now)
