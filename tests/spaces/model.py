"""What a space should hold, as a plain dictionary: the model that tests of whole spaces compare with.

Flow: the same steps -> Model and Space -> the same answers, or the same refusals
Never: knows how a space does anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.change import AlreadyThere, Change, FolderNotEmpty
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import NoSuchPath, NotAFolder, Version

__all__ = ["FOLDER", "MakeFolder", "Model", "Move", "Remove", "Step", "Write", "contents", "shown"]

Path = tuple[str, ...]
FOLDER = None


@dataclass(frozen=True)
class Write:
    """Make or replace a file of ``size`` bytes, which follow from ``seed``."""

    path: Path
    size: int
    seed: int

    async def do(self, change: Change) -> None:
        await change.write("/".join(self.path), contents(self.seed, self.size))


@dataclass(frozen=True)
class Remove:
    path: Path
    recursive: bool

    async def do(self, change: Change) -> None:
        await change.remove("/".join(self.path), recursive=self.recursive)


@dataclass(frozen=True)
class Move:
    source: Path
    target: Path

    async def do(self, change: Change) -> None:
        await change.move("/".join(self.source), "/".join(self.target))


@dataclass(frozen=True)
class MakeFolder:
    path: Path
    parents: bool
    exist_ok: bool

    async def do(self, change: Change) -> None:
        await change.make_folder("/".join(self.path), parents=self.parents, exist_ok=self.exist_ok)


Step = Write | Remove | Move | MakeFolder


def contents(seed: int, size: int) -> bytes:
    """Bytes of a file: of every other 64 KiB block half is random, the rest is the same in all files."""
    made = bytearray(size)
    for at in range(0, size, 128 * 1024):
        part = random.Random(f"{seed} {at}").randbytes(min(32 * 1024, size - at))
        made[at : at + len(part)] = part
    return bytes(made)


@dataclass
class Model:
    """Path to bytes, or to FOLDER."""

    paths: dict[Path, bytes | None] = field(default_factory=dict)

    def copy(self) -> Model:
        return Model(dict(self.paths))

    def do(self, step: Step) -> type[RopewalkError] | None:
        """Take a step; or the class of the refusal, with nothing done."""
        try:
            match step:
                case Write(path, size, seed):
                    self._write(path, contents(seed, size))
                case Remove(path, recursive):
                    self._remove(path, recursive=recursive)
                case Move(source, target):
                    self._move(source, target)
                case MakeFolder(path, parents, exist_ok):
                    self._make_folder(path, parents=parents, exist_ok=exist_ok)
        except RopewalkError as error:
            return type(error)
        return None

    def files(self) -> Iterable[tuple[Path, bytes]]:
        return [(path, data) for path, data in self.paths.items() if data is not None]

    def below(self, path: Path) -> list[Path]:
        return [known for known in self.paths if known[: len(path)] == path and known != path]

    def _is_folder(self, path: Path) -> bool:
        return not path or (path in self.paths and self.paths[path] is FOLDER)

    def _find(self, path: Path) -> None:
        for depth in range(len(path)):
            if not self._is_folder(path[:depth]):
                raise NotAFolder("model")
            if path[: depth + 1] not in self.paths:
                raise NoSuchPath("model")

    def _folders(self, path: Path) -> None:
        for depth in range(1, len(path) + 1):
            if path[:depth] in self.paths and not self._is_folder(path[:depth]):
                raise NotAFolder("model")
        for depth in range(1, len(path) + 1):
            self.paths[path[:depth]] = FOLDER

    def _write(self, path: Path, data: bytes) -> None:
        self._folders(path[:-1])
        if path in self.paths and self._is_folder(path):
            raise AlreadyThere("model")
        self.paths[path] = data

    def _remove(self, path: Path, *, recursive: bool) -> None:
        self._find(path)
        below = self.below(path)
        if below and not recursive:
            raise FolderNotEmpty("model")
        for known in [path, *below]:
            del self.paths[known]

    def _move(self, source: Path, target: Path) -> None:
        self._find(source)
        if source == target:
            return
        folder = self._is_folder(source)
        if folder and target[: len(source)] == source:
            raise Misuse("model")
        self._find(target[:-1])
        if not self._is_folder(target[:-1]):
            raise NotAFolder("model")
        if target in self.paths and (folder or self._is_folder(target)):
            raise AlreadyThere("model")
        for known in [source, *self.below(source)]:
            self.paths[target + known[len(source) :]] = self.paths.pop(known)

    def _make_folder(self, path: Path, *, parents: bool, exist_ok: bool) -> None:
        if not parents:
            self._find(path[:-1])
            if not self._is_folder(path[:-1]):
                raise NotAFolder("model")
        if not exist_ok:
            try:
                self._find(path)
            except NoSuchPath:
                pass
            else:
                raise AlreadyThere("model")
        self._folders(path)


async def shown(version: Version) -> dict[Path, bytes | None]:
    """All that a version shows, every file read whole."""

    async def value(names: tuple[bytes, ...], found: Shown) -> bytes | None:
        return FOLDER if found.folders else await version.read(b"/".join(names))

    return {tuple(name.decode() for name in names): await value(names, found) async for names, found in version.walk()}
