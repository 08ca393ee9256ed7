"""What a tree keeps in memory, how long others may keep it, and trouble of the machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from ropewalk.metrics import Registry, using
from ropewalk.web.static import BadTree, Tree, TreeConfig
from ropewalk.web.static.files import open_folder
from tests.web.trees_asked import OLD, Clock, ask, make_site, put, quick, tree_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site")


async def test_a_small_file_is_answered_from_memory_once_it_was_read(folder: Path) -> None:
    tree = tree_of(folder)
    assert quick(tree, "/a b.txt") is None
    told = await ask(tree, "/a%20b.txt")
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items()).encode()
    assert quick(tree, "/a b.txt") == (200, lines, b"0123456789")
    assert quick(tree, "/a b.txt", "HEAD") == (200, lines, b"")
    part = quick(tree, "/a b.txt", range="bytes=1-2,5-6")
    assert part
    assert (part[0], part[2].count(b"--BOUNDARY")) == (206, 3)
    same = quick(tree, "/a b.txt", if_none_match=told.headers["etag"])
    assert same
    assert (same[0], same[2]) == (304, b"")
    assert b"content-length" not in same[1]
    assert (await ask(tree, "/large.bin")).status == 200
    assert quick(tree, "/large.bin") is None


async def test_what_is_in_memory_is_looked_at_again_in_time(folder: Path) -> None:
    clock = Clock()
    tree = tree_of(folder, clock, recheck=1.0)
    path = folder / "a b.txt"
    await ask(tree, "/a%20b.txt")
    put(path, "changed", at=OLD + 1)
    assert (await ask(tree, "/a%20b.txt")).body == b"0123456789"  # for a second
    clock.at += 1.0
    assert quick(tree, "/a b.txt") is None
    assert (await ask(tree, "/a%20b.txt")).body == b"changed"
    path.unlink()
    clock.at += 1.0
    assert (await ask(tree, "/a%20b.txt")).status == 404
    assert (len(tree.shelf), tree.shelf.size) == (0, 0)


async def test_what_is_as_it_was_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reads = Clock(), []
    tree = tree_of(folder, clock)
    real = os.pread

    def pread(*given: int) -> bytes:
        reads.append(given)
        return real(*given)

    monkeypatch.setattr(os, "pread", pread)
    path = folder / "a b.txt"
    # By its last change of any kind it is old enough to be known by its times.
    monkeypatch.setattr("ropewalk.web.static.files.time.time_ns", lambda: path.stat().st_ctime_ns + 3 * 10**9)
    await ask(tree, "/a%20b.txt")
    clock.at += 5
    assert (await ask(tree, "/a%20b.txt")).body == b"0123456789"
    assert len(reads) == 1
    put(path, "9876543210")  # of the same size and time
    clock.at += 5
    assert (await ask(tree, "/a%20b.txt")).body == b"9876543210"


async def test_a_file_that_was_read_just_after_a_change_is_read_again(folder: Path) -> None:
    """Another change could have come within the same tick of the file system's clock."""
    clock = Clock()
    tree = tree_of(folder, clock)
    await ask(tree, "/a%20b.txt")
    held = tree.shelf.get("/a b.txt")
    assert held
    assert not held.shown["identity"].form.settled
    clock.at += 5
    await ask(tree, "/a%20b.txt")
    again = tree.shelf.get("/a b.txt")
    assert again
    assert again.shown["identity"].form is not held.shown["identity"].form


async def test_memory_is_bounded_by_bytes_and_the_longest_unused_goes(folder: Path) -> None:
    for number in range(8):
        put(folder / f"{number}.txt", b"x" * 10_000)
    tree = tree_of(folder, cache=60_000)
    for number in range(8):
        await ask(tree, f"/{number}.txt")
        assert tree.shelf.size <= 60_000
        assert quick(tree, "/0.txt"), "it is used all the time"
    assert [bool(quick(tree, f"/{number}.txt")) for number in range(8)] == [True] + [False] * 4 + [True] * 3


async def test_without_memory_all_is_read_from_the_disk(folder: Path) -> None:
    tree = tree_of(folder, cache=0)
    assert (await ask(tree, "/a%20b.txt")).body == b"0123456789"
    assert quick(tree, "/a b.txt") is None
    assert len(tree.shelf) == 0


async def test_without_a_pause_each_request_looks_again(folder: Path) -> None:
    tree = tree_of(folder, recheck=0)
    for body in (b"one", b"two"):
        put(folder / "x.txt", body)
        assert (await ask(tree, "/x.txt")).body == body


async def test_many_who_ask_at_once_cause_one_visit_to_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    visits = []

    def counted(*given: Any) -> int | None:
        visits.append(given)
        return open_folder(*given)

    monkeypatch.setattr("ropewalk.web.static.finding.open_folder", counted)
    tree = tree_of(folder)
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(tree, "/a%20b.txt")) for _ in range(20)]
    assert {one.result().body for one in asked} == {b"0123456789"}
    assert len(visits) == 1


async def test_who_waited_for_another_that_was_cancelled_goes_to_the_disk_itself(folder: Path) -> None:
    tree = tree_of(folder)
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(ask(tree, "/a%20b.txt")) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
    assert second.result().body == b"0123456789"
    assert not tree._looking


# ---- how long others keep it ----


async def test_what_others_may_keep_is_as_it_is_set(folder: Path) -> None:
    put(folder / "app.3f9a1c07.js", "x")
    tree = tree_of(folder, max_age=60, immutable=r"\.[0-9a-f]{8}\.")
    assert (await ask(tree, "/a%20b.txt")).headers["cache-control"] == "max-age=60"
    assert (await ask(tree, "/app.3f9a1c07.js")).headers["cache-control"] == "max-age=31536000, immutable"
    assert (await ask(tree, "/nothing")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "keys", [{"index": "a/b"}, {"index": ".x"}, {"index": ".."}, {"immutable": "("}, {"charset": "utf 8\r\n"}]
)
def test_a_setting_that_cannot_be_is_told_by_its_key(keys: dict[str, Any]) -> None:
    with pytest.raises(BadTree, match=next(iter(keys))):
        TreeConfig(**keys)


def test_a_tree_of_no_folder_is_told(folder: Path) -> None:
    for path in (folder / "nothing", folder / "a b.txt"):
        with pytest.raises(BadTree, match="is no folder"):
            tree_of(path)


# ---- trouble ----


async def test_trouble_of_the_machine_is_told_as_such_and_not_as_a_missing_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_more(*_: Any) -> None:
        raise OSError(24, "Too many open files", "/secret/place")

    tree = tree_of(folder)
    monkeypatch.setattr("ropewalk.web.static.finding.open_folder", no_more)
    told = await ask(tree, "/a%20b.txt")
    assert (told.status, told.headers["retry-after"]) == (503, "5")
    assert b"secret" not in told.body
    assert "Too many open files" in caplog.text
    monkeypatch.undo()
    assert (await ask(tree, "/a%20b.txt")).status == 200


async def test_it_counts_where_files_were_found(folder: Path) -> None:
    with using(Registry()) as registry:
        tree = Tree(folder)
    for path in ("/a%20b.txt", "/a%20b.txt", "/nothing", "/../x"):
        await ask(tree, path)
    quick(tree, "/a b.txt")
    found = {one.name: one.series for one in registry.read()}["ropewalk_web_tree_lookups_total"]
    assert found == {("memory",): 2, ("disk",): 1, ("nowhere",): 2}
