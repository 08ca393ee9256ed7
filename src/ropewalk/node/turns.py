"""Turns: one at a time for each name, and no memory of names that nobody waits for.

Flow: a name -> of -> the block, after those that came before
Never: lets two into the blocks of one name, or keeps a name once nobody is in or waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

__all__ = ["Turns"]


class Turns:
    """Locks by name."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, tuple[asyncio.Lock, int]] = {}  # and how many are in or wait

    def __len__(self) -> int:
        """Names that somebody is in, or waits for."""
        return len(self._locks)

    def waiting(self, name: Hashable) -> int:
        """How many are in a name's block, or wait for it."""
        return self._locks[name][1] if name in self._locks else 0

    @asynccontextmanager
    async def of(self, name: Hashable) -> AsyncIterator[None]:
        """The block is the only one of this name."""
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[name]
            if users > 1:
                self._locks[name] = lock, users - 1
            else:
                del self._locks[name]
