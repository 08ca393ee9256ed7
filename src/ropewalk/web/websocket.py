"""WebSocket: one connection as an ASGI app sees it, once its request was found right.

Flow: transport -> websockets' protocol, no I/O -> whole messages, in line -> receive -> the app -> send -> frames
Never: holds more than one message and a few that wait, or keeps a peer that answers no ping.
Source: RFC 6455; ASGI 3.0, WebSocket 2.5.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidState, ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from ropewalk.web.errors import BrokenAnswer, Disconnected
from ropewalk.web.heads import AnswerHead
from ropewalk.web.plain import plain
from ropewalk.web.progress import Progress
from ropewalk.web.quick import Message, Scope
from ropewalk.web.serving import run_app, told_of

if TYPE_CHECKING:
    from ropewalk.web.exchange import Exchange
    from ropewalk.web.protocol import Connection

__all__ = ["WebSocket"]

_SLICE = 4 * 1024  # bytes parsed at once: at most 700 empty messages
_MOST_WAITING = 64  # messages that the app has not taken; then no more is read,
_BYTES_WAITING = 64 * 1024  # nor where they are this large together
_MOST_REPLIES = 64 * 1024  # bytes of pongs for a peer that does not read them
_LONGEST_REASON = 123  # bytes, of a close frame


class WebSocket(asyncio.Protocol):
    """One WebSocket, from its request to its end."""

    def __init__(self, connection: Connection, exchange: Exchange, machine: ServerProtocol, response: Response) -> None:
        self._connection, self._exchange = connection, exchange
        self._machine, self._response = machine, response
        self._site, self._transport = connection.site, connection.transport
        self._stage = "asked"  # asked, open, refusing (by an answer of the app), closed
        self._line: deque[Message] = deque()
        self._waiting = 0  # bytes in line
        self._unfed = connection.take_rest()
        self._parts: list[bytes] = []
        self._text = False
        self._reading = False
        self._paused = connection.writing_paused
        self._can_write, self._stirred = asyncio.Event(), asyncio.Event()
        self._told = self._lost = False
        self._end: tuple[int, str] | None = None  # code and reason, as the app is told
        self._head: AnswerHead | None = None
        self._replies = 0
        self._since = self._heard = self._site.now
        self._pinged = False
        self._written = 0  # bytes
        self._progress = Progress(self._site.now)

    async def run(self, task: asyncio.Task[None]) -> None:
        """Have the app speak, in this task, the current one."""
        site, exchange = self._site, self._exchange
        exchange.began = site.time()
        self._connection.handed_over(exchange)
        self._transport.set_protocol(self)
        site.connections.add(self)
        site.sockets += 1
        self._line.append({"type": "websocket.connect"})
        if site.stopping:
            self.stop()
        try:
            failure = await run_app(site, task, self._scope(), self.receive, self.send)
            self._app_ended(failure)
        finally:
            site.sockets -= 1
            self._stage = "closed"

    def _scope(self) -> Scope:
        scope = {**self._exchange.scope, "type": "websocket", "extensions": {"websocket.http.response": {}}}
        scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
        offered = [value.decode("latin-1") for name, value in scope["headers"] if name == b"sec-websocket-protocol"]
        scope["subprotocols"] = [word.strip() for word in ",".join(offered).split(",") if word.strip()]
        del scope["method"]
        return scope

    def _app_ended(self, failure: BaseException | None) -> None:
        gone = self._end is not None
        if failure is not None and not gone:
            told_of(self._site, "WebSocket", self._exchange, failure)
        if self._lost:
            return
        if self._stage == "asked" or (self._stage == "refusing" and self._head is not None):
            self._refuse(500 if failure else 403, "something went wrong here" if failure else "not taken")
        elif self._stage == "refusing" and not gone:  # within its answer
            self._over(1006, "")
            self._transport.abort()
        elif self._stage == "open" and not gone:
            self._close(CloseCode.INTERNAL_ERROR if failure else CloseCode.NORMAL_CLOSURE, "")

    # ---- what the app calls ----

    async def receive(self) -> Message:
        """The next message, or the end."""
        while True:
            if self._line:
                message = self._line.popleft()
                self._waiting -= _size(message)
                if not self._reading and self._stage == "open":
                    asyncio.get_running_loop().call_soon(self._go_on)
                return message
            if self._end is not None:
                self._told = True
                return {"type": "websocket.disconnect", "code": self._end[0], "reason": self._end[1]}
            self._stirred.clear()
            await self._stirred.wait()

    async def send(self, message: Message) -> None:
        """An answer to the request, or a message, or the end.

        Raises:
            Disconnected: Nobody is there to get it.
            BrokenAnswer: It is not what may come now.
        """
        if self._end is not None:
            raise Disconnected("the WebSocket is closed")
        match self._stage, message["type"]:
            case "asked", "websocket.accept":
                self._accept(message)
            case "asked", "websocket.close":
                self._refuse(403, "not taken")
            case "asked" | "refusing", "websocket.http.response.start" | "websocket.http.response.body":
                self._answer(message)
            case "open", "websocket.send":
                self._send_message(message)
            case "open", "websocket.close":
                self._close(message.get("code") or 1000, message.get("reason") or "")
            case stage, other:
                raise BrokenAnswer(f"got {other!r:.60} while the WebSocket is {stage}, expected something else")
        if self._paused and not self._lost:
            self._can_write.clear()
            await self._can_write.wait()

    def _accept(self, message: Message) -> None:
        headers = self._response.headers
        subprotocol = message.get("subprotocol")
        if subprotocol is not None:
            headers["Sec-WebSocket-Protocol"] = subprotocol
        extra = [(name.lower(), value) for name, value in message.get("headers", ())]
        AnswerHead(200, extra).encode(b"", None, chunked=False, keep=b"")  # refuses line ends
        if subprotocol is not None and not _is_token(subprotocol):
            raise BrokenAnswer("the subprotocol is not a word")
        for name, value in extra:
            if not name.startswith(b"sec-websocket-") and name not in _OURS:
                headers[name.decode("latin-1")] = value.decode("latin-1")
        self._machine.send_response(self._response)
        self._stage = "open"
        self._since = self._heard = self._site.now
        self._exchange.status = 101
        self._site.counts.opened.inc()
        self._flush()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _send_message(self, message: Message) -> None:
        data, text = message.get("bytes"), message.get("text")
        with suppress(InvalidState):
            if data is not None:
                self._machine.send_binary(data)
            elif text is not None:
                self._machine.send_text(text.encode())
            else:
                raise BrokenAnswer("a message has neither bytes nor text")
        self._flush()

    def _answer(self, message: Message) -> None:
        """The app answers with a page instead of accepting."""
        if message["type"] == "websocket.http.response.start":
            self._stage, self._head = "refusing", AnswerHead(message["status"], message.get("headers", ()))
            self._exchange.status = message["status"]
            return
        if self._stage != "refusing":
            raise BrokenAnswer("got a part of an answer before its beginning")
        body = message.get("body", b"")
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head.encode(self._site.date, None, chunked=False, keep=b"connection: close\r\n"))
        if body:
            self._transport.write(body)
        if not message.get("more_body", False):
            self._over(1000, "")
            self._transport.close()

    def _refuse(self, status: int, text: str) -> None:
        self._exchange.status = status
        self._transport.write(plain(status, text, self._site.date, close=True))
        self._over(1006, "")
        self._transport.close()

    def _close(self, code: int, reason: str) -> None:
        self._over(code, reason)
        try:
            self._machine.send_close(code, _shortened(reason))
        except InvalidState:
            pass  # the peer was faster
        except ProtocolError as error:
            self._machine.send_close(CloseCode.INTERNAL_ERROR)
            raise BrokenAnswer(f"code of a closing is {code}, expected one that may be sent") from error
        finally:
            self._since = self._site.now
            self._flush()
            self._read_on()  # for the peer's part

    # ---- what the transport tells ----

    def data_received(self, data: bytes) -> None:
        """Frames."""
        self._heard, self._pinged = self._site.now, False
        self._unfed = self._unfed + data if self._unfed else data
        self._go_on()

    def eof_received(self) -> bool:
        """The peer sends no more."""
        self._over(1006, "")
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the interface's
        """The end."""
        self._lost = True
        self._site.connections.discard(self)
        self._can_write.set()
        self._over(1006, "")
        self._site.note(self._connection, self._exchange)

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        self._replies = 0
        self._can_write.set()

    def _go_on(self) -> None:
        """Take apart what came, as long as there is room for messages."""
        if self._lost or self._stage == "asked":
            return
        while self._unfed and (self._room() or self._end is not None):
            data, self._unfed = self._unfed[:_SLICE], self._unfed[_SLICE:]
            self._machine.receive_data(data)
            for event in self._machine.events_received():
                if isinstance(event, Frame):
                    self._frame(event)
            if self._machine.parser_exc is not None and self._end is None:
                sent = self._machine.close_sent
                self._over(sent.code if sent else 1006, "")
            self._flush()
            if self._transport.is_closing():
                return
        self._read_on()

    def _room(self) -> bool:
        return len(self._line) < _MOST_WAITING and self._waiting < _BYTES_WAITING

    def _read_on(self) -> None:
        if self._lost:
            return
        reading = self._end is not None or (not self._unfed and self._room())
        if reading and not self._reading:
            self._transport.resume_reading()
        elif self._reading and not reading:
            self._transport.pause_reading()
        self._reading = reading

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            if self._paused:
                self._replies += len(frame.data) + 6
                if self._replies > _MOST_REPLIES:
                    self._transport.abort()
        elif frame.opcode is Opcode.CLOSE:
            came = self._machine.close_rcvd
            assert came is not None
            self._over(came.code, came.reason)
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT) and self._end is None:
            if frame.opcode is not Opcode.CONT:
                self._text = frame.opcode is Opcode.TEXT
            if frame.data:  # parts of no bytes count for no limit
                self._parts.append(bytes(frame.data))
            if frame.fin:
                self._whole()

    def _whole(self) -> None:
        data = b"".join(self._parts)
        self._parts.clear()
        self._site.counts.received.inc(len(data))
        message: dict[str, Any] = {"type": "websocket.receive", "bytes": data}
        if self._text:
            try:
                message = {"type": "websocket.receive", "text": data.decode()}
            except UnicodeDecodeError:
                self._machine.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
                self._over(CloseCode.INVALID_DATA, "")
                return
        self._line.append(message)
        self._waiting += _size(message)
        self._stirred.set()

    def _flush(self) -> None:
        out = self._machine.data_to_send()
        if not out or self._lost:
            return
        data = b"".join(out)
        if data:
            self._written += len(data)
            self._transport.write(data)
        if out[-1] == b"":
            self._transport.close()

    def _over(self, code: int, reason: str) -> None:
        if self._end is None:
            self._end = (code, reason)
            self._since = self._site.now
        self._stirred.set()

    # ---- what the site asks ----

    def stop(self) -> None:
        """Close, since the server goes away."""
        if self._stage == "open" and self._end is None:
            self._close(CloseCode.GOING_AWAY, "the server stops")
        elif self._stage == "asked" and self._end is None:
            self._refuse(503, "the server stops")

    def abort(self) -> None:
        """Be lost now."""
        self._transport.abort()

    def look(self, now: float, step: float) -> None:
        """See whether the peer is still there."""
        limits = self._site.limits
        waits = self._transport.get_write_buffer_size()
        if self._progress.stuck(now, waits, self._written - waits) > limits.answer_seconds:
            self._site.cut_off(self._connection)
            self._transport.abort()
        elif self._end is not None:
            if now - self._since - step > limits.close:
                self._transport.abort()
        elif self._stage == "open" and self._machine.state is OPEN and self._reading:
            quiet = now - self._heard - step
            if self._pinged:
                if quiet > limits.ping + limits.pong:
                    self._over(1006, "")
                    self._transport.abort()
            elif quiet > limits.ping:
                self._pinged = True
                self._machine.send_ping(b"")
                self._flush()


_OURS = frozenset({b"connection", b"upgrade", b"content-length", b"transfer-encoding", b"date"})


def _size(message: Message) -> int:
    return len(message.get("bytes") or message.get("text") or b"")


def _is_token(word: str) -> bool:
    return word.isascii() and bool(word) and word.isprintable() and not set(word) & set('()<>@,;:\\"/[]?={} ')


def _shortened(reason: str) -> str:
    return reason.encode()[:_LONGEST_REASON].decode(errors="ignore")
