"""Passports: the stores of a node's owner, looked at again when it is time.

Flow: settings, passports that are kept -> due -> renew, a few beside each other -> log
Never: ends because one cannot be looked at, or says the same thing again and again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import PassportDamaged, due, kind_of, load, renew, terms
from ropewalk.spaces.places import OpenStore, opener

__all__ = ["Passports"]

_log = logging.getLogger("ropewalk.spaces")

FIRST, EVERY = 60.0, 3600.0  # seconds until the stores are gone through, and from then on
AT_ONCE = 2  # looks; each may have an object of 64 MiB in memory, twice
_SETTINGS = ""  # no store is called so


class Passports:
    """What is known of the stores of one home, kept new.

    Args:
        home: Whose.
        device: Its keys.
        clock: Seconds, monotonic.
        now: Nanoseconds since 1970.
        open_store: Opens a store at a place; what is installed does, by default.
    """

    def __init__(
        self,
        home: Home,
        device: DeviceKeys,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = time.time_ns,
        open_store: OpenStore | None = None,
    ) -> None:
        self._home, self._device, self._clock, self._now = home, device, clock, now
        self._open = open_store or opener(home, device)
        self._said: dict[str, str] = {}  # why a store could not be looked at

    async def work(self) -> None:
        """Go through the stores again and again, until it is cancelled."""
        await asyncio.sleep(FIRST)
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> list[str]:
        """Look at the stores for which it is time; which ones, those last that did not answer the time before."""
        try:
            stores = self._home.load().stores
        except RopewalkError as error:
            self._say(_SETTINGS, f"the stores are not looked at: {error}", error.code)
            return []
        self._said = {name: why for name, why in self._said.items() if name in stores}
        wanted = [name for name, setting in stores.items() if self._due(setting)]
        wanted.sort(key=lambda name: (name in self._said, name))
        turns = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for name in wanted:
                group.create_task(self._in_turn(turns, name), name=f"passport of {name}")
        return wanted

    def _due(self, setting: StoreSetting) -> bool:
        if not setting.id:
            return False
        try:
            known = load(self._home, bytes.fromhex(setting.id), self._device.public().ed25519)
        except PassportDamaged:
            return True
        return due(known, self._now(), kind_of(setting))

    async def _in_turn(self, turns: asyncio.Semaphore, name: str) -> None:
        async with turns:
            try:
                found = await renew(self._home, name, self._device, self._open, clock=self._clock, now=self._now)
            except RopewalkError as error:
                self._say(name, f"store {name} could not be looked at: {error}", error.code)
                return
            except Exception as error:  # noqa: BLE001 - what is wrong with one store is not to end the looks at others
                self._say(name, f"store {name} could not be looked at: {type(error).__name__}: {error}", "unexpected")
                return
        self._said.pop(name, None)
        if refused := terms(found).refused:
            _log.warning("store %s is not fit to be written to: %s", name, refused)
        else:
            _log.info("store %s was looked at", name)

    def _say(self, about: str, what: str, code: str) -> None:
        """Log what is wrong, unless it was said already."""
        if self._said.get(about) != what:
            self._said[about] = what
            _log.warning("%s", what, extra={"code": code})
