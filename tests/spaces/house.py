"""A house: folders that are stores, homes of several people over them, and who is let in there.

Flow: `built` -> House -> open spaces; `admission`, `admit` -> Invited -> `come`
Never: goes through a ceremony: keys are known to whoever lets in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ropewalk.spaces.admission import Admission
from ropewalk.spaces.arrival import Arrival, arrive
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.invites import Invited, JoinerKeys
from ropewalk.spaces.invites.messages import read_grants
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import Role, consent
from ropewalk.spaces.opening import create_space, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.store import DiskStore, Store
from ropewalk.testing.letting_in import SALT
from tests.spaces.machines import keys_of
from tests.spaces.making import device, paper

__all__ = [
    "PAPER_KEY",
    "STORES",
    "House",
    "admission",
    "admit",
    "built",
    "come",
    "create",
    "joiner",
    "let_in",
    "signed",
]

STORES = ("s0", "s1", "s2")
PAPER_KEY = DeviceKeys(hashed("test paper", b""), PAPER)


@dataclass
class House:
    """Folders that are stores, and homes over them."""

    root: Path

    def home(self, name: str) -> Home:
        return Home(self.root / name / "config", self.root / name / "state")

    @asynccontextmanager
    async def open(
        self, name: str, *spaces: str, around: Callable[[Store], Store] = lambda store: store
    ) -> AsyncIterator[list[Space]]:
        async def opened(path: str, identity: bytes) -> Store:
            return around(await DiskStore.open(path, identity))

        async with AsyncExitStack() as stack:
            keys = device() if name == "admin" else keys_of(name)
            yield [
                await stack.enter_async_context(
                    await open_space(self.home(name), one, keys, threads=1, pay_every=3600, open_store=opened)
                )
                for one in spaces
            ]


async def built(root: Path) -> House:
    """A space called photos, over three stores, of one admin."""
    house = House(root)
    home = house.home("admin")
    for name in STORES:
        folder = root / name
        store = await DiskStore.create(folder)
        home.add_store(name, StoreSetting(str(folder), store.identity.hex(), {"machine": name}))
        await store.aclose()
    await create(house, "photos")
    return house


async def create(house: House, name: str) -> None:
    """One more space."""
    policy = plan_policy([StoreDomains(one) for one in STORES], {"store": 1})
    await create_space(
        *(house.home("admin"), name, STORES, policy, 1, device(), paper().public()),
        clock=lambda: 0.0,
        now=lambda: 1,
    )


def joiner(name: str = "bob", *, with_paper: bool = True) -> JoinerKeys:
    return JoinerKeys(keys_of(name).public(), PAPER_KEY.public() if with_paper else None, name, f"{name}s laptop")


def admission(house: House, spaces: Sequence[Space], role: Role | None = Role.WRITER, name: str = "") -> Admission:
    nonces = {space.core.space_id: hashed("test nonce", space.core.space_id)[:16] for space in spaces}
    return Admission(house.home("admin"), spaces, 1 << 60, role=role, name=name, nonces=nonces)


def signed(who: JoinerKeys) -> JoinerKeys:
    """Who joins, as if it had signed."""
    return msgspec.structs.replace(who, salt=SALT)


async def let_in(one: Admission, who: JoinerKeys, keys: DeviceKeys | None = None) -> bytes:
    """Admit somebody who agrees to what is offered; the keys are those of this name, or others that are given."""
    signed = keys or keys_of(who.name)
    beside = [who.paper] if who.paper is not None else []
    return await one.admit(who, consent(signed, beside, SALT, bytes(32), one.offer.tickets))


async def admit(house: House, spaces: Sequence[str] = ("photos",), role: Role | None = Role.WRITER) -> Invited:
    """Somebody is let in; what the ceremony would leave with the joiner."""
    async with house.open("admin", *spaces) as opened:
        one = admission(house, opened, role)
        return Invited(one.offer, read_grants(await let_in(one, joiner())))


async def come(house: House, invited: Invited, **rest: Any) -> list[Arrival]:
    """What comes of it on bob's machine."""
    return await arrive(house.home("bob"), keys_of("bob"), signed(joiner()), invited, **rest)
