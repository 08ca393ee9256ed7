"""Which settings a node goes by: the last that were whole, whatever an editor or a crash does to the file."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from ropewalk.node.following import SAID_EVERY, SETTLES, Following
from ropewalk.node.settings import LONGEST, GrantSetting, NodeFile, NodeSettings, NodeSettingsDamaged, OfferSetting
from tests.node.making import a_node

OFFER = OfferSetting("/disk", "ab" * 16)
GRANTS = tuple(GrantSetting(f"{number:016x}", "disk1", keys=("cd" * 32,)) for number in range(3))
SETTINGS = NodeSettings(offers={"disk1": OFFER}, grants=GRANTS)


class Watched:
    """A file of settings, and what a node takes of it at a time."""

    def __init__(self, folder: Path) -> None:
        self.file = NodeFile(folder / "node.toml")
        self.file.update(lambda _: SETTINGS)
        self.now = 0.0
        self.following = Following(self.file, lambda: self.now)
        assert self.grants() == 3

    def grants(self, after: float = 0.0) -> int:
        """How many it goes by, so many seconds later."""
        self.now += after
        self.following.read()
        return len(self.following.grants)


@pytest.mark.parametrize("left", ["", "\n", "# all of it is gone\n", None])
def test_a_file_that_says_nothing_withdraws_nothing_and_is_complained_of(
    folder: Path, left: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(folder)
    if left is None:
        watched.file.path.unlink()
    else:
        watched.file.path.write_text(left)
    for _ in range(3):
        assert watched.grants(SETTLES) == 3
    assert isinstance(watched.following.wrong, NodeSettingsDamaged)
    said = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert str(watched.file.path) in said[0].getMessage()
    assert watched.grants(SAID_EVERY) == 3
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2
    watched.file.path.write_text("format = 1\n")
    watched.grants()
    assert watched.grants(SETTLES) == 0
    watched.following.close()


def test_half_of_a_file_that_is_written_in_its_place_is_not_taken_for_all_of_it(folder: Path) -> None:
    watched = Watched(folder)
    whole = watched.file.path.read_text()
    half = whole[: whole.rindex("[[grants]]")]
    watched.file.path.write_text(half)
    assert NodeFile(watched.file.path).load().grants == GRANTS[:2], "the half can be understood"
    assert watched.grants() == 3
    assert watched.grants(SETTLES / 2) == 3
    watched.file.path.write_text(whole + "# and more\n")
    assert watched.grants(SETTLES / 2) == 3, "it changed once more"
    assert watched.grants(SETTLES) == 3
    watched.file.path.write_text(half)
    watched.grants()
    assert watched.grants(SETTLES) == 2, "that is what its owner left"
    watched.following.close()


def test_a_file_that_was_replaced_counts_at_once_however_often_that_is_done(folder: Path) -> None:
    watched = Watched(folder)
    for number in (2, 1, 3, 0):
        for _ in range(3):  # so that numbers of files that are gone are given anew
            watched.file.update(lambda old: NodeSettings(offers=old.offers, grants=()))
        wanted = NodeSettings(offers=SETTINGS.offers, grants=GRANTS[:number])
        watched.file.update(lambda _, wanted=wanted: wanted)  # type: ignore[misc]
        assert watched.grants() == number
    watched.file.update(lambda _: NodeSettings())
    assert watched.grants() == 0
    assert watched.file.load() == NodeSettings(), "nothing at all is said by its format"
    watched.following.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"format = " + b"9" * 10_000, "digits"),
        (b"\xff", "utf-8"),
        (b"grants = 7", "grants"),
        (b"", "says nothing"),
        (b"format = 2", "format is 2"),
        (b"#" * (LONGEST + 1), "more than"),
    ],
    ids=["nested", "number", "bytes", "type", "empty", "format", "long"],
)
def test_a_file_that_cannot_be_understood_is_said_to_be_so(folder: Path, text: bytes, why: str) -> None:
    file = NodeFile(folder / "node.toml")
    file.path.write_bytes(text)
    with pytest.raises(NodeSettingsDamaged, match=why):
        file.load()
    with pytest.raises(NodeSettingsDamaged):
        file.update(lambda old: old)
    assert file.path.read_bytes() == text


async def test_a_node_with_settings_that_are_wrong_goes_on_with_all_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ropewalk.node.node.LOOKS_EVERY", 0)
    async with a_node(folder / "home") as town:
        await (await town.offer("disk1")).aclose()
        (town.folder / "new").write_text("")
        (town.folder / "new").rename(town.node.file.path)
        looked = asyncio.Event()

        async def look() -> None:
            looked.set()

        monkeypatch.setattr(town.node.offers["disk1"], "look", look)
        work = asyncio.create_task(town.node.work())
        async with asyncio.timeout(30):
            await looked.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
