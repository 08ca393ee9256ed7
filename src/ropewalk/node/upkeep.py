"""Upkeep: the spaces of a node's owner, kept open: debts are paid, changes heard, beats sent.

Flow: settings, looked at again and again -> each space open in a task of its own -> its warnings -> log
Never: lets one space, or what is wrong with its stores, hold up another; says the same thing again and again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ropewalk.errors import RopewalkError
from ropewalk.node.passports import Passports
from ropewalk.node.space_counts import SpaceCounts
from ropewalk.service import Context, Service
from ropewalk.spaces.home import Home, SpaceSetting, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import ACKED, State

__all__ = ["Upkeep", "UpkeepService"]

_log = logging.getLogger("ropewalk.spaces")

LOOKS_EVERY = 1.0  # seconds between two looks at the settings
SAYS_EVERY = 2.0  # seconds between two looks at what a space warns of, and at what was published
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds before a space that failed is opened again
STEADY = 60.0  # seconds for which a store answers before it counts as back, or a space as sound
MOST_SAID = 1000  # things that are remembered as said, of one space

Opens = Callable[[Home, str, DeviceKeys], Awaitable[AbstractAsyncContextManager[Space]]]
_What = tuple[SpaceSetting, tuple[StoreSetting | None, ...]]


@dataclass(slots=True)
class _Kept:
    what: _What
    task: asyncio.Task[None]


class Upkeep:
    """What is done for the spaces of one home.

    Args:
        home: Whose.
        device: Its keys.
        opens: Opens a space.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        home: Home,
        device: DeviceKeys,
        *,
        opens: Opens = open_space,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._device, self._opens, self._clock = home, device, opens, clock
        self._kept: dict[str, _Kept] = {}
        self._mark: tuple[int, ...] | None = None
        self._said: dict[str, dict[str, str]] = {}  # by space: about what, what
        self.open: dict[str, Space] = {}

    async def work(self) -> None:
        """Keep all spaces of the settings, until it is cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOKS_EVERY)
        finally:
            await self._let_go(list(self._kept))

    def spaces(self) -> Mapping[str, Space | None]:
        """Those that are kept, None for one that is not open now."""
        return {name: self.open.get(name) for name in self._kept}

    async def look(self) -> None:
        """Take what the settings say now."""
        if (mark := self._home.mark()) == self._mark:
            return
        try:
            wanted = self._wanted()
        except RopewalkError as error:
            self._say("", "settings", str(error))
            return
        self._mark = mark
        self._said.pop("", None)
        await self._let_go([name for name, kept in self._kept.items() if wanted.get(name) != kept.what])
        for name, what in wanted.items():
            if name not in self._kept:
                self._kept[name] = _Kept(what, asyncio.create_task(self._keep(name), name=f"upkeep of {name}"))

    def _wanted(self) -> Mapping[str, _What]:
        settings = self._home.load()
        return {
            name: (space, tuple(settings.stores.get(store) for store in space.stores))
            for name, space in settings.spaces.items()
        }

    async def _let_go(self, names: list[str]) -> None:
        tasks = [self._kept.pop(name).task for name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in names:
            self._said.pop(name, None)

    # -- one space -------------------------------------------------------------------------------------------------

    async def _keep(self, name: str) -> None:
        pause = FIRST_PAUSE
        while True:
            began = self._clock()
            try:
                async with await self._opens(self._home, name, self._device) as space:
                    self.open[name] = space
                    _log.info("space %s is open", name, extra={"space": name})
                    await self._follow(name, space)
            except RopewalkError as error:
                self._say(name, "space", f"{error}; {error.hint}" if error.hint else str(error), error.code)
            except Exception as error:  # noqa: BLE001 - a fault of ours in one space is not to end the others
                self._say(name, "space", f"{type(error).__name__}: {error}", "unexpected")
            finally:
                self.open.pop(name, None)
            if self._clock() - began > STEADY:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _follow(self, name: str, space: Space) -> None:
        """Watch until that ends; what is owed is paid by the space itself while it is open."""
        began = self._clock()
        await space.core.pool.opened()  # of those that take a moment longer nothing is said
        up = dict.fromkeys(space.core.pool.names, began)
        following = asyncio.create_task(_drained(space))
        waiting, _ = await space.core.ledger.do(_queue_since, ())
        try:
            while not following.done():
                self._tell(name, space, up)
                waiting = await self._tell_published(name, space, waiting)
                if self._clock() - began > STEADY:
                    self._unsay(name, "space")
                await asyncio.wait([following], timeout=SAYS_EVERY)
            following.result()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            self._tell(name, space, up)

    def _tell(self, name: str, space: Space, up: dict[str, float]) -> None:
        """Say what is new of what is wrong."""
        pool, now = space.core.pool, self._clock()
        for store in pool.names:
            if (why := pool.why_down(store)) is not None:
                up[store] = now
                self._say(name, f"store {store}", f"store {store} is not there: {why}", "store.gone", again=False)
            elif now - up.setdefault(store, now) > STEADY and self._unsay(name, f"store {store}"):
                _log.info("%s: store %s is back", name, store, extra={"space": name})
        away = tuple(f"store {store} is not there: " for store in pool.names)
        while space.warnings:
            if not (warning := space.warnings.pop(0)).startswith(away):  # said above
                self._say(name, warning, warning)

    async def _tell_published(self, name: str, space: Space, before: Sequence[str]) -> Sequence[str]:
        """Say what was published of the changes that waited; those that wait now."""
        now, done = await space.core.ledger.do(_queue_since, before)
        if done:
            left = f", {len(now)} still to go" if now else ""
            what = "1 change that waited was" if done == 1 else f"{done} changes that waited were"
            _log.info("%s: %s published%s", name, what, left, extra={"space": name})
        return now

    def _say(self, name: str, about: str, what: str, code: str = "", *, again: bool = True) -> None:
        """Log what is wrong, once; with ``again``, also if it is something else than before."""
        said = self._said.setdefault(name, {})
        if said.get(about) == what or (about in said and not again):
            return
        while len(said) >= MOST_SAID:
            del said[next(iter(said))]
        said[about] = what
        fields = {"space": name} if name else {}
        _log.warning("%s: %s", name or "settings", what, extra={**fields, **({"code": code} if code else {})})

    def _unsay(self, name: str, about: str) -> bool:
        return self._said.get(name, {}).pop(about, None) is not None


def _queue_since(state: State, before: Sequence[str]) -> tuple[Sequence[str], int]:
    """The changes that wait, and how many of those that did are acknowledged."""
    now = state.queued_names()
    gone = set(before).difference(now)
    return now, sum((head := state.head_named(name)) is not None and head.state == ACKED for name in gone)


async def _drained(space: Space) -> None:
    """Hear of changes for as long as the space is watched; who is told of them, the log is not."""
    async for _ in space.watch():
        continue


class UpkeepService(Service):
    """The upkeep as a service.

    Args:
        upkeep, passports: Made with the device's keys, which no configuration holds.
        context: Where it runs.
    """

    def __init__(self, upkeep: Upkeep, passports: Passports, context: Context) -> None:
        super().__init__(self.Config(), context)
        self.upkeep, self.passports = upkeep, passports
        self._counts = SpaceCounts(context.registry, upkeep.spaces)

    async def run(self) -> None:
        """Keep the spaces and what is known of the stores, until it is stopped."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.upkeep.work())
            group.create_task(self.passports.work())
            group.create_task(self._counts.work())

    async def reload(self) -> None:
        """Look at the settings now."""
        await self.upkeep.look()

    def statistics(self) -> Mapping[str, float]:
        """How many spaces are open."""
        return {"spaces": len(self.upkeep.open)}
