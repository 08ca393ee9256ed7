"""Sample: a service that does something every so often.

Flow: configuration -> start -> a beat every `every` seconds -> counter, log
Never: beats late to catch up: a beat that was missed is missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Annotated

import msgspec

from ropewalk.service import Context, Service

log = logging.getLogger("sample")


class SampleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What app.toml may say of it; anything else is refused, with its line.

    Attributes:
        every: Seconds between beats.
    """

    every: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class SampleService(Service):
    """Beats."""

    Config = SampleConfig
    config: SampleConfig

    def __init__(self, config: SampleConfig, context: Context) -> None:
        super().__init__(config, context)
        self._beats = context.registry.counter("sample_beats_total", "beats so far").of()

    async def start(self) -> None:
        """Open here what it needs: files, connections, listeners. To fail here is to be tried again later."""
        log.info("begins to beat", extra={"every": self.config.every})

    async def run(self) -> None:
        """Its work. To return is to have ended; to raise is to have failed, and to be restarted."""
        while True:
            await asyncio.sleep(self.config.every)
            self._beats.inc()

    async def stop(self, seconds: float) -> None:
        """Finish what was begun; there are so many seconds for it."""
        log.info("beats no more", extra={"beats": self._beats.value})

    def statistics(self) -> Mapping[str, float]:
        """For people who look at it now."""
        return {"beats": self._beats.value}
