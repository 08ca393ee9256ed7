"""Folders: where the folders of the last settled version stand, so that what devices wrote apart is settled by what
changed and not by a look at all of it.

Flow: settling of a version -> set_folders, move_folders -> folder_stands, unsettled -> settling of the next one
Never: holds a name: a folder is known by its id, and where it stands by the id of the one that it lies in.
"""

from __future__ import annotations

# ruff: noqa: S608 - all that is put into a query here is a list of question marks
import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager

from ropewalk.spaces.tree.entry import ID_SIZE, EntryId
from ropewalk.spaces.tree.settling import Unsettled

__all__ = ["FOLDERS_SCHEMA", "Folders"]

FOLDERS_SCHEMA = """
CREATE TABLE IF NOT EXISTS folders (
    entry BLOB NOT NULL, parent BLOB NOT NULL, dot BLOB NOT NULL, PRIMARY KEY (entry, parent, dot)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsettled (
    what INTEGER NOT NULL, folder BLOB NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (what, folder)) WITHOUT ROWID;
"""
_SEVERAL, _BROKEN, _MISSING, _CLASHING = range(4)
_BATCH = 500  # variables in one query
_HEAD = "folders"  # in meta: the object's name of the head of that version


class Folders:
    """The part of the state that knows where folders stand."""

    _db: sqlite3.Connection
    _at_once: Callable[[], AbstractContextManager[None]]
    get_meta: Callable[[str], bytes | None]
    set_meta: Callable[[str, bytes], None]

    def folders_head(self) -> str | None:
        """The name of the head whose folders are known."""
        held = self.get_meta(_HEAD)
        return held.decode() if held else None

    def unsettled(self, head: str) -> Unsettled | None:
        """What of that head's version is not plain; None if it is another's folders that are known."""
        if self.folders_head() != head:
            return None
        found: list[dict[EntryId, int]] = [{}, {}, {}, {}]
        for what, folder, count in self._db.execute("SELECT what, folder, count FROM unsettled"):
            found[what][EntryId(folder)] = count
        several, broken, missing, clashing = found
        return Unsettled(frozenset(several), frozenset(broken), frozenset(missing), clashing)

    def folder_stands(self, head: str, folders: Collection[EntryId]) -> dict[EntryId, list[bytes]] | None:
        """Where these folders stand in that head's version, those that do; None as above."""
        if self.folders_head() != head:
            return None
        found: dict[EntryId, list[bytes]] = {}
        wanted = list(folders)
        for at in range(0, len(wanted), _BATCH):
            some = wanted[at : at + _BATCH]
            marks = ", ".join("?" * len(some))
            for entry, parent, dot in self._db.execute(f"SELECT * FROM folders WHERE entry IN ({marks})", some):
                found.setdefault(EntryId(entry), []).append(parent + entry + dot)
        return found

    def set_folders(self, head: str, stands: Iterable[bytes], unsettled: Unsettled) -> None:
        """These are the folders of that head's version, and no others."""
        with self._at_once():
            self._db.execute("DELETE FROM folders")
            self._db.executemany("INSERT INTO folders VALUES (?, ?, ?)", map(_row, stands))
            self._set_unsettled(head, unsettled)

    def move_folders(
        self, before: str, after: str, gone: Iterable[bytes], come: Iterable[bytes], unsettled: Unsettled
    ) -> bool:
        """Know the folders of another head's version, by what changed; not if another process was here before."""
        with self._at_once():
            if self.folders_head() != before:
                return False
            rows = map(_row, gone)
            self._db.executemany("DELETE FROM folders WHERE entry = ? AND parent = ? AND dot = ?", rows)
            self._db.executemany("INSERT INTO folders VALUES (?, ?, ?)", map(_row, come))
            self._set_unsettled(after, unsettled)
        return True

    def _set_unsettled(self, head: str, unsettled: Unsettled) -> None:
        self._db.execute("DELETE FROM unsettled")
        for what, folders in (
            (_SEVERAL, unsettled.several),
            (_BROKEN, unsettled.broken),
            (_MISSING, unsettled.missing),
        ):
            self._db.executemany("INSERT INTO unsettled VALUES (?, ?, 1)", [(what, folder) for folder in folders])
        clashing = [(_CLASHING, folder, count) for folder, count in unsettled.clashing.items()]
        self._db.executemany("INSERT INTO unsettled VALUES (?, ?, ?)", clashing)
        self.set_meta(_HEAD, head.encode())


def _row(stand: bytes) -> tuple[bytes, bytes, bytes]:
    return stand[ID_SIZE : 2 * ID_SIZE], stand[:ID_SIZE], stand[2 * ID_SIZE :]
