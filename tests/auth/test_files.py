"""Files of people: what is refused of them, when they are read again, and who may have written them."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from ropewalk.auth import (
    AccountsDamaged,
    Denied,
    FileSilent,
    HeldKey,
    KeysChecker,
    Password,
    PasswordsChecker,
    Stretcher,
    public_key,
    stretch,
)
from tests.auth.test_checkers import key_line

HASH = stretch("right")


class Same(Stretcher):
    """No stretching; says what was compared with what."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str | None, str | None]] = []

    async def agree(self, password: str, kept: str | None, like: str | None = None) -> bool:
        self.asked.append((kept, like))
        return kept is not None and password == "right"


def passwords(tmp_path: Path, text: str) -> tuple[Path, PasswordsChecker, Same]:
    path, stretcher = tmp_path / "users", Same()
    path.write_text(text)
    return path, PasswordsChecker(path, stretcher), stretcher


async def test_a_file_that_anybody_can_write_to_lets_nobody_in(tmp_path: Path) -> None:
    path, checker, _ = passwords(tmp_path, f"anna:{HASH}\n")
    await checker.check(Password("anna", "right"))
    path.chmod(0o666)  # also when it becomes so later
    with pytest.raises(AccountsDamaged, match="can be changed by anybody on this machine"):
        await checker.check(Password("anna", "right"))
    path.chmod(0o640)
    await checker.check(Password("anna", "right"))


async def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    """As when a copy with its old times is written over a file."""
    path, checker, _ = passwords(tmp_path, f"anna:{HASH}\n")
    await checker.check(Password("anna", "right"))
    before = path.stat()
    with path.open("r+") as file:
        file.write("elsa")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (before.st_mtime_ns, before.st_size, before.st_ino)
    with pytest.raises(Denied):
        await checker.check(Password("anna", "right"))
    await checker.check(Password("elsa", "right"))


async def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "users")
    os.mkfifo(tmp_path / "anna")
    async with asyncio.timeout(20):
        with pytest.raises(AccountsDamaged, match="is not a file"):
            await PasswordsChecker(tmp_path / "users").check(Password("anna", "right"))
        with pytest.raises(Denied):
            await KeysChecker(tmp_path).check(HeldKey("anna", public_key(key_line())))


async def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    """Each login would keep a descriptor, until there is none left."""
    (tmp_path / "users").mkdir()
    checker = PasswordsChecker(tmp_path / "users")
    opened = set()
    for _ in range(3):
        with pytest.raises(FileSilent, match="is a directory"):
            await checker.check(Password("anna", "right"))
        with (tmp_path / "other").open("w") as file:
            opened.add(file.fileno())
    assert len(opened) == 1


async def test_a_folder_of_keys_that_anybody_can_add_to_lets_nobody_in(tmp_path: Path) -> None:
    line, folder = key_line(), tmp_path / "keys"
    folder.mkdir()
    (folder / "anna").write_text(line)
    folder.chmod(0o1777)
    with pytest.raises(AccountsDamaged, match="can be changed by anybody"):
        await KeysChecker(folder).check(HeldKey("anna", public_key(line)))
    folder.chmod(0o755)
    assert (await KeysChecker(folder).check(HeldKey("anna", public_key(line)))).name == "anna"


async def test_files_that_are_too_large(tmp_path: Path) -> None:
    path, checker, _ = passwords(tmp_path, f"anna:{HASH}\n" + "#" * (4 * 1024 * 1024))
    with pytest.raises(AccountsDamaged, match="has more than 4,194,304 bytes"):
        await checker.check(Password("anna", "right"))
    path.write_text(f"anna:{HASH}\n")
    await checker.check(Password("anna", "right"))


async def test_reading_is_no_work_of_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*args: Any) -> Any:
        raise AssertionError("read on the loop") if _on_a_loop() else FileNotFoundError(2, "none")

    def _on_a_loop() -> bool:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    _, checker, _ = passwords(tmp_path, f"anna:{HASH}\n")
    monkeypatch.setattr("os.open", told)
    monkeypatch.setattr("os.listdir", told)
    with pytest.raises(FileSilent):
        await checker.check(Password("anna", "right"))
    with pytest.raises(FileSilent):
        await KeysChecker(tmp_path).check(HeldKey("anna", b"x"))


async def test_a_name_that_is_not_there_costs_what_one_that_is_there_does(tmp_path: Path) -> None:
    dear = HASH.replace("m=65536,t=3", "m=131072,t=4")
    _, checker, stretcher = passwords(tmp_path, f"anna:{dear}\nbob:{dear}\n")
    for name in ("anna", "nobody", "somebody"):
        with pytest.raises(Denied):
            await checker.check(Password(name, "wrong"))
    assert [kept or like for kept, like in stretcher.asked] == [dear] * 3
    _, checker, stretcher = passwords(tmp_path, "# nobody yet\n")
    with pytest.raises(Denied):
        await checker.check(Password("anna", "right"))
    assert stretcher.asked == [(None, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"anna:{HASH}\nAnna:{HASH}", ":2: 'Anna' was there before"),
        (f"anna:{HASH}\nаnna:{HASH}", ":2: the name .* mixes scripts"),
        (f"anna:{HASH.replace('m=65536', 'm=8')}", ":1: expected name:.*neither weak nor too dear"),
        (f"anna:{HASH}\u2028bob:{HASH}", ":1: "),  # one line to an editor
        (f"anna:{HASH}:staff:admin", ":1: got 'staff:admin', expected a group"),
    ],
    ids=["twice", "mixed", "weak", "a line to an editor", "a role"],  # a salt in a name makes each run another
)
async def test_lines_that_are_not_understood(tmp_path: Path, text: str, message: str) -> None:
    _, checker, _ = passwords(tmp_path, text)
    with pytest.raises(AccountsDamaged, match=message):
        await checker.check(Password("anna", "right"))


async def test_keys_that_cannot_be_read_tell_the_log_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error for names that are there, and a denial for others, would tell which there are."""
    line = key_line()
    key = public_key(line)
    checker = KeysChecker(tmp_path)
    for text in (f'restrict,from="10.0.0.1" {line}\n', f"{line}\nssh-ed25519 AAAA\n", "#" * 70_000, "\udcff"):
        (tmp_path / "anna").write_text(text, errors="surrogateescape")
        caplog.clear()
        for name in ("anna", "nobody"):
            with pytest.raises(Denied):
                await checker.check(HeldKey(name, key))
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert str(tmp_path / "anna") in caplog.text
    (tmp_path / "anna").write_text(f"{line}\n")
    identity = await checker.check(HeldKey("anna", key))
    assert (identity.name, identity.how, identity.key) == ("anna", "key", key)
    (tmp_path / "anna").unlink()
    with pytest.raises(Denied):
        await checker.check(HeldKey("anna", key))
    with pytest.raises(FileSilent, match="cannot be read: no such file"):
        await KeysChecker(tmp_path / "none").check(HeldKey("anna", key))


async def test_keys_are_remembered_for_so_many_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropewalk.auth.files._MOST_FILES", 3)
    checker = KeysChecker(tmp_path)
    for n in range(8):
        line = key_line()
        (tmp_path / f"name{n}").write_text(line)
        await checker.check(HeldKey(f"name{n}", public_key(line)))
        assert len(checker._files) <= 3
