"""The operations on files and stores that every lie is tried on, each a short story with a stage.

Flow: Stage -> an operation of a space under lies -> Stage
Never: decides what is harmless: see `verdict`.
"""

from __future__ import annotations

from ropewalk.errors import RopewalkError
from ropewalk.spaces.check import check as check_space
from ropewalk.spaces.discover import discover as discover_spaces
from ropewalk.spaces.members import Role
from ropewalk.spaces.opening import create_space, open_pool, plan_policy
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.rebuild import rebuild as rebuild_state
from ropewalk.spaces.status import status as space_status
from ropewalk.spaces.store import ObjectName, Store
from ropewalk.spaces.survey import survey as survey_space
from ropewalk.spaces.transfer import get_tree, put_tree
from ropewalk.testing.liars.liar import kind_of
from ropewalk.testing.liars.making import SURVIVE, bytes_of
from ropewalk.testing.liars.scenario import PATIENCE, THOROUGH, LeftOut, Scenario, check_newest, write_file
from ropewalk.testing.liars.stage import DEVICE, PAPER_KEY, STORES, Stage, Wrong

__all__ = ["FILES"]

VICTIM = "d3"  # an honest store that loses all it had, in `repair`
NEXT = "d1"  # the honest one that is lost after it


async def create(stage: Stage) -> None:
    await stage.begin()
    home = stage.home("warm")
    policy = plan_policy([StoreDomains(name) for name in STORES], {"store": SURVIVE})

    async def open_store(path: str, identity: bytes) -> Store:
        return await stage.open_store("warm", path, identity)

    for liar in stage.liars.values():
        liar.place.space = ""  # that of the new space is not known yet: it lies about all
    space_id = await create_space(
        *(home, "new", STORES, policy, 1, DEVICE, PAPER_KEY.public()),
        clock=stage.clock,
        now=stage.now,
        open_store=open_store,
    )
    stage.name, stage.files, stage.may_be = "new", {}, set()
    stage.people, stage.out = dict.fromkeys((DEVICE.public().id, PAPER_KEY.public().id), Role.ADMIN), []
    for liar in stage.liars.values():
        liar.place.space = space_id.hex()
    async with stage.open() as space:
        await write_file(stage, space, "a", b"a file in a new space")


async def open_warm(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await check_newest(stage, space)


async def open_behind(stage: Stage) -> None:
    await stage.begin()
    async with stage.open("behind") as space:
        await stage.expect(await space.current())


async def open_hurried(stage: Stage) -> None:
    """One honest store has missed the last changes, and the others take their time."""
    missed = stage.shelves["d4"]
    for name in list(missed.held):
        if kind_of(name) == "head" and name not in stage.prepared.past["d4"]:
            await missed.delete(ObjectName(name))
    stage.slow |= {"d1", "d2", "d3"}
    await stage.begin()
    async with stage.open("behind") as space:
        await stage.expect(await space.current())


async def open_cold(stage: Stage) -> None:
    await stage.begin()
    async with stage.open(stage.fresh()) as space:
        await stage.expect(await space.current())


async def read(stage: Stage) -> None:
    async with stage.open() as space:
        await stage.begin()
        for path, data in stage.files.items():
            if await space.read(path) != data:
                raise Wrong(f"{path} was read as other bytes")


async def read_range(stage: Stage) -> None:
    async with stage.open() as space:
        await stage.begin()
        for path, data in stage.files.items():
            for offset in range(0, len(data), 70_001):
                if await space.read(path, offset, 5000) != data[offset : offset + 5000]:
                    raise Wrong(f"{path} was read as other bytes from {offset} on")


async def list_folder(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        found = {info.path: info.size async for info in space.list() if info.kind == "file"}
        expected = {path: len(data) for path, data in stage.files.items() if "/" not in path}
        if {path: size for path, size in found.items() if path in expected} != expected:
            raise Wrong(f"{found} are listed, expected {expected}")


async def write(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await write_file(stage, space, "notes/a", b"third")
        await write_file(stage, space, "notes/c", bytes_of("c", 7000))
        await stage.expect(await space.current())


async def large_put(stage: Stage) -> None:
    await stage.begin()
    source = stage.folder / "source"
    source.mkdir()
    files = {f"part{number}": bytes_of(f"put {number}", size) for number, size in enumerate((10, 4000, 150_000))}
    for name, data in files.items():
        (source / name).write_bytes(data)
    async with stage.open() as space:
        try:
            async with space.change() as change:
                report = await put_tree(change, space.core, source, (b"put",))
        except RopewalkError:
            stage.may_be |= set(files.values())
            raise
        stage.said += [f"{skipped.path!r} was left out: {skipped.why}" for skipped in report.skipped]
        stage.files.update({f"put/{name}": data for name, data in files.items()})
        await stage.expect(await space.current())


async def get_all(stage: Stage) -> None:
    async with stage.open() as space:
        await stage.begin()
        target = stage.folder / "target"
        report = await get_tree(await space.current(), space.core, "", target)
        if report.skipped:
            raise LeftOut(f"{len(report.skipped)} files were left out: {report.skipped[0].why}")
        found = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        for path, data in stage.files.items():
            if found.get(path) != data:
                raise Wrong(f"{path} was brought back as other bytes")


async def remove(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await space.remove("tree")
        del stage.files["tree"]
        await check_newest(stage, space)


async def move(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await space.move("big", "notes/moved")
        stage.files["notes/moved"] = stage.files.pop("big")
        await check_newest(stage, space)


async def log(stage: Stage) -> None:
    async with stage.open() as space:
        expected = [head.hash for head in await space.log()]
    await stage.begin()
    async with stage.open() as space:
        found = [head.hash for head in await space.log()]
    if [one for one in found if one in set(expected)] != expected:
        raise Wrong(f"the log has {len(found)} versions in another order, expected {len(expected)}")


async def at_version(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await stage.expect(await space.at(stage.prepared.version), stage.prepared.before)


async def join(stage: Stage) -> None:
    """Two devices write without having seen each other, and the first one then sees both."""
    await stage.begin()
    async with stage.open("behind") as space:
        async with stage.open("paper", PAPER_KEY) as other:
            await write_file(stage, other, "notes/b", b"by the other device")
        await write_file(stage, space, "mine", b"by this device")
    async with stage.open("behind") as space:
        await write_file(stage, space, "joined", b"after both")
        await stage.expect(await space.current())


async def survey(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        found = await survey_space(space.core)
        stage.said += [f"store {name} is away: {why}" for name, why in found.away.items()]
        await check_newest(stage, space)


async def status(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        found = await space_status(space.core)
        stage.said += [line for line in found.lines if line.startswith("store ")]  # all others name stores as they are
        await check_newest(stage, space)


async def quick_check(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        report = await check_space(space.core, everything=False)
        stage.said += report.lines
        await check_newest(stage, space)


async def check(stage: Stage) -> None:
    await stage.begin()
    async with stage.open() as space:
        await stage.audit(space)
        await check_newest(stage, space)


async def repair(stage: Stage) -> None:
    """An honest store lost all it had, and a liar half; what repair says it made good must outlast the next loss."""
    for store in _hurt(stage):
        shelf = stage.shelves[store]
        for name in sorted(shelf.held)[:: 1 if store == VICTIM else 2]:
            await shelf.delete(ObjectName(name))
        shelf.deleted.clear()
    await stage.begin()
    async with stage.open() as space:
        report = await space.repair()
        stage.said += report.lines
        await stage.expect(await space.current())
        await space.core.pool.revive()
        if await stage.audit(space):
            stage.spared.add(NEXT)  # it says that any two may be lost: the liar will be, and this one


async def rebuild(stage: Stage) -> None:
    async with stage.open() as space:
        await stage.begin()
        found = await rebuild_state(space.core)
        stage.said += found.problems
        await check_newest(stage, space)


async def pay(stage: Stage) -> None:
    """An honest store and a liar each missed a change; they get what they are owed."""
    for store in _hurt(stage):
        stage.gone.add(store)
        async with stage.open() as space:
            await write_file(stage, space, f"owed-{store}", bytes_of(f"owed {store}", 80_000))
        stage.gone.discard(store)
    await stage.begin()
    async with stage.open() as space:
        await space.pay()
        await stage.expect(await space.current())


async def discover(stage: Stage) -> None:
    """A machine that knows the stores and nothing else finds the space, and takes it over."""
    await stage.begin()
    home = stage.home(stage.fresh())

    async def open_store(path: str, identity: bytes) -> Store:
        return await stage.open_store("discover", path, identity)

    pool = await open_pool(home, STORES, stage.clock, open_store, DEVICE.public())
    try:
        found = await discover_spaces(pool, DEVICE)
    finally:
        await pool.aclose()
    stage.said += found.problems
    if [space.id.hex() for space in found.spaces] != [stage.prepared.space]:
        raise Wrong(f"{len(found.spaces)} spaces were found, expected the one")
    honest = set(STORES) - stage.liars.keys()
    if not honest <= set(found.spaces[0].stores):
        raise Wrong(f"the space was found in {found.spaces[0].stores}, expected {sorted(honest)} too")


def _hurt(stage: Stage) -> list[str]:
    """As many stores as may be: an honest one, and the liar where it is one alone."""
    return [VICTIM] if len(stage.liars) > 1 else [VICTIM, *stage.liars]


FILES = (
    Scenario("create", create),
    Scenario("open warm", open_warm),
    Scenario("open behind", open_behind, sees_past=True),
    Scenario("open hurried", open_hurried, sees_past=True),
    Scenario("open cold", open_cold, sees_past=True),
    Scenario("read", read),
    Scenario("range read", read_range),
    Scenario("list", list_folder),
    Scenario("write", write),
    Scenario("large put", large_put),
    Scenario("get tree", get_all),
    Scenario("remove", remove),
    Scenario("move", move),
    Scenario("log", log),
    Scenario("at version", at_version),
    Scenario("join", join, 3 * PATIENCE, sees_past=True),
    Scenario("pay", pay),
    Scenario("survey", survey, THOROUGH),
    Scenario("status", status, THOROUGH),
    Scenario("quick check", quick_check, THOROUGH),
    Scenario("check", check, THOROUGH),
    Scenario("repair", repair, THOROUGH),
    Scenario("rebuild", rebuild, THOROUGH),
    Scenario("discover", discover, THOROUGH),
)
