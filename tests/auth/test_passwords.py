"""Passwords: which hashes are taken, how many are stretched at once, and what a flood costs."""

from __future__ import annotations

import asyncio
import threading
import unicodedata

import pytest

from ropewalk import argon2
from ropewalk.argon2 import LANES, MEMORY, PASSES
from ropewalk.auth import Stretcher, TooBusy, is_hash, stretch
from ropewalk.auth.passwords import is_current

HASH = stretch("right")  # once: it takes a tenth of a second


class Slow(Stretcher):
    """Stretches until it is told to stop, and counts."""

    def __init__(self, waiting: int) -> None:
        super().__init__(waiting)
        self.go, self.began_once = threading.Event(), threading.Event()
        self.began, self.at_once, self.most = 0, 0, 0

    def _agree(self, password: str, kept: str | None, like: str | None) -> bool:
        self.began += 1
        self.began_once.set()
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        assert self.go.wait(20)
        self.at_once -= 1
        return True


async def test_logins_that_are_given_up_leave_no_work_behind() -> None:
    """Who hangs up while a password is stretched keeps its turn until that is done, or threads would pile up."""
    stretcher = Slow(waiting=2)
    async with asyncio.timeout(20):
        for _ in range(3):  # one works, two wait; then all hang up
            held = [asyncio.create_task(stretcher.agree("x", HASH)) for _ in range(3)]
            await asyncio.to_thread(stretcher.began_once.wait, 20)
            for one in held:
                one.cancel()
            await asyncio.gather(*held, return_exceptions=True)
        assert stretcher.began == 1
        waiting = [asyncio.create_task(stretcher.agree("x", HASH)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooBusy):  # the room is the thread's until it is done
            await stretcher.agree("x", HASH)
        stretcher.go.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await stretcher.agree("x", HASH)
    assert (stretcher.most, stretcher.began) == (1, 4)


async def test_more_at_once_than_there_is_room_for() -> None:
    stretcher = Stretcher(waiting=1)
    found = await asyncio.gather(*(stretcher.agree("right", HASH) for _ in range(4)), return_exceptions=True)
    assert found[:2] == [True, True]
    assert all(isinstance(one, TooBusy) for one in found[2:])
    assert await stretcher.agree("right", HASH)  # the room is given back


async def test_one_accent_however_it_is_typed() -> None:
    composed, decomposed = "pässword é", unicodedata.normalize("NFD", "pässword é")
    assert composed != decomposed
    stretcher = Stretcher()
    assert await stretcher.agree(decomposed, stretch(composed))
    spaced = composed.replace(" ", "\u00a0")  # the space of the option key
    assert await stretcher.agree(spaced, stretch(decomposed))
    assert not await stretcher.agree("pässword e", stretch(composed))


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (f"m={MEMORY},t={PASSES},p={LANES}", True),
        ("m=19456,t=2,p=1", True),
        ("m=47104,t=1,p=1", True),
        ("m=262144,t=4,p=4", True),
        ("m=8,t=1,p=1", False),  # no better than a plain hash
        ("m=1024,t=10,p=1", False),
        ("m=19456,t=1,p=1", False),
        ("m=1048576,t=20,p=4", False),  # one login would keep a core for half a minute
        ("m=1048576,t=1,p=4", False),
        ("m=262144,t=5,p=4", False),
        ("m=65536,t=0,p=4", False),
        ("m=65536,t=3,p=0", False),
        ("m=65536,t=3,p=17", False),
        ("m=99999999,t=3,p=4", False),
    ],
)
def test_costs_of_hashes_that_are_taken(asked: str, taken: bool) -> None:
    salt, digest = HASH.split("$")[4:]
    assert is_hash(f"$argon2id$v=19${asked}${salt}${digest}") is taken


def test_a_hash_of_other_costs_is_not_current() -> None:
    assert is_current(HASH)
    assert not is_current(HASH.replace("t=3", "t=2"))


async def test_a_kept_hash_that_is_none_costs_a_stretch_and_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of accounts that was written by hand; it must not answer sooner than a name that is not there."""
    compared: list[str] = []
    agrees = argon2.agrees

    def looking(password: bytes, phc: str) -> bool:
        compared.append(phc)
        return agrees(password, phc)

    monkeypatch.setattr(argon2, "agrees", looking)
    stretcher, weak = Stretcher(), HASH.replace("m=65536", "m=8")
    for kept in (None, "", "right", "\udc80", weak, HASH[:40]):
        assert not await stretcher.agree("right", kept)
        assert not await stretcher.agree("right", kept, like=HASH)
    assert len(compared) == 12
    assert all(map(is_current, compared))
    assert set(compared[1::2]) == {HASH}  # as long as for an account of the same file
