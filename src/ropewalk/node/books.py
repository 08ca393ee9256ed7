"""Books: what lies in an offered folder and what the register says of it, changed together.

A row is written before its object, and an object is never there at nobody's cost; what has a row and is not there,
since a put failed or the owner took it out himself, costs nobody any more once that is seen.

Flow: offered -> Books -> the register, then the folder -> what the two say is made one
Never: decides who may do what, or stops half-way because nobody waits for the answer any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

from ropewalk.errors import Damaged, Refused, RopewalkError
from ropewalk.node.held import Held
from ropewalk.node.register import Register
from ropewalk.node.turns import Turns
from ropewalk.spaces.store import DiskStore, NameTaken, NoSuchObject, ObjectName, object_name

__all__ = ["Books"]

_log = logging.getLogger("ropewalk.node")

_T = TypeVar("_T")


class Books:
    """Those of one store.

    Args:
        name: What the owner calls it.
        store: The folder.
        register: Of the node.

    Attributes:
        account: The store in the register: an offer may be called something else one day.
        compared: Whether all that somebody pays for was looked at since the start.
    """

    def __init__(self, name: str, store: DiskStore, register: Register) -> None:
        self.account = store.identity.hex()
        self.compared = False
        self._name, self._store, self._register = name, store, register
        self._last = ""  # the last name that was looked at
        self._ends: set[asyncio.Task[object]] = set()  # what goes on though nobody waits for it any more
        self._turns = Turns()  # of names whose object and row are being changed

    async def settle(self, keep: float) -> None:
        """After a crash: what the register and the folder say of the trash is made one.

        Args:
            keep: Seconds that what the register does not know stays.
        """
        aside = await self._store.aside()
        labels = await self._register.labels(self.account)
        for label in labels.keys() - aside:
            await self._register.not_gone(label)
            await self._set_right(labels[label])
        for label in aside - labels.keys():
            _log.warning("the trash of %s holds %s, whose name is not known any more", self._name, label)
            await self._register.adopt(self.account, label, keep)

    async def compare(self, most: int) -> None:
        """Look whether the next objects that somebody pays for are there.

        Raises:
            StoreGone, RegisterUnavailable.
        """
        names = await self._register.names(self.account, self._last, most)
        for name in names:
            if not await self._is_there(name):
                await self._to_its_end(name, self._set_right(name))
        self.compared |= len(names) < most
        self._last = names[-1] if len(names) == most else ""

    async def missed(self, name: str) -> None:
        """Somebody asked for an object that is not there."""
        with suppress(RopewalkError):  # what cannot be written down now is seen again
            if await self._register.counts(self.account, name):
                await self._to_its_end(name, self._set_right(name))

    async def keep(self, held: Held, name: str, size: int, put: Callable[[], Awaitable[object]]) -> None:
        """Put an object, at the cost of who holds room for it."""
        await self._to_its_end(name, self._kept(held, name, size, put))

    async def delete(self, name: str) -> None:
        """Take an object away for good."""
        await self._to_its_end(name, self._deleted(name))

    async def set_aside(self, name: str, space: bytes | None, keep: float) -> None:
        """Take an object away into the trash, for so many seconds."""
        await self._to_its_end(name, self._set_aside(name, space, keep))

    async def take_back(self, label: str, name: str) -> bool:
        """Take an object out of the trash; whether it came."""
        return await self._to_its_end(name, self._taken_back(label, name))

    async def aclose(self) -> None:
        """Let what is under way end."""
        await asyncio.gather(*self._ends, return_exceptions=True)

    # -- in turn of the name ---------------------------------------------------------------------------------------

    async def _to_its_end(self, name: str, work: Coroutine[object, object, _T]) -> _T:
        """Do what changes folder and register together, also if who asked for it does not wait for it any more."""
        task = asyncio.create_task(self._in_turn(name, work))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        return await asyncio.shield(task)

    async def _in_turn(self, name: str, work: Coroutine[object, object, _T]) -> _T:
        """One after the other for each name: else what one puts another deletes before it is written down."""
        async with self._turns.of(name):
            return await work

    async def _kept(self, held: Held, name: str, size: int, put: Callable[[], Awaitable[object]]) -> None:
        new = await self._register.keep(self.account, held, name, size)
        try:
            await put()
        except RopewalkError as error:
            if new:
                with suppress(RopewalkError):  # else it is seen when all are compared
                    if isinstance(error, NameTaken):  # by what was there before
                        await self._register.forget(self.account, name)
                    else:
                        await self._set_right(name)
            raise

    async def _set_right(self, name: str) -> None:
        if not await self._is_there(name):
            await self._register.forget(self.account, name)

    async def _is_there(self, name: str) -> bool:
        try:
            await self._store.get(object_name(name), 0, 0)
        except NoSuchObject:
            return False
        except Damaged:
            return True  # on a bad place of the disk
        return True

    async def _deleted(self, name: str) -> None:
        await self._store.delete(object_name(name))
        await self._register.forget(self.account, name)

    async def _set_aside(self, name: str, space: bytes | None, keep: float) -> None:
        label = await self._register.set_aside(self.account, name, space, 0, keep)
        try:
            await self._store.set_aside(object_name(name), label)
        except NoSuchObject:
            await self._register.gone(self.account, label)
        except RopewalkError:
            if label not in await self._store.aside():  # else it went, though that was not told
                await self._register.not_gone(label)
            raise

    async def _taken_back(self, label: str, name: str) -> bool:
        try:
            await self._store.take_back(label, ObjectName(name))
        except NoSuchObject:  # the owner emptied the trash himself
            await self._register.gone(self.account, label)
            return False
        except Refused:
            return False
        await self._register.not_gone(label)
        return True
