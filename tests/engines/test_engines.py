"""Real engines: whose bucket it is, who may, who was first, and what is there after something was killed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from ropewalk.engines import ObjectStore, bucket, create_engine, open_engine
from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    DiskStore,
    NameTaken,
    NoSuchObject,
    Store,
    StoreGone,
    StoreReadOnly,
    examine,
    object_name,
)
from ropewalk.spaces.store.marker import MARKER
from tests.engines.conftest import Engine, Prefix
from tests.engines.servers import KEY, SECRET, Rclone, Seaweed

pytestmark = pytest.mark.system

NAME = object_name("5" * 64 + "/records/" + "a" * 64)
RACERS = 16


async def rivals(place: str, home: Home) -> list[ObjectStore]:
    """Several stores over one bucket, as several machines have it."""
    first = await create_engine(place, home=home)
    return [first, *[await open_engine(place, first.identity, home=home) for _ in range(RACERS - 1)]]


async def closed(*stores: Store) -> None:
    for store in stores:
        await store.aclose()


# -- whose it is -------------------------------------------------------------------------------------------------------


async def test_a_store_is_known_again_by_its_marker(engine: Engine, home: Home, fresh: Prefix) -> None:
    place, other = engine.place(fresh()), engine.place(fresh())
    one, two = await create_engine(place, home=home), await create_engine(other, home=home)
    await one.put(NAME, [b"x"])
    again = await open_engine(place, home=home)
    assert again.identity == one.identity != two.identity
    assert await again.get(NAME) == b"x"
    with pytest.raises(StoreGone, match="another one"):
        await open_engine(place, two.identity, home=home)
    with pytest.raises(StoreGone, match=f"want an object named {MARKER}"):
        await open_engine(engine.place(fresh()), home=home)
    with pytest.raises(StoreGone, match="NoSuchBucket") as gone:
        await create_engine(place.replace("bucket", "nobody-made-this"), home=home)
    assert "make the bucket" in gone.value.hint
    with pytest.raises(Misuse, match="a store already"):
        await create_engine(place, home=home)
    with pytest.raises(Misuse, match="is not empty"):
        await create_engine(engine.place("prefix"), home=home)
    await closed(one, two, again)


async def test_of_several_that_make_a_store_at_once_one_does(seaweed: Seaweed, home: Home, fresh: Prefix) -> None:
    place = seaweed.place(fresh())
    made = await asyncio.gather(*[create_engine(place, home=home) for _ in range(4)], return_exceptions=True)
    stores = [one for one in made if isinstance(one, ObjectStore)]
    assert len(stores) == 1
    assert all(isinstance(one, (Misuse, ObjectStore)) for one in made), made
    assert (await open_engine(place, stores[0].identity, home=home)).identity == stores[0].identity


async def test_a_bucket_that_lost_its_marker_is_no_store(rclone: Rclone, home: Home, fresh: Prefix) -> None:
    prefix = fresh()
    store = await create_engine(rclone.place(prefix), home=home)
    await store.put(NAME, [b"x"])
    # As if the engine had started over on an empty disk.
    (rclone.folder / "bucket" / prefix / MARKER).unlink()
    with pytest.raises(StoreGone):
        await store.put(object_name("s/other"), [b"y"])
    with pytest.raises(StoreGone):
        await store.get(object_name("s/none"))
    with pytest.raises(StoreGone):
        [listed async for listed in store.list("")]
    with pytest.raises(StoreGone):
        await store.delete(NAME)
    await store.aclose()


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_wrong_credentials_open_nothing_and_are_told_to_nobody(
    engine: Engine, home: Home, fresh: Prefix, caplog: pytest.LogCaptureFixture
) -> None:
    prefix = fresh()
    await (await create_engine(engine.place(prefix), home=home)).aclose()
    for call in (open_engine, create_engine):
        with pytest.raises(StoreGone, match="status 403") as gone:
            await call(engine.place(prefix, "wrong"), home=home)
        assert "does not take these credentials" in str(gone.value)
        told = "".join(traceback.format_exception(gone.value)) + gone.value.hint + caplog.text
        assert "a-guess-of-no-one" not in told
        assert "Debug source" not in told, "the library's words, with the request as it was signed"
        assert KEY not in told


async def test_who_may_only_read_is_told_that_nothing_was_kept(seaweed: Seaweed, home: Home, fresh: Prefix) -> None:
    prefix = fresh()
    store = await create_engine(seaweed.place(prefix), home=home)
    await store.put(NAME, [b"x"])
    reader = await open_engine(seaweed.place(prefix, "reader"), store.identity, home=home)
    assert await reader.get(NAME) == b"x"
    assert [listed.name async for listed in reader.list("")] == [NAME]
    for call in (reader.put(object_name("s/y"), [b"y"]), reader.delete(NAME)):
        with pytest.raises(StoreReadOnly, match="status 403"):
            await call
    assert [listed.name async for listed in store.list("")] == [NAME]
    await closed(store, reader)


async def test_credentials_of_the_environment(
    rclone: Rclone, home: Home, fresh: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    await (await create_engine(rclone.place(fresh()).replace("&profile=test", ""), home=home)).aclose()


# -- who was first -----------------------------------------------------------------------------------------------------


async def test_what_an_engine_makes_of_conditions(seaweed: Seaweed, rclone: Rclone, home: Home, fresh: Prefix) -> None:
    for engine, conditional in ((seaweed, True), (rclone, False)):
        store = await create_engine(engine.place(fresh()), home=home)
        assert await store.conditional() is conditional
        await store.aclose()


@pytest.mark.slow
async def test_what_an_engine_shows_of_itself_and_nothing_is_left(engine: Engine, home: Home, fresh: Prefix) -> None:
    store = await create_engine(engine.place(fresh()), home=home)
    before = set(everything(store))
    shown = await examine(store)
    assert shown.creates_once is await store.conditional()
    assert shown.folds_case is False
    assert shown.time is not None
    assert abs(shown.time - time.time_ns()) < 3600 * 10**9, "it is this machine's clock"
    bucket = store._keeper.bucket
    # After sixteen puts of one key at once rclone may go on listing it, though nothing is there any more.
    assert {key for key in everything(store) if bucket.size(key) is not None} == before
    await store.aclose()


def everything(store: ObjectStore) -> list[str]:
    return [key for key, _ in store._keeper.bucket.everything()]


@pytest.mark.slow
async def test_of_sixteen_machines_that_put_different_bytes_one_wins(
    seaweed: Seaweed, home: Home, fresh: Prefix
) -> None:
    stores = await rivals(seaweed.place(fresh()), home)
    bodies = [bytes([number]) * 100_000 for number in range(RACERS)]
    done = await asyncio.gather(
        *[store.put(NAME, [body]) for store, body in zip(stores, bodies, strict=True)], return_exceptions=True
    )
    won = [body for body, result in zip(bodies, done, strict=True) if result is None]
    assert all(isinstance(result, NameTaken) for result in done if result is not None), done
    assert won == [await stores[0].get(NAME)]
    await closed(*stores)


async def test_where_conditions_are_ignored_whoever_comes_later_still_finds_the_name_taken(
    rclone: Rclone, home: Home, fresh: Prefix
) -> None:
    stores = await rivals(rclone.place(fresh()), home)
    await stores[0].put(NAME, [b"first"])
    done = await asyncio.gather(*[store.put(NAME, [b"later"]) for store in stores], return_exceptions=True)
    assert all(isinstance(result, NameTaken) for result in done), done
    same = await asyncio.gather(*[store.put(NAME, [b"first"]) for store in stores], return_exceptions=True)
    assert same == [None] * RACERS
    assert await stores[-1].get(NAME) == b"first"
    await closed(*stores)


# -- what is there -----------------------------------------------------------------------------------------------------


async def test_every_form_of_name_is_kept_and_listed(engine: Engine, home: Home, fresh: Prefix) -> None:
    space, h64, h32 = "5a" * 32, "0f" * 32, "f0" * 16
    names = [
        f"{space}/records/{h64}",
        f"{space}/packs/{h64}-00-{h32}",
        f"{space}/packs/{h64}-ff-{h32}",
        f"{space}/heads/{h32}/{'f' * 16}-{h64}",
        f"{space}/heads/{h32}/{'0' * 16}-{h64}",
        f"{space}/hints/{'0' * 32}",
    ]
    store = await create_engine(engine.place(fresh()), home=home)
    await store.put_many([(object_name(name), [name.encode()]) for name in names])
    assert [listed.name async for listed in store.list(f"{space}/")] == sorted(names)
    assert [listed.name async for listed in store.list(f"{space}/heads/{h32}/")] == [names[4], names[3]]
    assert [listed.name async for listed in store.list(f"{space}/packs/{h64}-")] == names[1:3]
    assert [listed.name async for listed in store.list(f"{space}/packs/", names[1])] == [names[2]]
    for name in names:
        assert await store.get(object_name(name)) == name.encode()
    await store.aclose()


@pytest.mark.slow
async def test_the_largest_object_and_ranges_of_it(engine: Engine, home: Home, fresh: Prefix) -> None:
    store = await create_engine(engine.place(fresh()), home=home)
    body = random.Random(1).randbytes(LARGEST_OBJECT // 64) * 64
    await store.put(NAME, [body[:1000], memoryview(body)[1000:]])
    assert [listed.size async for listed in store.list("")] == [LARGEST_OBJECT]
    assert await store.get(NAME) == body
    for offset, length in ((LARGEST_OBJECT - 7, 100), (33_000_000, 70_000), (LARGEST_OBJECT, 1)):
        assert await store.get(NAME, offset, length) == body[offset : offset + length]
    await store.put(NAME, [body])
    await store.aclose()


# -- something was killed ----------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_an_engine_that_is_killed_is_gone_and_comes_back(tmp_path: Path, home: Home) -> None:
    body = bytes(range(256)) * (LARGEST_OBJECT // 256)
    with Rclone(tmp_path / "rclone") as engine:
        store = await create_engine(engine.place("x"), home=home)
        await store.put(NAME, [b"kept"])
        large = object_name("s/large")
        putting = asyncio.ensure_future(store.put(large, [body]))
        begun = (engine.folder / "bucket" / "x").rglob
        while True:
            await asyncio.sleep(0)
            if putting.done() or any(begun("*large*")):
                break
        engine.server.kill()
        with pytest.raises(StoreGone):
            await putting
        for call in (store.get(NAME), store.put(NAME, [b"kept"]), store.delete(NAME)):
            with pytest.raises(StoreGone, match="nobody listens"):
                await call
        with pytest.raises(StoreGone):
            [listed async for listed in store.list("")]
        engine.start()
        assert await store.get(NAME) == b"kept"
        listed = {one.name: one.size async for one in store.list("")}
        assert listed in ({NAME: 4}, {NAME: 4, large: len(body)}), "part of an object is shown"
        await store.put(large, [body])
        assert await store.get(large) == body
        await store.aclose()


@pytest.mark.slow
async def test_a_volume_server_killed_under_load_takes_no_acknowledged_object(
    seaweed: Seaweed, home: Home, fresh: Prefix, seed: int
) -> None:
    store = await create_engine(seaweed.place(fresh()), home=home)
    bodies = random.Random(seed)
    left = iter(range(120))
    kept: dict[str, bytes] = {}

    async def write() -> None:
        for number in left:
            name, body = object_name(f"s/{number}"), bodies.randbytes(bodies.choice((100, 20_000, 300_000)))
            while name not in kept:
                with suppress(StoreGone):  # what nobody acknowledged is put again
                    await store.put(name, [body])
                    kept[name] = body
            if len(kept) == 40:
                seaweed.volumes[0].kill()

    try:
        async with asyncio.timeout(120), asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(write())
        assert seaweed.volumes[0].ended
        for name, body in kept.items():
            assert await store.get(object_name(name)) == body
        assert {listed.name async for listed in store.list("")} == set(kept)
    finally:
        seaweed.volumes[0].start()
        seaweed.wait_volumes(3)
    with pytest.raises(NoSuchObject):
        await store.get(NAME)
    await store.aclose()


# -- the rest ----------------------------------------------------------------------------------------------------------


async def test_a_folder_is_read_over_http_and_not_written(tmp_path: Path, home: Home) -> None:
    disk = await DiskStore.create(tmp_path / "disk")
    names = [NAME, object_name("a-b"), object_name("a/b")]
    await disk.put_many([(name, [name.encode()]) for name in names])
    with Rclone(tmp_path / "rclone", tmp_path / "disk", "webdav") as server:
        store = await open_engine(server.endpoint, disk.identity, home=home)
        assert [listed.name async for listed in store.list("")] == sorted(names)
        assert [listed.name async for listed in store.list("a")] == ["a-b", "a/b"]
        assert await store.get(NAME, 3, 4) == NAME.encode()[3:7]
        assert await store.get(NAME) == NAME.encode()
        with pytest.raises(NoSuchObject):
            await store.get(object_name("none"))
        for call in (store.put(NAME, [b"x"]), store.delete(NAME), store.replace(HINT, [b"x"])):
            with pytest.raises(StoreReadOnly):
                await call
        with pytest.raises(StoreReadOnly):
            await create_engine(server.endpoint, home=home)
        await store.aclose()
    await disk.aclose()


HINT = object_name("5" * 64 + "/hints/" + "0" * 32)
GIVEN_UP = """
import asyncio, sys
from pathlib import Path
from ropewalk.engines import open_engine
from ropewalk.spaces.home import Home
from ropewalk.spaces.store import object_name

async def main():
    store = await open_engine(sys.argv[1], home=Home(Path(sys.argv[2]), Path(sys.argv[2])))
    await store.conditional()
    calls = [asyncio.ensure_future(store.put(object_name(f"s/{n}"), [bytes(2_000_000)])) for n in range(4)]
    while sum(call.done() for call in calls) < 1:
        await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await store.aclose()

asyncio.run(main())
"""


@pytest.mark.slow
async def test_a_program_that_gave_calls_up_ends_as_it_should(rclone: Rclone, home: Home, fresh: Prefix) -> None:
    place = rclone.place(fresh())
    await (await create_engine(place, home=home)).aclose()
    for _ in range(5):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", GIVEN_UP, place, str(home.config)],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(os.environ),
        )
        assert (done.returncode, done.stderr) == (0, "")


@asynccontextmanager
async def silent() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The address of a server that takes every connection and says nothing, and whether somebody came."""
    accepted: list[asyncio.StreamWriter] = []
    reached = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        reached.set()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield f"s3://bucket/x?endpoint=http://127.0.0.1:{server.sockets[0].getsockname()[1]}&profile=test", reached
    finally:
        server.close()
        for writer in accepted:
            writer.close()


async def test_an_engine_that_says_nothing_holds_up_no_one_but_who_asks(home: Home) -> None:
    async with silent() as (place, reached):
        opening = asyncio.ensure_future(open_engine(place, home=home))
        await reached.wait()  # by this very loop, which a call that blocked it would never let come so far
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_an_engine_that_says_nothing_is_given_up(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "QUICK", timedelta(milliseconds=100))
    async with silent() as (place, _):
        with pytest.raises(StoreGone, match="no answer in time"):
            await open_engine(place, home=home)
        with pytest.raises(StoreGone, match="no answer in time"):
            await create_engine(place, home=home)
