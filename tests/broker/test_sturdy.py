"""Sturdy references: they outlast sessions and restarts, and whatever happens to their file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk import broker
from ropewalk.broker.errors import NoSturdy
from ropewalk.broker.sturdy import BadSturdies, NotKept, Sturdies
from ropewalk.errors import Missing, Refused
from tests.broker.hosts import Desk, House, served, simulated


def find(label: str) -> broker.Object | None:
    return Desk(label) if label.startswith("desk") else None


async def found(sturdies: Sturdies, name: bytes) -> str | None:
    """The name of the desk that a sturdy reference stands for."""
    try:
        desk = await sturdies.fetch(name)
    except NoSturdy:
        return None
    assert isinstance(desk, Desk)
    return desk.name


async def test_names_outlast_a_restart_and_their_file_does_not_tell_them(tmp_path: Path) -> None:
    file = tmp_path / "sturdy.json"
    sturdies = Sturdies(find, file)
    one, two, gone = (sturdies.grant(label) for label in ("desk a", "desk b", "no such thing"))
    assert len({one, two, gone}) == 3
    assert all(len(name) >= 16 for name in (one, two, gone))
    again = Sturdies(find, file)
    for which in (sturdies, again):
        assert [await found(which, name) for name in (one, two, gone)] == ["desk a", "desk b", None]
    kept = file.read_bytes()
    assert not any(name in kept or name.hex().encode() in kept for name in (one, two, gone))
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["sturdy.json"]


async def test_what_is_revoked_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "sturdy.json"
    sturdies = Sturdies(find, file)
    names = [sturdies.grant(label) for label in ("desk a", "desk a", "desk b", "desk b")]
    assert sturdies.revoke(names[0])
    assert not sturdies.revoke(names[0])
    assert sturdies.revoke_all("desk b") == 2
    assert sturdies.revoke_all("desk b") == 0
    for which in (sturdies, Sturdies(find, file)):
        assert [await found(which, name) for name in names] == [None, "desk a", None, None]


@given(st.binary(max_size=100))
async def test_what_nobody_gave_stands_for_nothing(name: bytes) -> None:
    assert await found(Sturdies(find), name) is None


@pytest.mark.parametrize("step", ["open", "write", "fsync", "replace"])
async def test_a_crash_leaves_the_file_as_it_was(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sturdy.json"
    sturdies = Sturdies(find, file)
    name = sturdies.grant("desk a")
    before = file.read_bytes()

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        if step == "replace":
            patched.setattr(Path, "replace", broken)
        elif step == "write":
            patched.setattr(os, "fdopen", broken)
        else:
            patched.setattr(os, step, broken)
        with pytest.raises(NotKept):
            sturdies.grant("desk b")
        assert file.read_bytes() == before
        with pytest.raises(NotKept):
            sturdies.revoke(name)  # at once, whatever becomes of the file
        assert await found(sturdies, name) is None
        assert await found(Sturdies(find, file), name) == "desk a"
    other = sturdies.grant("desk c")
    again = Sturdies(find, file)
    assert [await found(again, one) for one in (name, other)] == [None, "desk c"]
    assert len(again._labels) == 1  # what could not be kept was not given


async def test_what_a_crash_left_beside_it_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "sturdy.json"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "sturdy.json.new").symlink_to(elsewhere)
    name = Sturdies(find, file).grant("desk a")
    assert await found(Sturdies(find, file), name) == "desk a"
    assert elsewhere.read_text() == "untouched"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"format": 2, "sturdy": {}}',
        b'{"format": 1}',
        b'{"format": 1, "sturdy": []}',
        b'{"format": 1, "sturdy": {"short": "x"}}',
        b'{"format": 1, "sturdy": {"%s": 5}}' % (b"a" * 64),
        b'{"format": 1, "sturdy": {}, "more": 1}',
    ],
)
def test_a_file_that_is_none_is_damaged(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "sturdy.json"
    file.write_bytes(content)
    with pytest.raises(BadSturdies):
        Sturdies(find, file)
    assert file.read_bytes() == content


def test_fetched_through_a_session() -> None:
    async def later(label: str) -> broker.Object | None:
        await asyncio.sleep(1)
        return find(label)

    async def main() -> None:
        sturdies = Sturdies(later)
        name = sturdies.grant("desk a")
        for is_open in (False, True):
            async with served(House(sturdies=sturdies, open_sturdies=is_open)):
                session = await broker.opened("memory://house")
                if not is_open:
                    with pytest.raises(Refused) as refused:
                        await session.door.fetch(name)
                    assert refused.value.code == "auth.required"
                    await broker.login(session)
                assert await session.door.fetch(name).quote("x") == "desk a: x"
                for wrong in (name[:-1], name + b"x", bytes(24), b""):
                    with pytest.raises(Missing) as raised:
                        await session.door.fetch(wrong)
                    assert raised.value.code == "broker.no-sturdy"
                session.close()
                await session.ended(5)
        async with served(House()):
            session = await broker.opened("memory://house")
            await broker.login(session)
            with pytest.raises(Missing) as raised:
                await session.door.fetch(name)
            assert raised.value.code == "broker.no-sturdy"
            session.close()
            await session.ended(5)

    simulated(main)
