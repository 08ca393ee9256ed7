"""WebSocket as a byte stream: what comes in binary messages is joined, what is written goes out as binary messages.

A protocol that has a method `message_received` gets each message whole by that, and what it writes at once is one.

Flow: lower transport -> WebSocketSide.data_received -> websockets' protocol, no I/O -> the user's protocol
      the user's protocol -> WebSocketTransport.write -> frames -> lower transport
Never: holds more of a peer than one message (``max_message``) and what one read of the lower transport brought.

RFC 6455.  Text is refused with 1003, since bytes cannot be told from it; compression is not offered, since what runs
over this is encrypted or small, and a compressed frame can grow a thousandfold.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from ropewalk.net.buffered import deliver, report
from ropewalk.net.errors import HandshakeFailed, WebSocketFault
from ropewalk.net.websocket_transport import Bytes, WebSocketTransport

__all__ = ["QUIET", "WebSocketSide"]

_MESSAGE = 128 * 1024  # bytes of one message that we send: more saves nothing, and a reader can begin with the first
_LONGEST_REQUEST = 16 * 1024  # bytes; a browser sends 1 KiB, and cookies
_AT_ONCE = 64 * 1024  # bytes parsed at a time,
_MANY_FRAMES = 1_000  # and in one turn of the loop where they were more than this: in frames of nothing, 40 ms
_MOST_REPLIES = 64 * 1024  # bytes of pongs that may wait for a peer that does not read them
QUIET = logging.getLogger("ropewalk.net.websocket")  # what the library would say of each connection
QUIET.addHandler(logging.NullHandler())
QUIET.setLevel(logging.CRITICAL)

Machine = ServerProtocol | ClientProtocol


class WebSocketSide(asyncio.Protocol):
    """The protocol on the lower transport, at either side.

    Args:
        machine: websockets' own, fresh.
        factory: Makes the user's protocol, once the handshake is done.
        answer: At the server: gives the response to a request.
        opened: Told of the transport and protocol above, just before the protocol is told that it is connected.
        failed: Told why the handshake failed, or which rule the peer broke after it.
        close_after: Seconds to wait for the peer's part of the closing.
    """

    def __init__(
        self,
        machine: Machine,
        factory: Callable[[], asyncio.BaseProtocol],
        *,
        answer: Callable[[ServerProtocol, Request], Response] | None = None,
        opened: Callable[[asyncio.Transport, asyncio.BaseProtocol], None],
        failed: Callable[[Exception], None],
        close_after: float,
    ) -> None:
        self.machine = machine
        self._factory, self._answer, self._opened, self._failed = factory, answer, opened, failed
        self._close_after = close_after
        self._message = min(_MESSAGE, machine.max_message_size or _MESSAGE)
        self.lower: asyncio.Transport
        self.protocol: asyncio.BaseProtocol | None = None
        self.transport: WebSocketTransport | None = None
        self.closing = False  # nothing more is written by the user or shown to them
        self.paused = False  # the user reads no more for now
        self._lost = False
        self._tail = b""  # the last bytes of a request that is not whole
        self._unfed = b""  # came in one read, and is parsed in the next turns of the loop
        self._asked = 0  # bytes of the request so far
        self._unsent = -1  # bytes that waited when the closing was last looked at
        self._whole = False  # the user's protocol takes whole messages
        self._parts: list[bytes] = []  # of one that is not whole
        self._pending: deque[bytes] = deque()  # came in the same read as what made the user pause
        self._ended = False  # the peer's close frame came
        self._eof_told = False
        self._timer: asyncio.TimerHandle | None = None
        self._error: Exception | None = None
        self._writing_paused = False
        self._replies = 0  # bytes of pongs since the peer stopped to read

    # what the lower transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self.lower = cast(asyncio.Transport, transport)
        if isinstance(self.machine, ClientProtocol):
            self.machine.send_request(self.machine.connect())
            self._send()

    def data_received(self, data: bytes) -> None:
        """Frames, or the handshake."""
        if self._answer is not None and self.protocol is None:
            # The library reads on behind a request, and takes frames there before the answer has opened the connection.
            end = (self._tail + data).find(b"\r\n\r\n")
            cut = end + 4 - len(self._tail) if end >= 0 else len(data)
            self._asked += cut
            if self._asked > _LONGEST_REQUEST:
                self._refuse_long()
                return
            self._tail = (self._tail + data)[-3:]
            self._receive(data[:cut])
            data = data[cut:]
        if data and not self._lost:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Parse it; where it is of very many frames, some of it, and the other connections have their turn."""
        if self._unfed:
            self._unfed += data
            return
        for at in range(0, len(data), _AT_ONCE):
            if self._lost:
                return
            frames = self._receive(data[at : at + _AT_ONCE])
            if frames > _MANY_FRAMES and at + _AT_ONCE < len(data):
                self._unfed = data[at + _AT_ONCE :]
                self.lower.pause_reading()
                asyncio.get_running_loop().call_soon(self._feed_some)
                return

    def _feed_some(self) -> None:
        data, self._unfed = self._unfed, b""
        if data and not self._lost:
            self._feed(data)
        if not self._unfed:
            self._read_on()

    def _read_on(self) -> None:
        """Read, unless the user does not want more, or what is here is not shown yet."""
        if self._lost or self._unfed or self._pending or self.lower.is_closing():
            return
        if not self.paused or self.closing:
            self.lower.resume_reading()

    def _refuse_long(self) -> None:
        if self._error is None:
            self._error = HandshakeFailed(
                f"WebSocket handshake failed: request is longer than {_LONGEST_REQUEST} bytes"
            )
            self.lower.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            self.lower.close()

    def _receive(self, data: bytes) -> int:
        """Parse it; of how many frames it was."""
        self.machine.receive_data(data)
        events = self.machine.events_received()
        for event in events:
            if isinstance(event, Frame):
                self._frame(event)
            else:
                self._handshake(event)
        self._after()
        return len(events)

    def eof_received(self) -> bool:
        """The peer sends no more, with or without a close frame."""
        if self._unfed:
            data, self._unfed = self._unfed, b""
            self._receive(data)
        self.machine.receive_eof()
        self._after()
        return False

    def pause_writing(self) -> None:
        """The peer does not read."""
        self._writing_paused = True
        self._tell("pause_writing")

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._writing_paused = False
        self._replies = 0
        self._tell("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        """The end."""
        self._lost = self.closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.protocol is None:
            self._failed(self._error or exc or ConnectionResetError("connection lost in the WebSocket handshake"))
            return
        self._pending.clear()
        self.protocol.connection_lost(self._error or exc)

    # what the user's transport asks

    @property
    def subprotocol(self) -> str | None:
        """What both sides agreed to speak."""
        return self.machine.subprotocol

    def send(self, data: Bytes) -> None:
        """Bytes as messages."""
        if self.closing or self.machine.state is not OPEN:
            return
        view = memoryview(data).cast("B")
        for start in range(0, len(view), self._message):
            self.machine.send_binary(view[start : start + self._message])
        self._send()

    def resume(self) -> None:
        """The user reads again: first what is here already."""
        if not self.paused:
            return
        self.paused = False
        if self._pending or self._ended:
            # Not from within resume_reading: the user's protocol is not called while it calls.
            asyncio.get_running_loop().call_soon(self._flush)
        else:
            self._read_on()

    def pause(self) -> None:
        """The user reads no more for now."""
        if not self.paused and not self.closing:
            self.paused = True
            self.lower.pause_reading()

    def close(self) -> None:
        """Send what is written, then the close frame, then wait for the peer's."""
        if self.closing:
            return
        self.closing = True
        self._pending.clear()
        with suppress(InvalidState):  # the peer closed first, and the library has answered
            self.machine.send_close(CloseCode.NORMAL_CLOSURE)
        if self.paused:
            self.lower.resume_reading()  # to find the peer's close frame; what stands before it is dropped
        self._after()

    def _frame(self, frame: Frame) -> None:
        if self.closing or self._ended:
            return
        if frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CONT:
            data = bytes(frame.data)
            if self._whole:
                self._parts.extend([data] if data else ())  # parts of no bytes count for no limit
                if not frame.fin:
                    return
                data = b"".join(self._parts)
                self._parts.clear()
            elif not data:
                return
            if self.paused or self._pending:
                self._pending.append(data)
            else:
                self._show(data)
        elif frame.opcode is Opcode.TEXT:
            self._break(CloseCode.UNSUPPORTED_DATA, "text message, expected binary ones")
        elif frame.opcode is Opcode.PING and self._writing_paused:
            self._replies += len(frame.data) + 6
            if self._replies > _MOST_REPLIES:
                self._fault("peer sends pings and does not read the answers")
                self.lower.abort()
        elif frame.opcode is Opcode.CLOSE:
            self._ended = True
            received = self.machine.close_rcvd
            if received is not None and received.code not in (1000, 1001, 1005):
                self._error = ConnectionResetError(f"peer closed the WebSocket with {received.code}")

    def _handshake(self, event: Request | Response) -> None:
        if isinstance(event, Request):
            machine = cast(ServerProtocol, self.machine)
            assert self._answer is not None
            response = self._answer(machine, event)
            machine.send_response(response)
            if self.machine.state is not OPEN:
                why = machine.handshake_exc or f"refused with {response.status_code}"
                self._error = HandshakeFailed(f"WebSocket handshake failed: {why}")
        if self.machine.state is OPEN:
            self._open()

    def _open(self) -> None:
        self.protocol = self._factory()
        if hasattr(self.protocol, "message_received"):
            self._whole, self._message = True, sys.maxsize
        self.transport = WebSocketTransport(self)
        self._send()  # the response, before anything that the user writes
        self._opened(self.transport, self.protocol)
        self.protocol.connection_made(self.transport)
        if self._writing_paused:
            self._tell("pause_writing")

    def _show(self, data: bytes) -> None:
        assert self.protocol is not None
        assert self.transport is not None
        try:
            if self._whole:
                self.protocol.message_received(data)  # type: ignore[attr-defined]  # `_open` has looked
            else:
                deliver(self.protocol, data)
        except Exception as error:  # noqa: BLE001 - the user's code; the loop is told, and the connection ends
            report(self.protocol, self.transport, error, "data_received()")
            self._error = error
            self._fail(CloseCode.INTERNAL_ERROR, "")

    def _flush(self) -> None:
        while self._pending and not self.paused and not self.closing:
            self._show(self._pending.popleft())
        if self.paused or self.closing:
            return
        self._read_on()
        self._after()

    def _after(self) -> None:
        """What may follow anything that came or was asked for."""
        if self._lost:
            return
        if self.machine.parser_exc is not None and self._error is None and not self.closing:
            cause = self.machine.parser_exc
            if isinstance(cause, EOFError):
                self._error = ConnectionResetError("WebSocket ended without a close frame")
            else:
                self._fault(f"peer broke the rules of WebSocket: {cause}")
        if self.protocol is None and self.machine.handshake_exc is not None and self._error is None:
            self._error = HandshakeFailed(f"WebSocket handshake failed: {self.machine.handshake_exc}")
        ended = self._ended or self._error is not None
        if ended and not self.paused and not self._pending:
            self._tell_eof()
        if ended and not self.paused:
            self.closing = True
        self._send()
        if self.machine.close_expected() and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._close_after, self._give_up)

    def _tell_eof(self) -> None:
        """The user's protocol hears of the end, but can no more answer: our direction ends with the peer's."""
        if self._eof_told or self._error is not None or self.closing or self.protocol is None:
            return
        self._eof_told = True
        try:
            self.protocol.eof_received()  # type: ignore[attr-defined]  # both kinds of protocol have it
        except Exception as error:  # noqa: BLE001 - as above
            assert self.transport is not None
            report(self.protocol, self.transport, error, "eof_received()")
            self._error = error

    def _send(self) -> None:
        out = self.machine.data_to_send()
        if self._lost or not out:
            return
        self.lower.write(out[0] if len(out) == 1 else b"".join(out))
        if out[-1] == b"":
            self.lower.close()

    def _tell(self, name: str) -> None:
        if self.protocol is not None and not self._lost:
            getattr(self.protocol, name)()

    def _break(self, code: CloseCode, why: str) -> None:
        """The peer broke a rule of ours."""
        self._fault(f"peer sent a {why}")
        self._fail(code, why)

    def _fault(self, what: str) -> None:
        self._error = WebSocketFault(what)
        self._failed(self._error)  # who listens counts it, also where the handshake went well

    def _fail(self, code: CloseCode, why: str) -> None:
        self.closing = True
        self._pending.clear()
        self.machine.fail(code, why)

    def _give_up(self) -> None:
        """The peer's part of the closing did not come in time."""
        self._timer = None
        if self._lost:
            return
        unsent = self.lower.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            # It still reads what was written before the close frame, slowly: that is not to be cut off.
            self._unsent = unsent
            self._timer = asyncio.get_running_loop().call_later(self._close_after, self._give_up)
            return
        self.lower.close()
