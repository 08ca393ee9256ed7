"""Skeleton: who stands in a space, as the records say that a node keeps for it (docs/spec/node.md 3).

Flow: records in a store, when one was put -> Membership, in a thread -> Standing of a key
Never: opens a box, follows a record that does not verify, or forgets while it runs what a record has said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from ropewalk.errors import Damaged, Missing, Refused, Unavailable
from ropewalk.node.grants import OUTSIDE, Standing
from ropewalk.node.turns import Turns
from ropewalk.spaces.keys import hashed
from ropewalk.spaces.members import LARGEST_RECORD, Membership, Role, is_record, records_prefix
from ropewalk.spaces.members.records import parse, parse_genesis
from ropewalk.spaces.store import DiskStore, ObjectName

__all__ = ["Skeleton"]

MOST_NAMES = 200_000  # records that a space's folder may list before it is not followed
MOST_READ = 256 << 20  # bytes of all records of a space; real ones are small, so the smallest are read first
MOST_SPACES = 10_000  # that are followed; the one that was asked for longest ago is read anew when it is asked for
MOST_WAITING = 16 << 20  # bytes of records that do not count yet, as their parents are not here
MOST_NEW = 1024  # names that were put and not read; with more all are listed
MOST_PASSED = 8192  # names of a space that hold no record, which are not read again


@dataclass(slots=True)
class _Known:
    membership: Membership | None  # None: there is no genesis yet, or one that only a later version can read
    objects: dict[str, bytes]  # the records that count
    waiting: dict[str, bytes]  # and those that may yet, the newest last
    keys: dict[bytes, set[bytes]]  # Ed25519 key -> devices
    admins: frozenset[bytes]
    founded: bool = True  # whether a genesis was among them: without it nothing else is looked at


@dataclass(slots=True)
class _Seen:
    """What was last seen of a space's folder of records."""

    mark: bytes = b""
    settled: bool = False  # it was looked at once more after it had changed: two changes may show as one
    passed: set[str] = field(default_factory=set)


class Skeleton:
    """The spaces of one store.

    Args:
        store: Where the records lie.
        cpu: Checks signatures.
        most: Spaces without records that are remembered, so that these are not looked for again and again.
    """

    def __init__(self, store: DiskStore, cpu: Executor, most: int = 256) -> None:
        self._store, self._cpu, self._most = store, cpu, most
        self._spaces: dict[bytes, _Known] = {}
        self._new: dict[bytes, dict[ObjectName, None] | None] = {}  # what was put since; None: too much to name
        self._turns = Turns()
        self._seen: dict[bytes, _Seen] = {}

    def put(self, space: bytes, name: ObjectName) -> None:
        """A record of this space was put."""
        if space not in self._spaces:
            return
        names = self._new.setdefault(space, {})
        if names is not None:
            names[name] = None
            if len(names) > MOST_NEW:
                self._new[space] = None

    async def look(self) -> None:
        """Find records that came into the folder without us: its owner may use it as a store of his own.

        Raises:
            StoreGone.
        """
        for space in list(self._spaces):
            prefix, seen = records_prefix(space), self._seen.setdefault(space, _Seen())
            mark = await self._store.stamp(prefix)
            if mark == seen.mark and seen.settled:
                continue
            seen.mark, seen.settled = mark, mark == seen.mark
            known = self._spaces.get(space)
            if known is None:
                continue
            count = 0
            async for listed in self._store.list(prefix):
                count += 1
                if count > MOST_NAMES:
                    break
                if not (listed.name in known.objects or listed.name in known.waiting or listed.name in seen.passed):
                    if len(seen.passed) < MOST_PASSED:
                        seen.passed.add(listed.name)  # once read it is known, or nothing
                    self.put(space, listed.name)

    async def standing(self, space: bytes, key: bytes) -> Standing:
        """What a space says of an Ed25519 key.

        Raises:
            Unavailable: Its records cannot be read now, or there are too many.
        """
        known = await self._known(space)
        if known.membership is None:
            return OUTSIDE
        state = known.membership.state
        devices = known.keys.get(key, set())
        roles = [role for device in devices if (role := state.role_of(device)) is not None]
        return Standing(max(roles, default=None), bool(devices) and not roles, known.admins, known=True)

    def meets(self, key: bytes) -> bool:
        """Whether a key is active in one of the spaces that are followed by now."""
        return bool(self.spaces_of(key))

    def spaces_of(self, key: bytes) -> list[bytes]:
        """The spaces that are followed by now in which a key is active."""
        return [
            space
            for space, known in self._spaces.items()
            if known.membership is not None
            and any(known.membership.state.role_of(device) is not None for device in known.keys.get(key, ()))
        ]

    async def _known(self, space: bytes) -> _Known:
        while space not in self._spaces or space in self._new:
            async with self._turns.of(space):
                if space not in self._spaces or space in self._new:
                    await self._renew(space)
        self._spaces[space] = self._spaces.pop(space)  # the last one asked for
        return self._spaces[space]

    async def _renew(self, space: bytes) -> None:
        before = self._spaces.get(space)
        names = self._new.pop(space, None)  # before it is read: what is put meanwhile is new again
        try:
            if before is None or names is None:
                objects = await self._all(space)
            else:
                objects = await self._read(dict.fromkeys(names, 0))
            work = partial(_followed, space, before, objects)
            known = await asyncio.get_running_loop().run_in_executor(self._cpu, work)
        except BaseException:
            if before is not None:
                self._new[space] = None
            raise
        self._spaces[space] = known
        self._forget(space)

    def _forget(self, space: bytes) -> None:
        """Make room: spaces without records first, so that strangers' questions push out none that are followed."""
        strange = [one for one, known in self._spaces.items() if known.membership is None and one != space]
        gone = strange[: -self._most] if len(strange) > self._most else []
        if len(self._spaces) - len(gone) > MOST_SPACES:
            gone.append(next(one for one in self._spaces if one != space and one not in gone))
        for one in gone:
            del self._spaces[one]
            self._new.pop(one, None)
            self._seen.pop(one, None)

    async def _all(self, space: bytes) -> dict[str, bytes]:
        sizes: dict[ObjectName, int] = {}
        async for listed in self._store.list(records_prefix(space)):
            sizes[listed.name] = listed.size
            if len(sizes) > MOST_NAMES:
                raise Unavailable(f"space {space.hex()[:8]} has more than {MOST_NAMES} records in this store")
        return await self._read(sizes)

    async def _read(self, sizes: Mapping[ObjectName, int]) -> dict[str, bytes]:
        objects: dict[str, bytes] = {}
        left = MOST_READ
        for name, size in sorted(sizes.items(), key=lambda one: one[1]):
            if size > LARGEST_RECORD:
                break
            if (left := left - size) < 0:  # what is left out might be what matters
                raise Unavailable(f"records of one space have more than {MOST_READ} bytes in this store")
            try:
                data = await self._store.get(name, 0, LARGEST_RECORD + 1)
            except (Missing, Damaged):
                continue
            if is_record(name, data) and parse(data) is not None:
                objects[name] = data
        return objects


def _followed(space: bytes, before: _Known | None, new: Mapping[str, bytes]) -> _Known:
    objects = {**before.objects, **before.waiting, **new} if before is not None else dict(new)
    if not (before is not None and before.founded) and not any(_founds(space, data) for data in new.values()):
        return _Known(None, {}, _bounded(objects), {}, frozenset(), founded=False)
    verified = before.membership.verified if before is not None and before.membership is not None else frozenset()
    try:
        membership = Membership.read(space, objects.values(), verified=verified, partly=True)
    except (Damaged, Refused):
        if before is not None and before.membership is not None:
            return before
        return _Known(None, {}, _bounded(objects), {}, frozenset())
    counting = {name for name in objects if bytes.fromhex(name.rpartition("/")[2]) in membership.verified}
    keys: dict[bytes, set[bytes]] = {}
    for device, public in membership.devices.items():
        keys.setdefault(public.ed25519, set()).add(device)
    admins = frozenset(
        membership.devices[device].ed25519
        for member in membership.state.members.values()
        if member.role is Role.ADMIN
        for device in member.devices
    )
    kept = {name: data for name, data in objects.items() if name in counting}
    waiting = _bounded({name: data for name, data in objects.items() if name not in counting})
    return _Known(membership, kept, waiting, keys, admins)


def _founds(space: bytes, data: bytes) -> bool:
    """Whether a record is the one that a space's id names, and signed: its body alone may be copied."""
    if (record := parse(data)) is None or hashed("space", record.body) != space:
        return False
    try:
        genesis = parse_genesis(record.body)
    except Damaged:
        return False
    return record.verify(genesis.devices[0])


def _bounded(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """The last of them, as many as there is room for."""
    kept: dict[str, bytes] = {}
    size = 0
    for name, data in reversed(list(objects.items())):
        size += len(data)
        if size > MOST_WAITING:
            break
        kept[name] = data
    return dict(reversed(list(kept.items())))
