"""Files that change while they are sent, clients that go, and real servers and clients with a tree between them."""

from __future__ import annotations

import asyncio
import gc
import http.client
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from ropewalk import loops, net
from ropewalk.metrics import Registry, using
from ropewalk.web import Mounts, Site
from ropewalk.web.static import FileChanged, Tree, TreeConfig
from ropewalk.web.static.files import OpenFile, Version
from tests.web.trees_asked import OLD, Told, ask, put, take

LARGE = 3_000_000  # bytes
PATIENCE = 30  # seconds
ZERO = "http.response.zerocopysend"
WAYS = [(), (ZERO,)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    put(tmp_path / "site/large.bin", os.urandom(LARGE))
    put(tmp_path / "site/index.html", "<p>home")
    put(tmp_path / "site/a b/small.txt", "0123456789")
    return tmp_path / "site"


def tree_of(folder: Path, **keys: Any) -> Tree:
    with using(Registry()):
        return Tree(folder, TreeConfig(**keys))


async def told_with(tree: Tree, extensions: tuple[str, ...], meanwhile: Any) -> Told:
    """All that was sent of a large file, where something happens after its first bytes."""
    told = Told()

    async def send(message: MutableMapping[str, Any]) -> None:
        take(told, message)
        if message["type"] != "http.response.start" and len(told.kinds) == 2:
            meanwhile()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/large.bin", "headers": []}
    try:
        await tree({**scope, "extensions": {name: {} for name in extensions}}, receive, send)
    except FileChanged:
        assert not told.whole
    return told


@pytest.mark.parametrize("extensions", WAYS, ids=["read", "zero copy"])
@pytest.mark.parametrize("change", ["shorter", "other", "empty"])
async def test_a_file_that_changes_while_it_is_sent_is_cut_off(
    site: Path, extensions: tuple[str, ...], change: str
) -> None:
    path = site / "large.bin"

    def meanwhile() -> None:
        match change:
            case "shorter":
                os.truncate(path, LARGE - 1)
            case "empty":
                os.truncate(path, 0)
            case "other":
                put(path, b"x" * LARGE, at=OLD + 1)

    told = await told_with(tree_of(site), extensions, meanwhile)
    assert told.headers["content-length"] == str(LARGE)
    assert not told.whole
    assert len(told.body) < LARGE


@pytest.mark.parametrize("extensions", WAYS, ids=["read", "zero copy"])
@pytest.mark.parametrize("change", ["longer", "gone", "replaced", "named twice"])
async def test_a_file_that_only_grows_or_loses_its_name_is_sent_as_it_was(
    site: Path, extensions: tuple[str, ...], change: str
) -> None:
    path, data = site / "large.bin", (site / "large.bin").read_bytes()

    def meanwhile() -> None:
        match change:
            case "longer":
                with path.open("ab") as file:
                    file.write(b"more")
            case "gone":
                path.unlink()
            case "replaced":
                put(site / "new", b"new" * 10).rename(path)
            case "named twice":
                (site / "other").hardlink_to(path)

    told = await told_with(tree_of(site), extensions, meanwhile)
    assert told.whole
    assert told.body == data


def test_a_piece_that_is_not_there_any_more_is_an_error(tmp_path: Path) -> None:
    path = put(tmp_path / "file", b"0123456789")
    opened = OpenFile(os.open(path, os.O_RDONLY), Version.of(path.stat()))
    try:
        assert opened.read(2, 4) == b"2345"
        os.truncate(path, 5)
        with pytest.raises(FileChanged, match="ended after 5 bytes, expected 6"):
            opened.read(2, 4)
    finally:
        opened.close()
        opened.close()


async def test_a_small_file_that_is_written_to_without_end_is_sent_from_the_disk(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times it was another one after it had been read; so it is not kept."""
    real, path = os.pread, site / "a b/small.txt"
    writing = True

    def pread(descriptor: int, size: int, at: int) -> bytes:
        data = real(descriptor, size, at)
        if writing:
            with path.open("ab") as file:
                file.write(b"+")
        return data

    monkeypatch.setattr(os, "pread", pread)
    tree = tree_of(site, recheck=0)
    told = await ask(tree, "/a%20b/small.txt")
    assert told.headers["content-length"] == str(len(told.body))
    assert told.body.startswith(b"0123456789")
    assert len(tree.shelf) == 0


async def test_nothing_more_is_read_for_a_client_that_has_gone(site: Path) -> None:
    sent, gone = [], asyncio.Event()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])
        gone.set()
        await asyncio.sleep(0)

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    await tree_of(site)({"type": "http", "method": "GET", "path": "/large.bin", "headers": []}, receive, send)
    assert len(sent) < 3


async def test_one_who_is_cancelled_leaves_nothing_open(site: Path) -> None:
    tree, begun = tree_of(site), asyncio.Event()

    async def send(_message: MutableMapping[str, Any]) -> None:
        begun.set()
        await asyncio.get_running_loop().create_future()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    gc.collect()  # what earlier tests left
    before = len(os.listdir("/proc/self/fd"))
    async with asyncio.TaskGroup() as group:
        scope = {"type": "http", "method": "GET", "path": "/large.bin", "headers": []}
        asked = group.create_task(tree(scope, receive, send))
        await begun.wait()
        assert len(os.listdir("/proc/self/fd")) > before
        asked.cancel()
    assert len(os.listdir("/proc/self/fd")) <= before


# ---- real servers and clients ----


@contextmanager
def served(app: Any) -> Iterator[int]:
    """An app under uvicorn, in a thread of its own; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", ws="none", http="httptools", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])), daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]  # it is listened on already: a client waits for its turn
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        yield connection
    finally:
        connection.close()


def got(connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response.status, response.read()


@pytest.mark.system
@pytest.mark.parametrize("mounted", [False, True], ids=["alone", "mounted by starlette"])
def test_a_tree_is_served_by_uvicorn(site: Path, mounted: bool) -> None:
    tree, data = tree_of(site), (site / "large.bin").read_bytes()
    app = Starlette(routes=[Mount("/deep/site", tree)]) if mounted else tree
    top = "/deep/site" if mounted else ""
    with served(app) as port, connected(port) as connection:
        for _ in range(2):  # from the disk, from memory
            assert got(connection, f"{top}/") == (200, b"<p>home")
            assert got(connection, f"{top}/a%20b/small.txt") == (200, b"0123456789")
        assert got(connection, f"{top}/large.bin") == (200, data)
        assert got(connection, f"{top}/large.bin", Range="bytes=1000000-1999999") == (206, data[1_000_000:2_000_000])
        assert got(connection, f"{top}/large.bin", "HEAD") == (200, b"")
        status, body = got(connection, f"{top}/large.bin", Range="bytes=0-9,-10")
        assert (status, data[:10] in body, data[-10:] in body) == (206, True, True)
        for path in ("/../large.bin", "/a%20b/../large.bin", "/%2e%2e/x", "/%c0%ae%c0%ae/x", "/.git/config"):
            assert got(connection, f"{top}{path}")[0] == 404
        assert got(connection, f"{top}/", "POST")[0] == 405
        connection.request("GET", f"{top}/a%20b?x=1")
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["location"]) == (404, None)
        put(site / "a b/index.html", "x")
        connection.request("GET", f"{top}/a%20b?x=1")
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["location"]) == (301, "./a%20b/?x=1")


@pytest.mark.system
def test_a_file_that_becomes_shorter_cuts_the_connection_of_its_reader(site: Path) -> None:
    size = 64 << 20  # more than all buffers between
    with (site / "huge.bin").open("wb") as file:
        file.truncate(size)
    with served(tree_of(site)) as port, connected(port) as connection:
        connection.request("GET", "/huge.bin")
        response = connection.getresponse()
        assert response.length == size
        read = len(response.read(1000))
        os.truncate(site / "huge.bin", 2000)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            read += len(response.read())
        assert read < size


@pytest.mark.system
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_our_own_server_sends_files_from_memory_and_from_the_disk(site: Path, loop: str) -> None:
    data = (site / "large.bin").read_bytes()

    def asked(port: int) -> None:
        with connected(port) as connection:
            for _ in range(2):
                assert got(connection, "/f/a%20b/small.txt") == (200, b"0123456789")
                assert got(connection, "/f/index.html") == (200, b"<p>home")
                assert got(connection, "/f/index.html", "HEAD") == (200, b"")
                assert got(connection, "/f/index.html", Range="bytes=3-4") == (206, b"ho")
                assert got(connection, "/f/large.bin") == (200, data)
                assert got(connection, "/f/large.bin", Range="bytes=1000-1999999") == (206, data[1000:2_000_000])
                assert got(connection, "/f/a%20b%2fsmall.txt")[0] == 404
                assert got(connection, "/f/../f/index.html")[0] == 404
            status, body = got(connection, "/f/large.bin", Range="bytes=0-99999,2000000-2999998")
            assert (status, data[:100_000] in body, data[2_000_000:-1] in body) == (206, True, True)
            connection.request("GET", "/f")
            response = connection.getresponse()
            response.read()
            assert (response.status, response.headers["location"]) == (301, "./f/")

    async def run() -> None:
        tree = tree_of(site)
        async with Site(Mounts({"/f": tree})) as served_by_us:
            listener = await net.listen("tcp://127.0.0.1:0", served_by_us.protocol)
            async with listener:
                await asyncio.to_thread(asked, listener.endpoint.port or 0)

    with using(Registry()) as registry:
        loops.run(run(), loop=loop)
    found = {one.name: one.series for one in registry.read()}
    assert found["ropewalk_web_requests_total"]


@pytest.mark.system
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_our_own_server_cuts_off_a_file_that_becomes_shorter(site: Path, loop: str) -> None:
    size = 64 << 20
    with (site / "huge.bin").open("wb") as file:
        file.truncate(size)

    def asked(port: int) -> None:
        with connected(port) as connection:
            connection.request("GET", "/f/huge.bin")
            response = connection.getresponse()
            read = len(response.read(1000))
            os.truncate(site / "huge.bin", 2000)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                read += len(response.read())
            assert read < size

    async def run() -> None:
        async with Site(Mounts({"/f": tree_of(site)})) as served_by_us:
            listener = await net.listen("tcp://127.0.0.1:0", served_by_us.protocol)
            async with listener:
                await asyncio.to_thread(asked, listener.endpoint.port or 0)

    with using(Registry()):
        loops.run(run(), loop=loop)


@pytest.mark.system
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_goes_on_with_a_download_and_asks_whether_it_is_new(site: Path, tmp_path: Path) -> None:
    data, copy, tag = (site / "large.bin").read_bytes(), tmp_path / "copy", tmp_path / "etag"
    (copy).write_bytes(data[:1_000_000])
    with served(tree_of(site)) as port:
        url = f"http://127.0.0.1:{port}"

        def curl(*words: str) -> str:
            line = ["curl", "-sS", "--max-time", str(PATIENCE), "--path-as-is", "-w", "%{http_code}", *words]
            return subprocess.run(line, capture_output=True, text=True, check=True).stdout

        assert curl("-C", "-", "-o", str(copy), f"{url}/large.bin") == "206"
        assert copy.read_bytes() == data
        assert curl("--etag-save", str(tag), "-o", os.devnull, f"{url}/") == "200"
        assert curl("--etag-compare", str(tag), "-o", os.devnull, f"{url}/") == "304"
        assert curl("-z", "Tue, 14 Nov 2023 22:13:20 GMT", "-o", os.devnull, f"{url}/large.bin") == "304"
        put(site / "a b/index.html", "through")
        assert curl("-L", f"{url}/a%20b") == "through200"
        assert curl("-o", os.devnull, f"{url}/a%20b/../../../etc/passwd") == "404"
