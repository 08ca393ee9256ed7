"""What the tests of pages share: the app over a space in memory, and a client that speaks ASGI as a browser would.

Flow: a test -> Client -> ASGI messages -> SpacePages -> Answer
Never: opens a socket.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

from ropewalk.pages import HeldSpaces, Hosts, SpacePages
from ropewalk.spaces.space import Space
from tests.spaces.making import Clock, World, a_space

PORT = 8990
ORIGIN = f"http://127.0.0.1:{PORT}"
_WORD = re.compile(r'name="word" value="([0-9a-f]{64})"')


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of the error that a JSON answer tells."""
        return str(self.json["error"]["code"])


@dataclass
class Client:
    """One browser.  It keeps its cookie, and says where a request comes from, as browsers do."""

    app: Any
    port: int = PORT
    scheme: str = "http"
    address: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: str = ""

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | None] | None = None,
        body: bytes | Iterable[bytes] = b"",
        *,
        host: str | None = None,
        cut: bool = False,
        hang: bool = False,
        kind: str = "http",
    ) -> Answer:
        """One request.  A header of None is left out; ``cut`` ends the connection before the body's end,
        ``hang`` sends no more of it."""
        host = host if host is not None else f"127.0.0.1:{self.port}"
        path, _, query = target.partition("?")
        sent: dict[str, str | None] = {"host": host, "accept": "text/html"}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        if method not in ("GET", "HEAD"):
            sent |= {"origin": f"{self.scheme}://{host}", "sec-fetch-site": "same-origin"}
        pieces = [body] if isinstance(body, bytes) else list(body)
        if method not in ("GET", "HEAD"):
            sent["content-length"] = str(sum(map(len, pieces)))
        sent |= headers or {}
        scope = {
            "type": kind,
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": unquote(path, errors="replace"),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(key.encode(), value.encode("latin-1")) for key, value in sent.items() if value is not None],
            "server": ("127.0.0.1", self.port),
            "client": (self.address, 50000),
        }
        if kind == "websocket":
            del scope["method"]
        return self._kept(await self._exchange(scope, pieces, cut=cut, more=cut or hang))

    async def _exchange(self, scope: dict[str, Any], pieces: list[bytes], *, cut: bool, more: bool) -> Answer:
        waiting = [
            {"type": "http.request", "body": piece, "more_body": more or at + 1 < len(pieces)}
            for at, piece in enumerate(pieces)
        ]
        if scope["type"] == "websocket":
            waiting = [{"type": "websocket.connect"}]
        status, headers, body = 0, [], bytearray()

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop(0)
            if not cut:
                await asyncio.get_running_loop().create_future()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            elif message["type"] == "http.response.body":
                body.extend(message.get("body", b""))
            elif message["type"] == "websocket.close":
                status = message["code"]

        async with asyncio.timeout(60):
            await self.app(scope, receive, send)
        plain = {key.decode().lower(): value.decode("latin-1") for key, value in headers}
        cookies = tuple(value.decode() for key, value in headers if key.lower() == b"set-cookie")
        return Answer(status, plain, bytes(body), cookies)

    def _kept(self, answer: Answer) -> Answer:
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if found := re.search(rb'name="csrf" value="([0-9a-f]{64})"', answer.body[:100_000]):
            self.csrf = found[1].decode()
        return answer

    # -- in short --------------------------------------------------------------------------------------------------

    async def get(self, target: str, **headers: str | None) -> Answer:
        """GET."""
        return await self.ask("GET", target, {key.replace("_", "-"): value for key, value in headers.items()})

    async def post(self, target: str, fields: Iterable[tuple[str, str]] = (), **headers: str | None) -> Answer:
        """A form of one of our pages, asked for as a script does, so that the answer is JSON."""
        body = urlencode([("csrf", self.csrf), *fields]).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        return await self.ask("POST", target, {**sent, **headers}, body)

    async def put(self, target: str, data: bytes | Iterable[bytes], *, cut: bool = False) -> Answer:
        """The bytes of a file."""
        return await self.ask(
            "PUT", target, {"x-ropewalk-csrf": self.csrf, "accept": "application/json"}, data, cut=cut
        )

    async def enter(self, word: str) -> Answer:
        """Come in, as the file does."""
        return await self.ask(
            "POST",
            "/enter",
            {"origin": "null", "sec-fetch-site": "cross-site", "content-type": "application/x-www-form-urlencoded"},
            urlencode({"word": word}).encode(),
        )


@dataclass
class Served:
    """The app, its space and a way in."""

    app: SpacePages
    space: Space
    clock: Clock
    world: World

    @property
    def word(self) -> str:
        """What stands in the file now."""
        return word_in(self.app)

    async def client(self) -> Client:
        """A browser that is in."""
        client = Client(self.app)
        self.app.entrance.renew()
        assert (await client.enter(self.word)).status == 200
        assert (await client.get("/")).status == 200
        return client


def word_in(app: SpacePages) -> str:
    """What stands in the file."""
    found = _WORD.search(app.entrance.file.read_text())
    assert found is not None
    return found[1]


@asynccontextmanager
async def served(
    tmp_path: Path, hosts: Hosts | None = None, world: World | None = None, **more: Any
) -> AsyncIterator[Served]:
    """The pages of a space called photos over five stores in memory, or of another world."""
    world = world or await a_space(tmp_path / "home")
    clock = Clock()
    async with world.open() as space:
        app = SpacePages(
            HeldSpaces(lambda: {"photos": space, "away": None}), tmp_path / "web", hosts=hosts, clock=clock, **more
        )
        keeping = asyncio.create_task(app.work(ORIGIN))
        try:
            while not app.entrance.file.exists():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            yield Served(app, space, clock, world)
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


def form(parts: Iterable[tuple[str, str | None, bytes]], boundary: str = "xXx") -> tuple[str, bytes]:
    """A form with files, as a browser sends it: its type, its bytes."""
    body = bytearray()
    for name, file, data in parts:
        escaped = (
            ""
            if file is None
            else '; filename="{}"'.format(file.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22"))
        )
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{escaped}\r\n'.encode()
        body += b"Content-Type: application/octet-stream\r\n\r\n" if file is not None else b"\r\n"
        body += data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", bytes(body)
