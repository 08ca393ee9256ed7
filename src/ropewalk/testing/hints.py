"""The part of a store's contract that is about hints: they are replaced, and some stores tell of it.

Flow: check_store -> HINT_CHECKS -> a store
Never: wants more of a hint than docs/spec/store.md does: nothing is said of a power cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from ropewalk.errors import Misuse
from ropewalk.spaces.store import (
    LARGEST_HINT,
    Listed,
    NameTaken,
    NoSuchObject,
    ObjectName,
    Store,
    TellsNothing,
    hint_name,
    object_name,
    wait_changed,
)

__all__ = ["HINT_CHECKS"]

_SPACE = "5a" * 32
_HINT = hint_name(f"{_SPACE}/hints/{'0' * 32}")
_OTHER = hint_name(f"{_SPACE}/hints/{'1' * 32}")
_NO_HINTS = (
    f"{_SPACE}/heads/{'0' * 32}",
    f"{_SPACE}/hints/{'0' * 31}",
    f"{_SPACE}/hints/{'0' * 33}",
    f"{_SPACE}/hints/{'0' * 32}/x",
    f"{_SPACE}/hints",
    f"{_SPACE[:-1]}/hints/{'0' * 32}",
    f"{_SPACE.upper()}/hints/{'0' * 32}",
    f"x/{_SPACE}/hints/{'0' * 32}",
    f"{_SPACE}/hints/{'0' * 32}\n",
    "",
)
_RACERS = 16
_PATIENCE = 60.0  # seconds in which a store that tells must have told; it takes a quarter of one


async def _replaces_hints(store: Store) -> None:
    for held in (b"first", b"", b"a longer one", bytes(LARGEST_HINT), b"first"):
        await store.replace(_HINT, [held[:3], held[3:]])
        assert await store.get(_HINT) == held, "a hint that was replaced is another one"
        assert [listed async for listed in store.list(_SPACE)] == [Listed(_HINT, len(held))]
    assert await store.get(_HINT, 1, 3) == b"irs"
    await store.replace(_OTHER, [b"other"])
    await store.put(_HINT, [b"first"])
    try:
        await store.put(_HINT, [b"put"])
    except NameTaken:
        pass
    else:
        raise AssertionError("a put replaced a hint")
    await store.delete(_HINT)
    await _nothing(store, _HINT)
    await store.replace(_HINT, [b"again"])
    assert await store.get(_HINT) == b"again"
    assert await store.get(_OTHER) == b"other"


async def _replaces_nothing_else(store: Store) -> None:
    taken = object_name(_NO_HINTS[0])
    await store.put(taken, [b"head"])
    for name in _NO_HINTS:
        await _misuse(store.replace(ObjectName(name), [b"x"]))
    assert await store.get(taken) == b"head"
    await _misuse(store.replace(_HINT, [bytes(LARGEST_HINT), b"x"]))
    await _nothing(store, _HINT)


async def _refuses_a_hint_where_none_fits(store: Store) -> None:
    for name in (object_name(f"{_SPACE}/hints"), object_name(f"{_HINT}/below")):
        await store.put(name, [b"there"])
        with suppress(NameTaken):  # a store that can hold both may
            await store.replace(_HINT, [b"hint"])
            assert await store.get(_HINT) == b"hint"
            await store.delete(_HINT)
        assert await store.get(name) == b"there"
        await store.delete(name)


async def _shows_whole_hints_only(store: Store) -> None:
    bodies = {bytes([index]) * (LARGEST_HINT - index) for index in range(_RACERS)}
    await store.replace(_HINT, [b"before"])
    racing = asyncio.gather(*[store.replace(_HINT, [body]) for body in bodies])
    while not racing.done():
        with suppress(NoSuchObject):
            assert await store.get(_HINT) in {*bodies, b"before"}, "a reader saw part of a hint, or parts of two"
        await asyncio.sleep(0)
    await racing
    assert await store.get(_HINT) in bodies


async def _survives_a_replace_that_is_cancelled(store: Store) -> None:
    await store.replace(_HINT, [b"old"])
    replacing = asyncio.ensure_future(store.replace(_HINT, [b"new"]))
    await asyncio.sleep(0)
    replacing.cancel()
    await asyncio.gather(replacing, return_exceptions=True)
    with suppress(NoSuchObject):
        assert await store.get(_HINT) in (b"old", b"new")
    await store.replace(_HINT, [b"newest"])
    assert await store.get(_HINT) == b"newest"


async def _tells_of_changes(store: Store) -> None:
    """Of a store that tells nothing, only that it says so."""
    await _misuse(wait_changed(store, ObjectName(_NO_HINTS[0]), b""), or_else=TellsNothing)
    try:
        mark = await wait_changed(store, _HINT, b"")
    except TellsNothing:
        return
    changes: Sequence[Callable[[], Awaitable[None]]] = (
        lambda: store.replace(_HINT, [b"one"]),
        lambda: store.replace(_HINT, [b"two"]),
        lambda: store.replace(_HINT, [b"two"]),
        lambda: store.delete(_HINT),
        lambda: store.put(_HINT, [b"two"]),
    )
    for change in changes:
        waiting = asyncio.ensure_future(wait_changed(store, _HINT, mark))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done(), "a store tells of a change that was not"
        await change()
        try:
            async with asyncio.timeout(_PATIENCE):
                assert await waiting != mark
                now = await wait_changed(store, _HINT, mark)  # from before: so at once
        except TimeoutError:
            raise AssertionError(f"a store that tells has not told of a change within {_PATIENCE} s") from None
        assert now != mark
        mark = now
    given_up = asyncio.ensure_future(wait_changed(store, _HINT, mark))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert await store.get(_HINT) == b"two"


async def _misuse(call: Awaitable[object], or_else: type[Exception] = Misuse) -> None:
    try:
        await call
    except (Misuse, or_else):
        return
    raise AssertionError("a call that cannot be right was not refused")


async def _nothing(store: Store, name: ObjectName) -> None:
    try:
        await store.get(name)
    except NoSuchObject:
        return
    raise AssertionError(f"got an object {name!r} that is not there")


HINT_CHECKS = (
    _replaces_hints,
    _replaces_nothing_else,
    _refuses_a_hint_where_none_fits,
    _shows_whole_hints_only,
    _survives_a_replace_that_is_cancelled,
    _tells_of_changes,
)
