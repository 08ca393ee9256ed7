"""A writer that lies in its own versions: what it puts there harms what it could have removed, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ropewalk.spaces.chunk import ChunkType, Sealed, seal
from ropewalk.spaces.conflicts import HistoryOf, clashes
from ropewalk.spaces.members import Role
from ropewalk.spaces.reseal import MOST_NAMED, estimate, reseal
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree import EntryId, EntryKey, WriterId, encode_node, pack_key, unpack_key
from ropewalk.spaces.tree.anew import MARK, with_mark
from ropewalk.spaces.tree.entry import LOST_FOLDER, ROOT_FOLDER, Chunks, Inline, decode_entry, encode_entry
from tests.spaces.machines import Machines, shown
from tests.spaces.test_reseal import assert_all_sealed_anew, entries, filled

FILES = {"secret": filled("secret", 3000), "few": b"few bytes", "large": filled("large", 2_000_000)}
TAIL = b"\0" + b"\x05" * 16 + b"\x06" * 16 + (1).to_bytes(8, "big")


@pytest.fixture
async def machines(tmp_path: Path) -> Machines:
    """The admin, who wrote some files, and Anna and Eve, who have seen them."""
    made = await Machines.make(tmp_path)
    for name in ("anna", "eve"):
        await made.invite(name, Role.WRITER)
    async with made.open("admin") as space, space.change() as change:
        for path, data in FILES.items():
            await change.write(path, data)
    for name in ("anna", "eve"):
        async with made.open(name) as space:
            assert await shown(space) == FILES
    return made


async def put(space: Space, values: Mapping[bytes, bytes]) -> None:
    """Values as they are, under keys as they are."""
    async with space.change() as change:
        for key, value in sorted(values.items()):
            change.put_value(key, value)


async def put_out(machines: Machines, name: str) -> None:
    async with machines.open("admin") as space, space.group() as group:
        await group.remove(machines.member[name])


def claiming(value: bytes, claim: object) -> bytes:
    fields = msgspec.msgpack.decode(decode_entry(value).extra, type=dict[int, object]) | {MARK: claim}
    return encode_entry(msgspec.structs.replace(decode_entry(value), extra=msgspec.msgpack.encode(fields)))


# ---- what is sealed anew ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("claim", [1, 2, 2**60, "good"])
async def test_who_says_that_all_is_sealed_anew_already_keeps_nothing_from_it(
    machines: Machines, claim: object
) -> None:
    async with machines.open("eve") as space:
        mine = space.core.keys.members
        there = await entries(space)
        await put(
            space,
            {
                key: encode_entry(with_mark(decode_entry(value), mine)) if claim == "good" else claiming(value, claim)
                for key, value in there.items()
            },
        )
    await put_out(machines, "eve")
    async with machines.open("admin") as space:
        assert (await estimate(space)).entries == len(FILES)
        made = await reseal(space)
        assert (made.entries, made.failed, made.unnamed, made.left) == (len(FILES), {}, 0, False)
        await assert_all_sealed_anew(space, FILES)
        assert (await estimate(space)).entries == (await reseal(space)).entries == 0


async def test_what_cannot_be_sealed_anew_is_named_and_counted_and_the_rest_is_done(machines: Machines) -> None:
    """However much there is of it."""
    async with machines.open("eve") as space:
        there = await entries(space)
        value = next(value for key, value in there.items() if unpack_key(key).name == b"secret")
        other = msgspec.structs.replace(decode_entry(value), content_id=b"e" * 32)
        nowhere = msgspec.structs.replace(decode_entry(value), content=Chunks((b"\x01" * 73,)))
        bad = [b"", b"\x98\x01junk", encode_entry(other), encode_entry(nowhere)]
        junk = {
            pack_key(EntryKey(ROOT_FOLDER, b"bad%05d" % at, EntryId(b"%016d" % at), WriterId(b"e" * 16), 1)): value
            for at, value in enumerate(bad * (MOST_NAMED // len(bad) + 1))
        }
        await put(space, {**junk, ROOT_FOLDER + b"no key": b"no value"})
    await put_out(machines, "eve")
    async with machines.open("admin") as space:
        assert (await estimate(space)).entries == len(FILES) + len(junk) + 1
        made = await reseal(space)
        assert made.entries == len(FILES)
        assert len(made.failed) == MOST_NAMED
        assert made.unnamed == len(junk) + 1 - MOST_NAMED
        async with space.change() as change:
            for key in junk:
                await change.remove(unpack_key(key).name)
        assert await shown(space) == FILES
        done = await reseal(space)
        assert list(done.failed) == [ROOT_FOLDER + b"no key"]
        async with space.change() as change:
            change.put_value(ROOT_FOLDER + b"no key", None)  # type: ignore[arg-type]  # nobody else can remove it
        await assert_all_sealed_anew(space, FILES)


# ---- what others see -------------------------------------------------------------------------------------------------


def lies(there: Mapping[bytes, bytes], anna: bytes) -> dict[str, dict[bytes, bytes]]:
    """What Eve may put into a version, by what it is."""
    key, value = next(iter(there.items()))
    to_come = pack_key(EntryKey(ROOT_FOLDER, b"new", EntryId(b"\x07" * 16), WriterId(anna), 10**6))
    return {
        "no value": {to_come.replace(anna, b"e" * 16): b""},
        "a folder that is none": {to_come.replace(anna, b"e" * 16): b"\x98\x01junk"},
        "a link that is none": {to_come.replace(anna, b"e" * 16): b"\x98\x02junk"},
        "no value beside a file": {key[:-40] + b"e" * 40: b"\x98\x00junk"},
        "no key": {ROOT_FOLDER + b"no NUL": value},
        "a name that is none": {ROOT_FOLDER + b"a/b" + TAIL: value},
        "the top in itself": {ROOT_FOLDER + b"top\0" + ROOT_FOLDER + TAIL[-24:]: b"\x98\x01" + value[2:]},
        "something in lost+found": {LOST_FOLDER + b"x" + TAIL: value},
        "a dot of Anna's to come": {to_come: value},
    }


@pytest.mark.parametrize("lie", lies({b"k" * 41: b"v" * 9}, b"a" * 16))
@pytest.mark.parametrize("at_once", [False, True])
async def test_a_lie_beside_the_files_of_others_keeps_nobody_from_them(
    machines: Machines, lie: str, at_once: bool
) -> None:
    files = dict(FILES)
    async with machines.open("anna") as anna, machines.open("eve") as eve:
        bad = lies(await entries(eve), anna.core.writer_id)[lie]
        if at_once:
            await anna.write("by anna", b"before")
            files["by anna"] = b"before"
        await put(eve, bad)
    for name in ("anna", "admin"):
        async with machines.open(name) as space:
            await space._list()
            await space.write(f"by {name}, after", b"after")
            files[f"by {name}, after"] = b"after"
            paths = [info.path async for info in space.list()]
            assert {path: await space.read(path) for path in files} == files
            assert len(paths) <= len(files) + 1
            assert len([names async for names, _ in (await space.current()).walk()]) <= len(files) + 1


async def test_other_content_under_the_dot_of_somebody_is_nowhere_shown_as_written_by_him(machines: Machines) -> None:
    async with machines.open("admin") as space, space.change() as change:
        await change.write("clash", b"by the admin")
    async with machines.open("eve") as eve:
        await eve._list()
        (key,) = [key for key in await entries(eve) if unpack_key(key).name == b"clash"]
        beside = pack_key(msgspec.structs.replace(unpack_key(key), entry_id=EntryId(b"\x07" * 16)))
        honest = (await entries(eve))[key]
        forged = msgspec.structs.replace(decode_entry(honest), size=6, content=Inline(b"forged"))
        await put(eve, {key: encode_entry(forged), beside: honest})
    async with machines.open("anna") as anna:
        await anna._list()
        async with anna.change() as change:
            await change.write("by anna", b"")
        await anna.write("x", b"")
        (clash,) = [one async for one in clashes(await anna.current(), HistoryOf(anna.core))]
        assert [side.head for side in clash.sides] == [None, None], "neither is what the admin's head has there"


async def test_at_once_with_an_honest_change_other_content_under_a_dot_is_a_removal(machines: Machines) -> None:
    async with machines.open("anna") as anna, machines.open("eve") as eve:
        there = {unpack_key(key).name: (key, value) for key, value in (await entries(eve)).items()}
        key, value = there[b"secret"]
        other = encode_entry(msgspec.structs.replace(decode_entry(value), content_id=b"e" * 32))
        forged = claiming(other, 2**60)
        await put(eve, {key: forged})
        await anna.write("by anna", b"x")
    for name in ("anna", "admin", "eve"):
        async with machines.open(name) as space:
            left = {path: data for path, data in FILES.items() if path != "secret"}
            assert await shown(space) == {**left, "by anna": b"x"}
            before = next(head for head in await space.log() if head.note == "" and head.entries == len(FILES))
            assert await (await space.at(before.hash.hex())).read("few") == FILES["few"], "the history has it"


# ---- trees that are none ---------------------------------------------------------------------------------------------


@dataclass
class Forged:
    """A tree by its root alone."""

    root: bytes

    async def count(self) -> int:
        return 1


async def publish(space: Space, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head whose tree is something else."""

    def sealed(node: bytes) -> Sealed:
        return seal(node, ChunkType.NODE, space.core.keys, padded=space.core.padded)

    async with space.change() as change:
        leaf = sealed(encode_node(0, [b"k" * 60], [b"v"], []))
        child = sealed(b"junk") if what == "a child" else leaf
        nodes = {
            "no node": sealed(b"junk"),
            "nowhere": sealed(b"never put"),
            "a child": sealed(
                encode_node(1, [b"a", b"b"], [leaf.reference.encode(), child.reference.encode()], [1, 1])
            ),
            "a root of one": sealed(encode_node(1, [b"k" * 60], [leaf.reference.encode()], [1])),
        }
        if what != "nowhere":
            await change.writer.add(
                [(one, []) for one in {leaf.reference.id: leaf, child.reference.id: child}.values()]
            )
            await change.writer.add([(nodes[what], [])])

        async def apply() -> Forged:
            return Forged(nodes[what].reference.encode())

        change.put_value(b"anything", b"")
        monkeypatch.setattr(change, "apply", apply)


@pytest.mark.parametrize("what", ["no node", "nowhere", "a child", "a root of one"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_head_whose_tree_cannot_be_read_is_left_out_and_all_others_go_on(
    machines: Machines, what: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machines.open("eve") as eve:
        await eve.write("by eve", b"good")
        good = await eve.current()
        for _ in range(times):
            eve._current = None
            monkeypatch.setattr("ropewalk.spaces.commit.start_of_change", _starting(good))
            await publish(eve, what, monkeypatch)
        monkeypatch.undo()
    files = {**FILES, "by eve": b"good"}
    for name in ("anna", "admin"):
        async with machines.open(name) as space:
            assert await shown(space) == files
            assert [line for line in space.warnings if "its tree cannot be read" in line]
            await space.write(f"by {name}", b"after")
            files[f"by {name}"] = b"after"
            assert await shown(space) == files
    machines.add("late", machines.all["anna"].keys)  # with no memory of anything
    async with machines.open("late") as space:
        assert await shown(space) == files


def _starting(version: object) -> object:
    async def start(core: object, now: object) -> tuple[object, object]:
        return now, version

    return start
