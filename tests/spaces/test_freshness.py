"""How old a view may be is never said too young, whatever clocks say and stores replay; and two of many beat."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ropewalk.spaces.freshness import (
    MOST_RUNS,
    MOST_RUNS_EACH,
    PERIOD,
    PERIODS,
    SKEW,
    Beats,
    Freshness,
    Heard,
    Rota,
    Word,
)
from ropewalk.spaces.hint import MOST_NAMED, Bulletin, Named

HOUR, SECOND = 3600, 1_000_000_000
START = 1_800_000_000 * SECOND
OURS = b"ours" * 4
DIGEST = b"d" * 32


def by(device: int, run: int, count: int, time: float = 0, period: int = PERIOD, heads: int = 0) -> Bulletin:
    named = [Named(at.to_bytes(16, "big"), 1, at.to_bytes(32, "big")) for at in range(1, heads + 1)]
    wall = int(START + time * SECOND)
    return Bulletin(
        *(1, device.to_bytes(16, "big"), run.to_bytes(16, "big"), count, wall, period, b"h" * 32, b"r" * 32, named)
    )


@dataclass
class Reader:
    """Beats, as one reader hears them by its clocks."""

    beats: Beats = field(default_factory=lambda: Beats(OURS))
    lacking: set[bytes] = field(default_factory=set)

    def hear(self, bulletin: Bulletin, now: float, wall: float | None = None) -> Heard:
        return self.beats.hear(bulletin, now, int(START + (now if wall is None else wall) * SECOND))

    def view(self, now: float, wall: float | None = None) -> Freshness:
        clock = int(START + (now if wall is None else wall) * SECOND)
        return self.beats.view(now, clock, DIGEST, lambda head: head.check not in self.lacking)


# ---- one by one ------------------------------------------------------------------------------------------------------


def test_nothing_is_known_before_anybody_was_heard() -> None:
    view = Reader().view(0)
    assert view == Freshness(Word.UNKNOWN)
    assert view.lines() == ["how old this view may be is not known: no other device was heard"]


def test_our_own_beats_tell_us_nothing() -> None:
    reader = Reader()
    ours = Bulletin(1, b"d" * 16, OURS, 1, START, PERIOD, b"h" * 32, b"r" * 32, [])
    assert reader.hear(ours, 0) is Heard.OWN
    assert reader.view(0).word is Word.UNKNOWN


def test_a_view_is_fresh_after_a_rise_and_stale_since_it_when_there_is_no_more() -> None:
    reader = Reader()
    assert reader.hear(by(1, 1, 5, 0), 0) is Heard.FIRST
    assert reader.view(0).word is Word.UNKNOWN
    assert "whether it is there now is open" in reader.view(0).lines()[0]
    assert reader.hear(by(1, 1, 6, 60), 60) is Heard.RISE
    assert reader.hear(by(1, 1, 6, 60), 61) is Heard.SAME
    view = reader.view(70)
    assert (view.word, view.age, view.lag) == (Word.FRESH, 10.0, 0.0)
    assert reader.view(60 + PERIODS * PERIOD).word is Word.FRESH
    stale = reader.view(61 + PERIODS * PERIOD)
    assert (stale.word, stale.since) == (Word.STALE, START + 60 * SECOND)
    assert stale.lines(lambda _: "laptop")[0].startswith("stale since 2027-01-15 08:01:00 UTC")


def test_one_bulletin_alone_is_stale_once_it_was_not_followed() -> None:
    reader = Reader()
    reader.hear(by(1, 1, 5, 0), 0)
    assert reader.view(PERIODS * PERIOD).word is Word.UNKNOWN
    assert reader.view(PERIODS * PERIOD + 1).word is Word.STALE


def test_one_old_bulletin_is_stale_by_its_own_clock() -> None:
    reader = Reader()
    reader.hear(by(1, 1, 5, -PERIODS * PERIOD - SKEW - 1), 0)
    view = reader.view(0)
    assert (view.word, view.by_its_clock) == (Word.STALE, True)
    assert view.since == START - (PERIODS * PERIOD + int(SKEW) + 1) * SECOND
    assert view.clocks_differ


def test_a_count_that_does_not_rise_is_old_and_changes_nothing() -> None:
    reader = Reader()
    for count in (5, 6):
        reader.hear(by(1, 1, count, count), count)
    for count in (5, 1):
        assert reader.hear(by(1, 1, count, 100), 100) is Heard.OLD
    assert reader.view(7 + PERIODS * PERIOD).word is Word.STALE


@pytest.mark.parametrize("ahead", [-HOUR, -SKEW - 1, -SKEW, 0, SKEW, SKEW + 1, HOUR])
def test_the_lag_stands_apart_and_does_not_change_the_word(ahead: float) -> None:
    reader = Reader()
    for count in (1, 2):
        reader.hear(by(1, 1, count, count * 60 + ahead), count * 60)
    view = reader.view(130)
    assert (view.word, view.age, view.lag) == (Word.FRESH, 10.0, -ahead)
    assert view.clocks_differ == (abs(ahead) > SKEW)
    assert (len(view.lines()) == 2) == view.clocks_differ
    assert view.as_dict()["clocks_differ"] == view.clocks_differ


def test_a_machine_that_slept_does_not_take_its_view_for_fresh() -> None:
    reader = Reader()
    for count in (1, 2):
        reader.hear(by(1, 1, count, count * 60), count * 60)
    assert reader.view(121, wall=121).word is Word.FRESH
    assert reader.view(121, wall=121 + 8 * HOUR).word is Word.STALE  # the monotonic clock stood still


def test_a_head_that_is_named_and_not_known_makes_a_view_stale_since_it_was_named() -> None:
    reader = Reader()
    reader.hear(by(1, 1, 1, 60), 60)
    reader.hear(by(2, 1, 1, 90, heads=2), 90)
    reader.hear(by(1, 1, 2, 120), 120)
    assert reader.view(130).word is Word.FRESH
    reader.lacking.add((2).to_bytes(32, "big"))
    view = reader.view(130)
    assert (view.word, view.since, view.missing) == (Word.STALE, START + 90 * SECOND, 1)
    assert view.lines()[1].endswith(": 1 head that other devices name")
    reader.lacking.clear()
    assert reader.view(130).word is Word.FRESH


def test_a_full_bulletin_may_name_less_than_has_changed_until_we_list() -> None:
    reader = Reader()
    for count in (1, 2):
        reader.hear(by(1, 1, count, count * 60, heads=MOST_NAMED), count * 60)
    assert reader.view(130).word is Word.STALE
    reader.beats.listed(119)  # began before it was heard
    assert reader.view(130).word is Word.STALE
    reader.beats.listed(125)
    assert reader.view(130).word is Word.FRESH


def test_nobody_can_make_a_view_last_longer_than_three_of_the_longest_periods() -> None:
    reader = Reader()
    for count in (1, 2):
        reader.hear(by(1, 1, count, count * 60, period=600), count * 60)
    assert reader.view(120 + 1800).word is Word.FRESH
    assert reader.view(120 + 1801).word is Word.STALE


def test_what_is_remembered_is_bounded_and_one_device_does_not_make_us_forget_another() -> None:
    reader = Reader()
    reader.hear(by(1, 1, 1, 0), 0)
    for run in range(100):
        reader.hear(by(2, run, 1, 1 + run), 1)
    assert len(reader.beats._runs) == 1 + MOST_RUNS_EACH
    assert reader.hear(by(1, 1, 2, 60), 60) is Heard.RISE
    for device in range(3, 1000):
        reader.hear(by(device, 1, 1, 1), 1)
    assert len(reader.beats._runs) == MOST_RUNS


# ---- any order of beats, replays and clocks --------------------------------------------------------------------------


class Hears(RuleBasedStateMachine):
    """Devices beat, restart and have wrong clocks; a store shows anything that was ever put, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.reader = Reader()
        self.now, self.wall = 1000.0, 1000.0
        self.skew = dict.fromkeys(range(3), 0.0)
        self.runs = dict.fromkeys(range(3), 1)
        self.counts: dict[tuple[int, int], int] = {}
        self.all: list[Bulletin] = []
        self.shown: dict[tuple[bytes, bytes], int] = {}  # forgets nothing
        self.risen = float("-inf")

    @rule(seconds=st.floats(0, 400))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    @rule(seconds=st.floats(-HOUR, HOUR))
    def our_clock_is_set(self, seconds: float) -> None:
        self.wall += seconds

    @rule(device=st.integers(0, 2), seconds=st.floats(-HOUR, HOUR))
    def their_clock_is_set(self, device: int, seconds: float) -> None:
        self.skew[device] = seconds

    @rule(device=st.integers(0, 2), restarts=st.integers(1, 12))
    def restart(self, device: int, restarts: int) -> None:
        for _ in range(restarts):
            self.runs[device] += 1
            self.beat(device, show=True)
            self.beat(device, show=True)

    @rule(device=st.integers(0, 2), show=st.booleans())
    def beat(self, device: int, show: bool) -> None:
        key = device, self.runs[device]
        self.counts[key] = self.counts.get(key, 0) + 1
        self.all.append(by(*key, self.counts[key], self.now + self.skew[device]))
        if show:
            self._show(self.all[-1])

    @precondition(lambda self: self.all)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        self._show(data.draw(st.sampled_from(self.all)))

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), pause=st.floats(0, 100))
    def replay_a_run(self, data: st.DataObject, pause: float) -> None:
        device, run = data.draw(st.sampled_from(sorted(self.shown)))
        last = self.shown[device, run]
        for bulletin in self.all:
            if (bulletin.device, bulletin.run) == (device, run) and bulletin.count <= last:
                self._show(bulletin)
                self.pass_time(pause)

    def _show(self, bulletin: Bulletin) -> None:
        self.reader.hear(bulletin, self.now, self.wall)
        key = bulletin.device, bulletin.run
        if key in self.shown and bulletin.count > self.shown[key]:
            self.risen = self.now
        self.shown[key] = max(bulletin.count, self.shown.get(key, 0))

    @invariant()
    def fresh_only_after_a_rise_within_the_bound(self) -> None:
        view = self.reader.view(self.now, self.wall)
        if view.word is Word.FRESH:
            assert self.now - self.risen <= PERIODS * PERIOD
        assert view.age is None or view.age >= self.now - self.risen - 1e-6
        assert view.lines()


Hears.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestHears = Hears.TestCase


# ---- whose turn it is ------------------------------------------------------------------------------------------------


@dataclass
class Process:
    rota: Rota
    seen: tuple[int, int] = (-1, 0)  # who beat last, and which one it was, as far as we know: nobody at first
    polled: float = 0.0
    longest: float = 0.0  # seconds without a beat of anybody else's
    heard: float = 0.0
    beats: int = 0


def beating(count: int, seed: int, every: float, hours: float = 2) -> list[Process]:
    """Processes over one store, each of which polls every so often; what is looked at is the time after a start-up."""
    chance = random.Random(seed)
    all_of_them = [Process(Rota(0.0, chance.random)) for _ in range(count)]
    due: list[tuple[float, int, str]] = [(chance.random() * every, who, "poll") for who in range(count)]
    due += [(one.rota.due, who, "beat") for who, one in enumerate(all_of_them)]
    heapq.heapify(due)
    held = (-1, 0)
    while due[0][0] < hours * HOUR:
        now, who, what = heapq.heappop(due)
        one = all_of_them[who]
        if held != one.seen and held[0] != who:
            one.seen = held
            if now > 12 * PERIOD:
                one.longest = max(one.longest, now - max(one.heard, 6 * PERIOD))
            one.heard = now
            one.rota.heard(now)
        if what == "beat" and one.rota.due <= now:
            held = one.seen = (who, held[1] + 1)
            one.rota.beaten(now)
            one.beats += 1
        heapq.heappush(due, (now + every if what == "poll" else max(one.rota.due, now + 0.001), who, what))
    return all_of_them


@pytest.mark.parametrize("every", [0.25, 2.0, 30.0])
@pytest.mark.parametrize("count", [2, 3, 50])
def test_however_many_there_are_they_beat_as_one_and_each_hears_another(count: int, every: float, seed: int) -> None:
    processes = beating(count, seed, every)
    assert 0.6 * 120 <= sum(one.beats for one in processes) <= 1.4 * 120
    for one in processes:
        assert one.longest <= PERIODS * PERIOD, "it took its view for stale"
    regular = [one for one in processes if one.beats > 10]
    assert len(regular) <= 6, "more than a few share the work"


def test_one_alone_beats_every_other_period(seed: int) -> None:
    (one,) = beating(1, seed, 2.0)
    assert one.beats == 60


def test_another_takes_over_from_one_that_went(seed: int) -> None:
    chance = random.Random(seed)
    rota = Rota(0.0, chance.random)
    for at in range(10):
        rota.heard(at * PERIOD)
        assert rota.due > (at + 1) * PERIOD
    assert 9 * PERIOD + 1.5 * PERIOD <= rota.due <= 9 * PERIOD + 2 * PERIOD
