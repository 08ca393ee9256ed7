"""Space: a versioned tree of files over many stores, to read and to change.

Flow: open_space -> Space -> Version (looking), Change (changing) -> publish -> Outcome
Never: shows a change that was neither acknowledged nor queued here, or acknowledges one that is below the write floor.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from ropewalk.spaces.change import Change
from ropewalk.spaces.commit import ReadOnly, check_may_write, committing
from ropewalk.spaces.core import Core
from ropewalk.spaces.current import Current, newest_version, version_of
from ropewalk.spaces.following import Following
from ropewalk.spaces.freshness import Freshness
from ropewalk.spaces.group import NOTHING, Group
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys, PublicKeys
from ropewalk.spaces.keeping import Keeping
from ropewalk.spaces.later import drop_queue
from ropewalk.spaces.learning import (
    Learned,
    Standing,
    learn_heads,
    look,
    may_tell_more,
    secure_records,
    take_records,
)
from ropewalk.spaces.live import Change as Moved
from ropewalk.spaces.live import Live
from ropewalk.spaces.members import Membership, Person, people
from ropewalk.spaces.naming import UnknownVersion, all_versions, head_called
from ropewalk.spaces.open_file import OpenFile
from ropewalk.spaces.opening import Memory, open_core
from ropewalk.spaces.paying import keep_paying, pay, pay_at_opening
from ropewalk.spaces.places import OpenStore, opener
from ropewalk.spaces.pool.patience import GRACE
from ropewalk.spaces.publish import Outcome
from ropewalk.spaces.rebuild import NamedPacks
from ropewalk.spaces.remembering import remember
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.turns import Turns
from ropewalk.spaces.version import Info, Version
from ropewalk.spaces.waiting import few_answer

__all__ = ["OpenFile", "ReadOnly", "Space", "UnknownVersion", "open_space"]

PAY_EVERY = 5.0  # seconds


class Space(Keeping):
    """An open space.  Made by `open_space`; an async context manager.

    Args:
        name: The user's name for it.
        core: Its parts.
        home: Where its local state lies.
        cpu: Closed with the space.
        clock: Seconds, monotonic.
        following: Keeps to the stores that the settings name.
        pay_every: Seconds between two looks at what is owed.
    """

    def __init__(
        self,
        name: str,
        core: Core,
        home: Home,
        cpu: ThreadPoolExecutor,
        clock: Callable[[], float],
        following: Following,
        pay_every: float = PAY_EVERY,
    ) -> None:
        self.name, self.core = name, core
        self.home, self._cpu = home, cpu
        self._folder = home.space_folder(core.space_id.hex())
        self._following = following
        self._turns = Turns(self._folder / "lock", begin=following.look)
        self._current: Current | None = None
        self._named_packs = NamedPacks(core)
        core.reader.learn_packs = self._named_packs.learn
        self._payer: asyncio.Task[None] | None = None
        self._pay_every = pay_every
        self._tended: Membership | None = None  # what was known when all that was due was done
        self.tended = NOTHING
        self.live = Live(
            core,
            os.urandom(16),
            self._list,
            self._take,
            clock=clock,
            random=random.random,
            author=self._active_author,
        )

    async def __aenter__(self) -> Self:
        """From here to the end, what is owed is paid in the background as soon as stores allow it."""
        self._payer = asyncio.create_task(keep_paying(self.core, self._pay_every, self.pay))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let go of the stores and the local state."""
        await self.live.aclose()
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait([self._payer])
            if not self._payer.cancelled() and (broken := self._payer.exception()) is not None:
                self.core.warnings.append(f"what is owed was not paid: {broken}")
            self._payer = None
        await self.core.pool.aclose()  # what a slow store did after all goes to the ledger
        await self.core.ledger.aclose()
        if self.core.cache is not None:
            await self.core.cache.aclose()
        self._cpu.shutdown(wait=False)

    @property
    def warnings(self) -> list[str]:
        """What a user should know of how the space was opened, and of what was found damaged since."""
        self.core.tell_away()
        return self.core.warnings

    @property
    def notes(self) -> list[str]:
        """The same, where there is nothing to worry about."""
        return self.core.notes

    # -- looking -------------------------------------------------------------------------------------------------

    async def current(self) -> Version:
        """The newest acknowledged version that this device knows of."""
        return (await self._look()).version

    async def _look(self) -> Current:
        self.core.check_reads()
        await self._following.look()
        seen = await self.core.ledger.do(State.data_version)
        current = self._current
        if current is None or current.seen != seen or (current.standing.partial and not few_answer(self.core)):
            moves = self._moves
            current = Current(*await newest_version(self.core), seen)
            if self._moves == moves:  # else it may be of before
                self._current = current
        return current

    async def watch(self) -> AsyncIterator[Moved]:
        """Changes from now on, as they are heard of; whoever is late gets all that came meanwhile as one.

        The first call begins to watch all stores, until the space is closed.
        """
        await self.live.start()
        async for moved in self.live.changes():
            self._look_anew()  # what this process learns moves no number of the ledger's
            yield moved

    async def freshness(self) -> Freshness:
        """How old the view may be, after a look at what was said of it last."""
        await self.live.hear()
        return self.live.view()

    async def _list(self) -> None:
        async with self._turns.take():  # it may make us a new incarnation, which no change must meet half-way
            await self._learn()

    async def _take(self, names: Sequence[HeadName]) -> None:
        try:
            await learn_heads(self.core, names)
        finally:  # who asked may not wait for the end of it
            self._look_anew()

    async def _learn(self) -> Learned:
        try:
            learned = await look(self.core)
        finally:
            self._look_anew()
        if learned.forked:
            self._tended = None
        return learned

    def _active_author(self, device: bytes) -> PublicKeys | None:
        membership = self.core.membership
        return membership.devices.get(device) if device in membership.state.devices else None

    async def log(self) -> list[KnownHead]:
        """The acknowledged heads, and ours that wait, newest first: each before all it has seen, whoever wrote them.

        Raises:
            MembersOnly: This device is a steward's, which is true of all that reads or writes content.
        """
        return await all_versions(self.core)

    async def at(self, version: str | None) -> Version:
        """A version by the first digits of its hash, be it in quarantine; or the newest.

        Raises:
            UnknownVersion.
        """
        if version is None:
            return await self.current()
        head = await head_called(self.core, self.name, version)
        return await version_of(self.core, Standing([head]), newest=False)

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
            BelowFloor: Too few stores could keep it, and offline work is not allowed; nothing was changed.
            QueueFull: It is, and there is no room for more to wait; nothing was changed.
            Busy: Another process of this device is changing it.
            ReadOnly.
        """
        self.core.check_reads()
        check_may_write(self.core, self.name)
        async with self._turns.take():
            if self.core.told < self.core.fresh_read:  # too few to know that this device was not restored, or copied
                await self.core.pool.revive()
                if may_tell_more(self.core):
                    await self._learn()
            await self.core.pool.want(self.core.head_floor, quick=True)
            await self.core.pool.opened(GRACE)  # what these lack would be owed
            if self.core.offline and few_answer(self.core):
                await take_records(self.core, {})  # what follows for the group is for when stores answer
            else:
                await self._tend()
                await secure_records(self.core)
            check_may_write(self.core, self.name)
            self.outcome: Outcome | None = None
            self._look_anew()
            try:
                async with committing(self.core, self._folder, note, self.name) as commit:
                    yield commit.change
                self.outcome = commit.outcome
            finally:
                self._look_anew()
            if self.outcome is not None and not self.outcome.queued:
                self.live.tell()

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

    # -- who belongs ---------------------------------------------------------------------------------------------

    def people(self) -> Sequence[Person]:
        """The members, the most senior first, with their devices."""
        return people(self.core.membership, self.core.keys, self.core.device.public().id)

    @asynccontextmanager
    async def group(self) -> AsyncIterator[Group]:
        """Change who belongs; what follows from it, such as a new epoch, is done at the end, and is in `tended`."""
        async with self._turns.take():
            await self.core.pool.revive()
            await self._learn()
            try:
                yield Group(self.core)
                self._tended = None
                await self._tend()
            finally:
                self._look_anew()
            self.live.tell()

    async def _tend(self) -> None:
        await take_records(self.core, {})  # another process of this device may have signed some
        if self._tended is self.core.membership and not self.core.untended:
            return
        self.core.untended = False
        self.tended = await Group(self.core).tend()
        self._tended = None if self.tended.undone else self.core.membership
        self.core.warnings.extend(self.tended.undone)

    # -- keeping the promise -------------------------------------------------------------------------------------

    async def pay(self, patience: float | None = None) -> int:
        """Pay what is owed, and publish what waits, where stores allow it; how many shares are still owed.

        Args:
            patience: Seconds to wait for other processes of this device, if not as long as usual.
        """
        async with self._turns.take(patience):
            waiting = await self.core.ledger.do(State.queued_names)
            try:
                await self._named_packs.learn()  # what is there is not owed
                return await pay(self.core)
            finally:
                self._look_anew()  # a change that a stop left open may have been acknowledged
                if len(await self.core.ledger.do(State.queued_names)) < len(waiting):
                    self.live.tell()

    async def drop_queue(self) -> int:
        """Give up the changes that wait to be published, for good; how many there were."""
        assert self.core.queue is not None
        async with self._turn():
            return await drop_queue(self.core, self.core.queue, os.urandom(16))


async def open_space(
    home: Home,
    name: str,
    device: DeviceKeys,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], int] = time.time_ns,
    threads: int | None = None,
    open_store: OpenStore | None = None,
    pay_every: float = PAY_EVERY,
    offline: bool | None = None,
) -> Space:
    """Open a space by its name in the settings.

    Args:
        home: The user's settings and state.
        name: The space.
        device: The device's keys.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        threads: For encryption and coding; one for each core by default.
        open_store: Opens a store at a place, which must have this identity; whatever is installed does, by default.
        pay_every: Seconds between two looks at what is owed, while the space is open.
        offline: Whether a change that too few stores can take is kept on this machine; as the settings say, by default.

    Raises:
        UnknownName, NotAMember, RecordDamaged, Unavailable.
    """
    cpu = ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="ropewalk-cpu")
    try:
        setting = home.space(name)
        setting = setting if offline is None else replace(setting, offline=offline)
        core, memory = await open_core(home, setting, device, cpu, clock, now, open_store)
    except BaseException:
        cpu.shutdown(wait=False)
        raise
    following = Following(home, core, open_store or opener(home, device))
    space = Space(name, core, home, cpu, clock, following, pay_every)
    try:
        await remember(core, name, memory)
        await pay_at_opening(core, name, space.pay, again=memory is not Memory.KEPT)
    except BaseException:
        await space.aclose()
        raise
    return space
