"""Requests that are not right: each is refused with the status it deserves, and the connection ends."""

from __future__ import annotations

import pytest

from ropewalk.web import WebLimits
from ropewalk.web.hosts import BadHostName, Hosts
from tests.web.talking import GET, answers, echo, hosted

H = b" HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

BAD: dict[str, tuple[int, bytes]] = {
    # framing
    "two lengths": (400, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "the same length twice": (400, POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    "a list of lengths": (400, POST + b"Content-Length: 1, 1\r\n\r\nx"),
    "a length with a sign": (400, POST + b"Content-Length: +1\r\n\r\nx"),
    "a length below nothing": (400, POST + b"Content-Length: -1\r\n\r\nx"),
    "an empty length": (400, POST + b"Content-Length:\r\n\r\nx"),
    "a length of thirty digits": (400, POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nx"),
    "a length beside chunks": (400, POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks beside a length": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
    "another coding": (501, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    "another coding before chunks": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunks of chunks": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "chunks said twice": (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a chunk below nothing": (400, CHUNKED + b"-1\r\nx\r\n0\r\n\r\n"),
    "a chunk with 0x": (400, CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n"),
    "a chunk of twenty digits": (400, CHUNKED + b"f" * 20 + b"\r\nx\r\n0\r\n\r\n"),
    "a chunk with a space": (400, CHUNKED + b"1 \r\nx\r\n0\r\n\r\n"),
    "a chunk without its end": (400, CHUNKED + b"1\r\nxx0\r\n\r\n"),
    "a chunk with a bare line end": (400, CHUNKED + b"1\nx\n0\n\n"),
    "an extension without end": (400, CHUNKED + b"1;" + b"a" * 200_000),
    "trailers without end": (400, CHUNKED + b"0\r\n" + b"A: b\r\n" * 40_000),
    # the head
    "a folded line": (400, b"GET /" + H + b"X: a\r\n b\r\n\r\n"),
    "a folded first line": (400, b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    "a bare line feed": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "a bare return": (400, b"GET / HTTP/1.1\rHost: a\r\r"),
    "a return in a value": (400, b"GET /" + H + b"X: a\rb\r\n\r\n"),
    "a zero byte in a value": (400, b"GET /" + H + b"X: a\0b\r\n\r\n"),
    "a control character in a value": (400, b"GET /" + H + b"X: a\x01b\r\n\r\n"),
    "a space before the colon": (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    "no name": (400, b"GET /" + H + b": a\r\n\r\n"),
    "no colon": (400, b"GET /" + H + b"XYZ\r\n\r\n"),
    "a name that is none": (400, b"GET /" + H + b"X(: a\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /" + H + b"Host: b\r\n\r\n"),
    "a host with a path": (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a host with a user": (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "a host with a space": (400, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    "a host of two": (400, b"GET / HTTP/1.1\r\nHost: a, b@\r\n\r\n"),
    "an expectation of something else": (417, POST + b"Expect: wonders\r\nContent-Length: 1\r\n\r\nx"),
    # the first line
    "a method that nobody has": (400, b"FOO /" + H + b"\r\n"),
    "a method of another protocol": (501, b"DESCRIBE /x RTSP/1.0\r\nHost: a\r\n\r\n"),
    "a tunnel": (501, b"CONNECT a:443" + H + b"\r\n"),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0 said": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
    "a version that is none": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "a fragment": (400, b"GET /a#b" + H + b"\r\n"),
    "a target that is neither path nor URL": (400, b"GET ftp://b/x" + H + b"\r\n"),
    "a URL with a user": (400, b"GET http://u@b/x" + H + b"\r\n"),
    "an asterisk for GET": (400, b"GET *" + H + b"\r\n"),
    "a percent sign alone": (400, b"GET /100%" + H + b"\r\n"),
    "a percent sign with other signs": (400, b"GET /%g1" + H + b"\r\n"),
    "%-codes that are not UTF-8": (400, b"GET /%ff" + H + b"\r\n"),
    "a zero byte in a path": (400, b"GET /a%00b" + H + b"\r\n"),
    "a control character in a target": (400, b"GET /\x01" + H + b"\r\n"),
    "letters beyond ASCII in a target": (400, b"GET /\xc3\xa9" + H + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    # too much
    "a long target": (414, b"GET /" + b"a" * 9_000 + H + b"\r\n"),
    "a target without end": (414, b"GET /" + b"a" * 500_000),
    "many headers": (431, b"GET /" + H + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n"),
    "large headers": (431, b"GET /" + H + b"X: " + b"y" * 40_000 + b"\r\n\r\n"),
    "headers without end": (431, b"GET /" + H + b"X: y\r\n" * 100_000),
    "a name without end": (431, b"GET /" + H + b"X" * 500_000),
    "empty lines without end": (431, b"\r\n" * 50_000),
    "a large body": (413, POST + b"Content-Length: 100000001\r\n\r\n" + bytes(1000)),
    "a large body in chunks": (413, CHUNKED + b"100000\r\n" + bytes(0x100000) + b"\r\n"),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("before", [b"", GET], ids=["first", "later"])
async def test_what_cannot_be_is_refused_in_its_turn(
    what: str, before: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    status, sent = BAD[what]
    async with hosted(echo, limits=WebLimits(body=1_000_000)) as web:
        said = await web.said(before + sent)
        *good, got = answers(said)
        counted = web.site.counts.refused(status).value
    assert [one.status for one in good] == ([200] if before else [])
    assert (got.status, got.headers["connection"], got.keep) == (status, "close", False)
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert 0 < len(got.body) < 100
    assert counted >= 1
    assert [one.levelname for one in caplog.records if one.name == "ropewalk.web"] == ["INFO"]


@pytest.mark.parametrize("what", BAD)
async def test_the_same_byte_by_byte_at_its_end(what: str) -> None:
    status, sent = BAD[what]
    cut = max(0, len(sent) - 200)
    pieces = [sent[:cut], *(sent[at : at + 1] for at in range(cut, len(sent)))]
    async with hosted(echo, limits=WebLimits(body=1_000_000)) as web:
        (got,) = await web.asked(*filter(None, pieces))
    assert got.status == status


async def test_exactly_as_much_as_allowed_is_taken() -> None:
    limits = WebLimits(head=600, target=100, headers=3, body=50)
    async with hosted(echo, limits=limits) as web:
        for target, status in ((100, 200), (101, 414)):
            (got,) = await web.asked(b"GET /" + b"a" * (target - 1) + H + b"Connection: close\r\n\r\n")
            assert got.status == status
        for count, status in ((1, 200), (2, 431)):
            (got,) = await web.asked(b"GET /" + H + b"X: y\r\n" * count + b"Connection: close\r\n\r\n")
            assert got.status == status
        for size, status in ((50, 200), (51, 413)):
            (got,) = await web.asked(POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            assert got.status == status
        rest = 600 - len(b"/Host: a\r\nX: \r\nConnection: close\r\n")
        for size, status in ((rest, 200), (rest + 1, 431)):
            (got,) = await web.asked(b"GET /" + H + b"X: " + b"y" * size + b"\r\nConnection: close\r\n\r\n")
            assert got.status == status


async def test_a_refused_peer_that_still_sends_can_read_why() -> None:
    async with hosted(echo, "tcp://127.0.0.1:0", limits=WebLimits(body=10)) as web:
        peer = await web.peer(POST + b"Content-Length: 5000000\r\n\r\n")
        peer.transport.write(bytes(5_000_000))
        (got,) = answers(await peer.all())
    assert got.status == 413


async def test_only_names_of_ours_are_served() -> None:
    async with hosted(echo, hosts=["www.example.org", "*.here", "[::1]"]) as web:
        for host, status in (
            (b"www.example.org", 200),
            (b"WWW.example.org.:80", 200),
            (b"a.b.here:8080", 200),
            (b"[::1]:80", 200),
            (b"here", 421),
            (b"example.org", 421),
            (b"xwww.example.org", 421),
            (b"www.example.org.evil", 421),
            (b"127.0.0.1", 421),
            (b"", 421),
        ):
            (got,) = await web.asked(b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % host)
            assert got.status == status, host
        (got,) = await web.asked(b"GET http://www.example.org/ HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n")
        assert got.status == 200
        (got,) = await web.asked(b"GET http://evil/ HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
        assert got.status == 421
        (got,) = await web.asked(b"GET / HTTP/1.0\r\n\r\n")
        assert got.status == 421


@pytest.mark.parametrize("name", ["", "*", "a/b", "a:80", "http://a", "*a.*", "a@b"])
def test_a_name_that_no_request_has_is_refused(name: str) -> None:
    with pytest.raises(BadHostName):
        Hosts([name])
