"""Loop: which event loop a command runs on.

Flow: main -> run -> asyncio's loop, or the fast one where stores are reached over a network
Never: opens the settings for more than a look: what is wrong with them the command tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from ropewalk.spaces.home import Home

__all__ = ["run"]

_T = TypeVar("_T")


def run(work: Awaitable[_T]) -> _T:
    """Run a command's work to its end.

    The fast loop takes a while to be imported, and gains nothing where stores are folders; TLS costs half as much.
    """

    async def awaited() -> _T:
        return await work

    if not _reaches_out():
        return asyncio.run(awaited())
    from ropewalk import loops

    return loops.run(awaited())


def _reaches_out() -> bool:
    try:
        return b"://" in Home.of_user().settings_file.read_bytes()
    except OSError:
        return False
