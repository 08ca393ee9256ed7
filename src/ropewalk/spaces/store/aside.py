"""Aside: objects of a folder that were deleted, and can come back as long as nobody says that they are gone.

An object goes into ``.trash/`` by a link under a label, after which its name is taken away; it comes back the same way.
A power cut between the two leaves both: whoever finds the object still there has not deleted it.

Flow: node -> Aside -> FileSystem, in a thread of the store
Never: overwrites an object or what was set aside before, or calls a change done before both folders are synced.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress

from ropewalk.errors import Misuse
from ropewalk.spaces.store.filesystem import sync_folder
from ropewalk.spaces.store.folder import Folder, answering
from ropewalk.spaces.store.interface import NameTaken, NoSuchObject, ObjectName

__all__ = ["Aside"]

ASIDE = ".trash"
_LABEL = re.compile(r"[0-9a-f]{1,32}\Z")


class Aside:
    """What was deleted from a folder, by label; blocking, from any thread."""

    def __init__(self, folder: Folder) -> None:
        self._folder, self._files = folder, folder.files
        self._root = f"{folder.root}/{ASIDE}"

    def put(self, name: ObjectName, label: str) -> int:
        """An object goes; its bytes.

        Raises:
            NoSuchObject.
            Misuse: The label is in use.
            StoreGone, StoreReadOnly, StoreFull: Not known whether it went.
        """
        path = self._folder.path(name)
        with answering(self._folder.root):
            self._folder.confirm()
            try:
                facts = self._files.facts(path)
            except (FileNotFoundError, NotADirectoryError):
                facts = None
            if facts is None or not facts.regular:
                raise NoSuchObject(f"no object {name} in the store at {self._folder.root}")
            with suppress(FileExistsError):
                self._files.mkdir(self._root)
                sync_folder(self._files, self._folder.root)
            try:
                self._files.link(path, self._path(label))
            except FileExistsError:
                raise Misuse(f"label {label} is in use already") from None
            sync_folder(self._files, self._root)
            self._files.unlink(path)
            sync_folder(self._files, os.path.dirname(path))
            self._folder.confirm()
        return facts.size

    def take_back(self, label: str, name: ObjectName) -> None:
        """It is an object again.

        Raises:
            NoSuchObject: Nothing has this label.
            NameTaken: The name was given to another object.
            StoreGone, StoreReadOnly, StoreFull: Not known whether it came.
        """
        path = self._folder.path(name)
        with answering(self._folder.root):
            self._folder.confirm()
            self._folder.settle(os.path.dirname(path))
            try:
                self._files.link(self._path(label), path)
            except FileExistsError:
                raise NameTaken(f"name {name} is taken in the store at {self._folder.root}") from None
            except FileNotFoundError:
                raise NoSuchObject(f"nothing is kept as {label} in the trash of {self._folder.root}") from None
            sync_folder(self._files, os.path.dirname(path))
            self.drop(label)

    def drop(self, label: str) -> None:
        """It is gone for good; one that is not there is a success."""
        with answering(self._folder.root):
            self._folder.confirm()
            with suppress(FileNotFoundError):
                self._files.unlink(self._path(label))
            with suppress(FileNotFoundError):
                sync_folder(self._files, self._root)

    def labels(self) -> set[str]:
        """All that there are."""
        with answering(self._folder.root), suppress(FileNotFoundError):
            self._folder.confirm()
            return {name for name in self._files.scan(self._root) if _LABEL.match(name)}
        return set()

    def _path(self, label: str) -> str:
        if not _LABEL.match(label):
            raise Misuse(f"label {label!r} is not fit: want 1 to 32 hex digits")
        return f"{self._root}/{label}"
