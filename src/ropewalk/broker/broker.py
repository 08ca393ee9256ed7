"""Broker: the engine of one end of a session. Bytes go in; bytes, calls and answers come out.

It knows no socket, and of time and tasks only what it is given. Calls of plain methods with plain values, and their
answers, are done here in one loop over the messages of a frame; everything else is done by the part it belongs to.

Flow: `reader` -> `taken` -> hello, then calls (`Answering`), answers (`Asking`), items (`Streams`) .. -> `take`
Never: goes on after the other end broke a rule; lets an error of a method out; reads what a name from the wire says.
Source: docs/spec/broker.md.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import msgspec

from ropewalk.broker.about import CURRENT, about_of
from ropewalk.broker.answering import Answering
from ropewalk.broker.asking import Asking
from ropewalk.broker.blobs import Blobs
from ropewalk.broker.calling import refused
from ropewalk.broker.drives import Drives
from ropewalk.broker.errors import BadFrame, BadMessage, OverLimit
from ropewalk.broker.footprint import MOST_PER_BYTE
from ropewalk.broker.frames import Bytes, Reader
from ropewalk.broker.greeting import HELLO, Greeting, greeting
from ropewalk.broker.hearing import Hearing
from ropewalk.broker.heavy import taken_apart
from ropewalk.broker.held import FLAT, Fault
from ropewalk.broker.lanes import Lanes
from ropewalk.broker.limits import BEFORE_LOGIN, FREE, LIGHT, PIECE, SLIGHT, Limits, at_least, before, told
from ropewalk.broker.messages import (
    Call,
    Return,
)
from ropewalk.broker.objects import Objects, Shown
from ropewalk.broker.offers import PLAIN, Object
from ropewalk.broker.outbox import FIRST, Outbox, encode_into, frame_of
from ropewalk.broker.packing import SIMPLE, plain
from ropewalk.broker.shared import Shares
from ropewalk.broker.streams import Streams
from ropewalk.broker.unpacking import UNDECODABLE, Unpacking, undecodable
from ropewalk.broker.weigh import LARGE, PER_BYTE, check_keys, too_deep, weigh
from ropewalk.errors import RopewalkError

__all__ = ["Broker"]

_SHORTEST = 7  # bytes of a call
_PART = 48  # messages of a frame that are taken at once
_NESTED: frozenset[Any] = frozenset({list, dict, tuple, set})


class Broker(Hearing):
    """One end of a session.

    Args:
        door: What the other end can call before anything else.
        drives: Who drives it.
        ours: What this end accepts, after login where it is a server.
        server: This end was connected to.
        nonce: 32 random bytes.
        node: Public key of this end, where it has one.
        reader: What cuts the bytes that come into frames, where there is one already.

    Attributes:
        hello: What the other end has said of itself, once it is there.
        rest: Messages of a frame of which a part was taken. It is taken in parts, so that the other end has the first
            answers to go on with while this one makes the next, and so that nobody else waits for all of it.
    """

    def __init__(
        self,
        door: Object,
        drives: Drives,
        *,
        ours: Limits,
        server: bool,
        nonce: bytes,
        node: bytes | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.server, self.nonce, self.node = server, nonce, node
        self.hello: Greeting | None = None
        self.calls = 0  # messages
        self.rest: list[Any] = []
        self._body = b""  # that they came in
        self._drives, self._fault = drives, drives.fault
        now = before(ours) if server else at_least(ours)
        self.outbox = Outbox(drives.wake)
        self.lanes = Lanes(self.outbox, BEFORE_LOGIN)
        self.objects = Objects(now, BEFORE_LOGIN, drives.late, drives.table)
        self.asking = self.objects.asking = Asking(drives, self.outbox, self.lanes, self, BEFORE_LOGIN, drives.late)
        self.answering = Answering(self.outbox, self.lanes, self.objects, self, drives, now, BEFORE_LOGIN.depth)
        self.blobs = Blobs(now)
        self.streams = Streams(
            drives, self.outbox, self.lanes, self, drives, now, BEFORE_LOGIN, self._item, self._seen, drives.late
        )
        self.answering.streamed = self.streams.unread
        self.shares = Shares(self, drives.wake, self.answering.burden)
        self.unpacking = Unpacking(self)
        self.reader = reader or Reader(HELLO)
        self.reader.taker = self
        self.objects.shown[0] = Shown(door, 0, self.objects.offers(door))
        self._small = -1  # bytes of a body that is neither heavy, nor a hello, nor anything else that needs a look
        # What every frame needs, at one look; none of these is ever another.
        asking, answering = self.asking, self.answering
        self._parts = (
            *(self.unpacking, self.unpacking.read, answering, self.outbox),
            *(asking.questions, asking.finished, answering.answers, self.objects.shown),
        )
        self._ours(now)
        self.outbox.put_frame(frame_of(greeting(nonce, node, now)))

    # What each end accepts.

    def _ours(self, limits: Limits) -> None:
        self.ours = limits
        for part in (self.objects, self.answering, self.blobs, self.streams):
            part.ours = limits
        self.unpacking.depth = limits.depth
        self._light = min(LIGHT, limits.weight // PER_BYTE)
        self._most = limits.questions
        if self.hello is not None:
            self._small = min(LARGE, self._light)
            self.reader.limit = limits.frame

    def accept(self, limits: Limits) -> None:
        """Accept more from now on, and tell the other end."""
        raised = {name: max(value, getattr(self.ours, name)) for name, value in told(limits).items()}
        self._ours(msgspec.structs.replace(limits, **raised))
        self.outbox.say((12, told(self.ours)))

    # Frames.

    def taken(  # noqa: C901 - one loop, since a call to a part costs a tenth of what a call costs
        self, body: bytes | memoryview, segments: Sequence[bytes], messages: list[Any] | None = None
    ) -> None:
        """A frame is whole; or, with ``messages``, what is left of one.

        Raises:
            PeerFault: It is not what it must be.
        """
        size = len(body)
        if messages is None and size > self._small:
            if self.hello is None:
                self._hello(body, segments)
                return
            if size > self._light:
                weigh(body, self.ours.weight)
            check_keys(body)
            self.asking.urgent = True
            if size * MOST_PER_BYTE + self.answering.burden.size > self.ours.memory:
                count = taken_apart(self, body, segments)
                if count:
                    self.calls += count
                    return
        unpacking, decode, answering, outbox, questions, finished, answers, shown = self._parts
        if messages is None:
            while self.rest:
                self.go_on()
            if segments:
                messages = unpacking.decode(body, segments)
            else:
                try:
                    messages = decode(body)
                except UNDECODABLE as error:
                    raise undecodable(error) from None
            if not messages:
                raise BadFrame("a body has no messages")
        depth = unpacking.depth
        # What costs something is asked once a frame; if so, each of its messages goes the long way.
        marked = answering.marked = unpacking.marks > 0 or CURRENT.get() is not None
        most = self._most
        tight = len(answers) + size // _SHORTEST > most
        later: list[Any] = []
        if size > self._small and len(messages) > _PART and not (marked or segments or self.blobs.taken):
            later = messages[_PART:]
            del messages[_PART:]
        began = 0.0
        for message in messages:
            kind = message.__class__
            if kind is Return:
                question, value = message.question, message.value
                promise = questions.pop(question, None)
                if promise is None:
                    raise BadMessage(f"an answer to question {question}, which is not open")
                if promise._odd or marked or (value.__class__ in _NESTED and too_deep((value,), depth)):
                    self._returned(promise, value)
                    continue
                finished.append(question)
                promise._value = value
                future = promise._future
                if future is not None and not future.done():
                    future.set_result(value)
            elif kind is Call and not (
                marked or answering.careful or message.named or (tight and len(answers) >= most)
            ):
                question, arguments = message.question, message.arguments
                there = shown.get(message.target) if message.target.__class__ is int else None
                offer = None if there is None else there.offers.get(message.method)
                if there is None or offer is None or offer.how != PLAIN or question in answers:
                    answering.call(message)
                    began = 0.0
                    continue
                for argument in arguments:
                    if argument.__class__ in _NESTED:
                        if too_deep((arguments,), depth):
                            raise OverLimit(f"arguments lie more than {depth} deep inside each other")
                        break
                about, reset = None, None
                if message.about is not None:
                    about = about_of(message.about, self._drives.time())
                    reset = CURRENT.set(about)
                seconds, began = offer.seconds, began or perf_counter()
                try:
                    if offer.checked:
                        arguments = offer.convert(arguments)
                    value = offer.call(there.target, *arguments)
                    if value.__class__ not in SIMPLE and not plain((value,), answering.replies.depth):
                        said = value.__class__ is bytes and self._say_with(question, value)
                        if not said and answering.give(question, value, about, (seconds, began)):
                            seconds = None  # it takes its time, and tells of it when it is done
                        continue
                    body_out = outbox.body
                    before = len(body_out)
                    try:
                        encode_into((1, question, value), body_out, -1)
                    except (OverflowError, UnicodeEncodeError):
                        del body_out[before:]
                        answering.give(question, value, about, (seconds, began))
                        continue
                    after = len(body_out)
                    if after > outbox.soft:
                        outbox.cut(before)
                    outbox.count += 1
                    if after - before < SLIGHT or (value.__class__ in FLAT and after - before < FREE):
                        answers[question] = value
                    else:
                        answering.keep(question, value, after - before)
                except (Exception, CancelledError) as error:
                    fault = refused(offer, arguments, error)
                    answering.fail(question, fault)
                    answers[question] = Fault(fault.with_traceback(None))
                finally:
                    if reset is not None:
                        CURRENT.reset(reset)
                    then, began = began, perf_counter()
                    if seconds is not None:
                        seconds.observe(began - then)
            else:
                self.hear(message)
                began = 0.0
        self.calls += len(messages)
        if len(finished) >= self._enough:
            self.asking.urgent = True
        if later:
            self.rest, self._body = later, bytes(body)
            if answering.opened:  # which have the frame for their burden: once, not with each part
                self.go_on()
                return
            self._drives.soon()
        if answering.opened:
            answering.weigh(body, sum(map(len, segments)) + self.blobs.taken)
        self.blobs.taken = 0
        if marked:
            unpacking.marks = 0

    def go_on(self) -> None:
        """Take the next part of a frame of which a part was taken.

        Raises:
            PeerFault: It is not what it must be.
        """
        rest, self.rest = self.rest, []
        self.taken(self._body, (), rest)

    def _say_with(self, question: int, value: bytes) -> bool:
        """RETURN of binary that travels beside the message; False where it is too long for that."""
        size = len(value)
        message = self.outbox.say_with((1, question, FIRST), value) if size <= PIECE else 0
        if message:
            self.answering.keep(question, value, message + size)
        return message > 0

    def _hello(self, body: bytes | memoryview, segments: Sequence[bytes]) -> None:
        hello = Greeting.read(body, segments)
        limits = hello.limits
        if self.server and type(limits) is dict:
            limits = told(Limits()) | limits  # a client has the defaults from the start
        self.hello = hello._replace(limits=None)  # which are kept where they are heeded
        self._ours(self.ours)
        self._theirs(limits)
        self._drives.wake(False)

    def piece(self, body: memoryview, size: int) -> memoryview:
        """A piece of a blob begins.

        Raises:
            PeerFault: It is not what it must be.
        """
        if self.hello is None:
            raise BadFrame("the first frame is no hello")
        return self.blobs.piece(body, size)

    def piece_end(self) -> None:
        """The piece is whole."""
        self.blobs.piece_end()

    # What is to be sent.

    def take(self, *, late: bool = False) -> list[list[Bytes]]:
        """The frames to be written now, each in pieces; ``late``: with what is in no hurry."""
        most = self.outbox.soft // 16  # of what is told in one message; a pair of numbers has at most 10 bytes
        asking = self.asking
        if asking.finished and (late or asking.urgent or asking.careful):
            finished = asking.take_finished()
            for at in range(0, len(finished), most):
                self.outbox.say((4, finished[at : at + most]))
            if asking.careful:
                asking.pump()
        if self.objects.released:
            self.release()
        if self.streams.gone:
            self.streams.sweep()
        if self.shares.changed:
            self.shares.tell()
        if self.pong is not None:
            self.outbox.say((11, self.pong))
            self.pong = None
        return self.outbox.take()

    def end(self, error: RopewalkError) -> None:
        """The session is over."""
        self.asking.end(error)
        self.rest.clear()
        self.answering.end()
        self.streams.stop(error)
        self.shares.end(error)
        self.objects.end()
