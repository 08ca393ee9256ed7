"""Settling: a call that was held back while the answers that it names came: what they are takes their place in it.

Else a caller whose every question is kept open by calls that are not sent yet would wait for ever.

Flow: encoded call, promises that are there -> the same call, with their answers or parts of them
Never: changes anything else of it, of which the caller may have other ideas by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ropewalk.broker.errors import NoReference
from ropewalk.broker.objects import Remote
from ropewalk.broker.outbox import encode
from ropewalk.broker.packing import Packing
from ropewalk.broker.paths import walk
from ropewalk.broker.promise import Promise
from ropewalk.broker.sending import Ask, encoded

__all__ = ["reference", "settle"]

_decode = msgspec.msgpack.Decoder().decode
_Ext = msgspec.msgpack.Ext
_AWAITED = 4
_NESTING = frozenset({5, 8, 11})  # extensions with other values in them: copyables, tuples, sets


def settle(ask: Ask) -> bool:
    """Put the answers that came in their places in a call; whether there were any.

    Raises:
        RopewalkError: An answer is an error, has no such part, or cannot be sent.
    """
    there = {promise._question: promise for promise in ask.names if promise._over and promise.done()}
    if not there:
        return False
    packing = ask.packing
    parts: list[Any] = _decode(ask.message)
    parts[4] = _settled(parts[4], there, packing, 1)
    if len(parts) > 5:
        parts[5] = _settled(parts[5], there, packing, 1)
    packing.promises = [promise for promise in packing.promises if promise._question not in there]
    if isinstance(ask.target, Promise) and ask.target._question in there:
        _, *steps = parts[2]
        target = reference(walk(ask.target.value(), steps), parts[3])
        ask.target, ask.key = target, target._handle.number
        parts[2] = ask.key
    ask.is_now(encoded(parts))
    return True


def _settled(value: Any, there: Mapping[int, Promise], packing: Packing, depth: int) -> Any:
    if isinstance(value, list):
        return [_settled(one, there, packing, depth + 1) for one in value]
    if isinstance(value, dict):
        return {key: _settled(one, there, packing, depth + 1) for key, one in value.items()}
    if isinstance(value, _Ext) and value.code == _AWAITED:
        question, *steps = _decode(value.data)
        if question in there:
            return packing.swap(walk(there[question].value(), steps), depth)
    elif isinstance(value, _Ext) and value.code in _NESTING:
        return _Ext(value.code, encode(_settled(_decode(value.data), there, packing, depth + 1)))
    return value


def reference(target: Any, method: str) -> Remote:
    """The reference on which a method is called.

    Raises:
        NoReference: It is none.
    """
    if not isinstance(target, Remote):
        raise NoReference(f"{method} is called on a {type(target).__name__}, expected a reference")
    return target
