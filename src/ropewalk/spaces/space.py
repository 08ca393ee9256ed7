"""Space: a versioned tree of files over many stores, to read and to change.

Flow: open_space -> Space -> Version (looking), Change (changing) -> publish -> Outcome
Never: shows a change that was not acknowledged, or acknowledges one that is below the write floor.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ropewalk.errors import Missing, Refused, RopewalkError
from ropewalk.spaces.change import Change
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import Vector
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.learning import Standing, look, standing
from ropewalk.spaces.mend import mend_owed
from ropewalk.spaces.open_file import OpenFile
from ropewalk.spaces.opening import OpenStore, open_core, open_store
from ropewalk.spaces.publish import SMALL, Outcome, publish, settle_journal
from ropewalk.spaces.rebuild import rebuild
from ropewalk.spaces.repair import RepairReport, repair
from ropewalk.spaces.spool import Spool
from ropewalk.spaces.state import ACKED, KnownHead, State
from ropewalk.spaces.survey import Progress, silent
from ropewalk.spaces.tree.entry import WriterId
from ropewalk.spaces.tree.join import join
from ropewalk.spaces.tree.prolly import Tree
from ropewalk.spaces.tree.view import SETTLED, Settling
from ropewalk.spaces.turns import Turns
from ropewalk.spaces.version import Info, Version
from ropewalk.spaces.writer import Writer

__all__ = ["OpenFile", "ReadOnly", "Space", "UnknownVersion", "open_space"]

PAY_EVERY = 5.0  # seconds
SHORTEST_PREFIX = 4  # hex digits that name a version


class UnknownVersion(Missing):
    """No version, or more than one, starts with these digits."""

    code = "space.unknown-version"


class ReadOnly(Refused):
    """The space can be read, and not changed by this version of the software."""

    code = "space.read-only"


@dataclass(frozen=True, slots=True)
class _Current:
    standing: Standing
    version: Version
    seen: int  # what the ledger's data version was


class Space:
    """An open space.  Made by `open_space`; an async context manager.

    Args:
        name: The user's name for it.
        core: Its parts.
        home: Where its local state lies.
        cpu: Closed with the space.
        pay_every: Seconds between two looks at what is owed.
    """

    def __init__(
        self, name: str, core: Core, home: Home, cpu: ThreadPoolExecutor, pay_every: float = PAY_EVERY
    ) -> None:
        self.name, self.core = name, core
        self._home, self._cpu = home, cpu
        self._folder = home.space_folder(core.space_id.hex())
        self._turns = Turns(self._folder / "lock")
        self._current: _Current | None = None
        self._payer: asyncio.Task[None] | None = None
        self._pay_every = pay_every

    async def __aenter__(self) -> Self:
        """From here to the end, what is owed is paid in the background as soon as stores allow it."""
        self._payer = asyncio.create_task(self._pay_in_background())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the stores and the local state."""
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait([self._payer])
            if not self._payer.cancelled() and (broken := self._payer.exception()) is not None:
                self.core.warnings.append(f"what is owed was not paid: {broken}")
            self._payer = None
        await self.core.pool.aclose()  # what a slow store did after all goes to the ledger
        await self.core.ledger.aclose()
        self._cpu.shutdown(wait=False)

    @property
    def warnings(self) -> list[str]:
        """What a user should know of how the space was opened, and of what was found damaged since."""
        return self.core.warnings

    # -- looking -------------------------------------------------------------------------------------------------

    async def current(self) -> Version:
        """The newest acknowledged version that this device knows of."""
        return (await self._look()).version

    async def _look(self) -> _Current:
        seen = await self.core.ledger.do(State.data_version)
        if self._current is None or self._current.seen != seen:
            now = await self.core.ledger.do(standing)
            self._current = _Current(now, await self._version(now), seen)
        return self._current

    async def _version(self, now: Standing) -> Version:
        if len(now.heads) > 1:
            return await self._settle(await _joined(now, self.core.looked_at()))
        root = now.root or b""
        if len(now.vector) <= 1 or await self.core.ledger.do(State.is_settled, root):
            return self.core.version(now.root)
        version = await self._settle(self.core.tree.at(now.root))
        if version.settled is SETTLED:
            await self.core.ledger.do(State.remember_settled, root)
        return version

    async def _settle(self, tree: Tree) -> Version:
        """The version with this tree, after a look at all of it for what joins have left to settle."""
        settling = Settling()
        async for batch in tree.scan():
            settling.look(batch)
        settled = settling.settled()
        # A name that the view makes up may sort before what was shown already: such folders are not shown in parts.
        plain = not (settled.hidden or settled.lost or settling.clashes)
        return Version(tree, self.core.content, SETTLED if plain else settled)

    async def log(self) -> list[KnownHead]:
        """The acknowledged heads, newest first: each before all that it has seen, whoever wrote them."""
        return sorted(await self.core.ledger.do(State.heads, ACKED), key=_age, reverse=True)

    async def at(self, version: str | None) -> Version:
        """A version by the first digits of its hash, or the newest.

        Raises:
            UnknownVersion.
        """
        if version is None:
            return await self.current()
        text = version.lower()
        if len(text) < SHORTEST_PREFIX or any(digit not in "0123456789abcdef" for digit in text):
            raise UnknownVersion(
                f"version {version!r} is not {SHORTEST_PREFIX} or more hex digits",
                hint=f"`ropewalk log {self.name}` shows them",
            )
        found = [head for head in await self.log() if head.hash.hex().startswith(text)]
        if len(found) != 1:
            raise UnknownVersion(
                f"{len(found) or 'no'} versions start with {version!r}", hint=f"`ropewalk log {self.name}` shows them"
            )
        return await self._version(Standing([found[0]]))

    async def list(self, path: str | bytes = "") -> AsyncIterator[Info]:
        """What is in a folder of the newest version, by name."""
        async for info in (await self.current()).list(path):
            yield info

    async def read(self, path: str | bytes, offset: int = 0, length: int | None = None) -> bytes:
        """A file of the newest version, or a range of it."""
        return await (await self.current()).read(path, offset, length)

    @asynccontextmanager
    async def file(self, path: str | bytes) -> AsyncIterator[OpenFile]:
        """A file of the newest version, for reads at any offset."""
        version = await self.current()
        yield OpenFile(version, await version.file(path))

    # -- changing ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def change(self, note: str = "") -> AsyncIterator[Change]:
        """Change the space: all that is done inside becomes one version at the end, or none of it does.

        The outcome is `outcome` of the space afterwards.

        Raises:
            BelowFloor: Too few stores could keep it; nothing was changed.
            Busy: Another process of this device is changing it.
            ReadOnly.
        """
        if self.core.membership.read_only:
            raise ReadOnly("the space has membership records that this version does not know", hint="upgrade ropewalk")
        async with self._turns.take():
            if self.core.told < self.core.fresh_read:  # too few to know that this device was not restored, or copied
                await self.core.pool.revive()
                await look(self.core)
            await self.core.pool.want(self.core.head_floor)
            settled = await settle_journal(self.core)
            self.core.warnings.extend(settled.notes)
            self.outcome: Outcome | None = None
            self._current = None
            spool = Spool(self._folder)
            try:
                async with self._writer() as writer:
                    now = settled.standing
                    base = await self._base(now)
                    change = Change(
                        base,
                        writer,
                        (self.core.writer_id, settled.last + 1),
                        self.core.maps,
                        self.core.keys,
                        spool,
                        self.core.now,
                        padded=self.core.padded,
                    )
                    change.note = note
                    yield change
                    if change.empty and len(now.heads) <= 1:
                        return
                    tree = await change.apply()
                    if tree.root == now.root:
                        return  # a head that says nothing new would make other devices answer it for ever
                    small = writer.small(SMALL)
                    if small is None:
                        await writer.flush()
                    self.outcome = await publish(
                        self.core, tree.root, await tree.count(), now.vector, small, change.note[:200]
                    )
                    if base.settled is SETTLED and len(now.vector) > 1:
                        await self.core.ledger.do(State.remember_settled, tree.root or b"")
            finally:
                spool.close()
                self._current = None

    async def _base(self, now: Standing) -> Version:
        """What a change starts from: the newest head, or the join of those that have not seen each other."""
        if len(now.heads) <= 1:
            return await self._version(now)
        return await self._settle(await _joined(now, self.core.tree))

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[Writer]:
        core = self.core
        await core.pool.try_again()
        async with Writer(core.keys, core.membership.policy, core.pool, core.ledger, core.cpu) as writer:
            core.writer = writer
            try:
                yield writer
            finally:
                core.writer = None

    async def write(self, path: str | bytes, data: bytes) -> Outcome | None:
        """Make or replace one file, as a version of its own."""
        async with self.change() as change:
            await change.write(path, data)
        return self.outcome

    async def remove(self, path: str | bytes, *, recursive: bool = False) -> Outcome | None:
        """Remove a file, or a folder with all that is in it, as a version of its own."""
        async with self.change() as change:
            await change.remove(path, recursive=recursive)
        return self.outcome

    async def move(self, source: str | bytes, target: str | bytes) -> Outcome | None:
        """Rename or move, as a version of its own."""
        async with self.change() as change:
            await change.move(source, target)
        return self.outcome

    async def make_folder(self, path: str | bytes, *, parents: bool = False, exist_ok: bool = False) -> Outcome | None:
        """Make a folder, as a version of its own."""
        async with self.change() as change:
            await change.make_folder(path, parents=parents, exist_ok=exist_ok)
        return self.outcome

    # -- keeping the promise -------------------------------------------------------------------------------------

    async def repair(self, progress: Progress = silent) -> RepairReport:
        """Mend all that can be mended now; it may be stopped at any point and run again.

        Args:
            progress: Told how many packs are done, and how many there are to mend.
        """
        async with self._turns.take():
            try:
                return await repair(self.core, progress)
            finally:
                self._current = None

    async def _pay_in_background(self) -> None:
        while True:
            await asyncio.sleep(self._pay_every)
            try:
                await self.core.pool.revive()
                if await self.core.ledger.do(_owes):
                    await self.pay()
            except RopewalkError:
                continue  # it is still owed, and the status says so

    async def pay(self) -> int:
        """Pay what is owed where stores allow it; how many shares are still owed."""
        async with self._turns.take():
            try:
                await settle_journal(self.core)
                return await mend_owed(self.core)
            finally:
                self._current = None  # a change that a stop left open may have been acknowledged


def _owes(state: State) -> bool:
    return bool(state.owed_heads() or state.owed_shares())


async def _joined(now: Standing, trees: Tree) -> Tree:
    """The join of all heads, its new nodes kept as ``trees`` keeps them."""
    tree, seen = trees.at(now.heads[0].root), _sequences(now.heads[0].vector)
    for head in now.heads[1:]:
        tree, joined = await join(tree, seen, trees.at(head.root), _sequences(head.vector))
        seen = dict(joined)
    return tree


def _age(head: KnownHead) -> tuple[int, int]:
    """Grows from a head to any that has seen it: sequences begin anew with each writer, and clocks jump."""
    return sum(sequence for sequence, _ in head.vector.values()), head.time


def _sequences(vector: Vector) -> dict[WriterId, int]:
    return {WriterId(writer): sequence for writer, (sequence, _) in vector.items()}


async def open_space(
    home: Home,
    name: str,
    device: DeviceKeys,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], int] = time.time_ns,
    threads: int | None = None,
    open_store: OpenStore = open_store,
    pay_every: float = PAY_EVERY,
) -> Space:
    """Open a space by its name in the settings.

    Args:
        home: The user's settings and state.
        name: The space.
        device: The device's keys.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        threads: For encryption and coding; one for each core by default.
        open_store: Opens a store at a place, which must have this identity.
        pay_every: Seconds between two looks at what is owed, while the space is open.

    Raises:
        UnknownName, NotAMember, RecordDamaged, Unavailable.
    """
    cpu = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="ropewalk-cpu")
    try:
        core, behind = await open_core(home, home.space(name), device, cpu, clock, now, open_store)
    except BaseException:
        cpu.shutdown(wait=False)
        raise
    space = Space(name, core, home, cpu, pay_every)
    try:
        if behind:
            found = await rebuild(core)
            core.warnings.append(
                f"the local state of {name} was built anew from the stores ({found.packs} packs, {found.heads} heads);"
                " that they went back to an older version in the meantime cannot be ruled out"
            )
            core.warnings.extend(found.problems)
        if await core.ledger.do(State.pending):
            await space.pay()
    except BaseException:
        await space.aclose()
        raise
    return space
