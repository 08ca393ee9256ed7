"""serve: a protocol on an endpoint for as long as nobody stops it; for programs that are no more than that.

Flow: URL, factory -> listen -> until cancelled -> drained
Never: returns by itself.
"""

from __future__ import annotations

import asyncio

from ropewalk.net.endpoint import Endpoint
from ropewalk.net.layers import Factory
from ropewalk.net.limits import Limits
from ropewalk.net.listen import listen

__all__ = ["serve"]


async def serve(
    url: str | Endpoint, factory: Factory, *, name: str | None = None, limits: Limits | None = None
) -> None:
    """Serve protocols of the factory until cancelled, and then let connections end; see `listen`.

    Raises:
        What `listen` does.
    """
    async with await listen(url, factory, name=name, limits=limits):
        await asyncio.get_running_loop().create_future()
