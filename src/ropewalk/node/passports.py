"""Passports: the stores of a node's owner, looked at again when it is time.

Flow: settings, passports that are kept -> due -> renew -> log
Never: looks at two stores at once, or ends because one cannot be looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from ropewalk.errors import RopewalkError
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import due, load, renew, terms
from ropewalk.spaces.places import OpenStore, opener

__all__ = ["Passports"]

_log = logging.getLogger("ropewalk.spaces")

FIRST, EVERY = 60.0, 3600.0  # seconds until the stores are gone through, and from then on


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
        """Look at the stores for which it is time; which ones."""
        looked = []
        key = self._device.public().ed25519
        for name, setting in sorted(self._home.load().stores.items()):
            if not setting.id or not due(load(self._home, bytes.fromhex(setting.id), key), self._now()):
                continue
            looked.append(name)
            try:
                found = await renew(self._home, name, self._device, self._open, clock=self._clock, now=self._now)
            except RopewalkError as error:
                if self._said.get(name) != str(error):
                    self._said[name] = str(error)
                    _log.warning("store %s could not be looked at: %s", name, error, extra={"code": error.code})
                continue
            self._said.pop(name, None)
            if refused := terms(found).refused:
                _log.warning("store %s is not fit to be written to: %s", name, refused)
            else:
                _log.info("store %s was looked at", name)
        return looked
