"""Changes come to all who watch, soon and cheaply, whatever bulletins say; in simulated time over shared stores."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from ropewalk.errors import Misuse
from ropewalk.loops import Simulated, run
from ropewalk.spaces.freshness import PERIOD, PERIODS, Word
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.hint import Bulletin, Named, bulletin_name, heads_digest, open_bulletin, seal_bulletin
from ropewalk.spaces.home import Home
from ropewalk.spaces.keys import KeyRing
from ropewalk.spaces.learning import Standing, learn
from ropewalk.spaces.live import Change, Live, known
from ropewalk.spaces.live.live import IDLE, LIST_EVERY, OFTEN, QUICK, SLOW
from ropewalk.spaces.live.telling import PAUSE
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.store import Count, ObjectName, Store, TellsNothing
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.live_process import watched
from tests.spaces.making import World, a_space, device, paper
from tests.spaces.test_processes import ROOT, a_space_on_disk

START = 1_800_000_000_000_000_000
HOUR = 3600


class Silent(Count):
    """A store that has to be polled."""

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        raise TellsNothing("told not to")


class Chatty(Count):
    """A store that always says that there is something new."""

    async def wait_changed(self, name: ObjectName, mark: bytes) -> bytes:
        return mark + b"x"


@dataclass
class Device:
    """One opened space that may watch."""

    space: Space
    live: Live
    stores: dict[str, Count]
    learnt: list[Sequence[HeadName] | None] = field(default_factory=list)  # None for a listing

    async def write(self, path: str, data: bytes = b"data") -> None:
        await self.space.write(path, data)


@dataclass
class Town:
    """Devices with local states of their own, over the same stores."""

    world: World
    seed: int
    clock: Callable[[], float]
    kind: type[Count] = Count
    devices: list[Device] = field(default_factory=list)

    @property
    def hint(self) -> ObjectName:
        return bulletin_name(self.devices[0].space.core.space_id)

    @property
    def keys(self) -> KeyRing:
        return self.devices[0].space.core.keys

    def now(self) -> int:
        return START + int(self.clock() * 1e9)

    @asynccontextmanager
    async def device(self, *, beats: bool = False, state: str = "") -> AsyncIterator[Device]:
        """One more; all have the same keys, and each is a writer of its own unless it shares a ``state``."""
        number = len(self.devices)
        home = Home(self.world.home.config, self.world.home.state.parent / (state or f"state{number}"))
        stores: dict[str, Count] = {}

        async def open_store(path: str, identity: bytes) -> Store:
            stores[path] = self.kind(await self.world.open_store(path, identity))
            return stores[path]

        space = await open_space(
            *(home, "photos", device()), clock=self.clock, now=self.now, threads=1, open_store=open_store, pay_every=1e9
        )
        async with space:
            chance = random.Random(self.seed * 1000 + number)
            one = Device(space, None, stores)  # type: ignore[arg-type]  # filled in below

            async def named(heads: Sequence[HeadName]) -> None:
                one.learnt.append(heads)
                await learn(space.core)

            async def listed() -> None:
                one.learnt.append(None)
                await learn(space.core)

            one.live = Live(
                *(space.core, chance.randbytes(16), listed, named), clock=self.clock, random=chance.random, beats=beats
            )
            space.live = one.live  # closed with the space
            self.devices.append(one)
            yield one

    async def forged(self, **fields: object) -> bytes:
        """A bulletin of somebody else's, signed by a device of the space."""
        plain = Bulletin(
            *(1, device().public().id, b"forged" + bytes(10), 1, self.now(), PERIOD, bytes(32)),
            *(self.devices[0].live._known.records, []),
        )
        return seal_bulletin(msgspec.structs.replace(plain, **fields), self.keys, device().sign_quick)

    async def show(self, data: bytes) -> None:
        """In all stores."""
        for store in self.world.stores.values():
            await store.replace(self.hint, [data])


def simulated(
    tmp_path: Path, seed: int, body: Callable[[Town], Awaitable[None]], kind: type[Count] = Count, stores: int = 3
) -> None:
    async def main() -> None:
        await body(Town(await a_space(tmp_path, stores, {"store": 1}), seed, asyncio.get_running_loop().time, kind))

    run(main(), loop=Simulated(seed))


async def until(condition: Callable[[], bool], within: float) -> float:
    """Seconds that it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() < began + within, "it did not come about"
        await asyncio.sleep(0.01)
    return loop.time() - began


def paths(change: Change) -> int:
    return change.after.heads[0].entries


# ---- hearing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "within"), [(Count, 0.6), (Silent, QUICK + 0.1)])
def test_a_head_is_heard_of_at_once_where_stores_tell_and_by_polling_where_not(
    tmp_path: Path, seed: int, kind: type[Count], within: float
) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await reader.live.start()
            changes = reader.live.changes()
            await asyncio.sleep(100)
            for number in range(5):
                before = asyncio.get_running_loop().time()
                await writer.write(f"file{number}")
                change = await anext(changes)
                assert asyncio.get_running_loop().time() - before <= within
                assert paths(change) == number + 1
                assert [head.entries for head in change.heads] == [number + 1]
                reader.space._current = None  # what its own process learns it does not see by itself
                assert await reader.space.read(f"file{number}") == b"data"
                await asyncio.sleep(3)
            named = [heads for heads in reader.learnt if heads is not None]
            assert [[head.sequence for head in heads] for heads in named] == [[1], [2], [3], [4], [5]]

    simulated(tmp_path, seed, body, kind)


def test_whoever_is_late_gets_all_changes_as_one_and_nothing_piles_up(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await reader.live.start()
            late, other = reader.live.changes(), reader.live.changes()
            for number in range(6):
                await writer.write(f"file{number}")
                assert paths(await anext(other)) == number + 1
                assert len(reader.live._waiting) <= 1
            change = await anext(late)
            assert (change.before.heads, paths(change)) == ([], 6)
            (head,) = change.heads
            assert repr(change) == f"<Change: {head.hash.hex()[:12]} {head.note!r}>", "fit to be printed"
            waiting = [asyncio.ensure_future(anext(one)) for one in (late, other)]
            await asyncio.sleep(100)
            assert not any(one.done() for one in waiting)
            assert len(reader.live._waiting) == 2
            await reader.live.aclose()
            for one in waiting:
                with pytest.raises(StopAsyncIteration):
                    await one
            assert not reader.live._waiting

    simulated(tmp_path, seed, body)


def test_changes_of_our_own_and_of_other_processes_of_this_device_come_too(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device(state="one") as first, town.device(state="one") as second:
            for one in (first, second):
                await one.live.start()
            here, there = first.live.changes(), second.live.changes()
            await first.write("file")
            async with asyncio.timeout(QUICK + 1):
                assert paths(await anext(here)) == paths(await anext(there)) == 1
            assert [heads for heads in second.learnt if heads] == [], "it was in the local state already"

    simulated(tmp_path, seed, body, Silent)


def test_without_bulletins_a_head_is_found_by_listing(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await reader.live.start()
            changes = reader.live.changes()
            await asyncio.sleep(7)
            writer.live.tell = lambda: None  # type: ignore[method-assign]
            await writer.write("file")
            async with asyncio.timeout(LIST_EVERY * QUICK + 1):
                assert paths(await anext(changes)) == 1
            assert town.hint not in await town.world.names("hints")

    simulated(tmp_path, seed, body)


def test_one_store_is_enough_to_hear_and_one_that_hangs_holds_up_nobody(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await reader.live.start()
            changes = reader.live.changes()
            await writer.write("first")
            await anext(changes)
            await asyncio.sleep(5)
            town.world.stores["d0"].rules = [Rule(Fault.LOSE, on={"replace"})]
            town.world.stores["d1"].hang("get", "wait", name=lambda name: "hints" in name)
            before = asyncio.get_running_loop().time()
            await writer.write("second")
            assert paths(await anext(changes)) == 2
            assert asyncio.get_running_loop().time() - before < QUICK + 0.5
            town.world.stores["d1"].release()

    simulated(tmp_path, seed, body)


def test_a_store_that_always_says_it_has_news_is_read_four_times_a_second_at_most(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await reader.live.start()
            before = reader.stores["d0"].counts.gets
            await asyncio.sleep(100)
            assert 300 <= reader.stores["d0"].counts.gets - before <= 100 / OFTEN + 1

    simulated(tmp_path, seed, body, Chatty)


def test_a_store_that_goes_and_comes_back_is_heard_again(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await reader.live.start()
            changes = reader.live.changes()
            stores = town.world.stores
            for name in stores:
                stores[name].gone = name != "d2"
            await asyncio.sleep(100)
            for store in stores.values():
                store.gone = False
            await asyncio.sleep(SLOW)
            for name in ("d1", "d2"):
                stores[name].rules = [Rule(Fault.LOSE, on={"replace"})]
            await writer.write("file")
            async with asyncio.timeout(3):
                assert paths(await anext(changes)) == 1

    simulated(tmp_path, seed, body)


# ---- bulletins that are not what they should be ----------------------------------------------------------------------


def test_bulletins_that_do_not_count_are_counted_and_cost_nothing(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await reader.live.hear()
            stranger = seal_bulletin(
                msgspec.structs.replace(
                    open_bulletin(await town.forged(), town.keys, lambda _: device().public()),
                    device=paper().public().id[::-1],
                ),
                town.keys,
                device().sign_quick,
            )
            unsigned = seal_bulletin(
                open_bulletin(await town.forged(), town.keys, lambda _: device().public()),
                town.keys,
                paper().sign_quick,
            )
            told = (
                (b"garbage" * 20, "keys.epoch-unknown"),
                (town.keys.epoch + b"garbage", "keys.box-damaged"),
                (bytes(64 * 1024), "keys.epoch-unknown"),
                (stranger, "hint.not-active"),
                (unsigned, "hint.damaged"),
            )
            for data, code in told:
                await town.show(data)
                before = reader.live.ignored[code]
                await reader.live.hear()
                assert reader.live.ignored[code] == before + 3, code
            too_large = ObjectName(town.hint)
            for store in town.world.stores.values():
                await store.delete(too_large)
                await store.put(too_large, [bytes(3 * 64 * 1024)])
            await reader.live.hear()
            assert reader.live.ignored["hint.damaged"] == 6
            assert reader.live.view().word is Word.UNKNOWN
            # An epoch that is not known may be one that we have not learnt of: three looks for each.
            assert len(reader.learnt) == 2 * 3
            assert len(set(reader.live.ignored)) <= 5

    simulated(tmp_path, seed, body)


def test_heads_that_are_not_there_are_looked_for_three_times_and_said_to_be_missing(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await reader.live.start()
            gone = [Named(bytes((at,)) * 16, 1, bytes((at,)) * 32) for at in (1, 2)]
            for count in (1, 2):
                await town.show(await town.forged(count=count, newest=gone))
                await asyncio.sleep(10)
            assert [len(heads) for heads in reader.learnt if heads is not None] == [2, 2, 2]
            view = reader.live.view()
            assert (view.word, view.missing) == (Word.STALE, 2)
            await asyncio.sleep(IDLE)
            assert len([heads for heads in reader.learnt if heads is not None]) == 3

    simulated(tmp_path, seed, body, Silent)


def test_more_than_a_few_heads_are_listed_and_so_is_one_of_our_own(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await town.show(await town.forged(newest=[Named(bytes((at,)) * 16, 1, bytes(32)) for at in range(1, 40)]))
            await reader.live.hear()
            assert reader.learnt == [None]
        async with town.device() as reader:
            ours = Named(reader.space.core.writer_id, 9, bytes(32))
            await town.show(await town.forged(newest=[ours], run=b"2" * 16, time=town.now() + 1))
            await reader.live.hear()
            assert reader.learnt == [None], "only a full look finds out that this device was copied"

    simulated(tmp_path, seed, body)


def test_records_that_we_do_not_know_are_looked_for_three_times(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await town.show(await town.forged(records=b"other" + bytes(27)))
            for _ in range(5):
                await reader.live.hear()
            assert reader.learnt == [None] * 3

    simulated(tmp_path, seed, body)


@pytest.mark.parametrize("what", ["heads", "records"])
def test_a_look_that_was_not_waited_for_is_none_in_vain(tmp_path: Path, seed: int, what: str) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            gone = {"newest": [Named(bytes(16), 1, bytes(32))]} if what == "heads" else {"records": bytes(32)}
            await town.show(await town.forged(**gone))
            for store in town.world.stores.values():
                store.hang("list")
            for _ in range(5):  # more often than it is looked for in vain
                await reader.live.hear(patience=1)
            for store in town.world.stores.values():
                store.release()
            reader.learnt.clear()
            for _ in range(5):
                await reader.live.hear(patience=60)
                await asyncio.sleep(10)
            assert len(reader.learnt) == 3

    simulated(tmp_path, seed, body)


def test_an_old_bulletin_is_counted_and_does_not_make_a_view_fresh(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            old, new = await town.forged(count=5), await town.forged(count=6)
            for data in (old, new):
                await town.show(data)
                await reader.live.hear()
            assert reader.live.view().word is Word.FRESH
            await asyncio.sleep(PERIODS * PERIOD + 1)
            await town.show(old)
            await reader.live.hear()
            assert reader.live.ignored["hint.old"] == 3
            assert reader.live.view().word is Word.STALE

    simulated(tmp_path, seed, body)


# ---- telling ---------------------------------------------------------------------------------------------------------


def test_who_published_and_was_overwritten_says_so_again_three_times_at_most(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer:
            await writer.live.start()
            await writer.write("file")
            await asyncio.sleep(1)
            for count in range(1, 9):  # by one who never learns
                await town.show(await town.forged(count=count, heads=b"x" * 32))
                await asyncio.sleep(3)
            assert writer.stores["d0"].counts.replaces == 1 + 3
            await writer.write("second")
            await asyncio.sleep(1)
            digest = writer.live._known.heads
            await town.show(await town.forged(count=9, heads=digest))
            await asyncio.sleep(3)
            await town.show(await town.forged(count=10, heads=b"x" * 32))
            await asyncio.sleep(3)
            assert writer.stores["d0"].counts.replaces == 1 + 3 + 1, "the other knew it already"

    simulated(tmp_path, seed, body)


def test_what_a_bulletin_says_is_what_is_known(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            await writer.write("file")
            await writer.live.aclose()
            held = await town.world.stores["d0"].get(town.hint)
            told = open_bulletin(held, town.keys, lambda _: device().public())
            (head,) = await writer.space.log()
            name = HeadName.decode(head.name)
            assert name is not None
            assert told.newest == [Named(head.writer, 1, name.check)]
            assert told.heads == heads_digest({head.writer: (1, head.hash)})
            assert (told.period, told.count) == (PERIOD, 1)
            assert len(held) < 1024
            await reader.live.hear()
            assert [len(heads or []) for heads in reader.learnt] == [1]
            assert reader.live._known.heads == told.heads

    simulated(tmp_path, seed, body)


def test_of_a_writer_that_forked_one_branch_is_named_and_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def head(sequence: int, digest: bytes) -> KnownHead:
        name = HeadName(bytes(32), b"w" * 16, sequence, digest).encode()
        return KnownHead(name, digest, b"w" * 16, sequence, bytes(32), 1, None, 0, "", {}, False, 1)

    class Forked:
        def __init__(self, *heads: KnownHead) -> None:
            self.heads = heads

        def newest_heads(self) -> list[KnownHead]:
            return list(self.heads)

    monkeypatch.setattr(known, "standing", lambda _: Standing([]))
    one, other = head(7, b"1" * 32), head(7, b"2" * 32)
    here, there = (known._heads(cast(State, Forked(*pair))) for pair in ((one, other), (other, one)))
    assert here.newest == there.newest == [Named(b"w" * 16, 7, b"2" * 32)]
    assert here.digest == there.digest


def test_telling_is_not_waited_for_and_closing_waits_for_it_a_short_while(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer:
            town.world.stores["d1"].hang("replace")
            before = asyncio.get_running_loop().time()
            await writer.write("one")
            assert asyncio.get_running_loop().time() == before
            writer.live.tell()
            await writer.live.aclose()
            assert asyncio.get_running_loop().time() - before <= QUICK
            for name in ("d0", "d2"):
                assert town.hint in await town.world.stores[name].names("hints")
            town.world.stores["d1"].release()

    simulated(tmp_path, seed, body)


def test_many_changes_in_a_row_are_told_together_and_the_last_of_them_too(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as writer, town.device() as reader:
            told: list[float] = []
            replace = writer.space.core.pool.replace_hint

            async def counted(*args: Any) -> frozenset[str]:
                told.append(asyncio.get_running_loop().time())
                return await replace(*args)

            writer.space.core.pool.replace_hint = counted  # type: ignore[method-assign,assignment]
            began = asyncio.get_running_loop().time()
            for number in range(20):
                await writer.write(str(number))
                writer.live.tell()
                await asyncio.sleep(0.01)
            assert told[0] == began, "a change that is alone waits for nothing"
            await asyncio.sleep(2 * PAUSE)
            assert len(told) <= 3
            assert told[-1] - began <= 0.2 + PAUSE
            await reader.live.hear()
            assert sorted([info.path async for info in reader.space.list()]) == sorted(map(str, range(20)))

    simulated(tmp_path, seed, body)


def test_changes_come_only_while_somebody_watches(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as one:
            with pytest.raises(Misuse, match="watched"):
                one.live.changes()
            await one.live.start()
            await one.live.start()
            one.live._hearing.read = None  # type: ignore[assignment,method-assign]  # a mistake of ours
            changes = one.live.changes()
            with pytest.raises(BaseExceptionGroup):
                await anext(changes)
            assert "not watched any more" in one.space.warnings[-1]

    simulated(tmp_path, seed, body)


# ---- beats, and what an idle space costs -----------------------------------------------------------------------------


def test_a_view_is_fresh_while_others_beat_and_stale_after(tmp_path: Path, seed: int) -> None:
    async def body(town: Town) -> None:
        async with town.device() as reader:
            await reader.live.start()
            async with town.device(beats=True) as one, town.device(beats=True) as other:
                for each in (one, other):
                    await each.live.start()
                await asyncio.sleep(8 * PERIOD)
                for _ in range(50):
                    await asyncio.sleep(PERIOD)
                    assert {each.live.view().word for each in (reader, one, other)} == {Word.FRESH}
            # The last beat may be heard a poll after it was sent, and counts from then.
            await asyncio.sleep((PERIODS + 1) * PERIOD)
            view = reader.live.view()
            assert view.word is Word.STALE
            assert view.since is not None
            assert 0 <= town.now() - view.since <= (PERIODS + 2.1) * PERIOD * 1e9

    simulated(tmp_path, seed, body, Silent)


@pytest.mark.slow
def test_50_devices_watching_an_idle_space_cost_each_store_one_small_read_a_device_and_poll(
    tmp_path: Path, seed: int
) -> None:
    """The figure of docs/spec/hints.md 4, for an hour."""
    devices = 50

    async def body(town: Town) -> None:
        loop = asyncio.get_running_loop()
        opened = [town.device(beats=True) for _ in range(devices)]
        async with town.device() as writer:
            await writer.write("file")
        everyone = [await one.__aenter__() for one in opened]
        for one in everyone:
            await one.live.start()
        began = loop.time()
        for one in everyone:
            for store in one.stores.values():
                store.counts = type(store.counts)()
        await asyncio.sleep(HOUR / 2)
        lists = {id(store): store.counts.lists for one in everyone for store in one.stores.values()}
        fresh = sum(one.live.view().word is Word.FRESH for one in everyone)
        await asyncio.sleep(HOUR / 2)
        assert loop.time() - began == pytest.approx(HOUR)
        polls = IDLE / QUICK + (HOUR - IDLE) / SLOW  # and one more, where an hour begins and ends with one
        for one in everyone:
            for store in one.stores.values():
                counts = store.counts
                assert counts.gets <= polls + 1 + counts.replaces, (
                    "more than one read a poll, and a look before each beat"
                )
                assert counts.gets >= 0.9 * polls
                assert counts.bytes_got <= 1024 * counts.gets, "reads are not small"
                assert counts.lists - lists[id(store)] <= HOUR / 2 / SLOW / 10, "a fresh space is listed too often"
                assert counts.puts == counts.deletes == counts.rooms == counts.errors == 0
        for name in town.world.stores:
            beats = sum(one.stores[name].counts.replaces for one in everyone)
            assert 0.5 * HOUR / PERIOD <= beats <= 1.4 * HOUR / PERIOD, "they beat as one"
            gets = sum(one.stores[name].counts.gets for one in everyone)
            assert gets <= devices * (polls + 1), "more than one read a device and poll"
        assert fresh == devices
        assert sum(one.live.view().word is Word.FRESH for one in everyone) == devices
        for closing in opened:
            await closing.__aexit__(None, None, None)

    simulated(tmp_path, seed, body, Silent)


# ---- real processes --------------------------------------------------------------------------------------------------


@pytest.mark.system
async def test_two_processes_over_the_same_folders_hear_of_each_others_writes(tmp_path: Path) -> None:
    home = await a_space_on_disk(tmp_path)
    words = ("-m", "tests.spaces.live_process", str(home), str(tmp_path / "other"), "3")
    other = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    assert other.stdout is not None
    assert await other.stdout.readline() == b"ready\n"
    async with watched(home, tmp_path / "state") as space:
        for number in range(1, 4):
            await space.write(f"file{number}", b"data")
            assert (await other.stdout.readline()).split()[0] == b"%d" % number
    assert await other.wait() == 0
