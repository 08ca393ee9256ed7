"""What a client of the broker must do with a server that breaks the rules, or is not the one that it says it is.

Flow: Guest -> a case of TRAPS: what is said that must not be -> the client ends the session, and says why
Never: harms anything but that session: the next one is as it should be.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ropewalk.testing.broker_guest import Guest
from ropewalk.testing.broker_peer import (
    ABORT,
    END,
    ERROR,
    ITEM,
    LIMITS,
    PING,
    RETURN,
    UPDATE,
    NotAsSpecified,
    ext,
    frame,
    same,
)
from ropewalk.testing.broker_unfriendly import HOSTILE, Attack, deep

__all__ = ["TRAPS"]

FRAME, LIMIT, MESSAGE, VALUE = (f"broker.{name}" for name in ("frame", "limit", "message", "value"))
Said = list[Any]


async def _gone(guest: Guest, *heard: int) -> None:
    """The client has ended the session, and said nothing more but perhaps why."""
    await guest.until(lambda: guest.lost, "end of the session")
    said = [one[0] for one in guest.heard if one[0] not in (ABORT, *heard)]
    if said:
        raise NotAsSpecified(f"to a server that is not the one that was meant it said {said}")


async def _knocks_not(guest: Guest, node: bytes | None) -> None:
    """The hello tells another key than the one that was meant, or none."""
    guest.greet(node=node)
    await _gone(guest)


async def _proves(guest: Guest, proof: Any) -> None:
    """The answer to the login has no good proof."""
    guest.greet()
    question = await guest.knocked()
    guest.say([RETURN, question, [ext(2, [1, "Suite"]), proof]])
    await _gone(guest, 3, 4)


async def _attacked(guest: Guest, attack: Attack) -> None:
    """What is hostile from a client is so from a server."""
    if attack.login:
        await guest.entered()
        guest.me = await guest.lent()
    await attack.play(guest)
    same((await guest.aborted())[0], attack.expected(guest), "the code of the ABORT")


async def _answers(guest: Guest, code: str, said: Iterable[Said]) -> None:
    """To a call of the program's this is said."""
    await guest.entered()
    call = await guest.asked("a")
    guest.give(frame([[call[1] if field == "Q" else field for field in message] for message in said]))
    same((await guest.aborted())[0], code, "the code of the ABORT")


async def _over(guest: Guest) -> None:
    """A frame one byte longer than the client takes: its header says so."""
    await guest.entered()
    limit = max(guest.limits.get("frame", 1 << 20), 4096)
    guest.give(struct.pack(">IHH", limit - 7, 0, 0))
    same((await guest.aborted())[0], FRAME if guest.whole_frames else LIMIT, "the code of the ABORT")


async def _overflows(guest: Guest) -> None:
    """Items without credit."""
    await guest.entered()
    await guest.given("s", ext(9, 1))
    for number in range(max(guest.limits.get("stream_window", 1 << 20), 16_384) // 3000 + 2):
        guest.say([ITEM, 1, bytes(3000)], [PING, number])
        if not await guest.taken(number):
            break
    same((await guest.aborted())[0], LIMIT, "the code of the ABORT")


async def _streams(guest: Guest, *said: Said) -> None:
    """Of a stream that the program reads this is said."""
    await guest.entered()
    await guest.given("s", ext(9, 1))
    guest.give(frame(list(said)))
    same((await guest.aborted())[0], MESSAGE, "the code of the ABORT")


async def _updates(guest: Guest, code: str, changes: list[Any], version: int = 4) -> None:
    """Of a shared object that the program holds, of version 3, this is said."""
    await guest.entered()
    await guest.given("s", ext(6, [4, "Board", bytes(8), 3, {"a": [1]}]))
    guest.give(frame([[UPDATE, 4, version, changes]]))
    same((await guest.aborted())[0], code, "the code of the ABORT")


_NOBODYS = ext(5, ["suite.nobody-registered-this", {}])
_ONLY_SERVERS = {"nine questions before a login", "a long frame before a login"}  # have other limits then
_OTHER = bytes(range(32))

Case = Callable[[Guest], Awaitable[None]]


def _answer(code: str, *said: Said) -> Case:
    """This is said, in which "Q" stands for the question that is open."""
    return lambda guest: _answers(guest, code, said)


_OWN: dict[str, Case] = {
    "another node": lambda guest: _knocks_not(guest, _OTHER),
    "no node": lambda guest: _knocks_not(guest, None),
    "no proof": lambda guest: _proves(guest, None),
    "a proof of zeros": lambda guest: _proves(guest, bytes(64)),
    "a proof that is text": lambda guest: _proves(guest, "proof"),
    "a proof of another session": lambda guest: _proves(guest, guest.node.sign(_OTHER)),
    "an answer twice": _answer(MESSAGE, [RETURN, "Q", 1], [RETURN, "Q", 1]),
    "an answer and an error": _answer(MESSAGE, [RETURN, "Q", 1], [ERROR, "Q", "failed", "a", "b"]),
    "an answer to another question": _answer(MESSAGE, [RETURN, 1000, 1]),
    "an answer that names what is not there yet": _answer(MESSAGE, [RETURN, "Q", ext(4, [1])]),
    "an error without a text": _answer(MESSAGE, [ERROR, "Q", "failed", "a"]),
    "an answer with an unknown extension": _answer(VALUE, [RETURN, "Q", ext(99, 1)]),
    "an answer that shows the door": _answer(VALUE, [RETURN, "Q", ext(2, [0, ""])]),
    "an answer that is too deep": _answer(LIMIT, [RETURN, "Q", deep(200)]),
    "limits that are none": _answer(MESSAGE, [LIMITS, {"frame": -1}]),
    "a frame over its limit": _over,
    "items over the window": _overflows,
    "an item after the end": lambda guest: _streams(guest, [END, 1], [ITEM, 1, [b"\x01"]]),
    "two ends": lambda guest: _streams(guest, [END, 1], [END, 1]),
    "half an error at the end": lambda guest: _streams(guest, [END, 1, "failed", "x"]),
    "a gap in the changes": lambda guest: _updates(guest, MESSAGE, [[["n"], 1]], 5),
    "changes that lead nowhere": lambda guest: _updates(guest, MESSAGE, [[["b", "c"], 1]]),
    "removing what is not in a copy": lambda guest: _updates(guest, MESSAGE, [[["b"]]]),
    "a change that cannot be made": lambda guest: _updates(guest, VALUE, [[["a"], _NOBODYS]]),
}


def _hostile(attack: Attack) -> Case:
    return lambda guest: _attacked(guest, attack)


TRAPS = _OWN | {name: _hostile(attack) for name, attack in HOSTILE.items() if name not in _ONLY_SERVERS}
