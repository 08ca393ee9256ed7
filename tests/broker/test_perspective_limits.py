"""Limits of a perspective: each holds from the login on, also those that nobody is told of, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ropewalk import broker, net
from ropewalk.broker.limits import Limits
from tests.broker.hosts import House, Me, served, simulated, until
from tests.broker.raw import ext
from tests.broker.villains import ME, Villain

_LOGIN = [0, 1, 0, "login", ["anonymous", {}, ""]]
_HEAVY: list[Any] = [{}] * 3_000
_FAR = 1e6  # seconds


def _entering(limits: Limits, test: Callable[[Villain, House], Coroutine[Any, Any, None]]) -> None:
    """Run a test of somebody who is about to get a perspective with these limits, where the host has others."""

    class Strict(Me):
        @broker.remote
        async def hold(self, value: Any) -> None:
            await self.gate.wait()

    Strict.limits = limits

    async def main() -> None:
        house = House(make=Strict, limits=Limits(login=_FAR, quiet=100))
        async with served(house):
            transport, raw = await net.connect("memory://house", Villain)
            raw.hello()
            await test(raw, house)
            transport.abort()

    simulated(main)


def _codes(raw: Villain) -> dict[int, str]:
    """The answers that came: by question, the code of an error, or ""."""
    return {one[1]: one[3] if one[0] == 2 else "" for one in raw.said if one[0] in (1, 2)}


def _after_login(raw: Villain) -> dict[int, str]:
    return {question: code for question, code in _codes(raw).items() if question >= 20}


async def _answered(raw: Villain, *questions: int) -> dict[int, str]:
    await raw.until(lambda: _codes(raw).keys() >= set(questions))
    return _codes(raw)


def test_queued() -> None:
    async def test(raw: Villain, house: House) -> None:
        raw.all(_LOGIN, *[[0, number, [1, 0], "echo", [number]] for number in range(2, 9)])
        assert await _answered(raw, *range(1, 9)) == dict.fromkeys(range(1, 9), "")
        raw.all([0, 20, ME, "wait", []], *[[0, number, [20], "quote", ["x"]] for number in range(21, 28)])
        await _answered(raw, 27)
        assert _after_login(raw) == dict.fromkeys(range(24, 28), "broker.busy")

    _entering(Limits(queued=3), test)


def test_chain() -> None:
    def chained(first: Any, begin: int) -> list[Any]:
        """Each waits for the one before."""
        return [[0, number, first, "echo", [ext(4, [number - 1])]] for number in range(begin, begin + 4)]

    async def test(raw: Villain, house: House) -> None:
        raw.all(_LOGIN, [0, 2, [1, 0], "echo", [5]], *chained([1, 0], 3))
        assert await _answered(raw, *range(1, 7)) == dict.fromkeys(range(1, 7), "")
        raw.all([0, 20, ME, "wait", []], *chained(ME, 21))
        await _answered(raw, 23)
        assert _after_login(raw) == {23: "broker.busy"}
        house.given[0].gate.set()
        await _answered(raw, *range(20, 25))
        assert _after_login(raw) == {20: "", 21: "", 22: "", 23: "broker.busy", 24: "broker.busy"}

    _entering(Limits(chain=3), test)


def test_memory() -> None:
    async def test(raw: Villain, house: House) -> None:
        raw.all([0, 1, 0, "login", ["anonymous", {"more": _HEAVY}, ""]])
        raw.all([0, 2, 0, "@describe", []])
        assert await _answered(raw, 1, 2) == {1: "", 2: ""}
        raw.all([0, 3, ME, "hold", [_HEAVY]])
        raw.all([0, 4, ME, "echo", [1]])
        assert (await _answered(raw, 4))[4] == "broker.busy"
        house.given[0].gate.set()
        await _answered(raw, 3)
        raw.all([0, 5, ME, "echo", [1]])
        assert (await _answered(raw, 5))[5] == ""

    _entering(Limits(memory=50_000, window=16_384), test)


@pytest.mark.parametrize(("name", "kind"), [("idle", 13), ("quiet", 10)])
def test_seconds_of_silence(name: str, kind: int) -> None:
    """After so many comes a GOAWAY, or a PING."""

    async def test(raw: Villain, house: House) -> None:
        clock = asyncio.get_running_loop().time

        async def silence() -> float:
            began, count = clock(), len(raw.said)
            await raw.until(lambda: any(message[0] == kind for message in raw.said[count:]))
            return clock() - began

        if kind == 10:
            assert await silence() == pytest.approx(100, abs=1)
            raw.all([11, 1])
        else:
            for _ in range(10):
                await asyncio.sleep(90)
                raw.all([10, 1])
            assert {message[0] for message in raw.said} <= {10, 11}
        raw.all(_LOGIN)
        await _answered(raw, 1)
        assert 20 - 1 <= await silence() <= 20 * 1.25 + 1

    _entering(Limits(**{name: 20}), test)  # type: ignore[arg-type]


def test_unread() -> None:
    async def test(raw: Villain, house: House) -> None:
        raw.all(_LOGIN)
        await _answered(raw, 1)
        began = asyncio.get_running_loop().time()
        raw.transport.pause_reading()
        for number in range(2, 22):
            raw.all([0, number, ME, "echo", ["x" * 50_000]])
        await until(lambda: house.given[0].gone)
        assert asyncio.get_running_loop().time() - began == pytest.approx(9, abs=1)

    _entering(Limits(unread=9), test)
