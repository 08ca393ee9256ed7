"""The session that the README shows, from nothing to a file brought back from three stores of five."""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import stat
from pathlib import Path

import pytest

import ropewalk
from tests.cli.conftest import Run


def same(one: Path, other: Path) -> bool:
    """Whether two trees are the same, links, modes and times too."""
    names = sorted(path.relative_to(one) for path in one.rglob("*"))
    if names != sorted(path.relative_to(other) for path in other.rglob("*")):
        return False
    for name in names:
        a, b = (one / name).lstat(), (other / name).lstat()
        if (a.st_mode, a.st_mtime_ns) != (b.st_mode, b.st_mtime_ns):
            return False
        if stat.S_ISLNK(a.st_mode) and os.readlink(one / name) != os.readlink(other / name):
            return False
        if stat.S_ISREG(a.st_mode) and not filecmp.cmp(one / name, other / name, shallow=False):
            return False
    return True


@pytest.fixture
def holiday(user: Path) -> Path:
    top = user / "holiday"
    (top / "empty").mkdir(parents=True)
    (top / "beach").mkdir()
    (top / "note.txt").write_text("it rained\n")
    (top / "nothing").touch()
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o750)
    (top / "beach" / "film").write_bytes(os.urandom(6 * 1024 * 1024 + 5))
    (top / "beach" / "latest").symlink_to("film")
    (top / "dangling").symlink_to("/nowhere/at/all")
    os.utime(top / "note.txt", ns=(1, 1_000_000_000_123_456_789))
    return top


def test_the_session_of_the_readme(run: Run, photos: Path, holiday: Path) -> None:
    put = run("put", "./holiday", "photos:/2026/")
    assert put.out.startswith("put 4 files, 3 folders, 2 links, 6.0 MiB in ")
    first = run("log", "photos", "--json").lines[0]["version"]

    assert run("ls", "photos:/2026").out == "holiday/\n"
    long = run("ls", "-l", "photos:/2026/holiday").out.splitlines()
    assert [line.split("  ")[0] for line in long] == [
        "drwxr-xr-x",
        "lrwxrwxrwx",
        "drwxr-xr-x",
        "-rw-r--r--",
        "-rw-r--r--",
        "-rwxr-x---",
    ]
    assert long[1].endswith("dangling -> /nowhere/at/all")
    assert "10 B" in long[3]
    assert "2001-09-" in long[3]
    assert run("cat", "photos:/2026/holiday/note.txt").out == "it rained\n"
    assert "any 2 stores can be lost, as asked" in run("status", "photos").out
    assert run("status", "photos", "--json").json["promise"]["kept"] is True

    shutil.rmtree(photos / "s1")
    shutil.rmtree(photos / "s3")
    got = run("get", "photos:/2026/holiday", "./old")
    assert same(holiday, photos / "old")
    assert "warning: store s1 is not there" in got.err

    for store in ("s1", "s3"):
        run("store", "add", f"new-{store}", str(photos / store), "--domain", f"disk=new-{store}")
        run("space", "add-store", "photos", f"new-{store}")
    assert run("check", "photos", status=5).out.count("is away") == 2
    assert "2 shares made anew" in run("repair", "photos").out
    for store in ("s1", "s3"):
        run("space", "remove-store", "photos", store)
        run("store", "remove", store)
    assert run("check", "photos", "--all").err == ""

    run("rm", "-r", "photos:/2026")
    assert run("ls", "photos:/").out == ""
    run("restore", f"photos:/2026/holiday@{first[:8]}", "./older")
    assert same(holiday, photos / "older")
    changes = run("diff", f"photos@{first}", "photos").out.splitlines()
    assert changes[0] == "- /2026"
    assert len(changes) == 10


def test_the_same_from_python(run: Run, photos: Path) -> None:
    async def work() -> list[str]:
        async with ropewalk.open("photos") as space:
            await space.write("notes/today.txt", b"0123456789")
            async with space.file("notes/today.txt") as file:
                assert await file.pread(3, 4) == b"3456"
            return [entry.path async for entry in space.list("notes")]

    assert asyncio.run(work()) == ["today.txt"]
    assert run("cat", "photos:notes/today.txt").out == "0123456789"


def test_the_same_from_python_without_an_event_loop(run: Run, photos: Path) -> None:
    with ropewalk.open_sync("photos") as space:
        space.write("notes/today.txt", b"0123456789")
        with space.file("notes/today.txt") as file:
            assert file.pread(3, 4) == b"3456"
        assert [entry.path for entry in space.list("notes")] == ["today.txt"]
        with space.change("two at once") as change:
            change.write("notes/a", b"1")
            change.write("notes/b", b"2")
    assert run("cat", "photos:notes/a", "photos:notes/b").out == "12"
    with pytest.raises(ropewalk.Missing, match="no space is called 'films'"), ropewalk.open_sync("films"):
        pass


def test_python_is_told_what_is_wrong(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(name: str, passphrase: str | None = None) -> None:
        async with ropewalk.open(name, passphrase=passphrase):
            pass

    with pytest.raises(ropewalk.Missing, match="no space is called 'films'"):
        asyncio.run(work("films"))
    with pytest.raises(ropewalk.Refused, match="wrong passphrase"):
        asyncio.run(work("photos", "wrong"))
    monkeypatch.delenv("ROPEWALK_PASSPHRASE")
    with pytest.raises(ropewalk.Misuse, match="no passphrase is known"):
        asyncio.run(work("photos"))


def test_targets_are_taken_as_cp_takes_them(run: Run, photos: Path) -> None:
    (photos / "a").write_text("a")
    (photos / "b").write_text("b")
    run("put", "a", "photos:/new")  # its name
    run("put", "a", "photos:/folder/")  # into
    run("put", "a", "b", "photos:/folder")  # into what is there
    run("put", "b", "photos:/new")  # in its place
    run("mv", "photos:/new", "photos:/folder")
    run("mv", "photos:/folder/a", "photos:/renamed")
    assert run("find", "photos").out.split() == ["/folder", "/folder/b", "/folder/new", "/renamed"]
    assert run("cat", "photos:/folder/new", "photos:/renamed").out == "ba"

    run("get", "photos:/folder", "out")
    run("get", "photos:/folder", "out")  # it is there now, so into it
    run("get", "photos:/renamed", "fresh/")
    assert sorted(str(path.relative_to(photos)) for path in (photos / "out").rglob("*")) == [
        "out/b",
        "out/folder",
        "out/folder/b",
        "out/folder/new",
        "out/new",
    ]
    assert (photos / "fresh" / "renamed").read_text() == "a"
    run("get", "photos:", "all")
    assert sorted(os.listdir(photos / "all")) == ["folder", "renamed"]


def test_nothing_new_is_no_new_version(run: Run, photos: Path) -> None:
    (photos / "a").write_text("a")
    run("put", "a", "photos:/a")
    again = run("put", "a", "photos:/a", "--json").json
    assert (again["unchanged"], again["version"]) == (1, None)
    assert len(run("log", "photos").out.splitlines()) == 1


def test_sums_and_searches(run: Run, photos: Path) -> None:
    for name, size in (("x/one.jpg", 10), ("x/deep/two.jpg", 20), ("three.txt", 5)):
        path = photos / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    run("put", "tree", "photos:/tree")
    sums = {line["path"]: line["bytes"] for line in run("du", "photos:/tree", "--json").lines}
    assert sums == {"/tree/x": 30, "/tree": 35}
    assert [line["path"] for line in run("du", "photos", "-d", "0", "--json").lines] == ["/"]
    assert run("du", "photos:/tree/three.txt").out.split() == ["5", "B", "1", "file", "/tree/three.txt"]
    assert run("find", "photos", "--name", "*.jpg").out.split() == ["/tree/x/deep/two.jpg", "/tree/x/one.jpg"]
    assert run("find", "photos", "--kind", "folder").out.split() == ["/tree", "/tree/x", "/tree/x/deep"]


def test_what_differs_is_said(run: Run, photos: Path) -> None:
    top = photos / "tree"
    top.mkdir()
    for name in ("content", "mode", "time", "kind", "same", "gone"):
        (top / name).write_text(name)
    run("put", "tree", "photos:/tree", "--note", "before")
    (top / "content").write_text("CONTENT")
    (top / "mode").chmod(0o600)
    os.utime(top / "time", (0, 0))
    (top / "kind").unlink()
    (top / "kind").symlink_to("same")
    run("rm", "photos:/tree/gone")
    (top / "gone").unlink()
    (top / "new").touch()
    run("put", "tree", "photos:/")
    log = run("log", "photos", "--json").lines
    assert [head["note"] for head in log] == ["put tree", "rm /tree/gone", "before"]
    changes = run("diff", f"photos:/tree@{log[2]['version']}", "--json").lines
    assert {change["path"]: (change["change"], change["what"]) for change in changes} == {
        "/tree/content": ("changed", ["content", "time"]),
        "/tree/gone": ("removed", []),
        "/tree/kind": ("changed", ["kind"]),
        "/tree/mode": ("changed", ["mode"]),
        "/tree/new": ("added", []),
        "/tree/time": ("changed", ["time"]),
    }
    assert run("diff", f"photos@{log[0]['version']}", "photos").out == ""
    assert run("log", "photos", "-n", "1").out.count("\n") == 1
    assert run("ls", "photos:/tree", "--at", log[2]["version"][:6]).out.split() == sorted(
        ["content", "gone", "kind", "mode", "same", "time"]
    )


def test_quiet_says_nothing_of_success(run: Run, photos: Path) -> None:
    (photos / "a").write_text("a")
    result = run("put", "a", "photos:/a", "--quiet")
    assert (result.out, result.err) == ("", "")
