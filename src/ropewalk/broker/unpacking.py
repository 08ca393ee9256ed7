"""Unpacking: values of the wire as this end has them.

Flow: body -> decode, which calls `Unpacking.extension` -> values; `marks` counts what has to be looked for in them
Never: makes anything of a name from the wire but by the table of what was registered.
Source: docs/spec/broker.md section 5.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, get_args

import msgspec

from ropewalk.broker import scalars
from ropewalk.broker.copyables import entry_named
from ropewalk.broker.errors import BadFrame, BadMessage, BadValue, Busy, CannotSend, NoSuchObject, OverLimit
from ropewalk.broker.frames import Bytes
from ropewalk.broker.limits import LIGHT, Limits
from ropewalk.broker.messages import BODY
from ropewalk.broker.paths import LONGEST
from ropewalk.broker.weigh import check_keys, too_deep, weigh
from ropewalk.errors import PeerFault, RopewalkError

__all__ = ["UNDECODABLE", "Awaited", "Broken", "Finds", "Unpacking", "settle", "shows", "undecodable"]

_LONGEST_TEXT = 512
_ALIKE, _MANY = 16, 64  # elements of a set that may have one hash; elements from which that is looked at
_NO_MOMENT = ("Invalid MessagePack timestamp", "Timestamp is out of range")  # what a decoder says of one
_KEYS = frozenset({str, int, bytes, bool, type(None)})


class Awaited(NamedTuple):
    """In place of a value: the answer to a question of the other end, or a part of it."""

    question: int
    steps: tuple[int | str, ...]


class Broken(NamedTuple):
    """In place of a value that cannot be made: why. Not the error itself, which is large, and there may be many."""

    kind: type[RopewalkError]
    text: str
    hint: str

    @property
    def error(self) -> RopewalkError:
        """The error, to be raised."""
        return self.kind(self.text, hint=self.hint)


class Finds(Protocol):
    """What unpacking asks of a session."""

    def found(self, number: int, name: str) -> Any:
        """What stands here for an object of the other end, counted once more."""

    def own(self, number: int) -> Any:
        """An object of ours that was shown; None where there is none of this number."""

    def shared(self, number: int, name: str, run: bytes, version: int, state: Any) -> Any:
        """What stands here for a shared object of the other end.

        Raises:
            Busy: There is no room for its state.
        """

    def coming(self, number: int) -> Any:
        """A stream that the other end will fill."""

    def whole(self, number: int) -> bytes:
        """A blob that is whole."""


class Unpacking:
    """Decodes bodies of one session.

    Attributes:
        marks: How many `Awaited` and `Broken` are in what was decoded; who has seen to them makes it 0.
        read: Decodes a body without segments; raises one of `UNDECODABLE`.
        depth: How deep the fields of a copyable, and the state of a shared object, may lie.
    """

    def __init__(self, finds: Finds, depth: int = 64) -> None:
        self.marks = 0
        self.depth = depth
        self._finds = finds
        self._inline = False  # this is an item, which has no segments and no blobs
        self._seen: list[Any] | None = None  # what is found goes there
        self._again: Iterator[Any] | None = None  # what was found before comes from there
        self._segments: Sequence[bytes] = ()
        self._used: set[int] = set()
        self.read: Callable[[Bytes], list[Any]]  # of `Message`
        self.read = msgspec.msgpack.Decoder(BODY, ext_hook=self.extension).decode
        self._message = msgspec.msgpack.Decoder(get_args(BODY)[0], ext_hook=self.extension).decode
        self._value = msgspec.msgpack.Decoder(ext_hook=self.extension).decode

    def decode(self, body: Bytes, segments: Sequence[bytes]) -> list[Any]:
        """The messages of a body. (`read` is the same, for who has no segments and knows what it raises.)

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
        """
        self.begin(segments)
        try:
            said = self.read(body)
        except UNDECODABLE as error:
            raise undecodable(error) from None
        self.end()
        return said

    def begin(self, segments: Sequence[bytes]) -> None:
        """A frame that is decoded message by message has these."""
        self._segments, self._used = segments, set()

    def end(self) -> None:
        """All of it is decoded.

        Raises:
            BadFrame: Some of its segments are not used.
        """
        if len(self._used) != len(self._segments):
            raise BadFrame(f"{len(self._segments) - len(self._used)} segments of a frame are not used")
        self._segments = ()

    def message(self, content: Bytes) -> Any:
        """One message of a frame.

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
        """
        try:
            return self._message(content)
        except UNDECODABLE as error:
            raise undecodable(error) from None

    def reference(self, number: Bytes, name: Bytes) -> Any:
        """What stands for an object of the other end, whose number and name are encoded."""
        return self._theirs([self.value(number), self.value(name)])

    @property
    def beside(self) -> int:
        """Bytes of the segments that were used so far."""
        return sum(len(self._segments[index]) for index in self._used)

    def value(self, content: Bytes) -> Any:
        """One value.

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
        """
        try:
            return self._value(content)
        except UNDECODABLE as error:
            raise undecodable(error) from None

    def seen(self, content: bytes, ours: Limits) -> list[Any]:
        """What is shown in an item of a stream, which counts from when it came, not from when somebody wants it.

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
        """
        seen: list[Any] = []
        self._seen = seen
        try:
            self.item(content, ours)
        except PeerFault:
            raise
        except RopewalkError:  # it cannot be made here, which is said to who wants it
            return seen
        finally:
            self._seen = None
        return seen

    def item(self, content: bytes, ours: Limits, seen: Sequence[Any] = ()) -> Any:
        """An item of a stream from the form it came in, with what was `seen` in it.

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
            RopewalkError: Something in it cannot be made here.
        """
        if len(content) > LIGHT:
            weigh(content, ours.weight)
        check_keys(content)
        marks, self.marks, self._inline = self.marks, 0, True
        self._again = iter(seen) if seen else None
        try:
            item = self.value(content)
            marked = bool(self.marks)
        finally:
            self.marks, self._inline, self._again = marks, False, None
        if too_deep((item,), ours.depth):
            raise OverLimit(f"an item lies more than {ours.depth} deep inside itself")
        return settle(item, _nothing) if marked else item

    def extension(self, code: int, data: memoryview) -> Any:
        """What an extension is.

        Raises:
            BadFrame, BadValue, BadMessage, OverLimit: It is none.
        """
        take = _TAKES.get(code)
        if take is None:
            raise BadValue(f"extension {code} is not known")
        content = self._value(data)
        if self._again is not None and code in _SHOWING:
            value = next(self._again)
            self.marks += value.__class__ is Broken
            return value
        try:
            value = take(self, content)
        except (TypeError, ValueError, IndexError, KeyError, ArithmeticError):
            raise BadValue(f"extension {code} cannot have this {type(content).__name__} as its content") from None
        if self._seen is not None and code in _SHOWING:
            self._seen.append(value)
        return value

    def _segment(self, index: int) -> bytes:
        if type(index) is not int or index < 0 or index in self._used or self._inline:
            raise ValueError
        segment = self._segments[index]
        self._used.add(index)
        return segment

    def _blob(self, number: int) -> bytes:
        if self._inline:
            raise ValueError
        return self._finds.whole(_number(number))

    def _theirs(self, content: list[Any]) -> Any:
        number, name = content
        return self._finds.found(_number(number), _text(name))

    def _ours(self, number: int) -> Any:
        own = self._finds.own(_number(number))
        return self._broken(NoSuchObject(f"there is no object {number}")) if own is None else own

    def _awaited(self, content: list[Any]) -> Awaited:
        question, *steps = content
        if any(type(step) not in (int, str) for step in steps) or len(steps) > LONGEST:
            raise ValueError
        self.marks += 1
        return Awaited(_number(question), tuple(steps))

    def _copyable(self, content: list[Any]) -> Any:
        name, fields = content
        if type(name) is not str or type(fields) is not dict or any(type(field) is not str for field in fields):
            raise ValueError
        if too_deep((fields,), self.depth):
            raise OverLimit(f"fields lie more than {self.depth} deep inside each other")
        try:
            if not _clean(fields):
                return self._broken(CannotSend("what is not there yet cannot be inside of a copyable"))
            return entry_named(name).make(fields)
        except RopewalkError as error:
            return self._broken(error)

    def _shared(self, content: list[Any]) -> Any:
        number, name, run, version, state = content
        if type(run) is not bytes or len(run) != 8 or type(version) is not int or version < 0:
            raise ValueError
        if too_deep((state,), self.depth):
            raise OverLimit(f"the state of a shared object lies more than {self.depth} deep inside itself")
        if not _clean(state):
            self._finds.found(_number(number), _text(name))  # it was shown nevertheless
            return self._broken(CannotSend("the state of a shared object has something that cannot be made here"))
        try:
            return self._finds.shared(_number(number), _text(name), run, version, state)
        except Busy as error:
            return self._broken(error)

    def _tuple(self, items: list[Any]) -> tuple[Any, ...]:
        if type(items) is not list:
            raise ValueError
        return tuple(items)

    def _set(self, items: list[Any]) -> set[Any]:
        if type(items) is not list or not all(map(_clean, items)):
            raise ValueError
        if len(items) >= _MANY and max(Counter(map(hash, items)).values()) > _ALIKE:
            raise OverLimit("elements of a set were chosen to make it slow")
        made = set(items)
        if len(made) != len(items):
            raise ValueError
        return made

    def _broken(self, error: RopewalkError) -> Broken:
        self.marks += 1
        return Broken(type(error), str(error)[:_LONGEST_TEXT], error.hint)


UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError)  # what a decoder raises


def shows(content: bytes) -> bool:
    """Whether there may be something in an item that has to be seen to as soon as it came."""
    return _SHOWN.search(content) is not None


def undecodable(error: Exception) -> PeerFault:
    """What that says of a body."""
    if isinstance(error, msgspec.ValidationError):
        why, _, where = str(error).replace("Expected", "expected", 1).partition(" - at ")
        if "$[" in where and not why.startswith(_NO_MOMENT):
            return BadMessage(f"got a message that is none: {why} at {where}")
    if isinstance(error, UnicodeDecodeError):
        return BadFrame("text in a body is not UTF-8")
    if isinstance(error, RecursionError):
        return BadFrame("values in a body lie too deep inside each other")
    if isinstance(error, msgspec.DecodeError):
        return BadFrame(f"a body is not as MessagePack writes it: {error}")
    return BadFrame(f"a body cannot be decoded: {error}")  # a key of a map that cannot be one


def _nothing(_awaited: Awaited) -> Any:
    raise BadMessage("what is not there yet is named outside of a call")


def _number(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**31:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > 128:
        raise ValueError
    return value


def _clean(value: Any) -> bool:
    """Whether nothing in a value has to be put in its place yet."""
    kind = value.__class__
    if kind is Awaited or kind is Broken:
        return False
    if kind is list or kind is tuple:
        return all(map(_clean, value))
    return all(map(_clean, value.values())) if kind is dict else True


def settle(value: Any, answer: Callable[[Awaited], Any]) -> Any:
    """A value with all that was awaited in its place.

    Raises:
        RopewalkError: Something in it could not be made, or ``answer`` says so.
    """
    kind = value.__class__
    if kind is Awaited:
        return answer(value)
    if kind is Broken:
        raise value.error
    if kind is list:
        return [settle(one, answer) for one in value]
    if kind is tuple:
        return tuple([settle(one, answer) for one in value])
    if kind is dict:
        if not _KEYS.issuperset(map(type, value)):
            raise BadValue("a key of a map is not text, an integer, binary, a boolean or nil")
        return {key: settle(one, answer) for key, one in value.items()}
    return value


_SHOWING = frozenset({2, 3, 6, 9})
_SHOWN = re.compile(rb"(?:[\xd4-\xd8]|\xc7.|\xc8..|\xc9....)[\x02\x03\x06\x09]", re.DOTALL)  # or what looks like it
_TAKES: dict[int, Callable[[Unpacking, Any], Any]] = {
    1: Unpacking._segment,
    2: Unpacking._theirs,
    3: Unpacking._ours,
    4: Unpacking._awaited,
    5: Unpacking._copyable,
    6: Unpacking._shared,
    7: lambda _self, data: scalars.integer(data),
    8: Unpacking._tuple,
    9: lambda self, number: self._finds.coming(_number(number)),
    10: Unpacking._blob,
    11: Unpacking._set,
    12: lambda _self, text: scalars.decimal_number(text),
    13: lambda _self, data: scalars.unique(data),
    14: lambda _self, text: scalars.date(text),
    15: lambda _self, text: scalars.moment(text),
    16: lambda _self, count: scalars.duration(count),
}
