"""Slots: messages go from side to side in order, once, and there is a bound to everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ropewalk.errors import RopewalkError
from ropewalk.mailbox import MailboxFull, NoSlot, OutOfOrder, SlotLimits, Slots, SlotTaken, TooLarge, TooOften
from tests.broker.hosts import simulated

INVITER, JOINER, OTHER = (bytes([which]) * 32 for which in range(3))
NAME = bytes(16)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def slots(clock: Callable[[], float] | None = None, limits: SlotLimits | None = None) -> Slots:
    return Slots(limits, clock=clock or Clock(), random=bytes)


def met(limits: SlotLimits | None = None) -> Slots:
    made = slots(limits=limits)
    made.open(NAME, INVITER, 60, "")
    made.join(NAME, JOINER, "")
    return made


def got(made: Slots, token: bytes, index: int) -> bytes | None:
    """What is there now."""
    found: list[bytes | None] = []

    async def main() -> None:
        found.append(await made.wait(token, index, 0))

    simulated(main)
    return found[0]


def test_what_one_side_puts_the_other_takes() -> None:
    made = met()
    made.put(INVITER, 0, b"first")
    made.put(INVITER, 1, b"second")
    made.put(JOINER, 0, b"back")
    assert [got(made, JOINER, 0), got(made, JOINER, 1), got(made, JOINER, 2)] == [b"first", b"second", None]
    assert got(made, INVITER, 0) == b"back"


def test_a_message_waits_for_who_joins_later() -> None:
    made = slots()
    made.open(NAME, INVITER, 60, "")
    made.put(INVITER, 0, b"first")
    assert got(made, INVITER, 0) is None
    made.join(NAME, JOINER, "")
    assert got(made, JOINER, 0) == b"first"


def test_all_calls_may_be_repeated() -> None:
    made = slots()
    for _ in range(3):
        assert made.open(NAME, INVITER, 60, "192.0.2.1") == NAME
        made.join(NAME, JOINER, "192.0.2.1")
        made.put(INVITER, 0, b"first")
    for _ in range(3):
        made.put(INVITER, 1, b"second")
        assert got(made, JOINER, 0) == b"first"
    made.close(INVITER)
    made.close(INVITER)
    assert len(made) == 0


def test_numbers_are_drawn_and_differ() -> None:
    made = Slots(clock=Clock())
    names = {made.open(b"", bytes([n]) * 32, 60, "") for n in range(100)}
    assert len(names) == 100
    assert {len(name) for name in names} == {4}
    assert {1 <= int.from_bytes(name, "big") < 1000 for name in names} == {True}


def test_a_slot_has_two_sides_and_no_third() -> None:
    made = met()
    with pytest.raises(SlotTaken):
        made.join(NAME, OTHER, "")
    with pytest.raises(SlotTaken):
        made.open(NAME, OTHER, 60, "")
    with pytest.raises(SlotTaken):
        made.join(NAME, INVITER, "")
    with pytest.raises(SlotTaken):
        made.open(NAME, JOINER, 60, "")
    with pytest.raises(SlotTaken):
        made.open(bytes([1]) * 16, INVITER, 60, "")
    with pytest.raises(SlotTaken):
        made.join(bytes([1]) * 16, JOINER, "")


def test_a_token_that_nobody_has_finds_nothing() -> None:
    made = met()
    with pytest.raises(NoSlot):
        made.put(OTHER, 0, b"x")
    with pytest.raises(NoSlot):
        got(made, OTHER, 0)
    made.close(OTHER)
    assert len(made) == 1
    with pytest.raises(NoSlot):
        made.join(bytes([1]) * 16, OTHER, "")
    with pytest.raises(NoSlot):
        made.open(b"short", OTHER, 60, "")


def test_a_message_is_put_once_and_in_order() -> None:
    made = met()
    made.put(INVITER, 0, b"first")
    with pytest.raises(OutOfOrder):
        made.put(INVITER, 0, b"other")
    with pytest.raises(OutOfOrder):
        made.put(INVITER, 2, b"third")
    with pytest.raises(OutOfOrder):
        made.put(INVITER, -1, b"x")
    with pytest.raises(OutOfOrder):
        got(made, JOINER, 2)
    with pytest.raises(OutOfOrder):
        got(made, JOINER, -1)


def test_messages_are_few_and_short() -> None:
    made = met(SlotLimits(messages=2, bytes=70_000))
    with pytest.raises(TooLarge):
        made.put(INVITER, 0, bytes(65_537))
    made.put(INVITER, 0, bytes(65_536))
    with pytest.raises(TooLarge):
        made.put(JOINER, 0, bytes(4465))
    made.put(JOINER, 0, bytes(4464))
    made.put(INVITER, 1, b"")
    with pytest.raises(TooLarge):
        made.put(INVITER, 2, b"")


def test_slots_are_so_many() -> None:
    made = slots(limits=SlotLimits(slots=3))
    for number in range(3):
        made.open(bytes([number]) * 16, bytes([number]) * 32, 60, "")
    with pytest.raises(MailboxFull):
        made.open(b"", bytes([9]) * 32, 60, "")
    made.close(bytes([1]) * 32)
    made.open(b"", bytes([9]) * 32, 60, "")


@pytest.mark.parametrize(
    ("addresses", "others"),
    [
        (["192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
        (["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:1:ffff::%eth0"], "2001:db8:1:2::1"),
    ],
)
def test_one_address_has_so_many(addresses: list[str], others: str) -> None:
    made = slots(limits=SlotLimits(per_address=2))
    for number, address in enumerate(addresses[:2]):
        made.open(b"", bytes([number]) * 32, 60, address)
    with pytest.raises(MailboxFull):
        made.open(b"", bytes([9]) * 32, 60, addresses[2])
    made.open(b"", bytes([9]) * 32, 60, others)


def test_one_address_opens_and_joins_so_often() -> None:
    clock = Clock()
    made = slots(clock)
    for number in range(10):
        with pytest.raises(NoSlot):
            made.join(bytes([number]) * 16, bytes([number]) * 32, "192.0.2.1")
    with pytest.raises(TooOften):
        made.join(NAME, JOINER, "192.0.2.1")
    with pytest.raises(TooOften):
        made.open(NAME, INVITER, 60, "192.0.2.1")
    made.open(NAME, INVITER, 60, "192.0.2.2")
    clock.now = 6.0
    made.join(NAME, JOINER, "192.0.2.1")
    with pytest.raises(TooOften):
        made.open(b"", OTHER, 60, "192.0.2.1")


def test_time_ends_a_slot() -> None:
    clock = Clock()
    made = slots(clock, SlotLimits(seconds=100.0))
    made.open(NAME, INVITER, 60, "")
    made.open(bytes([1]) * 16, OTHER, 1e9, "")
    clock.now = 59.9
    made.join(NAME, JOINER, "")
    clock.now = 60.0
    with pytest.raises(NoSlot):
        made.put(JOINER, 0, b"x")
    assert len(made) == 1
    clock.now = 100.0
    assert len(made) == 0
    assert made.open(NAME, JOINER, 60, "") == NAME


def test_who_waits_is_woken_by_a_message_by_the_end_and_by_a_later_call() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = Slots(clock=loop.time)
        made.open(NAME, INVITER, 60, "")
        made.join(NAME, JOINER, "")
        older = asyncio.create_task(made.wait(JOINER, 0, 20))
        await asyncio.sleep(1)
        newer = asyncio.create_task(made.wait(JOINER, 0, 20))
        assert await older is None
        assert loop.time() < 2
        made.put(INVITER, 0, b"first")
        assert await newer == b"first"
        last = asyncio.create_task(made.wait(JOINER, 1, 20))
        await asyncio.sleep(1)
        made.close(INVITER)
        with pytest.raises(NoSlot):
            await last

    simulated(main)


def test_a_wait_ends_in_time_and_at_its_bound() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = Slots(clock=loop.time)
        made.open(NAME, INVITER, 600, "")
        began = loop.time()
        assert await made.wait(INVITER, 0, 3) is None
        assert await made.wait(INVITER, 0, 1e9) is None
        assert 27.9 < loop.time() - began < 28.1
        made.open(bytes([1]) * 16, OTHER, 5, "")
        with pytest.raises(NoSlot):
            await made.wait(OTHER, 0, 10)

    simulated(main)


def test_a_cancelled_wait_leaves_nothing() -> None:
    async def main() -> None:
        made = met()
        task = asyncio.create_task(made.wait(JOINER, 0, 20))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        made.put(INVITER, 0, b"first")
        assert await made.wait(JOINER, 0, 0) == b"first"

    simulated(main)


TOKENS = st.sampled_from([INVITER, JOINER, OTHER])
NAMES = st.sampled_from([NAME, bytes([1]) * 16, bytes([0, 0, 0, 1]), b""])


class Anybody(RuleBasedStateMachine):
    """Calls of anybody in any order: bounds hold, and nobody but the other side gets a message."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.slots = slots(self.clock, SlotLimits(slots=2, messages=3, bytes=100))
        self.put_by: dict[bytes, set[bytes]] = {}

    @rule(name=NAMES, token=TOKENS, seconds=st.floats(0, 100))
    def open(self, name: bytes, token: bytes, seconds: float) -> None:
        try:
            self.slots.open(name, token, seconds, "")
        except RopewalkError:
            return

    @rule(name=NAMES, token=TOKENS)
    def join(self, name: bytes, token: bytes) -> None:
        try:
            self.slots.join(name, token, "")
        except RopewalkError:
            return

    @rule(token=TOKENS, index=st.integers(-1, 4), size=st.integers(0, 60))
    def put(self, token: bytes, index: int, size: int) -> None:
        message = token[:1] + bytes(size)
        try:
            self.slots.put(token, index, message)
        except RopewalkError:
            return
        self.put_by.setdefault(token, set()).add(message)

    @rule(token=TOKENS, index=st.integers(-1, 4))
    def take(self, token: bytes, index: int) -> None:
        try:
            message = got(self.slots, token, index)
        except RopewalkError:
            return
        if message is not None:
            assert message[:1] != token[:1]
            assert message in self.put_by[message[:1] * 32]

    @rule(token=TOKENS)
    def close(self, token: bytes) -> None:
        self.slots.close(token)

    @rule(seconds=st.floats(0, 50))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def it_is_bounded(self) -> None:
        held = self.slots._slots.values()
        assert len(held) <= 2
        assert len(self.slots._sides) <= 2 * len(held)
        for slot in held:
            sides = [side for side in (slot.opener, slot.joiner) if side is not None]
            assert all(len(side.messages) <= 3 for side in sides)
            assert slot.held == sum(len(message) for side in sides for message in side.messages) <= 100


Anybody.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
test_anybody_may_call = Anybody.TestCase
