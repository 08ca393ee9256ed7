"""Villains: peers that say what they should not, and a friend whose session they must not harm.

Flow: an attack -> `attacked` -> how the villain's session ended, and that the friend's goes on
Never: lets a friend's session pass that was not used after the attack.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from ropewalk import broker as rope
from ropewalk import net
from ropewalk.broker.limits import Limits
from tests.broker import hosts
from tests.broker.hosts import House, served, simulated
from tests.broker.narrow import NARROW
from tests.broker.raw import frame

__all__ = ["ME", "Attack", "Villain", "attacked", "deep", "gives", "nth_answer", "says"]

ME = 1  # the number of the perspective that a login gives first
Attack = Callable[["Villain"], Coroutine[Any, Any, None]]


class Villain(hosts.Raw):
    """A peer that says what it should not."""

    def give(self, data: bytes) -> None:
        self.transport.write(data)

    def all(self, *messages: Any) -> None:
        """Send messages in one frame."""
        self.give(frame(list(messages)))

    async def ended(self) -> str:
        """The code with which the session was aborted."""
        await self.until(lambda: self.lost)
        (abort,) = [message for message in self.said if message[0] == 14]
        return str(abort[1])


def attacked(attack: Attack, code: str | None, *, login: bool = True, limits: Limits = NARROW) -> None:
    """An attack ends its session with a code, or does not end it; and a friend's session goes on."""

    async def main() -> None:
        house = House(limits=limits)
        async with served(house), rope.connect("memory://house") as friend:
            held = await friend.desk("friend's")
            _, villain = await net.connect("memory://house", Villain)
            assert isinstance(villain, Villain)
            if login:
                await villain.enter()
            await attack(villain)
            if code is not None:
                assert await villain.ended() == code
            else:
                villain.all([0, 19 if login else 8, 0, "@describe", []])
                assert (await villain.answer(19 if login else 8))[0] == 1
                villain.transport.close()
            await hosts.until(lambda: len(house.sessions) == 1)
            assert await friend.echo("still there") == "still there"
            assert await held.quote("x") == "friend's: x"
            assert await (await friend.desk("new")).quote("y") == "new: y"

    simulated(main)


def says(*messages: Any) -> Attack:
    async def attack(villain: Villain) -> None:
        villain.all(*messages)

    return attack


def gives(data: bytes) -> Attack:
    async def attack(villain: Villain) -> None:
        villain.give(data)

    return attack


def deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


async def nth_answer(villain: Villain, question: int, count: int) -> list[Any]:
    def answers() -> list[Any]:
        return [message for message in villain.said if message[0] in (1, 2) and message[1] == question]

    await villain.until(lambda: len(answers()) >= count - 1)
    found: list[Any] = answers()[count - 2]
    return found
