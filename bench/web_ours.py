"""Our web server, on both loops, and the floor: httptools on a bare protocol, which parses a request and no more.

    python web_ours.py SIDE WORK FOLDER

Flow: web_work.main -> one of SIDES
Never: answers from another place than a user's server would: the file is looked at again every second.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from functools import partial
from pathlib import Path
from typing import cast

import httptools
from remote_work import ready
from web_work import BACKLOG, CERTIFICATE, FILE, HELLO, HOST, Side, hello, main

from ropewalk import loops, net
from ropewalk.web import Mounts, Site
from ropewalk.web.headers import SecurityHeaders
from ropewalk.web.quick import App
from ropewalk.web.static import Tree

__all__ = ["BARE", "OURS", "SIDES"]

BARE, OURS, CONFIGURED, ON_ASYNCIO = "httptools, uvloop", "web, uvloop", "web, uvloop, as a service", "web, asyncio"


class Floor(asyncio.Protocol):
    """Answers what it was told to, by the path."""

    def __init__(self, answers: dict[bytes, tuple[bytes, bytes]]) -> None:
        self._answers = answers
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        self.transport.writelines(self._answers[self._url])


def _certified(folder: Path, secure: bool) -> ssl.SSLContext | None:
    if not secure:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / CERTIFICATE)
    return context


def serve_floor(folder: Path, _files: bool, secure: bool) -> None:
    def answer(kind: str, body: bytes) -> tuple[bytes, bytes]:
        return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode(), body

    file = (folder / FILE).read_bytes()
    answers = {b"/": answer("text/plain", HELLO), f"/f/{FILE}".encode(): answer("application/octet-stream", file)}

    async def run() -> None:
        loop, context = asyncio.get_running_loop(), _certified(folder, secure)
        server = await loop.create_server(lambda: Floor(answers), HOST, 0, backlog=BACKLOG, ssl=context)
        ready(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    loops.run(run(), loop="uvloop")


def serve_ours(kind: str, configured: bool, folder: Path, files: bool, secure: bool) -> None:
    """An app alone, or as a service has it that is configured."""

    async def run() -> None:
        apps: dict[str, App] = {"/": hello, "/f": Tree(folder)}
        app: App = SecurityHeaders(Mounts(apps)) if configured else Mounts({"/f": apps["/f"]}) if files else hello
        async with Site(app) as site:
            url = f"{'tls' if secure else 'tcp'}://{HOST}:0"
            context, limits = _certified(folder, secure), net.Limits(connections=None)
            listener = await net.listen(url, site.protocol, certificates=context, limits=limits)
            ready(listener.endpoint.port)
            await asyncio.get_running_loop().create_future()

    loops.run(run(), loop=kind)


SIDES = {
    BARE: Side(serve_floor),
    OURS: Side(partial(serve_ours, "uvloop", False)),
    CONFIGURED: Side(partial(serve_ours, "uvloop", True), works=("hello", "file")),
    ON_ASYNCIO: Side(partial(serve_ours, "asyncio", False)),
}

if __name__ == "__main__":
    main(SIDES, sys.argv[1:])
