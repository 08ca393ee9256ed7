"""Metrics page: what the application counts, for Prometheus and people, on an endpoint.

Flow: GET /metrics -> the registry of the application -> text
Never: shows anything but counts: no configuration, no names of people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from ropewalk.metrics.exposition import Exposition
from ropewalk.metrics.page import Page, Pages, Request
from ropewalk.net.serving import Serving, ServingConfig
from ropewalk.service import Context

__all__ = ["MetricsService"]


class MetricsService(Serving):
    """Kind ``metrics``: ``/metrics`` of the application that it runs in."""

    Config: type[msgspec.Struct] = ServingConfig
    _protocol: Callable[[], asyncio.Protocol]

    def __init__(self, config: ServingConfig, context: Context) -> None:
        super().__init__(config, context)

    async def start(self) -> None:
        """Listen."""
        registry = self.context.registry
        exposition = Exposition(registry)

        async def answer(request: Request) -> Page | None:
            if request.path != "/metrics":
                return None
            kind, text = await exposition.text(request.accept)
            return Page(text, kind)

        pages = await self.owned.enter_async_context(Pages(answer, registry=registry))
        self._protocol = pages.protocol
        await super().start()

    def protocol(self) -> asyncio.Protocol:
        """One that answers GET."""
        return self._protocol()
