"""A steward keeps the promise of a space with `S` alone: it looks, mends and beats, and reads nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ropewalk.errors import Refused
from ropewalk.loops import Simulated, run
from ropewalk.spaces.audit import Effect, Stand, audit
from ropewalk.spaces.check import check
from ropewalk.spaces.descent import lacking
from ropewalk.spaces.freshness import PERIOD, PERIODS, Word
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.keys import MembersOnly, Secrets
from ropewalk.spaces.members import Role
from ropewalk.spaces.opening import STATE_FILE
from ropewalk.spaces.repair import RepairReport
from ropewalk.spaces.space import Space, open_space
from ropewalk.spaces.state import State
from ropewalk.spaces.status import status
from ropewalk.spaces.survey import survey
from ropewalk.spaces.writer import Item, Writer
from ropewalk.testing.faults import Fault, Rule
from tests.spaces.machines import Machines, shown
from tests.spaces.making import object_of, pack_of, spoil

STEWARD, READER, WRITER, _ = Role
LARGE = random.Random(1).randbytes(2 * 1024 * 1024)
NOTE = "a note that says what is in it"
START = 1_800_000_000_000_000_000


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """A space of two versions, and bob, who is a steward."""
    made = await Machines.make(tmp_path)
    async with made.open("admin") as space:
        async with space.group() as group:
            await group.call(made.member["admin"], "anna")
        await space.write("large", LARGE)
        async with space.change(NOTE) as change:
            await change.write("small", b"small")
    await made.invite("bob", STEWARD)
    return made


async def set_role(machines: Machines, role: Role) -> None:
    async with machines.open("admin") as space, space.group() as group:
        await group.set_role(machines.member["bob"], role)


async def write(machines: Machines, path: str, by: str = "admin") -> None:
    async with machines.open(by) as space:
        await space.write(path, path.encode())


# ---- looking ---------------------------------------------------------------------------------------------------------


async def test_a_steward_sees_who_changed_something_and_nothing_of_what(machines: Machines) -> None:
    async with machines.open("admin") as space:
        versions = [head.hash for head in await space.log()]
    async with machines.open("bob") as space:
        began = machines.world.time
        assert {(one.name, one.role) for one in space.people()} == {(None, Role.ADMIN), (None, STEWARD)}
        found = await audit(space.core)
        assert [line.hash for line in reversed(found.heads)] == versions
        for line in found.heads:
            assert (line.device, line.stand) == (machines.all["admin"].id, Stand.COUNTS)
            assert (line.note, line.time) == ("", 0)
            assert 0 < line.seen <= began
        assert {line.effect for line in found.records} == {Effect.STANDS}
        heads = await space.core.ledger.do(State.heads)
        assert [(head.root, head.entries, head.note, head.frontier, head.unread) for head in heads] == [
            (None, 0, "", (), True)
        ] * 2


async def test_a_steward_sees_the_promise_and_finds_all_sound(machines: Machines) -> None:
    async with machines.open("admin") as space:
        for_members = await status(space.core)
    async with machines.open("bob") as space:
        found = await status(space.core)
        assert [(one.kind, one.holds) for one in found.promise.keeps.kinds] == [
            (one.kind, one.holds) for one in for_members.promise.keeps.kinds
        ]
        assert (found.versions, found.packs, found.stored) == (2, 1, for_members.stored)
        assert (for_members.entries, found.entries, found.as_dict()["entries"]) == (2, None, None)
        assert not any("entries" in line for line in found.lines)
        report = await check(space.core, everything=True)
        assert (report.ok, report.problems, report.packs, report.looked_at, report.heads) == (True, [], 1, 5, 2)
        assert space.warnings == []


async def test_a_steward_follows_what_the_newest_version_points_at(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer's mistake: a version whose content was never stored, though each pack that it names is there."""
    add, dropped = Writer.add, list[bytes]()

    async def forgets(self: Writer, items: Sequence[Item]) -> None:
        content = [sealed.reference.id for sealed, children in items if children is None]
        dropped.extend(content[:1] if not dropped else [])
        await add(self, [item for item in items if item[0].reference.id not in dropped])

    with monkeypatch.context() as mistaken:
        mistaken.setattr(Writer, "add", forgets)
        async with machines.open("admin") as space, space.change() as change:
            for at in range(60):  # more than one leaf, and too much to be embedded
                await change.write(f"folder/{at}", random.Random(at).randbytes(40_000))
    assert len(dropped) == 1
    told = f"chunk {dropped[0].hex()[:8]} of the newest version lies in no pack that is known"
    async with machines.open("admin") as space:
        assert (await check(space.core, everything=True)).problems == [told]
    async with machines.open("bob") as space:
        assert (await check(space.core, everything=False)).ok
        report = await check(space.core, everything=True)
        assert (report.ok, report.lost, report.problems) == (False, 1, [told])
    async with machines.open("admin") as space:
        await space.remove("folder", recursive=True)
    async with machines.open("bob") as space:
        assert (await check(space.core, everything=True)).ok


async def test_a_steward_goes_through_packs_and_what_heads_embed(machines: Machines) -> None:
    """Of a tree in many packs, of which the last version changed but a little that its head embeds."""
    async with machines.open("admin") as space:
        for at in range(3):
            await space.write(f"{at}/large", random.Random(at).randbytes(2_000_000))
        await space.write("2/small", b"small")
        packs = [pack for pack in await space.core.ledger.do(lambda state: list(state.packs())) if pack.head is None]
        newest = packs[-1]
    async with machines.open("bob") as space:
        found = await survey(space.core)
        assert [one async for one in lacking(space.core, found.shares)] == []
        for shares in found.shares.values():
            for name in [one for one in shares if one.pack == newest.name]:
                del shares[name]
        (told,) = [one async for one in lacking(space.core, found.shares)]
        assert told.startswith(f"what pack {newest.name.hex()[:8]} points at cannot be seen now: no store")


async def _listed(space: Space) -> None:
    [_ async for _ in space.list()]


async def _named(space: Space) -> None:
    async with space.group() as group:
        await group.call_device("mine")


@pytest.mark.parametrize(
    "call",
    [
        Space.current,
        Space.log,
        _listed,
        _named,
        lambda space: space.at("abcd"),
        lambda space: space.read("small"),
        lambda space: space.write("new", b""),
        lambda space: space.remove("small"),
        lambda space: space.core.tree.count(),
    ],
)
async def test_what_members_read_and_write_is_refused_before_a_store_is_asked_for_it(
    machines: Machines, call: Callable[[Space], Awaitable[object]]
) -> None:
    async with machines.open("bob") as space:
        before = {name: (list(store.gets), list(store.puts)) for name, store in machines.world.stores.items()}
        with pytest.raises(MembersOnly, match="the role of this device is steward") as caught:
            await call(space)
        assert (caught.value.code, caught.value.status) == ("keys.members-only", 4)
        assert "ropewalk member role NAME reader" in caught.value.hint
        assert {name: (store.gets, store.puts) for name, store in machines.world.stores.items()} == before


async def test_what_a_steward_keeps_opens_nothing(machines: Machines) -> None:
    """The same look at what a reader keeps finds what is sealed there, and at what opens a space all of that."""
    await machines.invite("carol", READER)
    async with machines.open("admin") as space:
        secrets = space.core.keys.secrets(space.core.keys.current)
        (head,) = await space.core.ledger.do(State.newest_heads)
    for name in ("bob", "carol"):
        async with machines.open(name) as space:
            await check(space.core, everything=True)
    assert _sealed(machines, "carol") == 2
    assert _sealed(machines, "bob") == 0
    assert head.root is not None
    kept = b"".join(path.read_bytes() for path in (machines.root / "bob").rglob("*") if path.is_file())
    assert head.hash in kept
    for secret in (*_parts(secrets), head.root[32:64], NOTE.encode(), b"large"):
        assert secret not in kept


def _parts(secrets: Secrets) -> list[bytes]:
    return [secrets.epoch, secrets.steward, secrets.space]


def _sealed(machines: Machines, name: str) -> int:
    """Rows of heads that hold what members read."""
    home = machines.all[name].home
    state = State(home.space_folder(home.space("photos").id) / STATE_FILE)
    (count,) = state._db.execute("SELECT count(*) FROM heads WHERE length(about) > 0").fetchone()
    state.close()
    return int(count)


# ---- keeping ---------------------------------------------------------------------------------------------------------


async def test_a_steward_makes_lost_and_damaged_shares_heads_and_records_anew(machines: Machines) -> None:
    stores = machines.world.stores
    before = {name: await store.snapshot() for name, store in stores.items()}
    async with machines.open("bob") as space:
        pack = await pack_of(space)
        await stores[pack.shares[0].store].lose(object_of(space, pack, pack.shares[0]))
        await spoil(machines.world, space, pack, pack.shares[1])
        for part in ("heads", "records"):
            for name in await stores["d2"].names(f"/{part}/"):
                await stores["d2"].lose(name)
        report = await check(space.core, everything=True)
        records = len([name for name in before["d2"] if "/records/" in name])
        assert (report.damaged, report.missing, report.copies_missing, report.lost) == (1, 1, 2 + records, 0)
        mended = await space.repair()
        assert (mended.shares, mended.heads, mended.records, mended.owed, mended.lost) == (2, 2, records, 0, 0)
        assert (await check(space.core, everything=True)).ok
    assert {name: await store.snapshot() for name, store in stores.items()} == before


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.TRUNCATE])
async def test_a_store_that_gives_wrong_bytes_is_named_and_nothing_is_rebuilt_from_them(
    machines: Machines, fault: Fault
) -> None:
    stores = machines.world.stores
    async with machines.open("bob") as space:
        pack = await pack_of(space)
    liar, lost = pack.shares[0], pack.shares[1]
    await stores[lost.store].lose(object_of(space, pack, lost))
    before = {name: await store.snapshot() for name, store in stores.items()}
    stores[liar.store].rules.append(Rule(fault, on={"get"}, name=lambda name: "/packs/" in name or "/heads/" in name))
    async with machines.open("bob") as space:
        report = await check(space.core, everything=True)
        assert report.damaged == 3
        assert all(f"store {liar.store}: " in line for line in report.problems[:3]), report.problems
        mended = await space.repair()
        assert (mended.shares, mended.lost) == (2, 0)
    stores[liar.store].rules.clear()
    after = {name: await store.snapshot() for name, store in stores.items()}
    assert after[lost.store].items() >= before[lost.store].items()
    async with machines.open("bob") as space:
        assert (await check(space.core, everything=True)).ok
    async with machines.open("admin") as space:
        assert await space.read("large") == LARGE


async def test_a_forged_head_is_told_and_counts_for_nothing(machines: Machines) -> None:
    store = machines.world.stores["d0"]
    name, _ = await store.names("/heads/")
    await store.damage(name, 8 * 150)
    async with machines.open("bob") as space:
        assert len(await space.core.ledger.do(State.heads)) == 2, "others gave it"
        report = await check(space.core, everything=True)
        assert [line.split(":")[0] for line in report.problems] == ["store d0"]


async def test_a_pack_that_a_head_names_and_no_store_has_is_lost(machines: Machines) -> None:
    for store in machines.world.stores.values():
        for name in await store.names("/packs/"):
            await store.lose(name)
    async with machines.open("bob") as space:
        report = await check(space.core, everything=True)
        assert report.lost == 1
        assert "which a head names" in report.problems[0]
        assert await space.repair() == RepairReport()


async def test_what_a_writer_owes_a_steward_pays(machines: Machines) -> None:
    machines.away(["d1"])
    await write(machines, "while one was away")
    machines.away([])
    async with machines.open("bob") as space:
        report = await space.repair()
        assert (report.heads, report.owed) == (1, 0)
    for name in await machines.world.stores["d0"].names("/heads/"):
        assert name in await machines.world.stores["d1"].names()


async def test_heads_past_a_cut_are_set_aside_and_kept_all_the_same(machines: Machines) -> None:
    await machines.invite("carol", WRITER)
    await write(machines, "hers", by="carol")
    async with machines.open("carol") as carols:
        async with machines.open("admin") as space, space.group() as group:
            await group.remove(machines.member["carol"])
        await carols.write("late", b"x")
    async with machines.open("bob") as space:
        found = await audit(space.core)
        mine = [line for line in found.heads if line.device == machines.all["carol"].id]
        assert [line.stand for line in mine] == [Stand.COUNTS, Stand.QUARANTINED]
        late = mine[1].hash
        (name,) = [head.name for head in await space.core.ledger.do(State.set_aside) if head.hash == late]
        await machines.world.stores["d3"].lose(next(one for one in await machines.world.names(name)))
        assert (await space.repair()).heads == 1
        assert name in await machines.world.stores["d3"].names()


async def test_a_steward_may_leave_and_change_nobody_else(machines: Machines) -> None:
    async with machines.open("bob") as space:
        with pytest.raises(Refused):
            async with space.group() as group:
                await group.set_role(machines.member["admin"], READER)
        async with space.group() as group:
            await group.remove(machines.member["bob"])
    async with machines.open("admin") as space:
        assert {one.role for one in space.people()} == {Role.ADMIN}


# ---- from one role to another ----------------------------------------------------------------------------------------


async def test_a_steward_who_becomes_a_reader_reads_all_from_the_same_memory(machines: Machines) -> None:
    async with machines.open("bob"):
        pass
    await set_role(machines, READER)
    async with machines.open("bob") as space:
        assert {info.path async for info in space.list()} == {"large", "small"}, "with the first look already"
        assert await space.read("large") == LARGE
        assert [head.note for head in await space.log()] == [NOTE, ""]
        assert await space.core.ledger.do(State.unread_heads) == []
        assert space.warnings == []


async def test_an_open_steward_reads_once_it_was_told(machines: Machines) -> None:
    async with machines.open("bob") as space:
        await set_role(machines, WRITER)
        with pytest.raises(MembersOnly):
            await space.current()
        assert await shown(space) == {"large": LARGE, "small": b"small"}
        await space.write("his", b"1")
    async with machines.open("admin") as space:
        assert set(await shown(space)) == {"large", "small", "his"}


async def test_a_reader_who_becomes_a_steward_keeps_what_he_had_and_learns_no_more(machines: Machines) -> None:
    await set_role(machines, READER)
    async with machines.open("bob") as space:
        assert await space.read("small") == b"small"
        await set_role(machines, STEWARD)
        await write(machines, "new")
        await space._list()
        with pytest.raises(MembersOnly):
            await space.current()
    assert _sealed(machines, "bob") == 2
    async with machines.open("bob") as space:
        with pytest.raises(MembersOnly):
            await space.read("small")
        assert (await check(space.core, everything=True)).ok
        found = await audit(space.core)
        assert [(bool(line.seen), line.note) for line in found.heads] == [(False, ""), (False, NOTE), (True, "")]
    await set_role(machines, READER)
    async with machines.open("bob") as space:
        assert await shown(space) == {"large": LARGE, "small": b"small", "new": b"new"}


async def test_what_a_steward_met_and_nobody_shows_any_more_is_said(machines: Machines) -> None:
    """Else whoever rolls all stores back the moment a role changes would pass for honest."""
    before = {name: await store.snapshot() for name, store in machines.world.stores.items()}
    await write(machines, "new")
    async with machines.open("bob"):
        pass
    for name, store in machines.world.stores.items():
        await store.roll_back(before[name])
    await set_role(machines, READER)
    async with machines.open("bob") as space:
        assert set(await shown(space)) == {"large", "small"}
        assert any("1 heads that this device met as a steward cannot be read now" in line for line in space.warnings)


async def test_a_process_that_still_thinks_it_is_a_stewards_hides_nothing_from_one_that_reads(
    machines: Machines,
) -> None:
    async with machines.open("bob") as old:
        await set_role(machines, WRITER)
        async with machines.open("bob") as new:
            await new.write("his", b"1")
            await write(machines, "newest")
            await old.core.ledger.do(_as_a_steward, new.core.writer_id)
            assert set(await shown(new)) == {"large", "small", "his", "newest"}
            await new.write("after", b"2")
    async with machines.open("admin") as space:
        assert set(await shown(space)) == {"large", "small", "his", "newest", "after"}


async def test_a_process_that_was_opened_as_a_stewards_catches_up_with_one_that_reads(machines: Machines) -> None:
    async with machines.open("bob") as old:
        await set_role(machines, WRITER)
        async with machines.open("bob") as new:
            await new.write("his", b"1")
        assert not old.core.keys.reads
        assert len(await old.core.ledger.do(State.heads)) == 3, "sealed by keys that are in the records that it shares"
        with pytest.raises(MembersOnly):
            await old.current()
        await write(machines, "newest")
        (name,) = [HeadName.decode(one) for one in set(await machines.world.names("/heads/")) - set(await known(old))]
        assert name is not None
        await old._take([name])
        assert {info.path async for info in old.list()} == {"large", "small", "his", "newest"}


async def test_who_reads_by_now_looks_for_more_than_the_one_head_that_is_named(machines: Machines) -> None:
    await machines.invite("carol", WRITER)
    async with machines.open("carol") as carols:
        async with machines.open("admin") as space:
            outcome = await space.write("ours", b"1")
        await carols.write("hers", b"2")  # neither has seen the other's
    assert outcome is not None
    name = HeadName.decode(outcome.head.name)
    assert name is not None
    async with machines.open("bob") as old:
        await set_role(machines, READER)
        records: dict[str, bytes] = {}
        for store in machines.world.stores.values():
            records |= {name: data for name, data in (await store.snapshot()).items() if "/records/" in name}
        await old.core.ledger.do(State.add_records, list(records.items()), 1)  # as another process of bob's has done
        await old._take([name])
        assert {info.path async for info in old.list()} == {"large", "small", "ours", "hers"}


async def known(space: Space) -> list[str]:
    return list(await space.core.ledger.do(State.head_names))


def _as_a_steward(state: State, writer: bytes) -> None:
    """What the old process would keep of the new one's head, had it met that first."""
    state._db.execute("UPDATE heads SET about = x'' WHERE writer != ?", (writer,))


# ---- beating ---------------------------------------------------------------------------------------------------------


def test_with_a_stewards_beats_alone_a_reader_knows_that_its_view_is_fresh(tmp_path: Path, seed: int) -> None:
    async def main() -> None:
        made = await Machines.make(tmp_path, stores=3)
        await made.invite("bob", STEWARD)
        await made.invite("carol", READER)
        await write(made, "file")
        loop = asyncio.get_running_loop()

        @asynccontextmanager
        async def opened(name: str) -> AsyncIterator[Space]:
            machine = made.all[name]
            async with await open_space(
                *(machine.home, "photos", machine.keys),
                clock=loop.time,
                now=lambda: START + int(loop.time() * 1e9),
                threads=1,
                open_store=made.world.open_store,
                pay_every=1e9,
            ) as space:
                yield space

        async with opened("carol") as reader:
            reader.live._beating = False
            await reader.live.start()
            await asyncio.sleep(5 * PERIOD)
            assert reader.live.view().word is not Word.FRESH, "nobody beats"
            async with opened("bob") as steward:
                await steward.live.start()
                await asyncio.sleep(6 * PERIOD)
                view = reader.live.view()
                assert (view.word, view.device, view.missing) == (Word.FRESH, made.all["bob"].id, 0)
                async with opened("admin") as admin:  # which does not watch
                    await admin.write("another", b"2")
                await asyncio.sleep(PERIOD)
                (head,) = steward.live._known.standing.heads
                assert (head.unread, head.device) == (True, made.all["admin"].id)
                assert reader.live.view().word is Word.FRESH
                assert {info.path async for info in reader.list()} == {"file", "another"}
            await asyncio.sleep((PERIODS + 1) * PERIOD)
            assert reader.live.view().word is Word.STALE

    run(main(), loop=Simulated(seed))
