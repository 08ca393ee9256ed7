"""A node process that misbehaves: its store tells a lie, or its machine's clock is wrong.

Flow: python -m ropewalk.testing.outages.bent_node [--lie NUMBER] [--ahead SECONDS] FILE -> `ropewalk serve FILE`
Never: is part of a node that is not meant to lie; touches the clock of anything but its own process.
"""

from __future__ import annotations

import argparse
import random
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from unittest import mock

from ropewalk.node import node as node_module
from ropewalk.service import serve_file
from ropewalk.spaces.store import DiskStore, Listed, ObjectName, Store
from ropewalk.testing.liars import LIES, Liar, Lie, Place

__all__ = ["main"]


class _Lying:
    """A folder whose reads and listings are those of a liar; what is kept there is kept all the same."""

    def __init__(self, folder: DiskStore, lie: type[Lie], past: dict[str, bytes]) -> None:
        self._folder = folder
        place = Place(cast(Store, folder), random.Random(0), past=past, lying=True)  # noqa: S311 - no lie here draws
        self._liar = Liar(place, lie(place))
        self.get, self.list, self.put = self._liar.get, self._liar.list, self._liar.put

    def __getattr__(self, name: str) -> Any:
        return getattr(self._folder, name)


class _Opening:
    """In place of `DiskStore`, for the node."""

    def __init__(self, lie: type[Lie]) -> None:
        self._lie = lie

    async def open(self, path: str, identity: bytes) -> _Lying:
        """The folder, with its liar, who knows what lay there when it was opened."""
        folder = await DiskStore.open(path, identity)
        listing: list[Listed] = [listed async for listed in folder.list("")]
        return _Lying(folder, self._lie, {ObjectName(listed.name): b"" for listed in listing})


def main() -> None:
    """Serve, until a signal ends it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lie", default="")
    parser.add_argument("--ahead", type=float, default=0.0)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    true, true_ns = time.time, time.time_ns
    ahead: float = given.ahead

    def now() -> float:
        return true() + ahead

    def now_ns() -> int:
        return true_ns() + int(ahead * 1e9)

    with ExitStack() as bent:
        if given.lie:
            lie = next(lie for lie in LIES if lie.number == given.lie)
            bent.enter_context(mock.patch.object(node_module, "DiskStore", _Opening(lie)))
        bent.enter_context(mock.patch.object(time, "time", now))
        bent.enter_context(mock.patch.object(time, "time_ns", now_ns))
        bent.enter_context(mock.patch.dict(node_module.Node.__init__.__kwdefaults__, now=now))
        serve_file(given.file)


if __name__ == "__main__":
    main()
