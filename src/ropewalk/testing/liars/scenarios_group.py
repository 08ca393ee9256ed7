"""The operations on groups that every lie is tried on: who belongs, what is heard of others, what was signed.

Flow: Stage -> an operation of one or more members under lies -> Stage
Never: decides what is harmless: see `verdict`.
"""

from __future__ import annotations

import asyncio
import os

from msgspec.structs import replace

from ropewalk.errors import Refused
from ropewalk.mailbox import invite as meet_joiner
from ropewalk.mailbox import join as meet_inviter
from ropewalk.spaces.admission import Admission
from ropewalk.spaces.arrival import arrive
from ropewalk.spaces.audit import Deed, Effect
from ropewalk.spaces.audit import audit as audit_space
from ropewalk.spaces.discover import discover
from ropewalk.spaces.freshness import PERIOD, PERIODS, Word
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites import Invited, Inviter, Joiner, JoinerKeys
from ropewalk.spaces.members import Membership, Role, open_ring, seal_label
from ropewalk.spaces.opening import open_pool
from ropewalk.spaces.places import OpenStore
from ropewalk.spaces.recovery import restore
from ropewalk.spaces.reseal import reseal as reseal_space
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import QUARANTINED, State
from ropewalk.spaces.store import ObjectName, Store
from ropewalk.testing.letting_in import let_in
from ropewalk.testing.liars.letterbox import Letterbox
from ropewalk.testing.liars.lies_mailbox import MAILBOX_CODE
from ropewalk.testing.liars.scenario import PATIENCE, THOROUGH, LeftOut, Scenario, check_newest, write_file
from ropewalk.testing.liars.stage import BOB, PAPER_KEY, STORES, Stage, Wrong, contents

__all__ = ["GROUPS"]

DAVE = DeviceKeys(bytes(range(192, 224)))  # comes in a run
FRESH = DeviceKeys(bytes(range(224, 256)))  # of a machine on which there are only words on paper
HOUR = 3600 * 10**9  # nanoseconds
HEARD = 60.0  # seconds after which a change must have been heard of, whatever one store says
POLLS = 5  # of somebody who looks how fresh his view is


async def invite(stage: Stage) -> None:
    """Somebody comes by a code, and all that is said goes through a mailbox."""
    await stage.begin()
    home = stage.home(stage.fresh())
    home.update(lambda settings: replace(settings, spaces={}))
    slot, secret = MAILBOX_CODE
    async with stage.open() as space:
        nonces = {space.core.space_id: os.urandom(16)}
        given = Admission(
            stage.home("warm"), [space], stage.wall() + HOUR, role=Role.WRITER, name="dave", nonces=nonces
        )
        inviter = Inviter(slot, secret, given.offer, clock=stage.wall, random=os.urandom)
        joiner = Joiner(slot, secret, DAVE, JoinerKeys(DAVE.public(), None, "dave", "laptop"), random=os.urandom)
        box = Letterbox(next(iter(stage.liars.values())).lie.carried)
        admitted, invited = await asyncio.gather(
            meet_joiner(box.side("inviter"), inviter, given, _nothing, seconds=PATIENCE / 2),
            meet_inviter(box.side("joiner"), joiner, _nothing, _not_kept),
            return_exceptions=True,
        )
        if DAVE.public().id in space.core.membership.state.devices:
            stage.people[DAVE.public().id] = Role.WRITER
    for ended in (admitted, invited):
        if isinstance(ended, BaseException):
            raise ended
    (here,) = await arrive(home, DAVE, joiner.me, invited, clock=stage.clock, open_store=_opener(stage, "joiner"))  # type: ignore[arg-type]
    if (here.role, here.name) != (Role.WRITER, stage.name):
        raise Wrong(f"arrived as {here.role.name.lower()} of {here.name}")
    async with stage.open(home.state.parent.name, DAVE) as space:
        await write_file(stage, space, "by-dave", b"the first that Dave wrote")
        await stage.expect(await space.current())


async def add(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        async with space.group() as group:
            await let_in(group, Role.WRITER, "dave", DAVE)
            stage.people[DAVE.public().id] = Role.WRITER
        await check_newest(stage, space)
    async with stage.open(stage.fresh(), DAVE) as space:
        await write_file(stage, space, "by-dave", b"the first that Dave wrote")
        await stage.expect(await space.current())


async def remove(stage: Stage) -> None:
    """A member is put out, and what is written from then on is nothing to him."""
    await stage.begin()
    async with stage.open() as space:
        async with space.group() as group:
            await group.remove(space.core.membership.state.devices[BOB.public().id])
            del stage.people[BOB.public().id]
        _check_rotated(space)
        stage.out.append(BOB)
        await write_file(stage, space, "notes/a", b"not for Bob")
        await stage.expect(await space.current())
    await _check_may_not_write(stage)


async def revoke(stage: Stage) -> None:
    """A paper key was lost."""
    await stage.begin()
    async with stage.open() as space:
        async with space.group() as group:
            await group.revoke(PAPER_KEY.public().id)
            del stage.people[PAPER_KEY.public().id]
        _check_rotated(space)
        stage.out.append(PAPER_KEY)
        await write_file(stage, space, "notes/a", b"not for who finds the paper")
        await stage.expect(await space.current())


async def role(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        async with space.group() as group:
            await group.set_role(space.core.membership.state.devices[BOB.public().id], Role.READER)
            stage.people[BOB.public().id] = Role.READER
        await check_newest(stage, space)
    await _check_may_not_write(stage)
    async with stage.open("bob", BOB) as space:
        await stage.expect(await space.current())


async def thaw(stage: Stage) -> None:
    """A device was proven to have said two things; an admin takes in what it said, and lets it go on."""
    for name, data in stage.prepared.inside.made["fork"].items():
        for shelf in stage.shelves.values():
            await shelf.put(ObjectName(name), [data])
    async with stage.open() as space:
        await write_file(stage, space, "notes/c", b"written on top of the proof")
        if BOB.public().id not in space.core.membership.state.frozen:
            raise Wrong("the device is not frozen that said two things")
    await stage.begin()
    async with stage.open() as space:
        aside = [head for head in await space.core.ledger.do(State.set_aside) if head.state == QUARANTINED]
        async with space.group() as group:
            await group.accept(aside, [BOB.public().id])
        if space.core.membership.state.frozen:
            raise LeftOut("the device is frozen still: there is more that it said")
    async with stage.open("bob", BOB) as space:
        await write_file(stage, space, "notes/d", b"Bob goes on")
        await stage.expect(await space.current())


async def watch(stage: Stage) -> None:
    """What one device writes, another one that watches hears of soon."""
    await stage.begin()
    async with stage.open() as space:
        heard = asyncio.create_task(_hears(space, "heard"))
        try:
            await asyncio.sleep(1)
            async with stage.open("bob", BOB) as other:
                await write_file(stage, other, "heard", b"a change that is heard of")
                async with asyncio.timeout(HEARD):
                    await heard
        except TimeoutError:
            raise Wrong(f"a change was not heard of within {HEARD:.0f} s") from None
        finally:
            heard.cancel()
            await asyncio.wait([heard])
        await stage.expect(await space.current())


async def freshness(stage: Stage) -> None:
    """Somebody beats, and the view is fresh; then nobody does, and no lie may make it seem so."""
    await stage.begin()
    lies = [liar.lie for liar in stage.liars.values()]
    may_hide = any(lie.by_device or lie.by_clock or lie.all_alike for lie in lies)
    async with stage.open() as space:
        async with stage.open("bob", BOB) as other:
            beating = asyncio.create_task(_hears(other, "nothing"))
            seen = [await _looks(space, PERIOD / 2) for _ in range(2 * POLLS)]
            beating.cancel()
            await asyncio.wait([beating])
        if Word.FRESH not in seen and not may_hide:
            raise Wrong("a view is not fresh while another device beats")
        await asyncio.sleep((PERIODS + 1) * PERIOD)
        late = [await _looks(space, PERIOD) for _ in range(POLLS)]
        if Word.FRESH in late:
            raise Wrong("a view is fresh though nobody beats")
        stage.said += space.live.view().lines()
        await check_newest(stage, space)


async def audit(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        found = await audit_space(space.core)
        stands = {line.hash for line in found.records if line.effect is Effect.STANDS}
        expected = [(Deed.BEGIN, 1), (Deed.EPOCH, 2), (Deed.LEVEL, 1), (Deed.ADD, 2), (Deed.REMOVE, 1)]
        for deed, count in expected:
            lines = [line for line in found.records if line.deed is deed and line.hash in stands]
            if len(lines) != count:
                raise Wrong(f"{len(lines)} records of the kind {deed} stand, expected {count}")
        stage.said += [f"device {line.device.hex()[:8]} is proven to lie" for line in found.proofs]
        await check_newest(stage, space)


async def reseal(stage: Stage) -> None:
    """All content is sealed in the newest epoch, for those who are left."""
    await stage.begin()
    async with stage.open() as space:
        made = await reseal_space(space)
        if made.failed:
            raise LeftOut(f"{len(made.failed)} entries were not sealed again: {next(iter(made.failed.values()))}")
        if made.left or not made.entries:
            raise Wrong(f"{made.entries} entries were sealed again, and some are left: {made.left}")
        await stage.expect(await space.current())


async def recover(stage: Stage) -> None:
    """A machine that has words on paper, and nothing else, comes back with keys of its own."""
    await stage.begin()
    name = stage.fresh()
    home = stage.home(name)
    pool = await open_pool(home, STORES, stage.clock, _opener(stage, name), PAPER_KEY.public())
    try:
        found = await discover(pool, PAPER_KEY)
        stage.said += found.problems
        made = await restore(pool, found.spaces, PAPER_KEY, FRESH, stage.wall(), _label)
    finally:
        await pool.aclose()
    if made.problems:
        raise LeftOut("; ".join(made.problems.values()))
    if [one.hex() for one in made.back] != [stage.prepared.space]:
        raise Wrong(f"came back to {len(made.back)} spaces, expected one")
    stage.people[FRESH.public().id] = Role.ADMIN
    async with stage.open(name, FRESH) as space:
        await write_file(stage, space, "back", b"back with nothing but words")
        await stage.expect(await space.current())


# ---- parts of them ---------------------------------------------------------------------------------------------------


def _nothing() -> None:
    """A code is burnt on a disk that is not the matter here."""


def _not_kept(invited: Invited) -> None:
    """Nor is the disk of who joins."""


def _opener(stage: Stage, client: str) -> OpenStore:
    async def open_store(path: str, identity: bytes) -> Store:
        return await stage.open_store(client, path, identity)

    return open_store


def _label(membership: Membership, device: bytes) -> bytes:
    return seal_label(open_ring(membership.epochs, PAPER_KEY).ring, device, "new laptop")


def _check_rotated(space: Space) -> None:
    if space.tended.undone:
        raise LeftOut("; ".join(space.tended.undone))
    if space.tended.epoch is None:
        raise Wrong("who was put out has the keys of what comes")


async def _check_may_not_write(stage: Stage) -> None:
    """Bob, who may not any more, is told so, and nothing of stores that do as they should."""
    try:
        async with stage.open("bob", BOB) as space:
            await space.write("by-bob", b"nobody takes this")
    except Refused:
        return
    raise Wrong("a device wrote that may not")


async def _hears(space: Space, path: str) -> None:
    """Watch until a file is there."""
    async for _ in space.watch():
        if path in await contents(await space.current(), read=False):
            return


async def _looks(space: Space, wait: float) -> Word:
    await asyncio.sleep(wait)
    return (await space.freshness()).word


GROUPS = (
    Scenario("invite", invite, 3 * PATIENCE, sees_past=True, by_mailbox=True),
    Scenario("add member", add, 2 * PATIENCE, sees_past=True),
    Scenario("remove member", remove, 2 * PATIENCE),
    Scenario("revoke", revoke),
    Scenario("role", role, 3 * PATIENCE),
    Scenario("thaw", thaw, 2 * PATIENCE),
    Scenario("watch", watch, 2 * PATIENCE, sees_past=True),
    Scenario("freshness", freshness, 20 * PERIOD, sees_past=True),
    Scenario("audit", audit),
    Scenario("reseal", reseal, THOROUGH),
    Scenario("recover", recover, THOROUGH, sees_past=True),
)
