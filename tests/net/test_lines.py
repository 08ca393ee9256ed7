"""Lines: where the bytes are cut makes no difference, and a line without end is somebody's fault."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import counted, until

pieces = st.lists(st.text("ab\r\n").map(str.encode), max_size=8)


def outcome(parts: list[bytes], longest: int) -> list[bytes | str]:
    reader, told = net.LineReader(longest), list[bytes | str]()
    for part in parts:
        reader.feed(part)
        try:
            while (line := reader.next()) is not None:
                told.append(line)
        except net.LineTooLong as error:
            return [*told, f"longer than {error.longest}"]
    return told


@given(pieces, st.integers(0, 8))
def test_where_the_bytes_are_cut_makes_no_difference(parts: list[bytes], longest: int) -> None:
    whole = b"".join(parts)
    assert outcome(parts, longest) == outcome([whole], longest)
    assert outcome([whole[at : at + 1] for at in range(len(whole))], longest) == outcome([whole], longest)


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))))
def test_lines_come_back(lines: list[bytes]) -> None:
    for end in (b"\n", b"\r\n"):
        assert outcome([b"".join(line + end for line in lines) + b"rest"], 20) == lines


@given(st.lists(st.binary(max_size=50)), st.integers(0, 20))
def test_no_more_is_kept_than_one_line_and_what_came(parts: list[bytes], longest: int) -> None:
    reader = net.LineReader(longest)
    for part in parts:
        reader.feed(part)
        try:
            while reader.next() is not None:
                pass
        except net.LineTooLong:
            with pytest.raises(net.LineTooLong):
                reader.next()
        assert len(reader._begun) <= longest + 1
        assert sum(map(len, reader._lines)) <= longest + 1 + len(part)
        if reader._broken:
            break


class Shouting(net.LineProtocol):
    longest = 1000

    def line_received(self, line: bytes) -> None:
        self.transport.write(line.upper() * 1000 + b"\n")
        if line == b"bye":
            self.transport.close()


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "memory://x"])
@each_loop
async def test_line_without_end_is_told_and_ends_one_connection(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ropewalk.net")
    registry = Registry()
    with using(registry):
        async with await net.listen(url, Shouting, name="it") as listener:
            good, kept = await net.connect(listener.endpoint.peer(), Recorder)
            bad, lost = await net.connect(listener.endpoint.peer(), Recorder)
            bad.write(b"one\n" + b"x" * 1001)
            await lost.until_lost()
            assert lost.received == b"ONE" * 1000 + b"\n"
            await until(lambda: counted(registry, "ropewalk_net_ended_total", reason="net.line-too-long") == 1)
            good.write(b"a\r\nbye\nnot heard\n")
            assert await kept.until_lost() is None
            assert kept.received == b"A" * 1000 + b"\n" + b"BYE" * 1000 + b"\n"
    assert [record.__dict__["reason"] for record in caplog.records if hasattr(record, "reason")] == [
        "net.line-too-long"
    ]


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:0", "ws://127.0.0.1:0", "memory://x"])
@each_loop
async def test_who_does_not_read_is_given_no_more_lines(url: str) -> None:
    served: list[Shouting] = []

    class Counting(Shouting):
        lines = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            served.append(self)

        def line_received(self, line: bytes) -> None:
            super().line_received(line)
            Counting.lines += 1

    async with await net.listen(url, Counting) as listener:
        transport, protocol = await net.connect(listener.endpoint.peer(), Recorder)
        transport.pause_reading()
        transport.write((b"x" * 999 + b"\n") * 100)  # a megabyte comes of each
        await until(lambda: served and served[0]._paused)
        assert Counting.lines < 100
        assert served[0].transport.get_write_buffer_size() < 4_000_000
        transport.resume_reading()
        assert len(await protocol.until_received(100 * 999_001)) == 100 * 999_001
        transport.abort()
