"""What tests of a space start from: keys, memberships, and whole spaces over stores that fail as they are told.

Flow: a test -> World -> Space, its stores in memory beneath it, for as many openings as the test likes
Never: waits for a real disk, or for real time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import msgspec

from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.keys import KeyRing, Secrets, hashed
from ropewalk.spaces.members import Membership, Policy, create
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pack.share import ShareName
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import KnownPack, SharePlace
from ropewalk.spaces.store import MemoryStore, ObjectName, Parts, Store
from ropewalk.testing.faults import Fault, FaultStore, Rule

__all__ = [
    "Clock",
    "KeptStore",
    "World",
    "a_space",
    "device",
    "flips",
    "membership",
    "object_of",
    "pack_of",
    "paper",
    "some_keys",
    "spoil",
    "truncations",
]


@cache
def device() -> DeviceKeys:
    """The same device in all tests."""
    return DeviceKeys(bytes(range(32)))


@cache
def paper() -> DeviceKeys:
    """Its paper key."""
    return DeviceKeys(bytes(range(32, 64)), PAPER)


@cache
def some_keys(name: str = "one") -> KeyRing:
    """The keys of some space."""
    secrets = Secrets(*(hashed(f"test {part}", name.encode()) for part in ("epoch", "steward", "space")))
    return KeyRing.derive(hashed("test space", name.encode()), hashed("test epoch id", name.encode()), secrets)


@cache
def membership() -> tuple[Membership, KeyRing, tuple[tuple[ObjectName, bytes], ...]]:
    """A space of one device, its keys and its records."""
    policy = Policy(2, 4, 3, {"store": 2})
    space_id, secrets, records = create(policy, 1, device(), paper().public(), 1)
    members = Membership.read(space_id, [data for _, data in records])
    return members, KeyRing.derive(space_id, members.epoch_id, secrets), tuple(records)


def flips(data: bytes) -> Sequence[bytes]:
    """``data`` with one bit turned over: each bit of small data, one bit of each byte of large."""
    bits = range(8 * len(data)) if len(data) <= 256 else range(0, 8 * len(data), max(1, 8 * len(data) // 2000) | 1)
    return [data[: at // 8] + bytes((data[at // 8] ^ 1 << at % 8,)) + data[at // 8 + 1 :] for at in bits]


def truncations(data: bytes) -> Sequence[bytes]:
    """``data`` without its end, and with one byte more."""
    return [data[:size] for size in range(0, len(data), max(1, len(data) // 500))] + [data + b"\0"]


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class KeptStore(FaultStore):
    """Objects in memory that stay when a space is closed, and gets that are counted."""

    def __init__(self, *rules: Rule, seed: int = 0) -> None:
        super().__init__(MemoryStore(), *rules, seed=seed, sleep=self._hang)
        self._freed = asyncio.Event()
        self.gets: list[tuple[str, int, int | None]] = []
        self.puts: list[tuple[str, bytes]] = []

    async def get(self, name: ObjectName, offset: int = 0, length: int | None = None) -> bytes:
        self.gets.append((name, offset, length))
        return await super().get(name, offset, length)

    async def put(self, name: ObjectName, parts: Parts) -> None:
        self.puts.append((name, b"".join(parts)))
        await super().put(name, parts)

    async def aclose(self) -> None:
        pass

    def hang(self, *calls: str, name: Callable[[str], bool] = lambda _: True) -> None:
        """Never answer these calls, before `release`."""
        self.rules.append(Rule(Fault.DELAY, on=set(calls), name=name))

    def release(self) -> None:
        """Answer the calls that hang, and hang no more."""
        self.rules = [rule for rule in self.rules if rule.fault is not Fault.DELAY]
        self._freed.set()
        self._freed = asyncio.Event()

    async def _hang(self, _: float) -> None:
        await self._freed.wait()

    async def spoil(self, name: ObjectName, length: int) -> None:
        """Turn a bit over in every 20,000 bytes of the first ``length`` of an object."""
        held = bytearray(await super().get(name))
        for at in range(0, length, 20_000):
            held[at] ^= 1
        await self._replace(name, bytes(held))

    async def names(self, part: str = "") -> list[ObjectName]:
        """What lies in it."""
        return [name for name in await self.snapshot() if part in name]


@dataclass
class World:
    """A home, its stores and one space."""

    home: Home
    stores: dict[str, KeptStore]
    clock: Clock = field(default_factory=Clock)
    time: int = 1_000_000_000
    around: Callable[[Store], Store] = lambda store: store

    @property
    def folder(self) -> Path:
        """Where the local state lies."""
        return self.home.space_folder(self.home.space("photos").id)

    def now(self) -> int:
        """Nanoseconds, later at each look."""
        self.time += 1_000_000
        return self.time

    async def open_store(self, path: str, identity: bytes) -> Store:
        """The store that a setting means."""
        store = self.stores[path]
        await store.room()  # one that is gone does not open
        return self.around(store)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Space]:
        """The space."""
        space = await open_space(
            self.home,
            "photos",
            device(),
            clock=self.clock,
            now=self.now,
            threads=1,
            open_store=self.open_store,
            pay_every=3600,  # a test says when
        )
        async with space:
            yield space

    async def names(self, part: str) -> list[ObjectName]:
        """Objects in any store."""
        return sorted({name for store in self.stores.values() for name in await store.names(part)})


async def a_space(
    tmp_path: Path,
    stores: int = 5,
    survive: Mapping[str, int] | None = None,
    privacy: int = 1,
    floor: int | None = None,
) -> World:
    """A new space called photos over stores d0, d1, and so on."""
    names = [f"d{number}" for number in range(stores)]
    world = World(Home(tmp_path / "config", tmp_path / "state"), {name: KeptStore() for name in names})

    def with_stores(settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, stores={name: StoreSetting(name, "00" * 16) for name in names})

    world.home.update(with_stores)
    policy = plan_policy([StoreDomains(name) for name in names], survive or {"store": 2}, floor)
    await create_space(
        *(world.home, "photos", names, policy, privacy, device(), paper().public()),
        clock=world.clock,
        now=world.now,
        open_store=world.open_store,
    )
    return world


async def spoil(world: World, space: Space, pack: KnownPack, share: SharePlace) -> None:
    """Damage all leaves of a share."""
    length = pack.lengths[share.number] if share.number < pack.k else max(pack.lengths)
    await world.stores[share.store].spoil(object_of(space, pack, share), length)


async def pack_of(space: Space) -> KnownPack:
    """The one pack of a space that lies in shares of its own."""
    packs = [pack for pack in await space.core.ledger.do(lambda state: list(state.packs())) if pack.head is None]
    assert len(packs) == 1
    return packs[0]


def object_of(space: Space, pack: KnownPack, share: SharePlace) -> ObjectName:
    """The object of a share."""
    return ShareName(space.core.space_id, pack.name, share.number, bytes.fromhex(share.object)).encode()
