"""Floods of somebody who has not logged in: each is met within its bounds, and others are served meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk import net
from ropewalk.auth import AnonymousChecker, Channel, Credentials, Identity, Password
from ropewalk.broker import session
from ropewalk.broker.wires import NONE, Wire
from tests.broker.hosts import Everyone, House, served, simulated, until
from tests.broker.villains import Villain

_ROUNDS = 50
_SEVEN = range(1, 8)  # questions: one less than may be open, for who asks at the end whether it is still served
_SECRET = bytes(range(32))

Flood = Callable[[Villain, Any], Coroutine[Any, Any, None]]


class Counting(Everyone):
    """Counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.checks: list[Credentials] = []

    async def check(self, credentials: Credentials) -> Identity:
        self.checks.append(credentials)
        return await super().check(credentials)


def _flooded(flood: Flood, **options: Any) -> Counting:
    """Run a flood beside a friend; who was checked."""
    checker = Counting()

    async def main() -> None:
        house = House(checker, AnonymousChecker(), **options)
        async with served(house), rope.connect("memory://house", Password("ann", "right")) as friend:
            checker.checks.clear()
            transport, villain = await net.connect("memory://house", Villain)
            villain.hello()
            await flood(villain, friend)
            villain.all([0, 8, 0, "@describe", []])
            assert (await villain.answer(8))[0] == 1
            checker.checks.append(Password("", ""))  # what comes after this is the friend's
            async with rope.connect("memory://house", Password("ann", "right")) as again:
                assert await again.who() == await friend.who()
            transport.close()
            await until(lambda: len(house.sessions) == 1)

    simulated(main)
    assert checker.checks[-2:] == [Password("", ""), Password("ann", "right")]
    del checker.checks[-2:]
    return checker


async def _asked(villain: Villain, friend: Any, make: Callable[[int], list[Any]]) -> list[list[Any]]:
    """Ask seven things at once, again and again; the answers."""
    for turn in range(_ROUNDS):
        count = len(villain.said) + len(_SEVEN)
        villain.all(*[[0, question, 0, *make(7 * turn + question)] for question in _SEVEN])
        assert await friend.echo(turn) == turn
        await villain.until(lambda count=count: len(villain.said) == count)  # type: ignore[misc]
        villain.all([4, list(_SEVEN)])
    assert len(villain.said) == _ROUNDS * len(_SEVEN)
    return villain.said


@pytest.mark.parametrize(("names", "looked_at"), [(1, 5), (1_000, 20)])
def test_logins_are_looked_at_until_too_many_have_failed(
    names: int, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many for one name, and so many for one address, where the friend is too."""
    channel = Channel(verified=True, address="192.0.2.7")
    monkeypatch.setattr(session, "wire_of", lambda _: Wire(channel, NONE))

    async def flood(villain: Villain, friend: Any) -> None:
        def login(number: int) -> list[Any]:
            return ["login", ["password", {"name": f"x{number % names}", "password": "right"}, ""]]

        answers = await _asked(villain, friend, login)
        codes = [message[3] for message in answers]
        assert set(codes) == {"auth.denied", "auth.too-many-failures"}
        assert codes.count("auth.denied") == looked_at

    assert len(_flooded(flood).checks) == looked_at


def test_who_asks_for_sturdy_references_finds_out_about_none(tmp_path: Path) -> None:
    found: list[str] = []

    def find(label: str) -> Any:
        found.append(label)

    sturdies = rope.Sturdies(find, tmp_path / "sturdies.json")
    name = sturdies.grant("gold")

    async def flood(villain: Villain, friend: Any) -> None:
        answers = await _asked(villain, friend, lambda number: ["fetch", [name if number % 2 else _SECRET]])
        assert {message[3] for message in answers} == {"auth.required"}

    _flooded(flood, sturdies=sturdies)
    assert not found


def test_who_has_the_door_described_again_and_again_is_told_each_time() -> None:
    async def flood(villain: Villain, friend: Any) -> None:
        answers = await _asked(villain, friend, lambda _: ["@describe", []])
        assert {(message[0], message[2]["name"]) for message in answers} == {(1, "Door")}

    assert not _flooded(flood).checks


def test_pings_are_answered_and_others_need_not_wait_for_the_last_of_them() -> None:
    async def flood(villain: Villain, friend: Any) -> None:
        count = 400_000
        for at in range(0, count, 500):
            villain.all(*[[10, number] for number in range(at, at + 500)])
        assert await friend.echo("first") == "first"
        assert [11, count - 1] not in villain.said
        await villain.until(lambda: villain.said and villain.said[-1] == [11, count - 1])
        assert {message[0] for message in villain.said} == {11}

    _flooded(flood)
