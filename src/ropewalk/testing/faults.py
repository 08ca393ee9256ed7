"""Stores that misbehave as told: by rules with a seeded chance, by hand, or by ending the process at a given call.

Flow: a test -> FaultStore or StopAfter -> the Store that really keeps the objects
Never: misbehaves unless told; with no rule and no damage it is the store it stands around.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from ropewalk.spaces.store import (
    Listed,
    NoSuchObject,
    ObjectName,
    Parts,
    Room,
    Store,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    size_of,
    wait_changed,
)

__all__ = ["Fault", "FaultStore", "Rule", "Stop", "StopAfter", "storm"]

_T = TypeVar("_T")


class Fault(Enum):
    """What can go wrong with one call."""

    LOSE = "lose"  # a put or delete is answered as done, and is not
    DELAY = "delay"  # the answer comes late
    CORRUPT = "corrupt"  # one bit of what is put or got is turned over
    TRUNCATE = "truncate"  # what is put or got ends early
    HIDE = "hide"  # a listing leaves the object out
    REFUSE = "refuse"  # StoreReadOnly; nothing happened
    FULL = "full"  # StoreFull; nothing happened
    DAMAGED = "damaged"  # StoreDamaged; nothing happened
    GONE_BEFORE = "gone before"  # StoreGone; nothing happened
    GONE_AFTER = "gone after"  # StoreGone, and yet it was done


_ERRORS: dict[Fault, type[StoreReadOnly | StoreFull | StoreDamaged | StoreGone]] = {
    Fault.REFUSE: StoreReadOnly,
    Fault.FULL: StoreFull,
    Fault.DAMAGED: StoreDamaged,
    Fault.GONE_BEFORE: StoreGone,
}
_ALL = frozenset({"put", "replace", "get", "list", "delete", "room", "wait"})  # "wait" for a hint to change
_CALLS = {
    Fault.LOSE: {"put", "replace", "delete"},
    Fault.CORRUPT: {"put", "replace", "get"},
    Fault.TRUNCATE: {"put", "replace", "get"},
    Fault.HIDE: {"list"},
    Fault.REFUSE: {"put", "replace", "delete"},
    Fault.FULL: {"put", "replace"},
    Fault.DAMAGED: {"get"},
}  # the rest may strike any


@dataclass(slots=True)
class Rule:
    """When a fault happens.  Counts its own ``skip`` and ``times`` down, over all stores that share it.

    Attributes:
        on: Calls it may strike, of those the fault is possible for.  A put_many is a put for each object.
        name: Which objects' names.  A listing is asked with its prefix; for HIDE with the name of each object.
        skip: Matching calls that go well first.
        times: Calls it strikes in all; None for ever.
        chance: Of striking a matching call, 0 to 1, by the store's seed.
        seconds: How late a DELAY is.
    """

    fault: Fault
    on: AbstractSet[str] = _ALL
    name: Callable[[str], bool] = lambda _: True
    skip: int = 0
    times: int | None = None
    chance: float = 1.0
    seconds: float = 0.0

    def strikes(self, call: str, name: str, chance: random.Random) -> bool:
        """Whether it strikes this call."""
        possible = call in self.on and call in _CALLS.get(self.fault, _ALL)
        if not possible or self.times == 0 or not self.name(name):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.chance < 1 and chance.random() >= self.chance:
            return False
        if self.times is not None:
            self.times -= 1
        return True


def storm(rate: float, *, seconds: float = 0.0) -> list[Rule]:
    """Every fault there is, each striking a call with the chance ``rate``."""
    return [Rule(fault, chance=rate, seconds=seconds) for fault in Fault]


class FaultStore:
    """A store that fails by its ``rules``, may be ``gone``, and may hold no more than ``capacity`` bytes.

    The rules are asked in order, and those that strike one call all do; an error ends it.  ``rules``, ``gone`` and
    ``capacity`` may be set at any time.  What was done to the objects themselves, by ``damage``, ``cut``, ``lose``,
    ``swap`` or ``roll_back``, stays done.

    Args:
        sleep: What a DELAY waits with.
    """

    def __init__(
        self,
        store: Store,
        *rules: Rule,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        capacity: int | None = None,
    ) -> None:
        self.rules = list(rules)
        self.gone = False
        self.capacity = capacity
        self.struck: list[tuple[Fault, str, str]] = []  # fault, call, name: what happened, in order
        self._store = store
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._sleep = sleep

    async def put(self, name: ObjectName, parts: Parts) -> None:
        struck = await self._strike("put", name)
        parts = self._spoiled(struck, parts)
        if self.capacity is not None and not await self._holds(name):
            free = self.capacity - await self._used()
            if size_of(parts) > free:
                raise StoreFull(f"store is full: want {size_of(parts)} bytes, got {free}")
        if Fault.LOSE not in struck:
            await self._store.put(name, parts)
        self._go_after(struck)

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        for name, parts in objects:
            await self.put(name, parts)

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        struck = await self._strike("replace", name)
        parts = self._spoiled(struck, parts)
        if self.capacity is not None:
            free = self.capacity - await self._used()
            if size_of(parts) > free:
                raise StoreFull(f"store is full: want {size_of(parts)} bytes, got {free}")
        if Fault.LOSE not in struck:
            await self._store.replace(name, parts)
        self._go_after(struck)

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        struck = await self._strike("wait", name)
        now = await wait_changed(self._store, name, mark)
        self._go_after(struck)
        return now

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        struck = await self._strike("get", name)
        found = await self._store.get(name, offset, length)
        self._go_after(struck)
        return b"".join(self._spoiled(struck, [found]))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        struck = await self._strike("list", prefix)
        async for listed in self._store.list(prefix, after):
            if not self._struck_by("list", listed.name, lambda fault: fault is Fault.HIDE):
                yield listed
                self._go_after(struck)
        self._go_after(struck)

    async def delete(self, name: ObjectName) -> None:
        struck = await self._strike("delete", name)
        if Fault.LOSE not in struck:
            await self._store.delete(name)
        self._go_after(struck)

    async def room(self) -> Room | None:
        struck = await self._strike("room", "")
        room = await self._store.room()
        self._go_after(struck)
        if self.capacity is not None:
            return Room(self.capacity, max(0, self.capacity - await self._used()))
        return room

    async def aclose(self) -> None:
        await self._store.aclose()

    async def damage(self, name: ObjectName, bit: int | None = None) -> None:
        """Turn one bit of an object over, the ``bit``-th from its start or a random one."""
        held = await self._store.get(name)
        at = self._chance.randrange(8 * len(held)) if bit is None else bit
        await self._replace(name, _flipped(held, at))

    async def cut(self, name: ObjectName, size: int) -> None:
        """Leave only the first ``size`` bytes of an object."""
        await self._replace(name, await self._store.get(name, 0, size))

    async def lose(self, name: ObjectName) -> None:
        """Forget an object."""
        await self._store.delete(name)

    async def swap(self, one: ObjectName, other: ObjectName) -> None:
        """Give each of two objects the other's name."""
        first, second = await self._store.get(one), await self._store.get(other)
        await self._replace(one, second)
        await self._replace(other, first)

    async def snapshot(self) -> dict[ObjectName, bytes]:
        """All there is, to ``roll_back`` to."""
        return {listed.name: await self._store.get(listed.name) async for listed in self._store.list("")}

    async def roll_back(self, snapshot: Mapping[ObjectName, bytes]) -> None:
        """Forget what came after the snapshot, and have back what was deleted since."""
        for listed in [listed async for listed in self._store.list("")]:
            if listed.name not in snapshot:
                await self._store.delete(listed.name)
        for name, held in snapshot.items():
            await self._replace(name, held)

    async def _replace(self, name: ObjectName, held: bytes) -> None:
        await self._store.delete(name)
        await self._store.put(name, [held])

    async def _holds(self, name: ObjectName) -> bool:
        try:
            await self._store.get(name, 0, 0)
        except NoSuchObject:
            return False
        return True

    async def _used(self) -> int:
        return sum([listed.size async for listed in self._store.list("")])

    async def _strike(self, call: str, name: str) -> set[Fault]:
        """The faults this call shall have that are left to it; those that come before anything is done are done."""
        if self.gone:
            raise StoreGone("store is gone: a test said so")
        struck = self._struck_by(call, name, lambda fault: fault is not Fault.HIDE)
        for rule in struck:
            if rule.fault is Fault.DELAY and self._sleep is not None:
                await self._sleep(rule.seconds)
            elif rule.fault in _ERRORS:
                raise _ERRORS[rule.fault](f"{call} {name!r} fails: a test said so")
        return {rule.fault for rule in struck}

    def _struck_by(self, call: str, name: str, kind: Callable[[Fault], bool]) -> Sequence[Rule]:
        struck = [rule for rule in self.rules if kind(rule.fault) and rule.strikes(call, name, self._chance)]
        self.struck += [(rule.fault, call, name) for rule in struck]
        return struck

    def _spoiled(self, struck: set[Fault], parts: Parts) -> Parts:
        held = b"".join(parts) if struck & {Fault.CORRUPT, Fault.TRUNCATE} else b""
        if not held:
            return parts
        if Fault.CORRUPT in struck:
            held = _flipped(held, self._chance.randrange(8 * len(held)))
        if Fault.TRUNCATE in struck:
            held = held[: self._chance.randrange(len(held))]
        return [held]

    def _go_after(self, struck: set[Fault]) -> None:
        if Fault.GONE_AFTER in struck:
            raise StoreGone("store went after it was done: a test said so")


def _flipped(held: bytes, bit: int) -> bytes:
    turned = bytearray(held)
    turned[bit // 8] ^= 1 << bit % 8
    return bytes(turned)


class Stop(BaseException):
    """The process ends here.  Not an Exception, since nothing may catch it and go on."""


class StopAfter:
    """Ends a process at its ``calls``-th store call, counted from 0 over all the stores it is ``around``.

    From then on every call of them raises: a dead process does nothing more.  A put_many, and a listing, is one call.

    Args:
        stop: Makes what is raised.
        done: Whether the fatal call still takes effect, and only its answer is never seen.
    """

    def __init__(self, calls: int, stop: Callable[[], BaseException] = Stop, *, done: bool = False) -> None:
        self.calls = 0  # begun so far; a run that was never stopped tells how many there are to stop at
        self._stop_at = calls
        self._stop = stop
        self._done = done

    @property
    def stopped(self) -> bool:
        """Whether it came to the fatal call."""
        return self.calls > self._stop_at

    def around(self, store: Store) -> Store:
        """The store, as the process that will be stopped sees it."""
        return _Stopping(store, self)

    async def call(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Count a call, and do it unless it is the one to stop at or comes after it."""
        now = self.calls
        self.calls += 1
        if now > self._stop_at or (now == self._stop_at and not self._done):
            raise self._stop()
        result = await work()
        if self.stopped:  # by this call or, meanwhile, by another
            raise self._stop()
        return result


class _Stopping:
    def __init__(self, store: Store, stop: StopAfter) -> None:
        self._store = store
        self._stop = stop

    async def put(self, name: ObjectName, parts: Parts) -> None:
        await self._stop.call(lambda: self._store.put(name, parts))

    async def put_many(self, objects: Sequence[tuple[ObjectName, Parts]]) -> None:
        await self._stop.call(lambda: self._store.put_many(objects))

    async def replace(self, name: ObjectName, parts: Parts) -> None:
        await self._stop.call(lambda: self._store.replace(name, parts))

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return await self._stop.call(lambda: wait_changed(self._store, name, mark))

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        return await self._stop.call(lambda: self._store.get(name, offset, length))

    async def list(self, prefix: str, after: str = "") -> AsyncIterator[Listed]:
        async def gather() -> list[Listed]:
            return [listed async for listed in self._store.list(prefix, after)]

        for listed in await self._stop.call(gather):
            yield listed

    async def delete(self, name: ObjectName) -> None:
        await self._stop.call(lambda: self._store.delete(name))

    async def room(self) -> Room | None:
        return await self._stop.call(self._store.room)

    async def aclose(self) -> None:
        await self._store.aclose()
