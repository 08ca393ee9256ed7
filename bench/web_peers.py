"""Web peers: other Python web servers at the same work, each as its own manual does it.

    python web_peers.py SIDE WORK FOLDER

Flow: web_work.main -> one of SIDES
Never: imports ropewalk; is given a setting that makes it slower than it is by default, but that none writes a log.
"""

from __future__ import annotations

import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from remote_work import ready
from web_work import BACKLOG, CERTIFICATE, HELLO, HOST, Side, hello, main

__all__ = ["SIDES", "TWISTED", "UVICORN"]

UVICORN, TWISTED = "uvicorn, uvloop, httptools", "twisted.web"


def serve_uvicorn(folder: Path, files: bool, secure: bool) -> None:
    uvicorn: Any = import_module("uvicorn")
    static = import_module("starlette.staticfiles").StaticFiles(directory=folder)
    mount = import_module("starlette.routing").Mount("/f", static)
    app: Any = import_module("starlette.applications").Starlette(routes=[mount]) if files else hello
    listening = socket.create_server((HOST, 0), backlog=BACKLOG)
    certificate = str(folder / CERTIFICATE) if secure else None
    settings = {"log_level": "warning", "access_log": False, "ws": "none", "backlog": BACKLOG}
    keys = {"ssl_certfile": certificate, "ssl_keyfile": certificate}
    config = uvicorn.Config(app, loop="uvloop", http="httptools", **settings, **keys)
    ready(listening.getsockname()[1])  # a client waits for its turn
    uvicorn.Server(config).run(sockets=[listening])


def serve_twisted(folder: Path, _files: bool, _secure: bool) -> None:
    """Without TLS, for which it needs another package."""
    import_module("twisted.internet.epollreactor").install()  # its own default here, and quicker than asyncio's
    reactor: Any = import_module("twisted.internet.reactor")
    resource: Any = import_module("twisted.web.resource")

    class Hello(resource.Resource):  # type: ignore[misc]
        def render_GET(self, request: Any) -> bytes:  # noqa: N802 - Twisted's name
            request.setHeader(b"content-type", b"text/plain")
            return HELLO

    root = resource.Resource()
    root.putChild(b"", Hello())
    root.putChild(b"f", import_module("twisted.web.static").File(str(folder)))
    site = import_module("twisted.web.server").Site(root)
    site.noisy = False
    site.log = lambda _request: None
    ready(reactor.listenTCP(0, site, BACKLOG, HOST).getHost().port)
    reactor.run()


SIDES = {
    UVICORN: Side(serve_uvicorn, ("uvicorn", "uvloop", "httptools", "starlette")),
    TWISTED: Side(serve_twisted, ("twisted",), ("hello", "file")),
}

if __name__ == "__main__":
    main(SIDES, sys.argv[1:])
