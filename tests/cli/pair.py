"""A pair: two people, each with a home of their own, in one space over the same folders.

Flow: Pair.anna, Pair.bob -> a command in that home; Pair.apart -> what both did before they heard of each other
Never: waits, or goes through an invite: who belongs is written straight into the records.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ropewalk.cli.init import paper_key
from ropewalk.spaces.home import Home
from ropewalk.spaces.members import Role
from ropewalk.spaces.space import Space, open_space
from ropewalk.testing.letting_in import let_in, let_in_device
from tests.cli.conftest import STORES, Result, Run
from tests.cli.keeping import kept

__all__ = ["Pair", "a_pair", "tablet_revoked"]

PASSPHRASE = "one two three"


@dataclass
class Pair:
    """Anna, who made the space, and Bob; `work` has the stores."""

    work: Path
    run: Run
    monkeypatch: pytest.MonkeyPatch

    def anna(self, *words: str, status: int = 0) -> Result:
        """A command of Anna's."""
        return self.of("home", *words, status=status)

    def bob(self, *words: str, status: int = 0) -> Result:
        """A command of Bob's."""
        return self.of("bob", *words, status=status)

    def of(self, home: str, *words: str, status: int = 0) -> Result:
        """A command in a home."""
        self.monkeypatch.setenv("ROPEWALK_HOME", str(self.work.parent / home))
        return self.run(*words, status=status)

    def home(self, name: str) -> Home:
        """Somebody's home."""
        folder = self.work.parent / name
        return Home(folder, folder / "state")

    @asynccontextmanager
    async def open(
        self, home: str = "home", space: str = "photos", now: Callable[[], int] = time.time_ns
    ) -> AsyncIterator[Space]:
        """The space, as a program has it."""
        one = self.home(home)
        async with await open_space(one, space, one.open_keys(PASSPHRASE), now=now) as opened:
            yield opened

    def let_in(self, home: str, role: Role, *, by: str = "home") -> None:
        """Somebody with a home becomes a member, named as the home is."""

        async def add() -> None:
            one = self.home(home)
            keys = one.open_keys(PASSPHRASE)
            async with self.open(by) as space, space.group() as group:
                await let_in(group, role, home, keys, beside=[paper_key(one)])

        asyncio.run(add())

    def machine(self, home: str) -> None:
        """A home with keys that knows the stores."""
        self.of(home, "init", "--yes")
        self.stores(home)

    def stores(self, home: str) -> None:
        """The stores are set up in a home."""
        for at in range(STORES):
            self.of(home, "store", "add", f"s{at}", str(self.work / f"s{at}"))

    def attach(self, home: str, space: str = "photos") -> None:
        """A home takes the space in, by the id that Anna's has."""
        self.of(home, "space", "attach", space, "--id", self.home("home").load().spaces[space].id)

    def files(self) -> set[Path]:
        """All objects in all stores."""
        return {path for at in range(STORES) for path in (self.work / f"s{at}").rglob("*") if path.is_file()}

    def apart(self, first: Callable[[], object], second: Callable[[], object]) -> None:
        """Two people act, neither of whom sees what the other does; then both can see all of it."""
        before = {path: path.read_bytes() for path in self.files()}
        first()
        aside = Path(tempfile.mkdtemp(dir=self.work.parent))  # one may be inside of another
        new = [path for path in self.files() if path not in before]
        for path in new:
            there = aside / path.relative_to(self.work)
            there.parent.mkdir(parents=True, exist_ok=True)
            path.rename(there)
        for path, data in before.items():
            path.write_bytes(data)  # a hint was replaced
        second()
        for path in new:
            (aside / path.relative_to(self.work)).rename(path)
        shutil.rmtree(aside)

    def put(self, home: str, name: str, text: str) -> None:
        """Somebody's version of a file."""
        (self.work / name).write_text(text)
        self.of(home, "put", name, f"photos:/{name}")


def a_pair(photos: Path, run: Run, monkeypatch: pytest.MonkeyPatch, role: Role = Role.WRITER) -> Pair:
    """Anna's space photos, as it was made, with Bob in it."""
    pair = Pair(photos, run, monkeypatch)

    async def named() -> None:
        async with pair.open() as space, space.group() as group:
            mine = space.core.device.public().id
            await group.call(space.core.membership.state.devices[mine], "anna")
            await group.call_device("laptop")

    def make() -> None:
        asyncio.run(named())
        pair.machine("bob")
        pair.let_in("bob", role)
        pair.attach("bob")

    kept(f"photos with a {role.name}", photos, make)
    return pair


def tablet_revoked(pair: Pair) -> None:
    """Bob, who is no admin, takes a second device in and puts it out again: it has the newest keys still."""
    pair.machine("tablet")

    async def take_in() -> None:
        keys = pair.home("tablet").open_keys(PASSPHRASE)
        async with pair.open("bob") as space, space.group() as group:
            await let_in_device(group, "tablet", keys)

    asyncio.run(take_in())
    pair.bob("device", "revoke", "tablet")
