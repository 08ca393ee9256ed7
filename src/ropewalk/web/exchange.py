"""Exchange: one request and its answer, as an ASGI app sees them.

Flow: connection -> feed, whole -> receive -> the app -> send -> framing -> the connection's transport
Never: holds more of a body than the connection lets it, sends more or less than the head of the answer said, or keeps
       from the app that nobody listens any more.
Source: ASGI 3.0, HTTP 2.5; RFC 9112, sections 6 and 7.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from ropewalk.web.errors import BadRequest, BrokenAnswer, Disconnected
from ropewalk.web.heads import AnswerHead, head_of
from ropewalk.web.limits import WebLimits
from ropewalk.web.quick import Message, Scope
from ropewalk.web.sending import pieces_of

if TYPE_CHECKING:
    from ropewalk.web.protocol import Connection

__all__ = ["DROPPED", "Exchange"]

DROPPED = (
    64 * 1024
)  # bytes of a body that are read and dropped for a connection to be kept; more costs more than a new one


class Exchange:
    """One request and its answer.

    Attributes:
        scope: What the app is called with.
        method: Of the request.
        keep: The connection is to be kept after it, as far as the peer goes.
        length: Of the request's body; None where it comes in chunks.
        whole: All of the request has come.
        waiting: Bytes of the body that came and were not taken.
        received: Bytes of the body so far.
        hungry: The app waits for more of the body.
        upgrade: It asks for a WebSocket.
        cut: Nobody is there to answer, or it was refused.
        over: The answer is sent, or will never be.
        sent: Bytes of the answer's body.
        status: Of the answer; 0 before it has begun.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects",
        "_head",
        "_is_silent",
        "_left",
        "_shared",
        "_stirred",
        "_told",
        "_waiting",
        "began",
        "cut",
        "fed_at",
        "hungry",
        "hungry_for",
        "keep",
        "length",
        "method",
        "over",
        "received",
        "scope",
        "sent",
        "started",
        "status",
        "upgrade",
        "whole",
    )

    def __init__(
        self,
        connection: Connection,
        scope: Scope,
        *,
        length: int | None,
        expects: bool,
        keep: bool,
        shared: dict[str, int] | None,
    ) -> None:
        self._connection, self.scope, self.length, self.keep = connection, scope, length, keep
        self.method: str = scope["method"]
        self._expects = expects
        self._shared = shared  # {"most": bytes of a body}, which the app may change before it reads
        self.whole = length == 0
        self._waiting: bytes | bytearray = b""
        self._told = False  # the app has the end of the body
        self._stirred: asyncio.Event | None = None
        self._head: AnswerHead | None = None
        self._left: int | None = None  # bytes of the answer's body that must still come
        self._chunked = self._is_silent = False
        self.started = self.cut = self.over = self.upgrade = self.hungry = False
        self.received = self.sent = self.status = 0
        self.fed_at = self.hungry_for = self.began = 0.0

    # ---- what the connection tells ----

    @property
    def waiting(self) -> int:
        """Bytes of the body that came and were not taken."""
        return len(self._waiting)

    def feed(self, data: bytes) -> None:
        """More of the body."""
        self.received += len(data)
        if self.over or self.cut:
            return
        if not self._waiting:
            self._waiting = data
        elif isinstance(self._waiting, bytearray):
            self._waiting += data
        else:
            self._waiting = bytearray(self._waiting) + data
        self.stir()

    def end_of_body(self) -> None:
        """There is no more of it."""
        self.whole = True
        self.stir()

    def disconnect(self) -> None:
        """Nobody is there any more."""
        self.cut = True
        self.stir()

    def stir(self) -> None:
        """Whoever waits for something is to look again."""
        if self._stirred is not None:
            self._stirred.set()

    def look_at_body(self, now: float, step: float, limits: WebLimits) -> None:
        """See whether a body that the app waits for comes too slowly."""
        self.hungry_for += step
        why = ""
        if now - self.fed_at - step > limits.body_seconds:
            why = f"no more of the body came within {limits.body_seconds:g} seconds"
        elif self.hungry_for > limits.body_seconds and self.received < self.hungry_for * limits.body_rate:
            why = f"the body came with less than {limits.body_rate:g} bytes a second"
        if why:
            self._connection.refuse_exchange(self, BadRequest(408, why))

    # ---- what the app calls ----

    async def receive(self) -> Message:
        """The next part of the body, or that the peer has gone, or will not be listened to any more."""
        while True:
            if self.cut or (self._told and (self.over or self._connection.site.stopping or self._connection.eof)):
                return {"type": "http.disconnect"}
            if not self._told:
                if self._too_long():
                    return {"type": "http.disconnect"}
                if self._waiting or self.whole:
                    body, self._waiting = bytes(self._waiting), b""
                    self._told = self.whole
                    self._connection.body_taken()
                    return {"type": "http.request", "body": body, "more_body": not self._told}
                if self._expects and not self.started:
                    self._expects = False
                    self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._wait()

    async def send(self, message: Message) -> None:
        """A part of the answer.

        Raises:
            Disconnected: Nobody is there to get it.
            BrokenAnswer: It is not what may come now.
        """
        if self.cut:
            raise Disconnected("the peer has gone, or was refused")
        match message["type"]:
            case "http.response.body":
                self._send_body(message.get("body", b""), more=message.get("more_body", False))
            case "http.response.start":
                self._start(message)
                return
            case "http.response.zerocopysend":
                await self._send_file(message, message["file"].fileno(), more=message.get("more_body", False))
            case "http.response.pathsend":
                await self._send_path(message["path"])
            case other:
                raise BrokenAnswer(f"got the message {other!r:.60}, expected a part of an answer")
        if self._connection.writing_paused:
            await self._connection.writable()

    # ---- receiving ----

    def _too_long(self) -> bool:
        if self._shared is None:
            return False
        most = self._shared["most"]
        if self.received <= most and (self.length or 0) <= most:
            return False
        self._connection.refuse_exchange(self, BadRequest(413, f"the body has more than {most} bytes"))
        return True

    async def _wait(self) -> None:
        if self._stirred is None:
            self._stirred = asyncio.Event()
        self._stirred.clear()
        self.hungry = not self._told
        if self.hungry:
            self.fed_at = self._connection.site.now
        try:
            await self._stirred.wait()
        finally:
            self.hungry = False

    # ---- sending ----

    def _start(self, message: Message) -> None:
        if self._head is not None or self.over:
            raise BrokenAnswer("got a second beginning of an answer")
        if message.get("trailers"):
            raise BrokenAnswer("got an answer with trailers, which are not offered")
        self._head = head_of(message["status"], message.get("headers", ()))
        self.status = message["status"]

    def _begin(self, body: int, *, more: bool) -> bytes:
        """The head, now that the first part of the body is there: its length, and whether more comes."""
        head = self._head
        if head is None:
            raise BrokenAnswer("got a part of an answer before its beginning")
        length = head.length
        silent = self._is_silent = self.method == "HEAD" or head.bodiless
        if silent:
            if length is None and not more and not head.bodiless:
                length = body
        elif length is None and not more:
            length = body
        self._chunked = length is None and not silent and self.scope["http_version"] == "1.1"
        if head.status == 204:
            length = None
        unread = not self.whole and (self._expects or self.length is None or self.length - self.received > DROPPED)
        endless = length is None and not silent and not self._chunked
        if head.close or endless or self._connection.site.stopping or (unread and not more):
            self.keep = False
        keep = b"" if self.scope["http_version"] == "1.1" else b"connection: keep-alive\r\n"
        text = head.encode(
            self._connection.site.date,
            length,
            chunked=self._chunked,
            keep=keep if self.keep else b"connection: close\r\n",
        )
        self._left = None if silent else length
        self.started = True
        return text

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.over:
            raise BrokenAnswer("got a part of an answer after its end")
        head = b"" if self.started else self._begin(len(body), more=more)
        if self._is_silent:
            body = b""
        elif self._left is None:
            self.sent += len(body)
        else:
            self._account(len(body), more=more, head=head)
        connection = self._connection
        if self._chunked:
            frame = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data = b"%b%b%b" % (head, frame, b"" if more else b"0\r\n\r\n")
            if data:
                connection.write(data)
        elif head or body:
            connection.write_both(head, body)
        if not more:
            self._finish()

    def _account(self, size: int, *, more: bool, head: bytes) -> None:
        """Hold the body against the length that the head says.

        Raises:
            BrokenAnswer: It does not fit; what was sent so far is cut off.
        """
        if self._left is not None:
            self._left -= size
            if self._left < 0 or (self._left and not more):
                self.started = self.started and not head  # what was not sent can still be another answer
                raise BrokenAnswer("the body of an answer is not as long as its content-length says")
        self.sent += size

    def _finish(self) -> None:
        self.over = True
        self._waiting = b""
        if self._stirred is not None:
            self._stirred.set()
        self._connection.answered(self)

    # ---- files ----

    async def _send_path(self, path: str) -> None:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            count = os.fstat(file).st_size
            await self._send_part(file, 0, count, more=False)
        finally:
            os.close(file)

    async def _send_file(self, message: Message, file: int, *, more: bool) -> None:
        offset = message.get("offset")
        at = os.lseek(file, 0, os.SEEK_CUR) if offset is None else offset
        count = message.get("count")
        rest = max(0, os.fstat(file).st_size - at)
        await self._send_part(file, at, rest if count is None else count, more=more)

    async def _send_part(self, file: int, offset: int, count: int, *, more: bool) -> None:
        if self.over:
            raise BrokenAnswer("got a part of an answer after its end")
        head = b"" if self.started else self._begin(count, more=more)
        if self._is_silent:
            self._connection.write(head)
            if not more:
                self._finish()
            return
        if self._chunked:
            # Parts of a file whose whole length nobody knows: rare, so by way of memory.
            self._connection.write(head)
            await pieces_of(file, offset, count, self._one_chunk)
        else:
            self._account(count, more=more, head=head)
            done = await self._connection.send_file(self, head, file, offset, count)
            if done < count:
                raise BrokenAnswer("a file is shorter than it was")
        if not more:
            if self._chunked:
                self._connection.write(b"0\r\n\r\n")
            self._finish()

    async def _one_chunk(self, piece: bytes) -> None:
        self.sent += len(piece)
        await self.passed(b"%x\r\n%b\r\n" % (len(piece), piece))

    async def passed(self, data: bytes) -> None:
        """Write, and wait until there is room again.

        Raises:
            Disconnected.
        """
        if self.cut:
            raise Disconnected("the peer has gone")
        self._connection.write(data)
        if self._connection.writing_paused:
            await self._connection.writable()
