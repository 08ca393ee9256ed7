"""Packing: values of this end as the wire has them.

Most calls carry numbers and text, which the encoder takes as they are; `plain` tells. All else is rebuilt here.

Flow: values -> plain? as they are : Packing.swap -> what the encoder takes, beside it segments and blobs
Never: sends what its sender did not mean to show: a class that is neither registered nor an `Object` is refused.
Source: docs/spec/broker.md section 5.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from ropewalk.broker.copyables import Entry, entry_of
from ropewalk.broker.errors import CannotSend
from ropewalk.broker.frames import MOST_SEGMENTS, Bytes
from ropewalk.broker.limits import PIECE, SEGMENT, Limits
from ropewalk.broker.offers import Object, Reference, kind_of
from ropewalk.broker.outbox import encode_value as encode
from ropewalk.broker.paths import check_path, walk
from ropewalk.broker.promise import Path, Promise
from ropewalk.broker.shared import Shared
from ropewalk.errors import RopewalkError

__all__ = ["PLAIN", "SIMPLE", "NeedFailed", "Packing", "Shows", "check", "lasting", "plain"]

SIMPLE = frozenset({int, str, float, bool, type(None)})
_KEYS = frozenset({int, str, bool, type(None), bytes})
_DEPTH = Limits().depth
_LONGEST_INTEGER, _LONGEST_DECIMAL = 1024, 4096
Ext = msgspec.msgpack.Ext


class Shows(Protocol):
    """What packing asks of a session."""

    def show(self, value: Object | Reference) -> int:
        """The number of an object of ours, or of one of a third session, counted once more.

        Raises:
            CannotSend: The other end holds as many as it may.
        """

    def unshow(self, value: Object | Reference) -> None:
        """It was not sent after all."""

    def watch(self, value: Shared, version: int) -> None:
        """The message that shows a shared object in this version is sent: tell of its changes from then on."""

    def back(self, value: Reference) -> int | None:
        """The number of an object of the other end; None where it is of a third."""

    def awaits(self, promise: Promise) -> None:
        """Return if the other end knows this promise.

        Raises:
            CannotSend: It is of another session.
        """

    def stream(self, items: Any) -> int:
        """A stream of these items, to be sent."""

    def unstream(self, number: int) -> None:
        """It was not shown after all."""

    def start(self, number: int) -> None:
        """The message that shows it is sent."""

    def room(self) -> int:
        """Bytes of the longest frame that the other end takes."""

    def blob(self) -> int:
        """A free number for a blob."""

    def unblob(self, number: int) -> None:
        """It was not begun after all."""


def plain(values: Iterable[Any], most: int) -> bool:
    """Whether all of these can be encoded as they are, and none lies deeper than ``most``."""
    for value in values:
        kind = value.__class__
        if kind in SIMPLE:
            continue
        if kind is list:
            if most < 1 or not (SIMPLE.issuperset(map(type, value)) or plain(value, most - 1)):
                return False
        elif kind is dict:
            if most < 1 or not (_KEYS.issuperset(map(type, value)) and plain(value.values(), most - 1)):
                return False
        elif kind is not bytes or len(value) >= SEGMENT:
            return False
    return True


def check(value: Any) -> None:
    """Return if a value can cross at all, other than a stream or a promise.

    Raises:
        CannotSend: It cannot.
    """
    Packing(_Nobody(), _DEPTH, inline=True).swap(value)


def lasting(value: Bytes) -> bytes | memoryview:
    """Binary as it is, where it stays so until it is written: bytes, or a read-only view; else a copy."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, memoryview) and value.readonly and value.c_contiguous:
        return value.cast("B")
    return bytes(value)


class _Nobody:
    """A session that shows nothing."""

    def show(self, _value: object) -> int:
        return 1

    def unshow(self, _value: object) -> None:
        """Nothing was shown."""

    def watch(self, _value: object, _version: int) -> None:
        """Nothing is sent."""

    def back(self, _value: object) -> None:
        """All are ours."""

    def awaits(self, _promise: object) -> None:
        raise CannotSend("a promise can only be sent as an argument of a call")

    def stream(self, _items: object) -> int:
        raise CannotSend("a stream cannot be part of a state")

    def unstream(self, _number: int) -> None:
        """None was opened."""

    def start(self, _number: int) -> None:
        """Nothing is sent."""

    def blob(self) -> int:
        return 1

    def unblob(self, _number: int) -> None:
        """None was taken."""

    def room(self) -> int:
        return Limits().frame


class NeedFailed(Exception):
    """A promise among the arguments of a call has failed, or has no such part: so ends the call, which is not made."""

    def __init__(self, error: RopewalkError) -> None:
        super().__init__(error)
        self.error = error


class Packing:
    """The values of one message.

    Attributes:
        segments: To travel beside the body.
        blobs: To travel before the message, by number.
        held: What must not be released before the message is sent.
        promises: Those among the values that are not there.
        streams: To be started when the message is sent.
        shared: To be watched from then on, from this version.
    """

    def __init__(self, shows: Shows, most: int, *, promises: bool = False, inline: bool = False) -> None:
        self.segments: list[Bytes] = []
        self.blobs: dict[int, Bytes] = {}
        self.held: list[object] = []
        self.promises: list[Promise] = []
        self.streams: list[int] = []
        self.shared: list[tuple[Shared, int]] = []
        self._shows, self._most, self._promises, self._inline = shows, most, promises, inline
        self._beside = 0
        self._undo: list[Callable[[], None]] = []

    def sent(self) -> None:
        """The message is sent."""
        for number in self.streams:
            self._shows.start(number)
        for shared, version in self.shared:
            self._shows.watch(shared, version)

    def undo(self) -> None:
        """The message is not sent: take back what was shown for it."""
        while self._undo:
            self._undo.pop()()

    def swap(self, value: Any, depth: int = 1) -> Any:
        """A value as the encoder takes it.

        Raises:
            CannotSend: It cannot cross; `undo` is then to be called.
        """
        kind = value.__class__
        if kind in SIMPLE:
            return value if kind is not int or -(2**63) <= value < 2**64 else self._integer(value)
        if depth > self._most and kind in _NESTED:
            raise CannotSend(f"values lie more than {self._most} deep inside each other")
        swap = _SWAPS.get(kind)
        if swap is not None:
            return swap(self, value, depth)
        return self._other(value, depth)

    def _list(self, value: list[Any], depth: int) -> list[Any]:
        return [self.swap(one, depth + 1) for one in value]

    def _dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        for key in value:
            if key.__class__ not in _KEYS:
                raise CannotSend(
                    f"a key of a map is {type(key).__name__}, expected text, integer, bytes, boolean or None"
                )
        return {key: self.swap(one, depth + 1) for key, one in value.items()}

    def _bytes(self, value: Bytes, _depth: int) -> Any:
        size = memoryview(value).nbytes
        if size < SEGMENT or self._inline:
            return bytes(value)
        value = lasting(value)
        if size <= PIECE and self._beside + size <= self._shows.room() // 2 and len(self.segments) < MOST_SEGMENTS:
            self._beside += size
            self.segments.append(value)
            return Ext(1, encode(len(self.segments) - 1))
        number = self._shows.blob()
        self._undo.append(lambda: self._shows.unblob(number))
        self.blobs[number] = value
        return Ext(10, encode(number))

    def _tuple(self, value: tuple[Any, ...], depth: int) -> Ext:
        return Ext(8, encode([self.swap(one, depth + 2) for one in value]))

    def _set(self, value: set[Any] | frozenset[Any], depth: int) -> Ext:
        return Ext(11, encode([self.swap(one, depth + 2) for one in value]))

    def _integer(self, value: int) -> Ext:
        size = (value if value >= 0 else ~value).bit_length() // 8 + 1
        if size > _LONGEST_INTEGER:
            raise CannotSend(f"an integer has {size} bytes, the longest has {_LONGEST_INTEGER}")
        return Ext(7, encode(value.to_bytes(size, "big", signed=True)))

    def _decimal(self, value: decimal.Decimal, _depth: int) -> Ext:
        text = str(value)
        if value.is_snan() or len(text) > _LONGEST_DECIMAL:
            raise CannotSend(f"got the decimal number {text:.40}, expected no signalling NaN and at most 4,096 digits")
        return Ext(12, encode("NaN" if value.is_nan() else text))

    def _moment(self, value: dt.datetime, _depth: int) -> Any:
        return value if value.tzinfo is not None else Ext(15, encode(value.isoformat()))

    def _other(self, value: Any, depth: int) -> Any:
        """What is of none of the kinds by its exact class."""
        if isinstance(value, Reference):
            number = self._shows.back(value)
            if number is not None:
                self.held.append(value)
                return Ext(3, encode(number))
        if isinstance(value, Shared):
            return self._shared(value, depth)
        if isinstance(value, Object | Reference):
            number = self._shows.show(value)
            self._undo.append(lambda: self._shows.unshow(value))
            return Ext(2, encode([number, kind_of(value)]))
        if isinstance(value, Promise | Path):
            return self._promise(value, depth)
        entry = entry_of(value.__class__)
        if entry is not None:
            return self._record(entry, value, depth)
        if inspect.isasyncgen(value) or hasattr(value, "__anext__"):
            number = self._shows.stream(value)
            self._undo.append(lambda: self._shows.unstream(number))
            self.streams.append(number)
            return Ext(9, encode(number))
        if isinstance(value, enum.Enum):
            return self.swap(value.value, depth)
        for kind, swap in _BASES:
            if isinstance(value, kind):
                return swap(self, value, depth)
        if isinstance(value, int | str | float):
            return self.swap(next(kind for kind in (int, str, float) if isinstance(value, kind))(value), depth)
        raise _refused(value)

    def _record(self, entry: Entry, value: Any, depth: int) -> Ext:
        if depth + 2 > self._most:
            raise CannotSend(f"values lie more than {self._most} deep inside each other")
        fields = {name: self.swap(one, depth + 3) for name, one in entry.take(value).items()}
        return Ext(5, encode([entry.name, fields]))

    def _shared(self, value: Shared, depth: int) -> Ext:
        number = self._shows.show(value)
        self._undo.append(lambda: self._shows.unshow(value))
        value.shown()
        self.shared.append((value, value.version))
        promises, self._promises, streams = self._promises, False, len(self.streams)
        state = self.swap(value.state, depth + 2)
        self._promises = promises
        if len(self.streams) > streams:
            raise CannotSend("a stream cannot be part of a shared object's state")
        return Ext(6, encode([number, kind_of(value), value.run, value.version, state]))

    def _promise(self, value: Promise | Path, depth: int) -> Any:
        promise, steps = (value, ()) if isinstance(value, Promise) else (value._promise, value._steps)
        check_path(steps)
        if promise._is_here():
            try:
                part = walk(promise.value(), steps)
            except RopewalkError as error:
                if not self._promises:
                    raise
                raise NeedFailed(error) from None
            return self.swap(part, depth)
        if not self._promises:
            raise CannotSend("a promise can only be sent as an argument of a call", hint="await it first")
        self._shows.awaits(promise)
        self.promises.append(promise)
        return Ext(4, encode([promise._question, *steps]))


def _refused(value: object) -> CannotSend:
    if isinstance(value, Iterator):
        return CannotSend(
            f"a plain iterator ({type(value).__name__}) cannot cross to the other end, which would wait for it here",
            hint="an asynchronous generator crosses as a stream: async def with yield; or send a list of it",
        )
    return CannotSend(
        f"a {type(value).__module__}.{type(value).__qualname__} cannot cross to the other end",
        hint="register it with @copyable to send a copy, or make its class an Object to send a reference",
    )


PLAIN = Packing(_Nobody(), _DEPTH)  # that of messages whose values are encoded as they are
_Swap = Callable[[Packing, Any, int], Any]
_SWAPS: dict[type[Any], _Swap] = {
    list: Packing._list,
    dict: Packing._dict,
    bytes: Packing._bytes,
    bytearray: Packing._bytes,
    memoryview: Packing._bytes,
    tuple: Packing._tuple,
    set: Packing._set,
    frozenset: Packing._set,
    decimal.Decimal: Packing._decimal,
    uuid.UUID: lambda _self, value, _depth: Ext(13, encode(value.bytes)),
    dt.datetime: Packing._moment,
    dt.date: lambda _self, value, _depth: Ext(14, encode(value.isoformat())),
    dt.timedelta: lambda _self, value, _depth: Ext(16, encode(value // dt.timedelta(microseconds=1))),
}
_BASES = [(kind, swap) for kind, swap in _SWAPS.items() if kind is not memoryview]
_NESTED = frozenset({list, dict, tuple, set, frozenset})
