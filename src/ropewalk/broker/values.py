"""Values: what packing and unpacking ask of a session, and which part of it they get it from.

Flow: Packing, Unpacking -> `Values` -> objects, questions, streams, shared objects, blobs
Never: does any of it itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from ropewalk.broker.answering import Answering
from ropewalk.broker.asking import Asking
from ropewalk.broker.blobs import Blobs
from ropewalk.broker.errors import Busy, CannotSend
from ropewalk.broker.footprint import footprint
from ropewalk.broker.lanes import Job, Lanes
from ropewalk.broker.limits import Limits
from ropewalk.broker.objects import Objects, Remote
from ropewalk.broker.offers import Object, Reference
from ropewalk.broker.outbox import Outbox, encode
from ropewalk.broker.overlook import overlook
from ropewalk.broker.packing import Packing
from ropewalk.broker.promise import Promise
from ropewalk.broker.shared import CannotTell, Shared, Shares, View
from ropewalk.broker.stream import Sight
from ropewalk.broker.streams import Stream, Streams
from ropewalk.broker.unpacking import Unpacking, shows
from ropewalk.errors import PeerFault, RopewalkError

__all__ = ["Values"]

_SMALL = 4096  # bytes of memory that need no closer look
_MANY = 4096  # references that were let go, and that no reader of ours will wait to be told of


class Values:
    """The part of a broker that values need."""

    objects: Objects
    asking: Asking
    answering: Answering
    streams: Streams
    shares: Shares
    lanes: Lanes
    blobs: Blobs
    outbox: Outbox
    unpacking: Unpacking
    ours: Limits
    _fault: Callable[[RopewalkError], None]

    def show(self, value: Object | Reference) -> int:
        """See `packing.Shows`."""
        return self.objects.show(value)

    def unshow(self, value: Object | Reference) -> None:
        """See `packing.Shows`."""
        self.objects.unshow(value)

    def say_update(
        self, number: int, version: int, changes: Sequence[list[Any]], then: Callable[[], None]
    ) -> tuple[Job, Packing] | None:
        """See `shared.Tells`."""
        packing = Packing(self, self.answering.replies.depth)

        def out() -> None:
            self.outbox.add(message, packing.segments)
            packing.sent()

        try:
            message = encode((9, number, version, packing.swap(list(changes))))
            self.outbox.check(message, packing.segments)
            if not packing.blobs:
                out()
                return None
            self.lanes.check(packing.blobs)
        except BaseException:
            packing.undo()
            raise

        def out_then() -> None:
            out()
            then()

        job = Job(packing.blobs, out_then)
        self.lanes.put(("update", number), job)
        return job, packing

    def unsay_update(self, number: int, job: Job, packing: Packing) -> None:
        """See `shared.Tells`."""
        if self.lanes.drop(("update", number), job):
            packing.undo()

    def cannot(self, error: CannotSend) -> None:
        """See `shared.Tells`."""
        self._fault(CannotTell(f"a shared object cannot be kept up to date at the other end: {error}"))

    def watch(self, value: Shared, version: int) -> None:
        """See `packing.Shows`."""
        self.shares.watch(self.objects.number(value), value, version)

    def back(self, value: Reference) -> int | None:
        """See `packing.Shows`."""
        if isinstance(value, Remote) and value._handle.objects is self.objects:
            if not value._handle.number:
                raise CannotSend("the other end's door cannot be sent: it is there before anything is")
            return value._handle.number
        return None

    def awaits(self, promise: Promise) -> None:
        """See `packing.Shows`."""
        if promise._asking is not self.asking:
            raise CannotSend("a promise of another session cannot be sent", hint="await it first")

    def stream(self, items: AsyncIterator[Any]) -> int:
        """See `packing.Shows`."""
        return self.streams.open(items)

    def unstream(self, number: int) -> None:
        """See `packing.Shows`."""
        self.streams.unopen(number)

    def start(self, number: int) -> None:
        """See `packing.Shows`."""
        self.streams.start(number)

    def room(self) -> int:
        """See `packing.Shows`."""
        return self.lanes.theirs.frame

    def blob(self) -> int:
        """See `packing.Shows`."""
        return self.lanes.number()

    def unblob(self, number: int) -> None:
        """See `packing.Shows`."""
        self.lanes.free(number)

    def found(self, number: int, name: str) -> Remote:
        """See `unpacking.Finds`."""
        if len(self.objects.released) > _MANY:
            self.release()
        return self.objects.found(number, name)

    def release(self) -> None:
        """Tell of the references that nobody here holds any more: until then each takes memory."""
        most = self.outbox.soft // 16  # of what is told in one message; a pair of numbers has at most 10 bytes
        numbers, counts = self.objects.take_released()
        for at in range(0, len(numbers), most):
            self.outbox.say((3, numbers[at : at + most], counts[at : at + most]))

    def own(self, number: int) -> Any:
        """See `unpacking.Finds`."""
        shown = self.objects.shown.get(number)
        return None if shown is None else shown.target

    def shared(self, number: int, name: str, run: bytes, version: int, state: Any) -> View:
        """See `unpacking.Finds`."""
        return self.shares.found(self.objects.held(number, name), run, version, state)

    def coming(self, number: int) -> Stream:
        """See `unpacking.Finds`."""
        return self.streams.coming(number)

    def whole(self, number: int) -> bytes:
        """See `unpacking.Finds`."""
        return self.blobs.whole(number)

    def _seen(self, content: bytes) -> Sight | int | None:
        """What is shown in an item of a stream that came, if something is; its bytes, where there is no room for it."""
        if not shows(content):
            return None
        burden, size = self.answering.burden, footprint(content, _SMALL)
        try:
            burden.hold(size)
        except Busy:
            overlook(self.unpacking, content, inline=True)
            return len(content)
        return Sight(content, self.unpacking.seen(content, self.ours), size, burden.gone)

    def _item(self, content: bytes, seen: Sequence[Any]) -> Any:
        """An item of a stream, from the form it came in."""
        try:
            return self.unpacking.item(content, self.ours, seen)
        except PeerFault as error:
            self._fault(error)
            raise
