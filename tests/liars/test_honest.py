"""No false alarms: honest stores and devices, with all that befalls them, are never suspected or refused.

Three devices of two members take turns, and let others in and put them out.  Clocks are wrong by up to an hour, one
store at a time is away, processes end in the middle of a change, and the local state is lost or brought back from a
backup.  Stores are drained, emptied and taken out for others, of which some devices hear late.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from ropewalk.errors import RopewalkError
from ropewalk.spaces.audit import audit
from ropewalk.spaces.check import check
from ropewalk.spaces.home import Settings, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.members import Role
from ropewalk.spaces.space import Space
from ropewalk.testing.faults import Stop, StopAfter
from ropewalk.testing.letting_in import let_in
from ropewalk.testing.liars import Lie, Stage, prepare
from ropewalk.testing.liars.making import bytes_of
from ropewalk.testing.liars.matrix import simulated
from ropewalk.testing.liars.stage import BOB, DEVICE, PAPER_KEY, STORES, Shelf, contents

SESSIONS = 120
STEPS = 10  # in a session, on average
HOUR = 3600 * 10**9  # nanoseconds
DEVICES = {"warm": DEVICE, "paper": PAPER_KEY, "bob": BOB}
ADMINS = ("warm", "paper")
MOST_GUESTS = 3
BEFALLS = dict.fromkeys(("crash", "away", "lost", "restored"), 1) | dict.fromkeys(
    ("add member", "role", "remove member", "epoch", "evacuate", "drain", "take out"), 3
)
SPARE = "d5"  # a sixth store, of which each device uses five
PATHS = [f"{folder}file{number}" for folder in ("", "notes/") for number in range(6)]
AWAY = re.compile(r"(store d\d: )?store d\d is not there")
RESTORED = re.compile(r"the stores hold other changes of this device than its own memory")
CRASHED = re.compile(r"a change that was under way at a crash")


@dataclass
class _Move:
    """A store that is emptied by one device, and the one that others get in its place."""

    by: str
    out: str
    into: StoreSetting
    late: set[str] = field(default_factory=lambda: set(DEVICES))  # devices that still use the old one
    emptied: bool = False


class _Run:
    """What has happened so far."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage, self.chance = stage, chance
        self.counts: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()
        self.met = 0  # guests
        self.restored: set[str] = set()  # homes that were brought back from a backup and not opened since
        self.under_way: dict[str, bytes] | None = None  # what there is if the last change came to be after all
        self.move: _Move | None = None
        self.free = SPARE  # the store that nobody uses while none is moved
        self.ids = {name: one.id for name, one in stage.home("warm").load().stores.items()} | {SPARE: "66" * 16}
        stage.shelves[SPARE] = Shelf()

    async def sessions(self, number: int) -> None:
        home = "warm"
        for done in range(4 * number):
            if done >= number and all(self.counts[what] >= least for what, least in BEFALLS.items()):
                break  # what happens is drawn, and now and then something has not happened yet
            if self.under_way is None:
                home = self.chance.choice(list(DEVICES))
            allowed = self._befall(home)
            stop = StopAfter(self.chance.randrange(5, 400) if self.chance.random() < 0.2 else 1 << 60)
            self.stage.around = stop.around
            self.stage.said.clear()
            try:
                async with self.stage.open(home, DEVICES[home]) as space:
                    self.restored.discard(home)
                    await self._settle(space)
                    await self._steps(space)
                    await self._move_on(home, space)
                    if home in ADMINS and self.chance.random() < 0.7:
                        await self._change_group(space)
            except* (Stop, RopewalkError):
                if not stop.stopped:  # what follows from the calls of a dead process is nobody's word
                    raise
                self.counts["crash"] += 1
            for line in self.stage.said:
                if not any(pattern.match(line) for pattern in allowed):
                    self.alarms[line] += 1
            await asyncio.sleep(60)

    def _befall(self, home: str) -> list[re.Pattern[str]]:
        """Something, and what may be said of it."""
        self.stage.home(home)
        self.stage.skew = self.chance.randint(-HOUR, HOUR)
        away = self.chance.random() < 0.3 and self.move is None  # who does not know of a move lacks one store already
        self.stage.gone = {self.chance.choice(STORES)} if away else set()
        allowed = [CRASHED]
        if self.stage.gone:
            self.counts["away"] += 1
            allowed.append(AWAY)
        state, backup = (self.stage.folder / home / "state", self.stage.folder / f"backup-{home}")
        draw = self.chance.random()
        if draw < 0.05 and self.under_way is None:
            self.counts["lost"] += 1
            shutil.rmtree(state)
        elif draw < 0.1 and backup.exists() and self.under_way is None:
            self.counts["restored"] += 1
            shutil.rmtree(state)
            shutil.copytree(backup, state)
            self.restored.add(home)
        elif draw < 0.2:
            shutil.rmtree(backup, ignore_errors=True)
            shutil.copytree(state, backup)
        return [*allowed, RESTORED] if home in self.restored else allowed

    # -- stores come and go ----------------------------------------------------------------------------------------

    async def _move_on(self, home: str, space: Space) -> None:
        """Begin to empty a store, go on with it, or hear of it; not while another one is away."""
        if self.stage.gone:
            return
        begins = self.move is None
        if begins and home in ADMINS and self.chance.random() < 0.5:
            assert (await space.repair()).owed == 0
            if self.chance.random() < 0.5:  # another disk, called what the one was that went
                self.stage.shelves[self.free] = Shelf()
                self.ids[self.free] = bytes_of(f"disk {self.counts['disk']}", 16).hex()
                self.counts["disk"] += 1
            out = self.chance.choice([name for name in self.stage.shelves if name != self.free])
            self.move = _Move(home, out, StoreSetting(self.free, self.ids[self.free]))
        elif self.move is None or (home not in self.move.late) or self.chance.random() < 0.5:
            return
        move = self.move
        self._use(home, move, draining=not move.emptied)
        if move.by == home and not move.emptied and not begins:
            report = await space.evacuate(move.out)
            self.counts["evacuate"] += 1
            move.emptied = not report.owed
        elif not move.emptied:
            self.counts["drain"] += 1
        if move.emptied:
            self._use(home, move, draining=False)
            assert (await space.repair()).owed == 0
            move.late.discard(home)
            self.counts["take out"] += 1
        if not move.late:
            self.move, self.free = None, move.out

    def _use(self, home: str, move: _Move, *, draining: bool) -> None:
        """Have one device use the new store, and the old one no more, or only drain it."""

        def change(now: Settings) -> Settings:
            space = now.spaces["photos"]
            others = [name for name in space.stores if name not in (move.out, move.into.path)]
            names = [*others, move.into.path, *([move.out] if draining else [])]
            spaces = {"photos": msgspec.structs.replace(space, stores=names, draining=[move.out] if draining else [])}
            return msgspec.structs.replace(now, stores={**now.stores, move.into.path: move.into}, spaces=spaces)

        self.stage.home(home).update(change)

    # -- changes ---------------------------------------------------------------------------------------------------

    async def _settle(self, space: Space) -> None:
        """What a crash left open came to be, or did not."""
        if self.under_way is not None:
            if await contents(await space.current()) == self.under_way:
                self.stage.files = self.under_way
            self.under_way = None
        await self.stage.expect(await space.current())

    async def _steps(self, space: Space) -> None:
        for _ in range(self.chance.randint(1, 2 * STEPS - 1)):
            draw = self.chance.random()
            path = self.chance.choice(PATHS)
            files = self.stage.files
            if draw < 0.05:
                await space.freshness()
                found = await audit(space.core)
                assert not any((found.proofs, found.frozen, found.forks, found.doubled))
                self.counts["audit"] += 1
            elif draw < 0.3:
                there = self.chance.choice(sorted(files))
                assert await space.read(there) == files[there]
                self.counts["read"] += 1
            elif draw < 0.4:
                assert set(await contents(await space.current(), read=False)) == set(files)
                self.counts["list"] += 1
            elif draw < 0.5 and path in files:
                await self._change(space, {one: data for one, data in files.items() if one != path}, "remove", path)
            elif draw < 0.6 and path in files:
                free = f"{path}-{self.counts['move']}"
                moved = {**files, free: files[path]}
                del moved[path]
                await self._change(space, moved, "move", path, free)
            else:
                size = self.chance.choice([0, 10, 600, 5000, 5000, 20_000, 90_000])
                data = bytes_of(f"{path} {self.counts['write']}", size)
                await self._change(space, {**files, path: data}, "write", path, data)

    async def _change_group(self, space: Space) -> None:
        """Somebody comes, gets another role, or goes; what follows from it is done at once."""
        ours = {keys.public().id for keys in DEVICES.values()}
        guests = [one for one in space.core.membership.state.members.values() if not ours & set(one.devices)]
        draw = self.chance.random()
        async with space.group() as group:
            if len(guests) < MOST_GUESTS and (draw < 0.4 or not guests):
                self.met += 1
                keys = DeviceKeys(bytes_of(f"guest {self.met}", 32))
                await let_in(group, self.chance.choice([Role.READER, Role.WRITER, Role.ADMIN]), "guest", keys)
                self.counts["add member"] += 1
            elif draw < 0.7:
                role = self.chance.choice([Role.READER, Role.WRITER, Role.ADMIN])
                await group.set_role(self.chance.choice(guests).id, role)
                self.counts["role"] += 1
            else:
                await group.remove(self.chance.choice(guests).id)
                self.counts["remove member"] += 1
        assert not space.tended.undone, space.tended.undone
        self.counts["epoch"] += space.tended.epoch is not None

    async def _change(self, space: Space, after: dict[str, bytes], what: str, *args: str | bytes) -> None:
        self.under_way = after
        await getattr(space, what)(*args)
        self.stage.files, self.under_way = after, None
        self.counts[what] += 1


@pytest.mark.slow
def test_honest_stores_and_devices_raise_no_alarm(folder: Path, seed: int) -> None:
    async def whole() -> _Run:
        prepared = await prepare(folder / "honest" / "prepared")
        run = _Run(await Stage.set(prepared, folder / "honest" / "run", Lie, ()), random.Random(seed))
        run.stage.files = dict(prepared.files)
        await run.sessions(SESSIONS)
        run.stage.around, run.stage.gone = (lambda store: store), set()
        async with run.stage.open() as space:
            await space.repair()
            report = await check(space.core, everything=True)
            assert report.ok, report.lines
        return run

    run = simulated(whole(), seed)
    assert not run.alarms, run.alarms.most_common()
    done = sum(run.counts[what] for what in ("read", "list", "write", "remove", "move", "audit"))
    assert done >= SESSIONS * STEPS // 2, run.counts
    assert all(run.counts[what] >= least for what, least in BEFALLS.items()), run.counts
