"""Heavy: frames whose values may take more memory than is left.

Their messages are taken one by one, and a CALL or an UPDATE for which there is no room is not decoded: the call is
answered `broker.busy`, the copy is given up. What is shown in it counts all the same, so it is looked for and let go.

Flow: body -> `taken_apart` -> each message as in any other frame, or refused
Never: refuses answers to what this end has asked, or anything that frees memory.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ropewalk.broker.about import CURRENT
from ropewalk.broker.errors import BadFrame, BadMessage, Busy
from ropewalk.broker.footprint import messages, quickly
from ropewalk.broker.hearing import Hearing
from ropewalk.broker.messages import Return
from ropewalk.broker.overlook import overlook
from ropewalk.broker.weigh import count_at

__all__ = ["taken_apart"]

_CALL, _UPDATE = 0, 9
_LONGEST = 7  # fields of a message
_fields = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_number = msgspec.msgpack.Decoder(int).decode


def taken_apart(broker: Hearing, body: bytes | memoryview, segments: Sequence[bytes]) -> int:
    """Take a frame message by message, and say how many; 0, and nothing is done, where there is room for all of it.

    Raises:
        PeerFault: It is not what it must be.
    """
    burden = broker.answering.burden
    # What is alone is always taken: it weighs no more than one frame may.
    data = bytes(body)
    if not burden.size or burden.fits(quickly(data), len(data)):
        return 0
    unpacking, end, count = broker.unpacking, 0, 0
    unpacking.begin(segments)
    for begin, end, taken in messages(data):
        count += 1
        message = memoryview(data)[begin:end]
        if burden.size and not burden.fits(taken, end - begin) and _refused(broker, message):
            continue
        _one(broker, message)
    if not end or end != len(data):
        raise BadFrame("a body is not as MessagePack writes it")
    unpacking.end()
    return count


def _one(broker: Hearing, body: memoryview) -> None:
    unpacking, answering, beside = broker.unpacking, broker.answering, broker.unpacking.beside
    message = unpacking.message(body)
    answering.marked = unpacking.marks > 0 or CURRENT.get() is not None
    if message.__class__ is Return:
        promise = broker.asking.questions.pop(message.question, None)
        if promise is None:
            raise BadMessage(f"an answer to question {message.question}, which is not open")
        broker._returned(promise, message.value)
    else:
        broker.hear(message)
    unpacking.marks = 0
    if answering.opened:
        answering.weigh(body, unpacking.beside - beside + broker.blobs.taken)
    broker.blobs.taken = 0


def _refused(broker: Hearing, body: memoryview) -> bool:
    """Whether a message is one that can be refused; then it was."""
    if not 2 < count_at(bytes(body[:5]), 0) <= _LONGEST:
        return False
    try:
        kind, number, *rest = _fields(body)
        if _number(kind) not in (_CALL, _UPDATE):
            return False
        asked = _number(number)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False  # which decoding it will say
    for field in rest:
        overlook(broker.unpacking, bytes(field))
    if _number(kind) == _CALL:
        broker.answering.refuse(asked)
    else:
        broker.shares.give_up(asked, Busy("a shared object has changed by more than there is memory for"))
    return True
