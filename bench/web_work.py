"""Web work: what every web server of the comparison serves, and how its process begins.

Flow: web.py -> a process of web_ours.py or web_peers.py -> main -> one side -> its port on standard output
Never: imports ropewalk: peers may have an interpreter of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BACKLOG", "CERTIFICATE", "FILE", "FILE_SIZE", "HELLO", "HOST", "Side", "hello", "main"]

HOST = "127.0.0.1"
BACKLOG = 2048
HELLO = b"Hello, World!"
FILE, FILE_SIZE = "file.bin", 100 * 1024  # below /f/
CERTIFICATE = "server.pem"  # with its key, in the folder


@dataclass(frozen=True, slots=True)
class Side:
    """A web server.

    Attributes:
        serve: Told where the files are, whether they are all that is asked for, and whether to serve over TLS; serves
            until its process is ended.
        needs: Modules that it cannot do without.
        works: What it is measured at.
    """

    serve: Callable[[Path, bool, bool], None]
    needs: tuple[str, ...] = ()
    works: tuple[str, ...] = ("hello", "file", "hello, TLS")


async def hello(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """The same ASGI app for all that run one."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(HELLO))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": HELLO})


def main(sides: Mapping[str, Side], words: list[str]) -> None:
    """``SIDE WORK FOLDER``."""
    name, work, folder = words
    sides[name].serve(Path(folder), work == "file", work.endswith("TLS"))
