"""However the bytes of a connection are cut, the answers are the same; and junk gets no more than an answer."""

from __future__ import annotations

import asyncio
import logging
import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from tests.web.talking import Kept, echo, hosted

GOOD = (
    b"GET /one%20two?q HTTP/1.1\r\nHost: here\r\nX: y\r\n\r\n"
    b"POST /three HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nfour!"
    b"\r\nPUT http://here/five HTTP/1.1\r\nHost: there\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nsix\r\n1;a=b\r\n7\r\n0\r\nTrailer: x\r\n\r\n"
    b"HEAD /eight HTTP/1.1\r\nHost: here\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"
    b"GET /nine HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    b"GET /ten HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
)
_DATE = re.compile(rb"date: [^\r]*\r\n")


def said_to(pieces: list[bytes], *, turns: int = 1) -> bytes:
    """What is said to these pieces, each of which is read by itself."""

    async def main() -> bytes:
        async with asyncio.timeout(30), hosted(echo) as web:
            peer = await web.peer()
            for piece in pieces:
                if peer.ended:
                    break
                peer.transport.write(piece)
                for _ in range(turns):
                    await asyncio.sleep(0)
            if not peer.ended:
                peer.transport.write_eof()
            got = await peer.all()
            peer.transport.close()
            return got

    return _DATE.sub(b"", asyncio.run(main()))


WHOLE = said_to([GOOD])


def test_the_whole_is_answered_whole() -> None:
    assert WHOLE.count(b"HTTP/1.1 200 OK") == 6
    for word in (b"GET /one two?q ", b"POST /three four!", b"PUT /five six7", b"GET /nine ", b"GET /ten "):
        assert word in WHOLE


@given(st.lists(st.integers(1, len(GOOD) - 1), max_size=12, unique=True), st.integers(1, 4))
@example(list(range(1, len(GOOD))), 1)
@example(list(range(1, len(GOOD))), 4)
def test_where_bytes_are_cut_makes_no_difference(cuts: list[int], turns: int) -> None:
    ends = [0, *sorted(cuts), len(GOOD)]
    assert said_to([GOOD[a:b] for a, b in pairwise(ends)], turns=turns) == WHOLE


@given(st.binary(max_size=300))
def test_junk_gets_a_documented_answer_or_none(junk: bytes) -> None:
    with Kept() as records:
        said = said_to([junk])
    _check(said, records)


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 6), st.binary(max_size=6)), min_size=1, max_size=4)
)
def test_a_damaged_exchange_gets_documented_answers(damages: list[tuple[int, int, bytes]]) -> None:
    data = GOOD
    for at, size, put in damages:
        data = data[:at] + put + data[at + size :]
    with Kept() as records:
        said = said_to([data])
    _check(said, records)


def _check(said: bytes, records: list[logging.LogRecord]) -> None:
    loud = [one.getMessage() for one in records if one.levelno >= logging.WARNING]
    assert loud == []
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]
    assert set(statuses) <= {100, 200, 400, 413, 414, 417, 421, 426, 431, 501, 505}
    assert sum(status >= 400 for status in statuses) <= 1
