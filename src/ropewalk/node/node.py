"""Node: the offers of one machine as they are now, and the host that lets people reach them.

Flow: node.toml, looked at again and again -> folders opened, grants -> Host -> a session by key -> StoreRoom
Never: lets in who shows no key, or over a channel that others may read; works on with settings that are wrong.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ropewalk import broker
from ropewalk.auth import (
    AnonymousChecker,
    ChannelNotVerified,
    Credentials,
    Denied,
    HeldKey,
    Identity,
    Perspectives,
    Portal,
    Visit,
    ed25519_blob,
)
from ropewalk.errors import RopewalkError
from ropewalk.mailbox.service import Mailbox
from ropewalk.mailbox.slots import SlotLimits, Slots
from ropewalk.metrics import current_registry
from ropewalk.node.certificate import node_key
from ropewalk.node.counts import NodeCounts
from ropewalk.node.following import Following
from ropewalk.node.grants import Grant
from ropewalk.node.notices import NodeBusy
from ropewalk.node.offered import Offered
from ropewalk.node.perspective import LIMITS, StoreRoom
from ropewalk.node.register import Register
from ropewalk.node.running import Claim
from ropewalk.node.settings import NodeFile, NodeSettingsDamaged, OfferSetting, Stamp
from ropewalk.node.skeleton import Skeleton
from ropewalk.node.under_way import UnderWay
from ropewalk.spaces.store import DiskStore

__all__ = ["KEY_FILE", "REGISTER_FILE", "SETTINGS_FILE", "Node"]

_log = logging.getLogger("ropewalk.node")

SETTINGS_FILE, KEY_FILE, REGISTER_FILE = "node.toml", "node.pem", "node.db"
LOOKS_EVERY = 1.0  # seconds between two looks at the settings
TICKS_EVERY = 60.0  # seconds after which the trash has grown older
COMPARED = 256  # objects that are looked for at a time: with each look until all were, then with each tick
MOST_SESSIONS, MOST_OF_A_KEY = 1024, 64
MOST_STRANGE = 256  # sessions of keys that were given nothing and stand in no space that is known by now


class Node:
    """The node of one user on one machine.

    Args:
        config: Where its settings and its key are.
        state: Where its register is.
        now: Seconds since 1970.
        clock: Seconds, monotonic.
        cpu: Checks signatures.

    Attributes:
        host: Its server.
        offers: What it offers now, by name.
        claim: That no other process runs it.
        slots: Those of its mailbox.
    """

    def __init__(
        self,
        config: Path,
        state: Path,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        cpu: Executor | None = None,
    ) -> None:
        self.file = NodeFile(config / SETTINGS_FILE)
        self.key = node_key(config / KEY_FILE)
        self.claim = Claim(state)
        self._register = Register(state / REGISTER_FILE)
        self._now, self._clock = now, clock
        self._cpu = cpu or ThreadPoolExecutor(1, "ropewalk-node")
        self._following = Following(self.file, clock)
        self._by: Stamp | None = None  # of the settings that the offers are by
        self._turn = asyncio.Lock()
        self._said: dict[str, str] = {}  # why an offer is not there, so that it is said once
        self._opened: dict[str, tuple[str, str]] = {}  # by offer: path and id
        self._sessions: Counter[bytes] = Counter()
        self._met: set[bytes] = set()  # of these, the keys that are no strangers
        self._under_way = UnderWay(clock=clock)
        self.offers: dict[str, Offered] = {}
        self._counts = NodeCounts(
            current_registry(), lambda: self.offers, lambda: self._following.settings.offers, self._under_way.now
        )
        self.slots = Slots(SlotLimits(), clock=clock)
        self.host = self._host()

    async def open(self) -> None:
        """Open the register and what is offered.

        Raises:
            NodeRunning: Another process runs it.
            NodeSettingsDamaged, RegisterDamaged, RegisterUnavailable.
        """
        self.claim.take()
        await self._register.open()
        await self.look()

    async def work(self) -> None:
        """Look at the settings again and again, and let the trash grow older; until it is cancelled."""
        before = self._clock()
        while True:
            await asyncio.sleep(LOOKS_EVERY)
            try:
                with suppress(NodeSettingsDamaged):  # said, and no reason to let the rest go
                    await self.look()
                await self._look_into()
                if (passed := self._clock() - before) >= TICKS_EVERY:
                    before += passed
                    await self._age(passed)
            except RopewalkError as error:
                self._say("accounts", str(error))

    def stop_waits(self) -> None:
        """Answer those who wait for a change: what ends does not wait for them."""
        for offered in self.offers.values():
            offered.notices.stop()

    async def aclose(self) -> None:
        """Close what is offered, and the register."""
        for offered in self.offers.values():
            await offered.aclose()
        self.offers.clear()
        await self._register.aclose()
        self._following.close()
        self._counts.stop()
        self.claim.leave()

    async def look(self) -> None:
        """Take what the settings say now; offers that were away are looked for again.

        Raises:
            NodeSettingsDamaged: They say nothing that can be; what they said before stays.
        """
        async with self._turn:
            await self._renew()

    async def _renew(self) -> None:
        self._following.read()
        self._by = self._following.taken
        offers = self._following.settings.offers
        for name, offered in list(self.offers.items()):
            setting = offers.get(name)
            opened = self._opened.get(name)
            if setting is None or opened != (setting.path, setting.id):
                del self.offers[name]
                await offered.aclose()
        for name, setting in offers.items():
            if name not in self.offers:
                await self._offer(name, setting)
        if self._following.wrong is not None:
            raise self._following.wrong

    def _given(self) -> Sequence[Grant]:
        self._following.read()
        return self._following.grants

    async def _current(self) -> Mapping[str, Offered]:
        """What is offered by the settings as they are now."""
        self._following.read()
        if self._by != self._following.taken:
            with suppress(RopewalkError):  # said; what was offered before still is
                await self.look()
        return self.offers

    async def _offer(self, name: str, setting: OfferSetting) -> None:
        try:
            store = await DiskStore.open(setting.path, bytes.fromhex(setting.id))
        except RopewalkError as error:
            self._say(name, str(error))
            return
        offered = Offered(
            name,
            store,
            self._register,
            Skeleton(store, self._cpu),
            grants=self._given,
            quota=lambda: self._setting(name, setting).quota,
            keep=lambda: self._setting(name, setting).keep,
            now=self._now,
            counts=self._counts.of(name),
        )
        try:
            await offered.settle()
        except BaseException:
            await store.aclose()
            raise
        self._said.pop(name, None)
        self._opened[name] = setting.path, setting.id
        self.offers[name] = offered

    def _setting(self, name: str, before: OfferSetting) -> OfferSetting:
        return self._following.settings.offers.get(name, before)

    async def _age(self, seconds: float) -> None:
        for one in list(self.offers.values()):
            await self._compare(one)
        there = {offered.account: offered for offered in self.offers.values()}
        for account, label in await self._register.passed(seconds):
            if (offered := there.get(account)) is None:
                continue
            try:
                await offered.store.drop_aside(label)
            except RopewalkError as error:  # of one disk; what others have to drop does not wait for it
                self._say(f"trash of {offered.name}", str(error))
                del there[account]
                continue
            await self._register.gone(account, label)

    async def _look_into(self) -> None:
        for name, offered in list(self.offers.items()):
            try:
                await offered.look()
                self._said.pop(name, None)
            except RopewalkError as error:
                self._say(name, str(error))
            else:
                if not offered.books.compared:
                    await self._compare(offered)

    async def _compare(self, offered: Offered) -> None:
        try:
            await offered.books.compare(COMPARED)
        except RopewalkError as error:
            self._say(f"accounts of {offered.name}", str(error))

    def _say(self, about: str, why: str) -> None:
        if self._said.get(about) != why:
            self._said[about] = why
            _log.warning("%s: %s", about, why)

    # -- sessions --------------------------------------------------------------------------------------------------

    def _host(self) -> broker.Host:
        realm = Perspectives()
        realm.give(StoreRoom, self._room)
        realm.give(Mailbox, lambda visit: Mailbox(self.slots, visit.channel.address))
        kinds: Mapping[str, type[broker.Perspective]] = {"store": StoreRoom, "mailbox": Mailbox, "": Mailbox}
        portal = Portal(realm, [_AnyKey(), AnonymousChecker()])
        return broker.Host(portal, kinds, node=self.key, limits=LIMITS)

    def _room(self, visit: Visit) -> StoreRoom:
        if visit.identity.how != "key":
            raise Denied
        if not visit.channel.verified:
            raise ChannelNotVerified("a store is given over a private channel only")
        key = visit.identity.key[-32:]
        known = self._knows(key)
        strange = sum(count for one, count in self._sessions.items() if one not in self._met)
        if (
            self._sessions.total() >= MOST_SESSIONS
            or self._sessions[key] >= MOST_OF_A_KEY
            or (not known and strange >= MOST_STRANGE)
        ):
            raise NodeBusy(f"too many sessions are open here, {self._sessions[key]} of them of this key")
        self._sessions[key] += 1
        if known:
            self._met.add(key)
        visit.owned.callback(self._left, key)
        return StoreRoom(self._current, key, self._under_way)

    def _left(self, key: bytes) -> None:
        self._sessions[key] -= 1
        if not self._sessions[key]:
            del self._sessions[key]
            self._met.discard(key)

    def _knows(self, key: bytes) -> bool:
        """Whether a key was given something, or stands in a space that was asked for before."""
        given = any(key in grant.keys for grant in self._given())
        return given or any(offered.meets(key) for offered in self.offers.values())


class _AnyKey:
    """Who shows that he holds an Ed25519 key is the holder of that key; what he may, the grants say."""

    takes = (HeldKey,)

    async def check(self, credentials: Credentials) -> Identity:
        """That key."""
        if not isinstance(credentials, HeldKey) or credentials.name:
            raise Denied
        raw = credentials.key[-32:]
        if credentials.key != ed25519_blob(raw):
            raise Denied
        return Identity(raw.hex(), frozenset(), "key", credentials.key)
