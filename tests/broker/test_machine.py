"""Machine: two brokers, told at random to do everything that may be done, with bytes cut anywhere and delivered late.

At the end nothing is left: no question, no answer, no object, no stream; each call had one outcome, and was done at
most once, in the order in which calls went to its target.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ropewalk import broker as rope
from ropewalk.broker.limits import Limits
from ropewalk.errors import Misuse
from tests.broker.pair import End

_LIMITS = Limits(
    questions=12, window=700_000, references=1_000, streams=64, stream_window=2_000, queued=20, chain=8, blob=700_000
)
_SIDES = st.integers(0, 1)


class Actor(rope.Object):
    """What either end shows the other."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.kept: list[Any] = []

    @rope.remote
    def note(self, key: int, number: int, _value: Any = None) -> int:
        self.machine.log.append((key, number))
        return number

    @rope.remote
    async def later(self, gate: int) -> Actor:
        await self.machine.gates[gate].wait()
        return Actor(self.machine)

    @rope.remote
    def new(self) -> Actor:
        return Actor(self.machine)

    @rope.remote
    def same(self, value: Any) -> Any:
        return [value]

    @rope.remote
    def keep(self, value: Any) -> None:
        self.kept.append(value)

    @rope.remote
    def drop(self) -> Any:
        return self.kept.pop() if self.kept else None

    @rope.remote
    async def call(self, other: Any, key: int, number: int) -> Any:
        return await other.note(key, number)

    @rope.remote
    async def count(self, most: int) -> AsyncIterator[int | Actor]:
        for number in range(most):
            yield Actor(self.machine) if number % 3 == 2 else number

    @rope.remote
    async def total(self, items: Any) -> int:
        return len([one async for one in items])

    @rope.remote
    def fail(self) -> None:
        raise Misuse("as it should")  # no bug: what is logged of one would keep what was underway alive


class Machine(RuleBasedStateMachine):
    """Both ends, and what was asked of them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.log: list[tuple[int, int]] = []
        self.gates: list[asyncio.Event] = []
        self.keys: dict[Any, int] = {}
        self.numbers = 0
        self.calls: list[tuple[rope.Promise, int | None]] = []  # with the number that it notes
        self.refs: list[list[Any]] = [[], []]
        self.promises: list[list[Any]] = [[], []]
        self.streams: list[Any] = []
        self.cancelled: set[int] = set()
        self.raised: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.raised.append(context))

    @initialize()
    def begin(self) -> None:
        async def make() -> None:
            self.ends = [End(Actor(self), server=False, limits=_LIMITS), End(Actor(self), server=True, limits=_LIMITS)]
            self.gates = [asyncio.Event() for _ in range(4)]

        self._do(make())
        self._all()
        self.ends[1].broker.accept(_LIMITS)
        self._all()
        self.refs = [[end.door] for end in self.ends]

    # Calls.

    def _called(self, promise: rope.Promise, number: int | None = None) -> None:
        self.calls.append((promise, number))

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    @rule(side=_SIDES, which=st.integers(0, 50), told=st.booleans(), big=st.sampled_from([0, 0, 20_000, 300_000]))
    def note(self, side: int, which: int, told: bool, big: int) -> None:
        ref = _pick(self.refs[side], which)
        key, number = self.keys.setdefault((side, ref), len(self.keys)), self._number()
        if told:
            self._in(ref.note.tell, key, number, bytes(big))
        else:
            self._called(self._in(ref.note, key, number, bytes(big)), number)

    @rule(side=_SIDES, which=st.integers(0, 50), other=st.integers(0, 50))
    def note_with_what_is_not_there(self, side: int, which: int, other: int) -> None:
        if self.promises[side]:
            ref, promise = _pick(self.refs[side], which), _pick(self.promises[side], other)
            key, number = self.keys.setdefault((side, ref), len(self.keys)), self._number()
            self._called(self._in(ref.note, key, number, promise), number)

    @rule(side=_SIDES, which=st.integers(0, 50), path=st.booleans())
    def note_through(self, side: int, which: int, path: bool) -> None:
        if self.promises[side]:
            promise = _pick(self.promises[side], which)
            key, number = self.keys.setdefault(id(promise), len(self.keys)), self._number()
            self._called(self._in((promise[0] if path else promise).note, key, number), number)

    @rule(
        side=_SIDES,
        which=st.integers(0, 50),
        how=st.sampled_from(["new", "later", "drop", "fail"]),
        gate=st.integers(0, 3),
    )
    def ask(self, side: int, which: int, how: str, gate: int) -> None:
        ref = _pick(self.refs[side] + self.promises[side], which)
        promise = self._in(getattr(ref, how), *([gate] if how == "later" else []))
        self._called(promise)
        self.promises[side].append(promise)

    @rule(side=_SIDES, which=st.integers(0, 50), other=st.integers(0, 50), how=st.sampled_from(["same", "keep"]))
    def give(self, side: int, which: int, other: int, how: str) -> None:
        ref = _pick(self.refs[side], which)
        own = self.ends[side].broker.objects.shown[0].target
        value = _pick([Actor(self), own, *self.refs[side][1:], *self.promises[side]], other)
        promise = self._in(getattr(ref, how), value)
        self._called(promise)
        self.promises[side].append(promise)

    @rule(side=_SIDES, which=st.integers(0, 50), other=st.integers(0, 50))
    def call_back(self, side: int, which: int, other: int) -> None:
        ref = _pick(self.refs[side], which)
        value = _pick([Actor(self), *self.refs[side][1:]], other)
        # Ends whose every question waits for one more of the other end would wait for ever: that is not of this test.
        if self.ends[side].broker.asking.open + self.ends[side].broker.asking._sending.waiting < _LIMITS.questions // 2:
            number = self._number()
            self._called(self._in(ref.call, value, 10_000 + number, number))

    @rule(side=_SIDES, which=st.integers(0, 50), most=st.integers(0, 60))
    def stream(self, side: int, which: int, most: int) -> None:
        ref = _pick(self.refs[side], which)
        promise = self._in(ref.count, most)
        self._called(promise)
        self.promises[side].append(promise)
        self._called(self._in(ref.total, Actor(self).count(most)))

    # What becomes of them.

    @rule(side=_SIDES, which=st.integers(0, 50))
    def take(self, side: int, which: int) -> None:
        """Use what an answer is."""
        if self.promises[side]:
            promise = _pick(self.promises[side], which)
            if promise.done() and promise._error is None:
                value = promise.value()
                value = value[0] if isinstance(value, list) else value
                if isinstance(value, rope.Remote) and value._handle.objects is self.ends[side].broker.objects:
                    self.refs[side].append(value)
                elif isinstance(value, rope.Stream):
                    self.streams.append(value)

    @rule(which=st.integers(0, 50), items=st.integers(1, 20))
    def read(self, which: int, items: int) -> None:
        if self.streams:
            stream = _pick(self.streams, which)

            async def some() -> None:
                for _ in range(items):
                    if not stream._items:
                        return
                    await anext(stream, None)

            self._do(some())

    @rule(which=st.integers(0, 50))
    def close(self, which: int) -> None:
        if self.streams:
            self._do(self.streams.pop(which % len(self.streams)).aclose())

    @rule(which=st.integers(0, 200))
    def cancel(self, which: int) -> None:
        if self.calls:
            promise, number = self.calls[-1 - which % len(self.calls)]
            if not promise.done():
                self._in(promise._asking.cancel, promise)
                if number is not None:
                    self.cancelled.add(number)

    @rule(side=_SIDES, which=st.integers(0, 50))
    def drop_reference(self, side: int, which: int) -> None:
        if len(self.refs[side]) > 1:
            del self.refs[side][1 + which % (len(self.refs[side]) - 1)]

    @rule(side=_SIDES, which=st.integers(0, 50))
    def drop_promise(self, side: int, which: int) -> None:
        if self.promises[side]:
            self.promises[side].pop(which % len(self.promises[side]))

    @rule(gate=st.integers(0, 3))
    def open(self, gate: int) -> None:
        self.gates[gate].set()

    @rule(gate=st.integers(0, 3))
    def shut(self, gate: int) -> None:
        self.gates[gate].clear()

    # Bytes.

    @rule(side=_SIDES, pieces=st.integers(0, 3), size=st.integers(1, 200))
    def deliver_some(self, side: int, pieces: int, size: int) -> None:
        self._deliver(side, pieces, size)

    @rule(side=_SIDES, pieces=st.integers(0, 3), part=st.floats(0, 1))
    def deliver_a_part(self, side: int, pieces: int, part: float) -> None:
        self._deliver(side, pieces, None, part)

    @rule()
    def deliver_all(self) -> None:
        self._all()

    @rule(turns=st.integers(1, 5))
    def turn(self, turns: int) -> None:
        async def turns_of() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self._do(turns_of())

    @precondition(lambda self: self.calls)
    @rule()
    def look(self) -> None:
        for end in self.ends:
            asking, answering = end.broker.asking, end.broker.answering
            assert end.error is None, end.error
            assert 0 <= asking.open <= _LIMITS.questions
            assert asking.used >= 0
            assert answering.kept >= 0
            assert len(answering.answers) <= _LIMITS.questions

    def _deliver(self, side: int, pieces: int, size: int | None, part: float = 1) -> None:
        one, other = self.ends[side], self.ends[1 - side]

        async def deliver() -> None:
            one.say(lanes=pieces)
            most = int(len(one.said) * part) if size is None else size
            data = bytes(one.said[:most])
            del one.said[:most]
            other.hear(data)

        self._do(deliver())

    def _all(self) -> None:
        async def rest() -> None:
            quiet = turns = 0
            while quiet < 6:
                turns += 1
                assert turns < 5_000, "it never comes to rest"
                moved = 0
                for one, other in (self.ends, self.ends[::-1]):
                    moved += one.say()
                    data, one.said = bytes(one.said), bytearray()
                    other.hear(data)
                await asyncio.sleep(0)
                quiet = 0 if moved else quiet + 1

        self._do(rest())

    def _in(self, call: Any, *arguments: Any) -> Any:
        async def inside() -> Any:
            return [call(*arguments)]  # not the promise itself, which would be awaited

        return self._do(inside())[0]

    def _do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    # The end.

    def teardown(self) -> None:
        try:
            if hasattr(self, "ends"):
                self._finish()
        finally:
            for end in getattr(self, "ends", ()):
                self._do(end.stop())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def _finish(self) -> None:
        for gate in self.gates:
            gate.set()
        self._all()
        for end in self.ends:
            assert end.error is None, end.error
        assert all(promise.done() for promise, _ in self.calls)
        self._look_at_the_log()
        for end in self.ends:
            end.broker.objects.shown[0].target.kept.clear()  # type: ignore[union-attr]
        for kept in (self.calls, self.keys, self.streams, *self.refs, *self.promises):
            kept.clear()  # type: ignore[attr-defined]
        # Each end may hold what the other lets go of only then.
        for _ in range(8):
            gc.collect()
            self._all()
            if all(_is_empty(end) for end in self.ends):
                break
        for end in self.ends:
            _assert_empty(end)
        assert self.raised == []

    def _look_at_the_log(self) -> None:
        assert len(set(self.log)) == len(self.log), "a call was done twice"
        done = {number for _, number in self.log}
        last: dict[int, int] = {}
        for key, number in self.log:
            assert number > last.get(key, 0), "calls to one target passed each other"
            last[key] = number
        for promise, noted in self.calls:
            if noted is not None and promise._error is None:
                assert promise.value() == noted
                assert noted in done


def _is_empty(end: End) -> bool:
    broker = end.broker
    return not (broker.answering.answers or len(broker.objects) or len(broker.objects.shown) > 1 or len(broker.streams))


def _assert_empty(end: End) -> None:
    broker = end.broker
    asking, answering = broker.asking, broker.answering
    assert asking.questions == {}
    assert asking.open == 0
    assert asking.finished == []
    assert asking.used == 0
    assert not asking.held
    assert not asking.careful or asking.ended is not None
    assert answering.answers == {}
    assert (answering.kept, answering.burden.size, answering.careful) == (0, 0, False)
    assert list(broker.objects.shown) == [0]
    assert len(broker.objects) == 0
    assert len(broker.streams) == 0
    assert not broker.lanes
    assert broker.blobs._blobs == {}
    assert not end.tasks


def _pick(of: list[Any], which: int) -> Any:
    return of[which % len(of)]


@pytest.fixture(autouse=True, scope="module")
def what_others_left() -> Iterator[None]:
    """Each case collects garbage: what other tests have left would be looked through each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40)
