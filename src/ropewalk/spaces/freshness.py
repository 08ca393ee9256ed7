"""Freshness: how old a view of a space may be, by the beats that were heard, and whose turn it is to beat.

Flow: Bulletin, as each store shows it -> Beats.hear -> Beats.view -> Freshness, for people; Rota -> when to beat
Never: does I/O, takes a count that does not rise for news, or accepts or refuses anything by a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from ropewalk.counting import count
from ropewalk.spaces.hint import MOST_NAMED, Bulletin, Named

__all__ = ["PERIOD", "PERIODS", "SKEW", "Beats", "Freshness", "Heard", "Rota", "Word"]

PERIOD = 60  # seconds between two beats
PERIODS = 3  # without a rise, after which a view is stale: one beat may be lost and one late
SKEW = 300.0  # seconds that clocks are commonly apart; beyond, it is said
MOST_RUNS = 256  # remembered, of all devices: those heard last
MOST_RUNS_EACH = 8  # of one device, so that none makes us forget the others
MOST_DEVICES = 4096  # of which we know how far their clocks had come; more than a space has
_SECOND = 1_000_000_000


class Word(Enum):
    """What can be said of a view (docs/spec/hints.md 3)."""

    FRESH = "fresh"
    STALE = "stale"
    UNKNOWN = "unknown"


class Heard(Enum):
    """What a bulletin was to us."""

    RISE = "rise"  # newer than one that we had of this run
    FIRST = "first"  # of a run that we had not met: it may be of any age
    SAME = "same"  # we had it, perhaps from another store
    OLD = "old"  # older than one that we had, or of a run that began before one that we had of this device
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the view may be.

    Attributes:
        since: Of a stale view: nanoseconds since 1970 by our clock, or by the author's where ``by_its_clock``.
        age: Seconds since the last rise.
        lag: Seconds that our clock was ahead of the newest beat's own time when we first saw it; a hint.
        device: Whose beat is spoken of.
        missing: Heads that recent bulletins name and that are not known here.
    """

    word: Word
    since: int | None = None
    by_its_clock: bool = False
    age: float | None = None
    lag: float | None = None
    device: bytes | None = None
    missing: int = 0

    @property
    def clocks_differ(self) -> bool:
        """Whether the lag is more than clocks are commonly apart: they differ, or a store showed the beat late."""
        return self.lag is not None and abs(self.lag) > SKEW

    def lines(self, called: Callable[[bytes], str] = lambda device: device.hex()[:8]) -> list[str]:
        """In words; ``called`` gives the name of a device."""
        who = called(self.device) if self.device is not None else ""
        lines = []
        if self.word is Word.FRESH:
            lines.append(f"fresh: {who} was heard {self.age or 0:.0f} s ago")
        elif self.word is Word.UNKNOWN and self.device is None:
            lines.append("how old this view may be is not known: no other device was heard")
        elif self.word is Word.UNKNOWN:
            lines.append(
                f"{who} was heard once, {self.lag or 0:.0f} s old by its clock: whether it is there now is open"
            )
        else:
            clock = f" by the clock of {who}" if self.by_its_clock else ""
            lines.append(f"stale since {_shown(self.since or 0)}{clock}: newer changes may be missing here")
        if self.missing:
            lines.append(f"not found in any store that answers: {count(self.missing, 'head')} that other devices name")
        if self.clocks_differ:
            lines.append(f"the clock of {who} is {abs(self.lag or 0):.0f} s from ours, or a store showed its beat late")
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON."""
        return {
            "word": self.word.value,
            "since": self.since,
            "by_its_clock": self.by_its_clock,
            "age": self.age,
            "lag": self.lag,
            "clocks_differ": self.clocks_differ,
            "device": self.device.hex() if self.device is not None else None,
            "missing": self.missing,
        }


def _shown(time: int) -> str:
    return datetime.fromtimestamp(time // _SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(slots=True)
class _Run:
    """The newest bulletin of one process elsewhere."""

    bulletin: Bulletin
    at: float  # monotonic, when it was first seen
    wall: int  # the same by our clock
    rises: bool  # whether it was newer than one that we had

    def age(self, now: float, wall: int) -> float:
        # A monotonic clock may stand still while the machine sleeps; one that was set back says too little.
        return max(now - self.at, (wall - self.wall) / _SECOND, 0.0)

    @property
    def lag(self) -> float:
        return (self.wall - self.bulletin.time) / _SECOND

    @property
    def bound(self) -> float:
        return float(PERIODS * self.bulletin.period)


class Beats:
    """The beats that were heard.

    Args:
        run: Our own, whose bulletins tell us nothing.
    """

    def __init__(self, run: bytes) -> None:
        self._run = run
        self._runs: dict[tuple[bytes, bytes], _Run] = {}  # by device and run, the one heard last at the end
        self._latest: dict[bytes, int] = {}  # by device, the latest time that a bulletin of it has said
        self._listed = float("-inf")

    def hear(self, bulletin: Bulletin, now: float, wall: int) -> Heard:
        """A store shows this bulletin.

        Args:
            bulletin: Opened and checked.
            now: Seconds, monotonic.
            wall: Nanoseconds since 1970.
        """
        if bulletin.run == self._run:
            return Heard.OWN
        key = bulletin.device, bulletin.run
        before = self._runs.get(key)
        if before is not None and bulletin.count <= before.bulletin.count:
            return Heard.SAME if bulletin.count == before.bulletin.count else Heard.OLD
        # Of runs that were forgotten a store may have kept all bulletins, and show them one after the other.
        if before is None and bulletin.time <= self._latest.get(bulletin.device, -1):
            return Heard.OLD
        self._runs.pop(key, None)
        self._runs[key] = _Run(bulletin, now, wall, rises=before is not None)
        self._latest[bulletin.device] = max(self._latest.pop(bulletin.device, -1), bulletin.time)
        self._forget(bulletin.device)
        return Heard.FIRST if before is None else Heard.RISE

    def listed(self, began: float) -> None:
        """All that enough stores list is known, as of when the listing began."""
        self._listed = max(self._listed, began)

    def view(self, now: float, wall: int, digest: bytes, knows: Callable[[Named], bool]) -> Freshness:
        """How old the view may be.

        Args:
            now: Seconds, monotonic.
            wall: Nanoseconds since 1970.
            digest: `heads_digest` of what is known here.
            knows: Whether a head is known here.
        """
        recent = [run for run in self._runs.values() if run.age(now, wall) <= run.bound]
        named = ((head, run) for run in recent for head in run.bulletin.newest)
        lacking = {(head.writer, head.sequence, head.check): run for head, run in named if not knows(head)}
        rises = [run for run in self._runs.values() if run.rises]
        if rises:
            last = min(rises, key=lambda run: run.age(now, wall))
            behind = list(lacking.values()) + [run for run in recent if self._doubtful(run, digest)]
            age = last.age(now, wall)
            when = [run.wall for run in behind] + ([last.wall] if age > last.bound else [])
            if not when:
                return _said(Word.FRESH, last, age=age)
            return _said(Word.STALE, last, since=min(when), age=age, missing=len(lacking))
        if not self._runs:
            return Freshness(Word.UNKNOWN)
        first = min(self._runs.values(), key=lambda run: abs(run.lag))
        if first.lag > first.bound + SKEW:
            return _said(Word.STALE, first, since=first.bulletin.time, by_its_clock=True, missing=len(lacking))
        if lacking or first.age(now, wall) > first.bound:
            return _said(Word.STALE, first, since=first.wall, missing=len(lacking))
        return _said(Word.UNKNOWN, first)

    def _doubtful(self, run: _Run, digest: bytes) -> bool:
        """Whether more heads may have changed than a bulletin has room to name, and nothing was listed since."""
        full = len(run.bulletin.newest) >= MOST_NAMED
        return full and run.bulletin.heads != digest and self._listed < run.at

    def _forget(self, device: bytes) -> None:
        own = [key for key in self._runs if key[0] == device]
        for key in own[:-MOST_RUNS_EACH]:
            del self._runs[key]
        if len(self._runs) > MOST_RUNS:
            del self._runs[next(iter(self._runs))]
        if len(self._latest) > MOST_DEVICES:
            del self._latest[next(iter(self._latest))]


def _said(
    word: Word,
    run: _Run,
    *,
    since: int | None = None,
    by_its_clock: bool = False,
    age: float | None = None,
    missing: int = 0,
) -> Freshness:
    return Freshness(word, since, by_its_clock, age, run.lag, run.bulletin.device, missing)


class Rota:
    """Whose turn it is to beat: two of however many processes take turns, and nobody decides which.

    Args:
        now: Seconds, monotonic.
        random: A number from 0 up to 1, evenly spread.
        period: Seconds.
    """

    def __init__(self, now: float, random: Callable[[], float], period: float = PERIOD) -> None:
        self._random, self._period = random, period
        self._other = now  # when somebody else's beat was heard last
        self._own = float("-inf")
        self._chance = random()

    def heard(self, now: float) -> None:
        """Somebody else's beat was heard for the first time."""
        self._other, self._chance = now, self._random()

    def beaten(self, now: float) -> None:
        """We have beaten."""
        self._own, self._chance = now, self._random()

    @property
    def due(self) -> float:
        """When to beat, if nothing is heard until then."""
        period, last = self._period, max(self._own, self._other)
        # A beat may be heard half a period late: waiting for a whole one would make each of the two seem stale.
        again = max(self._other + (0.75 + 0.1 * self._chance) * period, self._own + 2 * period)
        if again <= self._own + 4 * period:
            return again
        return last + (1.5 + 0.5 * self._chance) * period
