"""Greedy peers: who asks for all, and gives nothing back, holds up itself and nobody else."""

from __future__ import annotations

import asyncio

from ropewalk import broker as rope
from ropewalk import net
from tests.broker import hosts
from tests.broker.hosts import House, served, simulated
from tests.broker.narrow import NARROW
from tests.broker.raw import ext
from tests.broker.villains import ME, Villain, attacked, nth_answer


def test_before_a_login_nothing_but_the_door_is_there() -> None:
    async def attack(villain: Villain) -> None:
        villain.hello()
        targets = [1, 2, 3, 1_000]
        villain.all(*[[0, at, target, "echo", [1]] for at, target in enumerate(targets, 1)])
        for at in range(1, 5):
            assert (await villain.answer(at))[:4] == [2, at, "missing", "broker.no-object"]

    attacked(attack, None, login=False)


def test_calls_to_what_was_released_and_to_what_others_hold_find_nothing() -> None:
    async def attack(villain: Villain) -> None:
        villain.all([0, 2, ME, "desk", ["a"]], [3, [2], [1]])
        villain.all(*[[0, 3 + at, number, "quote", ["x"]] for at, number in enumerate((2, 3, 2**31 - 1))])
        villain.all([0, 7, ME, "ask", [ext(3, 2)]], [0, 8, ME, "ask", [ext(3, 3)]])
        for at in (3, 4, 5, 7, 8):
            assert (await villain.answer(at))[:4] == [2, at, "missing", "broker.no-object"]

    attacked(attack, None)


def test_who_never_releases_is_given_no_more() -> None:
    async def attack(villain: Villain) -> None:
        for number in range(2, 110):
            villain.all([0, 2, ME, "desk", [str(number)]])
            answer = (await nth_answer(villain, 2, number))[0]
            assert answer == (1 if number < 101 else 2)
            villain.all([4, [2]])

    attacked(attack, None)


def test_who_never_finishes_holds_up_itself() -> None:
    async def attack(villain: Villain) -> None:
        for number in range(2, 7):
            villain.all([0, number, ME, "echo", ["x" * 50_000]])
        for number in range(2, 6):
            assert (await villain.answer(number))[0] == 1
        villain.all([10, 1])
        await villain.until(lambda: villain.said[-1] == [11, 1])
        assert not [message for message in villain.said if message[:2] == [1, 6]]
        villain.all([4, [2]])
        assert (await villain.answer(6))[2] == "x" * 50_000
        villain.all([4, [3, 4, 5, 6]])

    attacked(attack, None)


def test_calls_that_wait_for_each_other_are_so_many_and_no_more() -> None:
    async def attack(villain: Villain) -> None:
        villain.all([0, 2, ME, "wait", []], *[[0, at, [at - 1], "quote", ["x"]] for at in range(3, 12)])
        for at in range(7, 12):
            assert (await villain.answer(at))[3] == "broker.busy"
        villain.all([4, list(range(2, 12))])
        await villain.answer(2)

    attacked(attack, None)


def test_who_never_reads_is_left_and_others_go_on() -> None:
    async def main() -> None:
        house = House(limits=NARROW)
        async with served(house), rope.connect("memory://house") as friend:
            transport, villain = await net.connect("memory://house", Villain)
            assert isinstance(villain, Villain)
            await villain.enter()
            transport.pause_reading()
            for number in range(2_000):
                villain.all([0, 2 + number, ME, "echo", ["x" * 60_000]], [4, [2 + number]])
                await asyncio.sleep(0)
                if len(house.sessions) == 1:
                    break
            await hosts.until(lambda: len(house.sessions) == 1)
            assert await friend.echo("still there") == "still there"

    simulated(main)
