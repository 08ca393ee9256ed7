"""The contract of a transport, as a test that anything can be put to that connects two protocols.

Flow: a test -> check_transport -> a maker of connected pairs, for example pair_of(url)
Never: knows what carries the bytes; what a carrier may leave out is asked of the transport (`can_write_eof`).

What a transport must do is what asyncio's documentation says of transports and protocols, and what protocols rely on
beyond that: nothing is lost by a close, nobody is told twice, and memory is bounded when one side does not read.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ropewalk import net
from ropewalk.testing.recorder import BufferedRecorder, Recorder

__all__ = ["Pair", "check_transport", "pair_of"]

Factory = Callable[[], asyncio.BaseProtocol]
Pair = Callable[[Factory, Factory], AbstractAsyncContextManager[None]]
"""Connects a protocol of the first factory, the one that connects, to one of the second, the one that listens."""

_LARGE = 24 * 1024 * 1024  # bytes; more than any buffer of a kernel, a loop or a layer
_PIECE = 64 * 1024
_ENOUGH = 1024  # pieces; a transport that takes 64 MiB without a word has no bound


def pair_of(listen_url: str, connect_url: str | None = None, **options: Any) -> Pair:
    """Pairs by `ropewalk.net`.

    Args:
        listen_url: Listened on anew for each pair, so with port 0.
        connect_url: Where it is not what the listener's ``endpoint.peer()`` says.
        options: For `net.listen`.
    """

    @asynccontextmanager
    async def pair(first: Factory, second: Factory) -> AsyncIterator[None]:
        listener = await net.listen(listen_url, second, **options)
        async with listener:
            transport, _ = await net.connect(connect_url or listener.endpoint.peer(), first)
            try:
                yield
            finally:
                transport.abort()

    return pair


@dataclass
class _Ends:
    """The two sides of a pair: one acts, the other one sees."""

    one: Recorder
    other: Recorder


async def check_transport(pair: Pair, *, deadline: float = 20.0) -> None:
    """Put transports to the whole contract, each part from the one side and from the other.

    Args:
        pair: Connects two protocols; it is called many times.
        deadline: Seconds for one part.

    Raises:
        AssertionError: The contract is broken; the message says in which part.
    """
    for check in _CHECKS:
        for swapped in (False, True):
            await _check(check, pair, deadline, swapped=swapped, buffered=False)
    for check in _BUFFERED:
        await _check(check, pair, deadline, swapped=False, buffered=True)


async def _check(
    check: Callable[[_Ends], Awaitable[None]], pair: Pair, deadline: float, *, swapped: bool, buffered: bool
) -> None:
    side = "listening" if swapped else "connecting"
    where = f"{check.__name__.strip('_')}, by the {side} side{', buffered' if buffered else ''}"
    first, second = Recorder(), Recorder()

    def factory(recorder: Recorder) -> Factory:
        return lambda: BufferedRecorder(recorder) if buffered else recorder

    try:
        async with asyncio.timeout(deadline), pair(factory(first), factory(second)):
            await second.until(lambda: second.calls)
            await check(_Ends(second, first) if swapped else _Ends(first, second))
    except TimeoutError:
        told = f"connecting {first.calls}, listening {second.calls}"
        raise AssertionError(f"{where}: not done in {deadline} s; {told}") from None
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error
    for recorder in (first, second):
        assert len(recorder.lost) <= 1, f"{where}: connection_lost was called {len(recorder.lost)} times"
        assert recorder.calls.count("connection_made") == 1, f"{where}: connection_made was called twice"
        assert recorder.calls[0] == "connection_made", f"{where}: told of {recorder.calls[0]} first"


async def _names_fit(ends: _Ends) -> None:
    one, other = ends.one.transport, ends.other.transport
    for mine, theirs in (("peername", "sockname"), ("sockname", "peername")):
        got, expected = one.get_extra_info(mine), other.get_extra_info(theirs)
        assert got == expected, f"{mine} is {got!r}, but the other side's {theirs} is {expected!r}"
    assert one.get_extra_info("no such thing", 7) == 7, "get_extra_info does not give the default"
    assert one.get_protocol() is ends.one, "get_protocol gives another protocol"


async def _carries_bytes(ends: _Ends) -> None:
    transport = ends.one.transport
    transport.write(b"one")
    transport.write(bytearray(b"two"))
    transport.write(memoryview(b"-three-")[1:-1])
    transport.write(b"")
    transport.writelines([b"four", b"", bytearray(b"five"), memoryview(b"six")])
    transport.writelines([])
    expected = b"onetwothreefourfivesix"
    assert await ends.other.until_received(len(expected)) == expected
    ends.other.transport.write(b"back")
    assert await ends.one.until_received(4) == b"back"


async def _keeps_large_writes_whole(ends: _Ends) -> None:
    """In one piece and in many, to a reader that is slow."""
    loop = asyncio.get_running_loop()
    half = bytes(range(251)) * (_LARGE // 502)

    def slowly() -> None:
        ends.other.transport.pause_reading()
        loop.call_soon(ends.other.transport.resume_reading)

    ends.other.on_data = slowly
    ends.one.transport.write(half)
    ends.one.transport.writelines([half[at : at + _PIECE] for at in range(0, len(half), _PIECE)])
    received = await ends.other.until_received(2 * len(half))
    expected = hashlib.sha256(half + half).digest()
    assert hashlib.sha256(received).digest() == expected, "other bytes came than were written"


async def _carries_both_ways_at_once(ends: _Ends) -> None:
    size = 64 * _PIECE
    ends.one.transport.write(b"a" * size)
    ends.other.transport.write(b"b" * size)
    assert await ends.one.until_received(size) == b"b" * size
    assert await ends.other.until_received(size) == b"a" * size


async def _holds_writers_back(ends: _Ends) -> None:
    one, other = ends.one, ends.other
    other.transport.pause_reading()
    sent = await _fill(one)
    assert one.transport.get_write_buffer_size() > 0, "writing is paused, and nothing waits"
    assert not other.received, "bytes came while reading was paused"
    other.transport.resume_reading()
    await one.until(lambda: "resume_writing" in one.calls)
    await other.until_received(sent)
    assert one.calls.count("pause_writing") == 1, "pause_writing was called more than once"
    assert one.calls.count("resume_writing") == 1, "resume_writing was called more than once"
    assert one.transport.get_write_buffer_size() == 0, "all has come, and something waits"


async def _heeds_write_limits(ends: _Ends) -> None:
    transport = ends.one.transport
    transport.set_write_buffer_limits(high=100_000, low=1000)
    assert transport.get_write_buffer_limits() == (1000, 100_000)
    transport.set_write_buffer_limits(high=0)
    assert transport.get_write_buffer_limits() == (0, 0)
    ends.other.transport.pause_reading()
    await _fill(ends.one)
    try:
        transport.set_write_buffer_limits(high=1, low=2)
    except ValueError:
        pass
    else:
        raise AssertionError("limits that cross were taken")


async def _pauses_reading(ends: _Ends) -> None:
    other = ends.other
    assert other.transport.is_reading()
    other.on_data = other.transport.pause_reading
    ends.one.transport.write(b"first")
    await other.until_received(1)
    assert not other.transport.is_reading()
    seen = len(other.received)
    ends.one.transport.write(b"second")
    other.transport.write(b"turn")  # by the time that it is there, so would be what was written before
    await ends.one.until_received(4)
    assert len(other.received) == seen, "bytes came while reading was paused"
    other.on_data = None
    other.transport.pause_reading()
    other.transport.resume_reading()
    other.transport.resume_reading()
    assert await other.until_received(11) == b"firstsecond"
    assert other.transport.is_reading()


async def _flushes_on_close(ends: _Ends) -> None:
    size = 80 * _PIECE
    ends.one.transport.write(b"x" * size)
    ends.one.transport.close()
    assert ends.one.transport.is_closing()
    ends.one.transport.close()
    received = await ends.other.until_received(size)
    assert len(received) == size, f"{len(received)} bytes came of {size} that were written before the close"
    await _end_well(ends)
    assert ends.other.calls.count("eof_received") == 1, f"eof_received was not called once: {ends.other.calls}"
    assert ends.other.calls.index("eof_received") < ends.other.calls.index("connection_lost")


async def _ignores_writes_after_close(ends: _Ends) -> None:
    transport = ends.one.transport
    assert not transport.is_closing()
    transport.close()
    transport.write(b"late")
    transport.writelines([b"later"])
    await _end_well(ends)
    transport.write(b"latest")
    transport.close()
    transport.abort()
    assert not ends.other.received, "bytes came that were written after the close"
    assert transport.is_closing()


async def _shows_nothing_after_close(ends: _Ends) -> None:
    ends.other.transport.write(b"too late")
    ends.one.transport.close()
    ends.other.transport.write(b"much too late")
    await ends.one.until_lost()
    assert not ends.one.received, "bytes came after the close"
    await ends.other.until_lost()


async def _closes_from_within(ends: _Ends) -> None:
    ends.other.on_data = ends.other.transport.close
    ends.one.transport.write(b"x")
    assert await ends.other.until_lost() is None, f"lost with {ends.other.lost[0]!r} after its own close"
    await ends.one.until_lost()


async def _aborts(ends: _Ends) -> None:
    ends.other.transport.pause_reading()
    await _fill(ends.one)
    ends.one.transport.abort()
    assert ends.one.transport.is_closing()
    assert await ends.one.until_lost() is None, f"lost with {ends.one.lost[0]!r} after its own abort"
    ends.other.transport.resume_reading()
    error = await ends.other.until_lost()
    assert error is None or isinstance(error, OSError), f"lost with {error!r} after the other side's abort"
    ends.one.transport.abort()
    ends.one.transport.close()


async def _half_closes(ends: _Ends) -> None:
    one, other = ends.one, ends.other
    if not one.transport.can_write_eof():
        try:
            one.transport.write_eof()
        except NotImplementedError:
            return
        raise AssertionError("can_write_eof says no, and write_eof does it")
    other.keep = True
    size = 40 * _PIECE
    one.transport.write(b"q" * size)
    one.transport.write_eof()
    await other.until(lambda: "eof_received" in other.calls)
    assert len(other.received) == size, "the end came before what was written"
    assert not other.transport.is_closing(), "eof_received kept it open, and it closes"
    other.transport.write(b"a" * size)
    other.transport.close()
    assert len(await one.until_received(size)) == size, "no answer came after a half-close"
    assert await other.until_lost() is None
    assert await one.until_lost() is None


async def _changes_protocols(ends: _Ends) -> None:
    """In the middle, to a streaming one, to a buffered one and back."""
    first, transport = ends.other, ends.other.transport
    ends.one.transport.write(b"1" * 5000)
    await first.until_received(5000)
    second, third, last = Recorder(), Recorder(), Recorder()
    for number, recorder in enumerate((second, third, last)):
        recorder.transport = transport
        protocol = BufferedRecorder(recorder) if recorder is third else recorder
        transport.set_protocol(protocol)
        assert transport.get_protocol() is protocol
        written = bytes([number]) * 5000
        ends.one.transport.write(written)
        assert await recorder.until_received(5000) == written
    transport.write(b"still there")
    await ends.one.until_received(11)
    ends.one.transport.close()
    await last.until_lost()
    await ends.one.until_lost()
    assert "eof_received" in last.calls, "the end was told to none"
    assert not first.lost, "the first protocol is told of the loss"
    assert not second.lost, "a protocol in between is told of the loss"


async def _ends_what_fails(ends: _Ends) -> None:
    """A protocol that raises loses its connection, and the loop is told."""
    loop = asyncio.get_running_loop()
    told: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: told.append(context))

    def fail() -> None:
        raise RuntimeError("told to")

    try:
        ends.other.on_data = fail
        ends.one.transport.write(b"x")
        error = await ends.other.until_lost()
        await ends.one.until_lost()
    finally:
        loop.set_exception_handler(before)
    assert isinstance(error, RuntimeError), f"lost with {error!r}, expected what data_received raised"
    assert told, "the loop was not told"


async def _fill(one: Recorder) -> int:
    """Write until told to pause; how much."""
    sent = 0
    for _ in range(_ENOUGH):
        if "pause_writing" in one.calls:
            return sent
        one.transport.write(b"f" * _PIECE)
        sent += _PIECE
        await asyncio.sleep(0)  # a turn for what the kernel takes
    raise AssertionError(f"{sent} bytes were taken that nobody reads, and writing is not paused")


async def _end_well(ends: _Ends) -> None:
    assert await ends.one.until_lost() is None, f"lost with {ends.one.lost[0]!r} after its own close"
    assert await ends.other.until_lost() is None, f"lost with {ends.other.lost[0]!r} after the other side's close"


_CHECKS: tuple[Callable[[_Ends], Awaitable[None]], ...] = (
    _names_fit,
    _carries_bytes,
    _keeps_large_writes_whole,
    _carries_both_ways_at_once,
    _holds_writers_back,
    _heeds_write_limits,
    _pauses_reading,
    _flushes_on_close,
    _ignores_writes_after_close,
    _shows_nothing_after_close,
    _closes_from_within,
    _aborts,
    _half_closes,
    _changes_protocols,
    _ends_what_fails,
)

# What is asked again of protocols that lend a buffer, from the beginning on.
_BUFFERED = (
    _carries_bytes,
    _keeps_large_writes_whole,
    _pauses_reading,
    _flushes_on_close,
    _half_closes,
    _ends_what_fails,
)
