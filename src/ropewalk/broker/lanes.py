"""Lanes: binary of any size on its way out in pieces, so that it holds up nothing else.

Flow: blobs and what is to be sent after them -> a lane -> `pump`, a piece of each lane in turn -> frames
Never: copies a blob; has more underway than the other end takes.
Source: docs/spec/broker.md section 5.3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping

from ropewalk.broker.errors import CannotSend
from ropewalk.broker.frames import Bytes
from ropewalk.broker.limits import PIECE, Limits
from ropewalk.broker.outbox import Outbox, encode, frame_of

__all__ = ["Job", "Lanes"]

_HEAD = 64  # bytes of a frame beside the piece, at most


class Job:
    """Blobs, and what is to be done when they are sent.

    Attributes:
        blobs: By number.
        then: Sends the message that they are part of.
        size: Of all blobs.
    """

    __slots__ = ("at", "begun", "blobs", "order", "size", "then")

    def __init__(self, blobs: Mapping[int, Bytes], then: Callable[[], None]) -> None:
        self.blobs, self.then = blobs, then
        self.order = list(blobs)
        self.size = sum(map(len, blobs.values()))
        self.at = 0  # bytes of the first of `order` that are sent
        self.begun = False


class Lanes:
    """The lanes of one session, and the numbers of blobs."""

    def __init__(self, outbox: Outbox, theirs: Limits) -> None:
        self.theirs = theirs
        self._outbox = outbox
        self._lanes: dict[Hashable, deque[Job]] = {}
        self._turn: list[Hashable] = []  # few: an empty deque has 700 bytes, and sessions are many
        self._underway = self._count = 0  # bytes and number of the blobs of jobs that are begun
        self._free: list[int] = []
        self._next = 1

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def number(self) -> int:
        """A number for a blob."""
        if self._free:
            return self._free.pop()
        self._next += 1
        return self._next - 1

    def free(self, number: int) -> None:
        """The number is used no more."""
        self._free.append(number)

    def check(self, blobs: Mapping[int, Bytes]) -> None:
        """Return if these can ever be sent.

        Raises:
            CannotSend: They are more, or longer, than the other end takes.
        """
        size, longest = sum(map(len, blobs.values())), max(map(len, blobs.values()))
        if longest > self.theirs.blob or size > self.theirs.window or len(blobs) > self.theirs.blobs:
            most = min(self.theirs.blob, self.theirs.window)
            raise CannotSend(
                f"{size:,} bytes of binary in one message, the other end takes {most:,}", hint="send it as a stream"
            )

    def put(self, key: Hashable, job: Job) -> None:
        """Do a job after all that is in its lane."""
        lane = self._lanes.get(key)
        if lane is None:
            self._lanes[key] = lane = deque()
            self._turn.append(key)
        lane.append(job)
        self._outbox.wake(False)

    def drop(self, key: Hashable, job: Job) -> bool:
        """Do not do a job, where it is not done yet; its numbers are free by `Packing.undo`."""
        lane = self._lanes.get(key)
        if lane is None or job not in lane:
            return False
        lane.remove(job)
        if job.begun:
            left = job.order[1:] if job.at else job.order
            for number in job.blobs.keys() - set(left):
                self._outbox.put_frame(frame_of(encode([number, 0]), [b""], 1))
            self._outbox.wake(False)
            self._leave(job)
        if not lane:
            self._end(key)
        return True

    def pump(self) -> bool:
        """Send one piece, or a message whose blobs are all sent; False when nothing can be sent now."""
        for _ in range(len(self._turn)):
            key = self._turn.pop(0)
            self._turn.append(key)
            job = self._lanes[key][0]
            if not job.begun:
                if job.order and (
                    self._underway + job.size > self.theirs.window or self._count + len(job.blobs) > self.theirs.blobs
                ):
                    continue
                job.begun = True
                self._underway += job.size
                self._count += len(job.blobs)
            if job.order:
                self._piece(job)
            else:
                lane = self._lanes[key]
                lane.popleft()
                if not lane:
                    self._end(key)
                self._leave(job)
                job.then()
                for number in job.blobs:
                    self.free(number)
            return True
        return False

    def _piece(self, job: Job) -> None:
        number = job.order[0]
        blob = memoryview(job.blobs[number])
        size = min(PIECE, self.theirs.frame - _HEAD)
        piece = blob[job.at : job.at + size]
        self._outbox.put_frame(frame_of(encode([number, len(blob)]), [piece], 1))
        job.at += len(piece)
        if job.at == len(blob):
            del job.order[0]
            job.at = 0

    def _leave(self, job: Job) -> None:
        self._underway -= job.size
        self._count -= len(job.blobs)

    def _end(self, key: Hashable) -> None:
        del self._lanes[key]
        self._turn.remove(key)
