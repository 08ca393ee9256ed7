"""Trees: a folder of files as an ASGI app, which answers what it has in memory without being run.

Flow: request -> target -> the shelf, or one visit to the disk in a thread -> Shown -> Reply -> Answer, or messages
Never: takes a method but GET and HEAD; goes to the disk for what it looked at lately; says why something is not there.
Source: RFC 9110 sections 9.3, 15; ASGI 3.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import quote

from ropewalk import threads
from ropewalk.metrics import Registry, current_registry
from ropewalk.web.quick import Answer, Asked, Receive, Scope, Send
from ropewalk.web.static.codings import IDENTITY, preferred
from ropewalk.web.static.config import BadTree, TreeConfig
from ropewalk.web.static.files import Found, OpenFile
from ropewalk.web.static.finding import find
from ropewalk.web.static.listing import HEADERS
from ropewalk.web.static.media import content_type
from ropewalk.web.static.replies import MATTERS, Reply, Shown, page, plain
from ropewalk.web.static.sending import FILES, send_reply
from ropewalk.web.static.shelf import Held, Shelf
from ropewalk.web.static.targets import Target, target

__all__ = ["Tree"]

_log = logging.getLogger("ropewalk.web")
_MOST_FILES = 4096  # on the shelf
_SHARE = 4  # of the shelf, that one file and its siblings may take each
_METHODS = ("GET", "HEAD")
_QUERY = re.compile(rb"[\x21-\x7e]+")


class Tree:
    """The files below a folder.  An ASGI 3 app; it belongs to the loop that it is first asked on.

    Args:
        folder: May be a link, and may come to be another one: it is looked up at each visit to the disk.
        config: How they are served.
        registry: Where it counts; this context's own by default.
        clock: In seconds; never goes back.
        now: In seconds since 1970.
        boundary: What parts the ranges of one answer; nobody may be able to foresee it.

    Raises:
        BadTree: There is no such folder.
    """

    def __init__(
        self,
        folder: Path | str,
        config: TreeConfig | None = None,
        *,
        registry: Registry | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        boundary: Callable[[], bytes] = lambda: secrets.token_hex(16).encode(),
    ) -> None:
        self.folder, self.config = Path(folder), config or TreeConfig()
        if not self.folder.is_dir():
            raise BadTree(f"{self.folder} is no folder")
        self.shelf = Shelf(self.config.cache, _MOST_FILES, self.config.recheck, clock)
        self._keep = min(self.config.keep, self.config.cache // _SHARE)
        self._now, self._boundary = now, boundary
        self._looking: dict[str, asyncio.Event] = {}
        found = (registry or current_registry()).counter(
            "ropewalk_web_tree_lookups_total", "files looked up in static trees, by where they were found", ("where",)
        )
        self._in_memory, self._on_disk, self._nowhere = (found.of(where) for where in ("memory", "disk", "nowhere"))

    # ---- what is in memory ----

    def quick(self, asked: Asked) -> Answer | None:
        """The answer, if it is in memory and was looked at lately; else the tree is to be run.

        It takes a slash that was escaped for a slash, so that a server had better run it for what has escapes.
        """
        held = self.shelf.fresh(asked.path)
        reply = self._from_memory(held, asked.method, asked.headers) if held else None
        return reply.answer if reply else None

    def _from_memory(self, held: Held, method: str, headers: Iterable[tuple[bytes, bytes]]) -> Reply | None:
        asked = _mattering(headers)
        shown = held.choose(asked.pop(b"accept-encoding", None))
        if shown.form.body is None:
            return None
        self._in_memory.inc()
        return self._reply(shown, method, asked)

    def _reply(self, shown: Shown, method: str, asked: dict[bytes, bytes]) -> Reply:
        return shown.reply(method, asked, self._now() if asked else 0.0, self._boundary)

    # ---- as an app ----

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        match scope["type"]:
            case "http":
                pass
            case "lifespan":
                await _live(receive, send)
                return
            case _:  # a web socket, which it has none of
                await receive()
                await send({"type": "websocket.close", "code": 1000})
                return
        reply, opened = await self._answer(scope)
        try:
            await send_reply(reply, opened, scope, receive, send)
        finally:
            if opened:
                opened.close()

    async def _answer(self, scope: Scope) -> tuple[Reply, OpenFile | None]:
        method, headers = scope["method"], scope["headers"]
        if method not in _METHODS:
            return plain(405, "only GET and HEAD\n", (b"allow", b"GET, HEAD")), None
        path = _below(scope)
        if not path:
            return _redirect(scope), None
        where = target(path, scope.get("raw_path") or b"", well_known=self.config.well_known)
        if where is None:
            self._nowhere.inc()
            return plain(404, "not found\n"), None
        for other in (self._looking.get(path), None):
            held = self.shelf.fresh(path)
            reply = self._from_memory(held, method, headers) if held else None
            if reply:
                return reply, None
            if other:  # somebody has gone to the disk for it already
                await other.wait()
        return await self._from_disk(path, where, scope)

    async def _from_disk(self, path: str, where: Target, scope: Scope) -> tuple[Reply, OpenFile | None]:
        asked = _mattering(scope["headers"])
        wanted = preferred(asked.pop(b"accept-encoding", b""))
        before, looked = self.shelf.get(path), self.shelf.clock()
        known = {coding: shown.form for coding, shown in before.shown.items()} if before else {}
        mine = self._looking[path] = asyncio.Event()
        self.shelf.drop(path)  # whatever comes of it, what was here is not good for more
        try:
            finding = await threads.run(find, self.folder, where, self.config, wanted, known, self._keep, pool=FILES)
        except threads.PoolFull:
            return plain(503, "too busy\n", (b"retry-after", b"1")), None
        except OSError as error:
            _log.warning("a tree cannot be read: %s", error, extra={"code": "web.tree", "reason": error.errno})
            return plain(503, "not now\n", (b"retry-after", b"5")), None
        finally:
            mine.set()
            if self._looking.get(path) is mine:
                del self._looking[path]
        if finding.file:
            self._on_disk.inc()
            return self._show(path, finding.name, finding.file, wanted, looked, scope["method"], asked)
        if finding.page is not None:
            return page(finding.page, HEADERS), None
        if finding.elsewhere:
            return _redirect(scope), None
        self._nowhere.inc()
        return plain(404, "not found\n"), None

    def _show(
        self,
        path: str,
        name: str,
        file: Found,
        wanted: tuple[str, ...],
        looked: float,
        method: str,
        asked: dict[bytes, bytes],
    ) -> tuple[Reply, OpenFile | None]:
        kind, cached, varies = content_type(name, self.config.charset), self.config.cached(name), len(file.forms) > 1
        now = self._now()
        shown = {
            coding: Shown(form, coding, kind, cached, varies=varies, now=now) for coding, form in file.forms.items()
        }
        if any(form.body is not None for form in file.forms.values()):
            self.shelf.put(path, Held(shown, looked))
        coding = next(coding for coding in (*wanted, IDENTITY) if coding in shown)
        return self._reply(shown[coding], method, asked), file.opened.get(coding)


def _mattering(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that change the answer; those of one name joined, as if they were one."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in MATTERS:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def _below(scope: Scope) -> str:
    """The path below the mount; "" where it is the mount itself, without a slash."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        return path[len(root) :]
    return path or ("" if root else "/")


def _redirect(scope: Scope) -> Reply:
    """To the same with a slash behind it: an address that is relative, so that no part of it is the client's word."""
    path: str = scope["path"] or scope.get("root_path", "")
    query: bytes = scope.get("query_string", b"")
    name = quote(path.rstrip("/").rpartition("/")[2], safe="").encode()
    asked = b"?" + query if _QUERY.fullmatch(query) else b""
    return plain(301, "it has a slash behind it\n", (b"location", b"./" + name + b"/" + asked))


async def _live(receive: Receive, send: Send) -> None:
    """The life of a server whose only app this is: there is nothing to start or stop."""
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
