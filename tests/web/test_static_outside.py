"""No path leads outside a tree's folder: not by its spelling, not by a link, not by a swap while it is looked at."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ropewalk.metrics import Registry, using
from ropewalk.web.static import Tree, TreeConfig
from ropewalk.web.static.finding import find
from ropewalk.web.static.targets import Target, target
from tests.web.trees_asked import ask, put

SECRET, OPEN = b"not for you", b"for all"
PIECE = st.sampled_from(
    [
        *("a", "b", "f.txt", "link", "up", "abs", "deep", "pipe", ".hidden", ".well-known", "index.html"),
        *("..", ".", "...", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "..%2f", "%2f..", "..\\", "%5c..", "..%5c..%5c"),
        *("", "%00", "..%00", "f.txt%00", "%c0%ae%c0%ae", "%c0%af", "%e0%80%af", "%ff", "..;", "~", "%0d%0a"),
        *("C:", "file:", "secret.txt", "outside", "%u002e", "x" * 300, "%F0%80%80%AF", "․․", "．．"),
    ]
)
PATHS = st.lists(PIECE | st.text(max_size=8), max_size=8).map(lambda names: "/" + "/".join(names))


def make(top: Path) -> Path:
    """A tree with links out of it, a pipe in it, and a secret beside it."""
    put(top / "outside/secret.txt", SECRET)
    put(top / "outside/index.html", SECRET)
    site = top / "site"
    put(site / "f.txt", OPEN)
    put(site / "a/f.txt", OPEN)
    put(site / "a/b/f.txt", OPEN)
    for name in (".hidden", ".well-known/.hidden", "a/.git/config", "a/.well-known/x"):
        put(site / name, SECRET)
    put(site / ".well-known/f.txt", OPEN)
    (site / "link").symlink_to("../outside")
    (site / "a/link").symlink_to("../../outside/secret.txt")
    (site / "abs").symlink_to(top / "outside")
    (site / "up").symlink_to("..")
    (site / "a/within").symlink_to("f.txt")
    os.mkfifo(site / "pipe")
    return site


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make(tmp_path)


def tree_of(folder: Path, **keys: Any) -> Tree:
    with using(Registry()):
        return Tree(folder, TreeConfig(**keys))


@pytest.fixture(scope="module")
def forever() -> Iterator[Path]:
    with TemporaryDirectory() as top:
        yield make(Path(top))


@given(PATHS, st.booleans())
@example("/%2e%2e/outside/secret.txt", False)
@example("/..%2foutside%2fsecret.txt", False)
@example("/..%5coutside%5csecret.txt", False)
@example("//outside/secret.txt", False)
@example("/link/secret.txt", True)
@example("/a/link", True)
@example("/%c0%ae%c0%ae/outside/secret.txt", False)
def test_nothing_but_the_open_files_is_ever_sent(forever: Path, path: str, listing: bool) -> None:
    """Also with every name in the tree hostile, and whether a listing is given or not."""

    async def asked() -> None:
        told = await ask(tree_of(forever, listing=listing, well_known=True), path.encode().decode("latin-1"))
        assert told.status in (200, 301, 404)
        assert SECRET not in told.body
        assert b"hidden" not in told.body
        if told.status == 200 and told.headers["content-type"] != "text/html; charset=utf-8":
            assert told.body == OPEN

    asyncio.run(asked())


@given(PATHS | st.text(max_size=30).map(lambda text: f"/{text}"), st.booleans())
def test_the_names_of_a_path_are_plain_names(path: str, well_known: bool) -> None:
    found = target(path, well_known=well_known)
    if found is None:
        return
    for at, name in enumerate(found.names):
        assert name
        assert not set(name) & set("/\\\0\n\r\x7f\ufffd")
        assert name[0] != "." or (well_known and at == 0 and name == ".well-known")
        assert len(os.fsencode(name)) <= 255
    assert "/" + "/".join(found.names) + ("/" if found.folder and found.names else "") == path


@pytest.mark.parametrize(
    "path",
    [
        *("/../outside/secret.txt", "/a/../../outside/secret.txt", "/./f.txt", "/a/./f.txt", "/a//f.txt", "//f.txt"),
        *("/%2e%2e/outside/secret.txt", "/%2E./f.txt", "/a%2ff.txt", "/a%2Ff.txt", "/a%5cf.txt", "/a\\f.txt"),
        *("/f.txt%00", "/f.txt%00.html", "/%00", "/f.txt%0a", "/f.txt%7f", "/%c0%ae%c0%ae/f.txt", "/a%c0%aff.txt"),
        *("/link/secret.txt", "/link/", "/link", "/abs/secret.txt", "/up/site/f.txt", "/a/link", "/a/within"),
        *("/.hidden", "/.well-known/f.txt", "/a/.git/config", "/a/.well-known/x", "/pipe", "/pipe/", "/f.txt/x"),
        *("/" + "x" * 256, "/" + "ü" * 128, "/" + "a/" * 65, "/" + "a" * 5000, "f.txt", "/%252e%252e/f.txt"),
    ],
)
async def test_what_is_refused_is_simply_not_there(site: Path, path: str) -> None:
    tree = tree_of(site)
    raw = path.encode().decode("latin-1")
    told = await ask(tree, raw)
    assert (told.status, told.body) == (404, b"not found\n")
    assert told.headers == (await ask(tree, "/nothing")).headers


async def test_the_known_place_is_open_where_that_is_wanted_and_its_dotfiles_are_not(site: Path) -> None:
    tree = tree_of(site, well_known=True)
    assert (await ask(tree, "/.well-known/f.txt")).body == OPEN
    for path in ("/.well-known/.hidden", "/a/.well-known/x", "/.hidden", "/.well-known/../f.txt"):
        assert (await ask(tree, path)).status == 404


async def test_double_escapes_are_taken_apart_once(site: Path) -> None:
    put(site / "%2e%2e", OPEN)
    assert (await ask(tree_of(site), "/%252e%252e")).body == OPEN


async def test_what_is_no_plain_file_is_not_opened(site: Path) -> None:
    """A pipe would wait for a writer, a device may do anything."""
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(site)  # a socket's name must be short
        try:
            listening.bind("sock")
        finally:
            os.chdir(here)
        assert (await ask(tree_of(site), "/sock")).status == 404
    assert (await asyncio.wait_for(ask(tree_of(site), "/pipe"), 10)).status == 404
    assert (await ask(tree_of(Path("/dev")), "/null")).status == 404


async def test_a_pipe_is_looked_at_and_not_opened(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To be opened would be noticed by whoever writes to it."""
    opened: list[Any] = []
    real = os.open

    def noted(path: Any, flags: int, **more: Any) -> int:
        opened.append(path)
        return real(path, flags, **more)

    monkeypatch.setattr(os, "open", noted)
    put(site / "x.js", OPEN)
    os.mkfifo(site / "x.js.gz")
    tree = tree_of(site)
    assert (await ask(tree, "/pipe")).status == 404
    assert (await ask(tree, "/x.js", accept_encoding="gzip")).body == OPEN
    assert "x.js" in opened
    assert not {"pipe", "x.js.gz"} & set(opened)


async def test_a_file_that_becomes_a_pipe_before_it_is_opened_is_not_there(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def swapped(path: Any, flags: int, **more: Any) -> int:
        if path == "f.txt":
            (site / "f.txt").unlink()
            os.mkfifo(site / "f.txt")
        return real(path, flags, **more)

    monkeypatch.setattr(os, "open", swapped)
    assert (await asyncio.wait_for(ask(tree_of(site), "/f.txt"), 10)).status == 404


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read all")
async def test_what_may_not_be_read_is_not_there(site: Path) -> None:
    (site / "f.txt").chmod(0)
    (site / "a").chmod(0)
    tree = tree_of(site)
    try:
        assert [(await ask(tree, path)).status for path in ("/f.txt", "/a/f.txt", "/a")] == [404] * 3
    finally:
        (site / "a").chmod(0o700)


@pytest.mark.parametrize("error", [PermissionError(13, "no"), PermissionError(1, "no")])
async def test_what_the_system_forbids_is_not_there(
    site: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    """The same, where the tests are run by one who may read all."""
    real = os.open

    def forbidden(path: Any, flags: int, **more: Any) -> int:
        if path in ("f.txt", "a"):
            raise error
        return real(path, flags, **more)

    monkeypatch.setattr(os, "open", forbidden)
    tree = tree_of(site)
    assert [(await ask(tree, path)).status for path in ("/f.txt", "/a/f.txt")] == [404] * 2


async def test_a_folder_that_became_a_link_is_not_followed(site: Path) -> None:
    tree = tree_of(site, recheck=0)
    assert (await ask(tree, "/a/f.txt")).body == OPEN
    put(site.parent / "outside/f.txt", SECRET)
    (site / "a").rename(site / "was")
    (site / "a").symlink_to("../outside")
    assert (await ask(tree, "/a/f.txt")).status == 404
    (site / "f.txt").unlink()
    (site / "f.txt").symlink_to("../outside/secret.txt")
    assert (await ask(tree, "/f.txt")).status == 404


@pytest.mark.parametrize("after", range(8))
def test_a_swap_at_any_moment_of_a_walk_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Folder and file become links to the outside just before each call of the kernel in turn."""
    site = make(tmp_path)
    put(tmp_path / "outside/b/f.txt", SECRET)
    put(tmp_path / "outside/f.txt", SECRET)
    calls = 0
    real_open, real_stat = os.open, os.stat

    def swap() -> None:
        nonlocal calls
        calls += 1
        if calls == after + 1:
            (site / "a/b/f.txt").rename(site / "a/b/was")
            (site / "a/b/f.txt").symlink_to(tmp_path / "outside/f.txt")
            (site / "a").rename(site / "was")
            (site / "a").symlink_to(tmp_path / "outside")

    def opened(path: Any, flags: int, **more: Any) -> int:
        swap()
        return real_open(path, flags, **more)

    def looked(path: Any, **more: Any) -> os.stat_result:
        if more:
            swap()
        return real_stat(path, **more)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "stat", looked)
    finding = find(site, Target(("a", "b", "f.txt"), folder=False), TreeConfig(), (), {}, 1000)
    monkeypatch.undo()
    finding.close()
    assert calls > after or after > 5
    if finding.file:
        assert finding.file.forms["identity"].body == OPEN


async def test_the_folder_itself_may_be_a_link_and_become_another(site: Path) -> None:
    """So that a new release of a site takes the place of the old one at once."""
    current = site.parent / "current"
    current.symlink_to("site")
    tree = tree_of(current, recheck=0)
    assert (await ask(tree, "/f.txt")).body == OPEN
    put(site.parent / "next/f.txt", "new")
    new = site.parent / "new"
    new.symlink_to("next")
    new.replace(current)
    assert (await ask(tree, "/f.txt")).body == b"new"
    current.unlink()
    assert (await ask(tree, "/f.txt")).status == 503  # the operator's trouble, and not a page that is gone


async def test_descriptors_are_given_back(site: Path) -> None:
    put(site / "large", b"x" * 500_000)
    tree = tree_of(site, recheck=0, listing=True)
    paths = ["/f.txt", "/large", "/nothing", "/link/x", "/a/", "/a", "/pipe", "/a/b/f.txt", "/f.txt/x"]
    for path in paths:
        await ask(tree, path)
    gc.collect()  # what earlier tests left
    before = len(os.listdir("/proc/self/fd"))
    for path in paths * 3:
        await ask(tree, path)
        await ask(tree, path, "HEAD", range="bytes=0-1")
        await ask(tree, path, extensions=("http.response.zerocopysend",), if_match='"x"')
    assert len(os.listdir("/proc/self/fd")) <= before
