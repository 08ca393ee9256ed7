"""What tests of static trees share: one request to an ASGI app, without a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ropewalk.metrics import Registry, using
from ropewalk.web.quick import App, Asked
from ropewalk.web.static import Tree, TreeConfig

LARGE = 1_000_000  # bytes; more than is kept
OLD = 1_700_000_000  # seconds since 1970; long enough ago for a file to be known by its time


@dataclass
class Told:
    """What an app sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    kinds: list[str] = field(default_factory=list)  # of messages


async def ask(
    app: App,
    path: str = "/",
    method: str = "GET",
    *,
    root: str = "",
    extensions: Iterable[str] = (),
    query: bytes = b"",
    **headers: str,
) -> Told:
    """Answer of an app; ``path`` as a client sends it, underscores in names of headers for hyphens."""
    scope: MutableMapping[str, Any] = {
        "type": "http",
        "method": method,
        "path": root + unquote(path),
        "raw_path": (root + path).encode("latin-1"),
        "root_path": root,
        "query_string": query,
        "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
        "extensions": {name: {} for name in extensions},
    }
    told, done, messages = Told(), asyncio.Event(), [{"type": "http.request", "body": b"", "more_body": False}]

    async def send(message: MutableMapping[str, Any]) -> None:
        take(told, message)
        if told.whole:
            done.set()

    async def receive() -> MutableMapping[str, Any]:
        if messages:
            return messages.pop()
        await done.wait()
        return {"type": "http.disconnect"}

    await app(scope, receive, send)
    return told


def take(told: Told, message: Mapping[str, Any]) -> None:
    """What a server does with a message."""
    told.kinds.append(message["type"])
    match message["type"]:
        case "http.response.start":
            told.status = message["status"]
            told.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
            assert len(told.headers) == len(message["headers"])
        case "http.response.body":
            told.body += message["body"]
            told.whole = not message["more_body"]
        case "http.response.zerocopysend":
            data = os.pread(message["file"].fileno(), message["count"], message["offset"])
            assert len(data) == message["count"], "a real server cuts the connection now"
            told.body += data
            told.whole = not message["more_body"]
        case "http.response.pathsend":
            told.body += Path(message["path"]).read_bytes()
            told.whole = True


def put(path: Path, data: bytes | str, at: float = OLD) -> Path:
    """A file that was changed at some time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(path, ns=(int(at * 10**9), int(at * 10**9)))
    return path


def make_site(root: Path) -> Path:
    """A small tree."""
    put(root / "index.html", "<p>home")
    put(root / "a b.txt", "0123456789")
    put(root / "empty.css", "")
    put(root / "large.bin", bytes(range(256)) * (LARGE // 256))
    put(root / "docs/index.html", "<p>docs")
    put(root / "bare/file.txt", "in bare")
    return root


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def tree_of(folder: Path, clock: Clock | None = None, **keys: Any) -> Tree:
    with using(Registry()):
        return Tree(folder, TreeConfig(**keys), clock=clock or Clock(), boundary=lambda: b"BOUNDARY")


def quick(tree: Tree, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, bytes] | None:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    answer = tree.quick(Asked(method, path, pairs))
    return answer and (answer.status, answer.lines, answer.body)
