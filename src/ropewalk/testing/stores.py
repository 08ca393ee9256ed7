"""The contract of a store, as a test that any store can be put to.

Flow: a test -> check_store -> a maker of stores
Never: knows what kind of store it checks; whether an object outlasts a power cut is ``testing.powerloss``'s to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    GivesMany,
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Store,
    object_name,
)
from ropewalk.testing.hints import HINT_CHECKS

__all__ = ["check_store"]

_LARGE = 5 * 1024 * 1024 + 3  # bytes; several of whatever pieces a store may work in, and not a multiple of any
_RACERS = 16
_UNFIT = ("", "/", "a/", "/a", "a//b", "..", "a/../b", ".a", "a/.b", "A", "a b", "ä", "a\n", "a\0", "a" * 201)


async def check_store(make: Callable[[], Awaitable[Store]]) -> None:
    """Put a store to the whole contract.

    Args:
        make: Gives a new, empty, open store each time; it is closed here.

    Raises:
        AssertionError: The contract is broken; the message says where.
    """
    for check in _CHECKS:
        store = await make()
        try:
            await check(store)
        except RopewalkError as error:
            raise AssertionError(f"{check.__name__.strip('_')}: {error}") from error
        finally:
            await store.aclose()
        await store.aclose()


async def _keeps_what_is_put(store: Store) -> None:
    for size in (0, 1, 4096, 65537):
        name, held = object_name(f"kept/{size}"), bytes(range(256)) * (size // 256) + bytes(size % 256)
        await store.put(name, [held])
        assert await store.get(name) == held, f"{size} bytes put, other bytes got"


async def _joins_parts(store: Store) -> None:
    parts: list[bytes | bytearray | memoryview] = [
        b"one",
        b"",
        bytearray(b"two"),
        memoryview(b"-three-")[1:-1],
        memoryview(b"four"),
        b"",
    ]
    await store.put(object_name("parts"), parts)
    assert await store.get(object_name("parts")) == b"onetwothreefour"
    many = [bytes([index % 256]) for index in range(3000)]
    await store.put(object_name("many"), many)
    assert await store.get(object_name("many")) == b"".join(many)
    await store.put(object_name("none"), [])
    assert await store.get(object_name("none")) == b""


async def _keeps_large_objects(store: Store) -> None:
    half = bytes(range(251)) * (_LARGE // 502)
    name, held = object_name("large"), half + b"middle" + half[::-1]
    await store.put(name, [half, b"middle", half[::-1]])
    assert await store.get(name) == held
    assert await store.get(name, len(half), 6) == b"middle"
    await store.put(name, [held])  # the same bytes, cut elsewhere
    try:
        await store.put(name, [held[:-1], b"?"])
    except NameTaken:
        pass
    else:
        raise AssertionError("other bytes were put under a taken name")
    assert await store.get(name) == held


async def _refuses_objects_over_the_limit(store: Store) -> None:
    block = bytes(1024 * 1024)
    await _misuse(store.put(object_name("over"), [block] * (LARGEST_OBJECT // len(block)) + [b"x"]))
    await _nothing(store, object_name("over"))


async def _reads_ranges(store: Store) -> None:
    name = object_name("range")
    await store.put(name, [b"0123456789"])
    for offset, length, expected in (
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (0, 0, b""),
        (8, 5, b"89"),
        (10, 1, b""),
        (11, None, b""),
        (1 << 40, 1 << 40, b""),
    ):
        assert await store.get(name, offset, length) == expected, f"range {offset}, {length}"
    await _misuse(store.get(name, -1))
    await _misuse(store.get(name, 0, -1))


async def _puts_again_and_never_over(store: Store) -> None:
    name = object_name("s/once")
    await store.put(name, [b"first"])
    await store.put(name, [b"fi", b"rst"])
    for other in (b"", b"firs", b"First", b"first!"):
        try:
            await store.put(name, [other])
        except NameTaken:
            pass
        else:
            raise AssertionError(f"{other!r} was put over other bytes")
        assert await store.get(name) == b"first"


async def _puts_many(store: Store) -> None:
    await store.put_many([])
    await store.put(object_name("m/3"), [b"3"])
    names = [object_name(f"m/{index}") for index in range(40)]
    await store.put_many([(name, [name[2:].encode()]) for name in [*names, names[0]]])
    for name in names:
        assert await store.get(name) == name[2:].encode()
    try:
        await store.put_many([(object_name("n/1"), [b"1"]), (names[5], [b"other"])])
    except NameTaken:
        pass
    else:
        raise AssertionError("put_many put other bytes under a taken name")
    assert await store.get(names[5]) == b"5"


async def _gives_many_as_one_by_one(store: Store) -> None:
    if not isinstance(store, GivesMany):
        return
    names = [object_name(f"many/{index}") for index in range(40)]
    await store.put_many([(name, [name.encode()]) for name in names])
    missing = object_name("many/none")
    given = await store.get_many([*names, missing, object_name("many"), names[0]], 6)
    assert given == [*(name.encode()[:6] for name in names), None, None, b"many/0"], f"many were got as {given}"
    assert await store.get_many([], 6) == []
    assert await store.get_many([names[0]], 0) == [b""]
    await _misuse(store.get_many([names[0]], -1))


async def _tells_what_is_not_there(store: Store) -> None:
    await store.put(object_name("there/is"), [b"x"])
    for name in ("none", "there", "there/is-not", "no/such/folder", "there/is/below"):
        await _nothing(store, object_name(name))


async def _lists_in_byte_order(store: Store) -> None:
    # By whole names: "-" and "." sort before "/", digits and letters after it.
    names = ["a-b", "a-b.c/x", "a/b", "a/b-c", "a/c/d/e", "a/c0", "a0", "b.c", "b/x", "b0/x", "c/1", "c/2"]
    await store.put_many([(object_name(name), [name.encode()]) for name in reversed(names)])
    whole = [Listed(ObjectName(name), len(name)) for name in names]
    assert await _listed(store, "") == whole, "listing is not all objects by name in byte order"
    for prefix in (
        "a",
        "a/",
        "a/c",
        "a/c/",
        "a/c/d/e",
        "a-",
        "b/",
        "c/2",
        "c/3",
        "d",
        "../",
        "/",
        "A",
        "a//",
        "a/c/d/e/f",
    ):
        expected = [listed for listed in whole if listed.name.startswith(prefix)]
        assert await _listed(store, prefix) == expected, f"prefix {prefix!r}"
    for after in [*names, "a/", "a/c/", "a/c/d/z", "0", "b", "c/2x", "ä"]:
        expected = [listed for listed in whole if listed.name > after]
        assert await _listed(store, "", after) == expected, f"after {after!r}"
    assert await _listed(store, "a/", "a/b-c") == [listed for listed in whole if "a/b-c" < listed.name < "a0"]
    assert await _listed(store, "c/", "a") == whole[-2:]
    assert await _listed(store, "a/", "b") == []


async def _lists_many(store: Store) -> None:
    assert await _listed(store, "") == []
    names = [object_name(f"many/{index % 3}/{index:05}") for index in range(2500)]
    await store.put_many([(name, [b"x" * (index % 4)]) for index, name in enumerate(names)])
    whole = sorted(names)
    assert [listed.name for listed in await _listed(store, "many/")] == whole
    paged: list[ObjectName] = []
    after = ""
    while page := [listed.name for listed in await _listed(store, "many/", after)][:700]:
        paged, after = paged + page, page[-1]
    assert paged == whole, "pages by `after` are not the whole listing"
    async for first in store.list("many/"):
        assert first.name == whole[0]
        break  # a reader may stop at any time


async def _lists_while_deleted(store: Store) -> None:
    names = [object_name(f"d/{index:02}") for index in range(20)]
    await store.put_many([(name, [b""]) for name in names])
    seen = []
    async for listed in store.list(""):
        seen.append(listed.name)
        await store.delete(listed.name)
    assert seen == names
    assert await _listed(store, "") == []


async def _deletes(store: Store) -> None:
    one, other = object_name("x/one"), object_name("x/other")
    await store.put_many([(one, [b"1"]), (other, [b"2"])])
    await store.delete(one)
    await store.delete(one)
    await store.delete(object_name("x"))  # above an object, and no object itself
    await store.delete(object_name("x/other/below"))
    await store.delete(object_name("never/was"))
    await _nothing(store, one)
    assert await _listed(store, "") == [Listed(other, 1)]
    await store.put(one, [b"other bytes"])
    assert await store.get(one) == b"other bytes", "a deleted name cannot be used again"


async def _lets_same_bytes_race(store: Store) -> None:
    name, held = object_name("race/same"), bytes(200_000)
    await asyncio.gather(*[store.put(name, [held]) for _ in range(_RACERS)])
    assert await store.get(name) == held


async def _lets_one_of_different_bytes_win(store: Store) -> None:
    name = object_name("race/different")
    bodies = [bytes([index]) * 100_000 for index in range(_RACERS)]
    done = await asyncio.gather(*[store.put(name, [body]) for body in bodies], return_exceptions=True)
    won = [body for body, result in zip(bodies, done, strict=True) if result is None]
    assert len(won) == 1, f"{len(won)} of {_RACERS} different bytes were put under one name"
    lost = [result for result in done if result is not None]
    assert all(isinstance(result, NameTaken) for result in lost), lost
    assert await store.get(name) == won[0]


async def _shows_whole_objects_only(store: Store) -> None:
    name, held = object_name("whole"), bytes(range(256)) * 4096
    putting = asyncio.ensure_future(store.put(name, [held]))
    while not putting.done():
        with suppress(NoSuchObject):
            assert await store.get(name) == held, "a reader saw part of an object"
        for listed in await _listed(store, ""):
            assert listed == Listed(name, len(held)), "a listing shows part of an object"
        await asyncio.sleep(0)
    await putting


async def _refuses_unfit_names(store: Store) -> None:
    for text in _UNFIT:
        name = ObjectName(text)  # past the type's promise, as a fault of ours would be
        await _misuse(store.put(name, [b"x"]))
        await _misuse(store.put_many([(name, [b"x"])]))
        await _misuse(store.get(name))
        await _misuse(store.delete(name))
    longest = object_name("/".join(["a" * 99, "b" * 100]))
    await store.put(longest, [b"x"])
    assert await _listed(store, "") == [Listed(longest, 1)]


async def _holds_a_name_and_one_below_or_refuses(store: Store) -> None:
    for first, second in (("up", "up/down"), ("in/out/deep", "in/out")):
        await store.put(object_name(first), [b"1"])
        try:
            await store.put(object_name(second), [b"2"])
        except NameTaken:
            await _nothing(store, object_name(second))
        else:
            assert await store.get(object_name(second)) == b"2"
        assert await store.get(object_name(first)) == b"1"


async def _tells_its_room(store: Store) -> None:
    room = await store.room()
    assert room is None or 0 <= room.free <= room.total


async def _survives_cancellation(store: Store) -> None:
    name, held = object_name("cancelled"), bytes(1_000_000)
    putting = asyncio.ensure_future(store.put(name, [held]))
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    with suppress(NoSuchObject):
        assert await store.get(name) == held, "a cancelled put left part of an object"
    await store.put(name, [held])
    assert await store.get(name) == held


async def _closes_once_and_again(store: Store) -> None:
    await store.put(object_name("x"), [b"x"])
    await store.aclose()
    await store.aclose()
    await _misuse(store.get(object_name("x")))
    await _misuse(store.put(object_name("y"), [b"y"]))
    await _misuse(store.replace(object_name("5a" * 32 + "/hints/" + "0" * 32), [b"y"]))


async def _listed(store: Store, prefix: str, after: str = "") -> list[Listed]:
    return [listed async for listed in store.list(prefix, after)]


async def _misuse(call: Awaitable[object]) -> None:
    try:
        await call
    except Misuse:
        return
    raise AssertionError("a call that cannot be right was not refused")


async def _nothing(store: Store, name: ObjectName) -> None:
    try:
        await store.get(name)
    except NoSuchObject:
        return
    raise AssertionError(f"got an object {name!r} that was never put")


_CHECKS = (
    _keeps_what_is_put,
    _joins_parts,
    _keeps_large_objects,
    _refuses_objects_over_the_limit,
    _reads_ranges,
    _puts_again_and_never_over,
    _puts_many,
    _gives_many_as_one_by_one,
    _tells_what_is_not_there,
    _lists_in_byte_order,
    _lists_many,
    _lists_while_deleted,
    _deletes,
    _lets_same_bytes_race,
    _lets_one_of_different_bytes_win,
    _shows_whole_objects_only,
    _refuses_unfit_names,
    _holds_a_name_and_one_below_or_refuses,
    _tells_its_room,
    _survives_cancellation,
    _closes_once_and_again,
    *HINT_CHECKS,
)
