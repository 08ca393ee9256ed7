"""Damage: ways in which what somebody has said comes to be something else.

Flow: frames -> a way, and chance -> frames, or what look like some
Never: knows what a broker should make of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from docs.spec.vectors.reference_broker import frame, frames

__all__ = ["WAYS", "Way"]

Way = Callable[[Sequence[bytes], random.Random], list[bytes]]


def shuffled(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Frames in another order, some of them again, some of them not."""
    picked = [one for one in said if chance.random() < 0.9]
    picked += chance.choices(said, k=chance.randrange(6))
    for _ in range(chance.randrange(8)):
        a, b = chance.randrange(len(picked)), chance.randrange(len(picked))
        picked[a], picked[b] = picked[b], picked[a]
    return picked


def mutated(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Frames with some of their bytes changed; often such that their lengths still say what they are."""
    made = list(said)
    for _ in range(chance.randrange(1, 6)):
        index = chance.randrange(len(made))
        found = frames(made[index], 1 << 20)
        if found and chance.random() < 0.7:
            flags, body, segments = found[0]
            made[index] = frame(changed(body, chance), segments, flags)
        else:
            made[index] = changed(made[index], chance)
    return made


def changed(data: bytes, chance: random.Random) -> bytes:
    """A byte changed, a part left out, put in or doubled."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.randrange(9))
    match chance.randrange(4):
        case 0:
            return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + data[end:] or b"\xc0"
        case 2:
            return data[:at] + chance.randbytes(chance.randrange(9)) + data[at:] or b"\xc0"
        case _:
            return data[:end] + data[at:] or b"\xc0"


def reshaped(said: Sequence[bytes], chance: random.Random) -> list[bytes]:
    """Messages taken out of their frames, in another order, with other numbers and values in their places."""
    messages = [one for part in said for one in messages_of(part)]
    picked = [chance.choice(messages) if chance.random() < 0.3 else one for one in messages if chance.random() < 0.95]
    for _ in range(chance.randrange(6)):
        index = chance.randrange(len(picked))
        picked[index] = other(picked[index], chance, messages)
    return [frame(msgspec.msgpack.encode([one])) for one in picked if one != []]


def messages_of(data: bytes) -> list[Any]:
    """The messages of a frame that has no segments."""
    ((flags, body, segments),) = frames(data, 1 << 20)
    return [] if flags or segments else msgspec.msgpack.decode(body)


def other(value: Any, chance: random.Random, messages: Sequence[Any]) -> Any:
    """A value with one of its parts replaced."""
    if isinstance(value, list) and value and chance.random() < 0.9:
        index = chance.randrange(len(value))
        return [*value[:index], other(value[index], chance, messages), *value[index + 1 :]]
    if isinstance(value, dict) and value and chance.random() < 0.7:
        key = chance.choice(list(value))
        return value | {key: other(value[key], chance, messages)}
    if isinstance(value, msgspec.msgpack.Ext) and chance.random() < 0.7:
        code = value.code if chance.random() < 0.6 else chance.randrange(18)
        data = bytes(value.data)
        return msgspec.msgpack.Ext(code, changed(data, chance) if chance.random() < 0.6 else data)
    if isinstance(value, int) and chance.random() < 0.7:
        return value + chance.choice([-1, 1, 2, 2**31, -(2**31), 1000])
    if chance.random() < 0.3:
        return chance.choice(messages)
    return chance.choice([None, True, 0, 1, -1, 2**40, 1.5, "", "echo", "@describe", b"", [], [[]], {}, {"a": 1}])


WAYS: list[Way] = [shuffled, mutated, reshaped]
