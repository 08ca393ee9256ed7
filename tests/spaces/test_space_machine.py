"""A space does what a plain dictionary does, whatever happens to its stores within what was promised.

Flow: Hypothesis -> steps and misfortunes -> Space over FaultStores; Model -> both compared after each
Never: lets more than `survive` stores be hurt at once, or waits for real time.

A store is *hurt* from the moment it misbehaves until a full repair with all stores there; it is *sick* while it still
does.  While no more than SURVIVE are hurt all that was acknowledged must be readable, and with no more sick than the
write floor allows every change must be acknowledged.  So right after each acknowledged change as many stores are taken
away as may be, and all must be readable all the same; and what the status promises is tried with the stores it names.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ropewalk.spaces.check import check
from ropewalk.spaces.pool.pool import BelowFloor
from ropewalk.spaces.repair import repair
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import WITHDRAWN, State
from ropewalk.spaces.status import status
from ropewalk.testing.faults import Fault, Rule, Stop, StopAfter
from tests.spaces.making import KeptStore, World, a_space, device
from tests.spaces.model import MakeFolder, Model, Move, Remove, Step, Write, contents, shown

_T = TypeVar("_T")

STORES = ("d0", "d1", "d2", "d3", "d4")
SURVIVE = 2
FLOOR = 4
INLINE = 512  # bytes that lie in the tree
SPOILING = {Fault.LOSE, Fault.CORRUPT, Fault.TRUNCATE, Fault.HIDE, Fault.DAMAGED}  # till a check has looked
SIZES = (0, 1, 511, 513, 5_000, 60_000, 70_000, 300_000, 1 << 20, (1 << 20) + 1, (4 << 20) + 70_000)

names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map(tuple)
writes = st.builds(Write, paths, st.sampled_from(SIZES), st.integers(0, 5))
steps: st.SearchStrategy[Step] = st.one_of(
    writes,
    st.builds(Remove, paths, st.booleans()),
    st.builds(Move, paths, paths),
    st.builds(MakeFolder, paths, st.booleans(), st.booleans()),
)
stores = st.sampled_from(STORES)
seeds = st.integers(0, 1000)
misfortunes: st.SearchStrategy[tuple[str, object, int]] = st.one_of(
    st.tuples(st.just("gone"), st.none(), st.just(0)),
    st.tuples(st.just("full"), st.none(), st.sampled_from([0, 1_000, 60_000])),
    st.tuples(st.just("always"), st.sampled_from([Fault.REFUSE, Fault.FULL]), st.just(0)),
    st.tuples(st.just("a few times"), st.sampled_from([f for f in Fault if f is not Fault.DELAY]), st.integers(1, 8)),
    st.tuples(st.just("spoil"), st.sampled_from(["damage", "cut", "lose", "swap", "all"]), seeds),
)


class Oops(Exception):
    """What a user's own code raises inside a change."""


class SpaceMachine(RuleBasedStateMachine):
    """One space, its model, and what its stores suffer."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="ropewalk-machine-"))
        self.space: Space | None = None
        self.model = Model()
        self.versions: list[tuple[str, Model]] = []
        self.hurt: set[str] = set()
        self.sick: set[str] = set()
        self.left_packs = False  # a change that was not acknowledged may have left packs in the stores,
        self.littered = False  # and a rebuild may have taken them for packs of the space: see test_crash
        self.liars: set[str] = set()  # of the hurt ones, those that may have lost or changed what they took
        self.rotten = False  # some have changed what they took, which no listing shows

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return self.runner.run(work)

    @initialize(privacy=st.sampled_from([1, 2]))
    def begin(self, privacy: int) -> None:
        self.world: World = self.run(a_space(self.folder, len(STORES), {"store": SURVIVE}, privacy))
        self.open()

    def teardown(self) -> None:
        try:
            if self.space is not None:
                self.run(self.space.aclose())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- opening -------------------------------------------------------------------------------------------------

    def open(self) -> None:
        world = self.world
        self.space = self.run(
            open_space(
                world.home, "photos", device(), clock=world.clock, now=world.now, threads=1, open_store=world.open_store
            )
        )

    @property
    def opened(self) -> Space:
        assert self.space is not None
        return self.space

    def close(self) -> None:
        self.run(self.opened.aclose())
        self.space = None

    @rule(lost=st.booleans())
    def come_again(self, lost: bool) -> None:
        # A refused change that could not be taken back everywhere is remembered in the local state alone.
        if lost and not self.run(self.opened.core.ledger.do(_taken_back)):
            self.lose_local_state()
        else:
            self.reopen()

    def reopen(self) -> None:
        self.close()
        self.open()

    def lose_local_state(self) -> None:
        self.littered = self.littered or self.left_packs
        self.close()
        shutil.rmtree(self.world.folder)
        self.open()
        assert any("nothing was known of 'photos'" in line for line in self.opened.notes) or not self.versions

    # -- changing ------------------------------------------------------------------------------------------------

    @property
    def must_take(self) -> bool:
        """Whether enough stores are well for a change to be acknowledged."""
        down = {name for name in STORES if not self.opened.core.pool.up(name)}
        return len(self.sick | down) <= len(STORES) - FLOOR

    @rule(path=paths, size=st.sampled_from(SIZES), seed=st.integers(0, 5))
    def write(self, path: tuple[str, ...], size: int, seed: int) -> None:
        self.change([Write(path, size, seed)])

    @rule(todo=st.lists(steps, min_size=1, max_size=1) | st.lists(steps, min_size=2, max_size=5))
    def change(self, todo: Sequence[Step]) -> None:
        after = self.model.copy()
        must = self.must_take
        try:
            self.run(self._change(self.opened, todo, after))
        except BelowFloor:
            assert not must, "refused, and yet enough stores are well"
            self.left_packs = True
            return
        self._acknowledged(after, todo)

    async def _new_content_lies_on_the_floor(self, todo: Sequence[Step]) -> None:
        """Assert that what was written, or was there already, lies in packs of which enough shares are known."""
        version, core = await self.opened.current(), self.opened.core
        for path in {step.path for step in todo if isinstance(step, Write)}:
            if len(self.model.paths.get(path) or b"") <= INLINE:
                continue
            entry = await version.file("/".join(path))
            ids = [cut.id async for batch in core.content.references(entry) for _, cut in batch]
            located = await core.ledger.do(State.locate, ids)
            packs = await core.ledger.do(State.packs_by_id, [place.pack for place in located.values()])
            assert all(pack.head or len(pack.good) >= FLOOR for pack in packs.values()), "points at what lacks shares"

    @precondition(lambda self: not self.hurt)
    @rule(path=paths, seed=st.integers(6, 9), pair=st.lists(stores, min_size=2, max_size=2, unique=True))
    def write_where_packs_are_refused(self, path: tuple[str, ...], seed: int, pair: list[str]) -> None:
        """Below the floor for the content, and on it for the head."""
        for name in pair:
            self.hurt.add(name)
            self.sick.add(name)
            self.world.stores[name].rules.append(Rule(Fault.FULL, on={"put"}, name=lambda name: "/packs/" in name))
        self.change([Write(path, 300_000, seed)])
        for name in pair:
            self.come_back(name)

    @precondition(lambda self: not self.hurt)
    @rule(paths=st.lists(paths, min_size=2, max_size=2), pair=st.lists(stores, min_size=2, max_size=2, unique=True))
    def write_again_what_two_stores_lost(self, paths: list[tuple[str, ...]], pair: list[str]) -> None:
        self.change([Write(paths[0], 300_000, 5)])
        for at, name in enumerate(pair):
            self.suffer(name, ("spoil", "all", at))
        self.run(status(self.opened.core))
        self.change([Write(paths[1], 300_000, 5)])

    def _acknowledged(self, after: Model, todo: Sequence[Step]) -> None:
        outcome = self.opened.outcome
        if outcome is None:
            assert after.paths == self.model.paths, "a change that said nothing new was dropped, and it was new"
            return
        if not outcome.in_full:
            assert self.hurt or self.littered, "something is owed, and yet all stores are well"
        assert outcome.copies >= FLOOR
        self.run(self._lies_on_the_floor(outcome.head.name))
        self.model = after
        self.versions.append((outcome.head.hash.hex(), after.copy()))
        self.run(self._new_content_lies_on_the_floor(todo))
        chance = random.Random(len(self.versions))
        well = [name for name in STORES if name not in self.hurt]
        self._all_is_read_without(chance.sample(well, SURVIVE - len(self.hurt)))

    def _all_is_read_without(self, stores: Sequence[str], *, from_stores_alone: bool = False) -> None:
        """Assert that without these stores all is there, for this device or for one that knows nothing but its keys."""
        well = [self.world.stores[name] for name in stores if not self.world.stores[name].gone]
        aside = self.folder / "aside"
        self.close()
        if from_stores_alone:
            self.world.folder.rename(aside)
        for store in well:
            store.gone = True
        try:
            self.open()
            assert self.run(_all_of(self.opened)) == self.model.paths
            self.close()
        finally:
            for store in well:
                store.gone = False
        if from_stores_alone:
            shutil.rmtree(self.world.folder)
            aside.rename(self.world.folder)
        self.open()

    async def _lies_on_the_floor(self, head: str) -> None:
        """Assert that enough stores really hold the head, and the packs that this device made."""
        honest = [store for name, store in self.world.stores.items() if name not in self.liars]
        held = [set(await store.snapshot()) for store in honest]
        least = FLOOR - len(self.liars)
        assert len([names for names in held if head in names]) >= least, "acknowledged below the floor"
        for pack in await self.opened.core.ledger.do(lambda state: state._packs("WHERE reusable AND head IS NULL")):
            part = f"/{pack.name.hex()}-"
            holders = [names for names in held if any(part in name for name in names)]
            assert len(holders) >= least, "acknowledged with a pack below the floor"

    async def _change(self, space: Space, todo: Sequence[Step], after: Model, fail: bool = False) -> None:
        async with space.change() as change:
            for step in todo:
                refused = after.do(step)
                try:
                    await step.do(change)
                except Exception as error:
                    if type(error) is not refused:
                        raise
                else:
                    assert refused is None, f"{step} was done, expected {refused}"
            if fail:
                raise Oops

    @rule(todo=st.lists(steps, min_size=1, max_size=3))
    def fail_inside_a_change(self, todo: Sequence[Step]) -> None:
        self.left_packs = True
        with contextlib.suppress(Oops, BelowFloor):
            self.run(self._change(self.opened, todo, self.model.copy(), fail=True))
            raise AssertionError("an error inside a change was swallowed")

    @rule(todo=st.lists(steps, min_size=1, max_size=3), calls=st.integers(0, 40), done=st.booleans())
    def crash_in_a_change(self, todo: Sequence[Step], calls: int, done: bool) -> None:
        self.close()
        self.left_packs = True
        stop = StopAfter(calls, done=done)
        after = self.model.copy()
        self.world.around = stop.around
        acknowledged = False
        try:
            self.open()
            self.run(self._change(self.opened, todo, after))
            acknowledged = True
        except BelowFloor:
            pass
        except BaseException as error:
            if not _is_stop(error):
                raise
        finally:
            self.world.around = lambda store: store
        if acknowledged:
            self._acknowledged(after, todo)
        if self.space is not None:
            self.close()
        self.open()
        if not acknowledged:
            self._in_flight(after)

    def _in_flight(self, after: Model) -> None:
        """A change that nobody was told of may be there, whole."""
        now = self.run(_all_of(self.opened))
        if now == after.paths != self.model.paths:
            self.model = after
            self.versions.append((self.run(self.opened.log())[0].hash.hex(), after.copy()))
        assert now == self.model.paths

    # -- looking -------------------------------------------------------------------------------------------------

    @invariant()
    def shows_the_model(self) -> None:
        if self.space is not None:
            self.world.clock.seconds += 10
            assert self.run(_all_of(self.opened)) == self.model.paths

    @rule(path=paths, offset=st.integers(0, 5 << 20), length=st.integers(0, 2 << 20), which=seeds)
    def look(self, path: tuple[str, ...], offset: int, length: int, which: int) -> None:
        """A range of a file, and an old version."""
        if (data := self.model.paths.get(path)) is not None:
            at = offset % (len(data) + 2)
            assert self.run(_range_of(self.opened, "/".join(path), at, length)) == [data[at : at + length]] * 2
        known = {head.hash.hex() for head in self.run(self.opened.log())}
        assert {name for name, _ in self.versions} <= known
        if self.versions:
            name, model = self.versions[which % len(self.versions)]
            assert self.run(_all_of(self.opened, name)) == model.paths

    # -- keeping the promise -------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(["pay", "repair", "check", "check all"]), seed=seeds)
    def tend(self, what: str, seed: int) -> None:
        if what == "pay":
            owed = self.run(self.opened.pay())
            assert self.hurt or self.littered or not owed
        elif what == "repair":
            assert self.littered or not self.run(_repair(self.opened)).lost
        else:
            report = self.run(check(self.opened.core, everything=what == "check all", choose=random.Random(seed)))
            assert report.ok or self.hurt or self.littered, report.lines

    @precondition(lambda self: not (self.rotten or self.littered))
    @rule(seed=seeds, from_stores_alone=st.booleans())
    def try_the_promise(self, seed: int, from_stores_alone: bool) -> None:
        """What can be lost by the status is lost, and what it calls lost is not asked for."""
        found = self.run(status(self.opened.core)).promise
        kinds = found.keeps.of("store")
        assert kinds is not None
        if kinds.holds is None or kinds.holds < 0:
            assert self.hurt, "broken, and yet all stores are well"
            return
        assert kinds.kept or self.hurt or self.left_packs, "less than was asked, and yet all stores are well"
        there = [name for name in STORES if name not in found.unreachable]
        lost = random.Random(seed).sample(there, min(kinds.holds, len(there)))
        forget = from_stores_alone and not self.run(self.opened.core.ledger.do(_taken_back))
        self._all_is_read_without([*lost, *found.unreachable], from_stores_alone=forget)

    @precondition(lambda self: self.hurt)
    @rule(thoroughly=st.booleans())
    def mend(self, thoroughly: bool) -> None:
        if thoroughly or self.liars or self.littered:
            self.heal()
        else:
            self.pay_all()

    def pay_all(self) -> None:
        """All stores return, and none of them lost anything: then paying what is owed is enough."""
        for store in STORES:
            self.come_back(store)
        self.reopen()
        assert self.run(self.opened.pay()) == 0
        heads = {head.name for head in self.run(self.opened.log())}
        for kept in self.world.stores.values():
            assert set(self.run(kept.names("/heads/"))) == heads
        found = self.run(status(self.opened.core))
        assert (found.owed_shares, found.owed_heads, found.promise.kept) == (0, 0, True), found.lines
        self.hurt.clear()

    def heal(self) -> None:
        """All stores return, are looked through and mended: then all that was promised holds."""
        for store in self.world.stores.values():
            store.gone, store.capacity = False, None
            store.rules.clear()
        self.sick.clear()
        self.reopen()
        self.run(check(self.opened.core, everything=True))
        report = self.run(_repair(self.opened))
        checked = self.run(check(self.opened.core, everything=True))
        found = self.run(status(self.opened.core))
        assert (report.away, found.owed_heads, found.away) == ({}, 0, {}), report.lines
        if not self.littered:
            assert (report.owed, report.lost) == (0, 0), report.lines
            assert checked.ok, checked.lines
            assert (found.owed_shares, found.damaged, found.promise.kept) == (0, 0, True), found.lines
        self.hurt.clear()
        self.liars.clear()
        self.rotten = False

    # -- misfortunes ---------------------------------------------------------------------------------------------

    @rule(store=stores, what=misfortunes)
    def suffer(self, store: str, what: tuple[str, object, int]) -> None:
        if len(self.hurt | {store}) > SURVIVE:
            return
        self.hurt.add(store)
        kept, (how, of_what, amount) = self.world.stores[store], what
        if how == "spoil":
            self.liars.add(store)
            self.rotten = self.rotten or of_what not in {"lose", "all"}
            self.run(_spoil(kept, str(of_what), amount))
            if not (self.rotten or self.littered):
                self.try_the_promise(amount, from_stores_alone=False)
            return
        self.sick.add(store)
        if isinstance(of_what, Fault):
            on = {"put"} if of_what is Fault.LOSE else {"put", "get", "list", "delete", "room"}
            kept.rules.append(Rule(of_what, on=on, times=None if how == "always" else amount))
            if of_what in SPOILING:
                self.liars.add(store)
                self.rotten = self.rotten or of_what is not Fault.LOSE
        elif how == "full":
            kept.capacity = sum(len(data) for data in self.run(kept.snapshot()).values()) + amount
        else:
            kept.gone = True

    @precondition(lambda self: self.sick)
    @rule(which=seeds)
    def recover(self, which: int) -> None:
        self.come_back(sorted(self.sick)[which % len(self.sick)])

    def come_back(self, store: str) -> None:
        self.world.stores[store].gone = False
        self.world.stores[store].capacity = None
        self.world.stores[store].rules.clear()
        self.sick.discard(store)


def _taken_back(state: State) -> bool:
    withdrawn = {head.name for head in state.heads(WITHDRAWN)}
    return any(name in withdrawn for name, _ in state.owed_heads())


async def _all_of(space: Space, version: str | None = None) -> dict[tuple[str, ...], bytes | None]:
    return await shown(await space.at(version))


async def _range_of(space: Space, path: str, offset: int, length: int) -> list[bytes]:
    async with space.file(path) as file:
        return [await file.pread(offset, length), await space.read(path, offset, length)]


async def _repair(space: Space) -> Any:
    async with space._turns.take():
        return await repair(space.core)


async def _spoil(store: KeptStore, how: str, amount: int) -> None:
    held = sorted(await store.snapshot())
    if not held:
        return
    one, other = held[amount % len(held)], held[(7 * amount + 3) % len(held)]
    size = len((await store.snapshot())[one])
    match how:
        case "damage" if size:
            await store.damage(one)
        case "cut" if size:
            await store.cut(one, amount % size)
        case "lose":
            await store.lose(one)
        case "swap" if one != other:
            await store.swap(one, other)
        case "all":
            await store.roll_back({})


def _is_stop(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_is_stop(one) for one in error.exceptions)
    return isinstance(error, Stop)


_budget = settings()
TestSpaceMachine = SpaceMachine.TestCase
TestSpaceMachine.settings = settings(
    max_examples=max(1, _budget.max_examples // 4),
    stateful_step_count=40,
    suppress_health_check=list(_budget.suppress_health_check),
)


async def test_a_store_that_was_full_is_used_again_once_it_has_room(tmp_path: Path) -> None:
    """Found by the machine: a large change was refused for as long as the space stayed open."""
    world = await a_space(tmp_path)
    full = [Rule(Fault.FULL, on={"put"}), Rule(Fault.REFUSE, on={"put"})]
    async with world.open() as space:
        for store, rule_ in zip(("d1", "d2"), full, strict=True):
            world.stores[store].rules.append(rule_)
        with pytest.raises(BelowFloor):
            await space.write("large", contents(1, 300_000))
        world.stores["d1"].rules.clear()
        owing = await space.write("large", contents(1, 300_000))
        assert owing is not None
        assert owing.owed_shares == 1
        world.stores["d2"].rules.clear()
        assert await space.pay() == 0
