"""Keeping: what a store promises holds over engines that settle who was first, and is said over those that do not."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from ropewalk.engines.bucket import Bucket
from ropewalk.engines.keeping import BELIEVED_FOR, TRIED, Keeper
from ropewalk.engines.objects import ObjectStore
from ropewalk.spaces.store import NameTaken, NoSuchObject, StoreDamaged, StoreGone, UnknownStoreFormat, object_name
from ropewalk.spaces.store.marker import MARKER, marker_bytes
from ropewalk.spaces.store.threads import Threads
from tests.engines.fake import IDENTITY, FakeBucket, keeper

NAME = object_name("s/packs/one")
CONDITIONS = [True, False, None]


def never() -> bool:
    return False


@pytest.mark.parametrize(("conditions", "expected"), [(True, True), (False, False), (None, False)])
@pytest.mark.parametrize("before", [True, False])
def test_conditions_are_believed_once_they_were_seen(conditions: bool | None, expected: bool, before: bool) -> None:
    bucket = FakeBucket(conditions)
    if before:
        bucket.objects[TRIED] = b""
    assert keeper(bucket).conditional() is expected


def test_conditions_are_tried_once() -> None:
    bucket = FakeBucket()
    at = keeper(bucket)
    assert [at.conditional() for _ in range(3)] == [True] * 3
    assert bucket.calls == [("create", TRIED)] * 2


@pytest.mark.parametrize(("conditions", "later"), [(True, False), (False, True), (True, None)])
def test_what_was_found_out_about_conditions_is_doubted_after_an_hour_or_when_asked_to(
    conditions: bool | None, later: bool | None
) -> None:
    now = 0.0
    bucket = FakeBucket(conditions)
    at = Keeper(cast(Bucket, bucket), IDENTITY, lambda: now)
    assert at.conditional() is bool(conditions)
    bucket.conditions = later  # another gateway, or a new version of it
    now = BELIEVED_FOR - 1
    assert at.conditional() is bool(conditions)
    now = BELIEVED_FOR
    assert at.conditional() is bool(later)
    bucket.conditions = conditions
    at.doubt()
    assert at.conditional() is bool(conditions)


def test_another_way_to_the_same_bucket_is_tried_itself() -> None:
    straight, gateway = FakeBucket(True), FakeBucket(False)
    gateway.objects = straight.objects
    assert [keeper(bucket).conditional() for bucket in (straight, gateway)] == [True, False]


async def test_who_examines_an_engine_is_told_nothing_that_was_found_before() -> None:
    bucket = FakeBucket(True)
    threads = Threads(2, "test")
    store = ObjectStore(keeper(bucket), threads)
    assert await store.conditional()
    bucket.conditions = False
    assert not (await store.examine()).creates_once
    assert not await store.conditional()
    await store.aclose()


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_a_name_keeps_its_first_bytes(conditions: bool | None) -> None:
    bucket = FakeBucket(conditions)
    at = keeper(bucket)
    at.put(NAME, [b"fi", b"rst"], never)
    at.put(NAME, [b"first"], never)
    with pytest.raises(NameTaken, match="other bytes"):
        at.put(NAME, [b"second"], never)
    assert at.get(NAME, 0, None) == b"first"


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_of_different_bytes_put_at_once_in_one_process_one_wins(conditions: bool | None) -> None:
    bucket = FakeBucket(conditions)
    at = keeper(bucket)
    at.conditional()
    met = threading.Barrier(2)

    def meet(call: str, name: str) -> None:
        # Whoever has looked waits for the other to have looked too, which must not be.
        if call in ("put", "create"):
            with pytest.raises(threading.BrokenBarrierError):
                met.wait(0.05)

    bucket.before = meet

    def put(body: bytes) -> bool:
        try:
            at.put(NAME, [body], never)
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        bodies = [bytes([number]) for number in range(8)]
        won = [body for body, kept in zip(bodies, threads.map(put, bodies), strict=True) if kept]
    assert won == [bucket.objects[NAME]]


def test_another_that_puts_between_look_and_put_is_found_when_it_is_read_back() -> None:
    bucket = FakeBucket(conditions=False)

    def intrude(call: str, name: str) -> None:
        if call == "read" and name == NAME and ("put", NAME) in bucket.calls:
            bucket.objects[name] = b"another's"

    bucket.before = intrude
    with pytest.raises(NameTaken):
        keeper(bucket).put(NAME, [b"ours"], never)


def test_what_was_put_and_is_not_there_is_not_acknowledged() -> None:
    bucket = FakeBucket(conditions=False)

    def lose(call: str, name: str) -> None:
        if call == "read" and name == NAME:
            bucket.objects.pop(name, None)

    bucket.before = lose
    with pytest.raises(StoreGone, match="is not there"):
        keeper(bucket).put(NAME, [b"x"], never)


def test_a_conflict_over_nothing_is_to_be_tried_again() -> None:
    bucket = FakeBucket()
    bucket.objects[NAME] = b""

    def go(call: str, name: str) -> None:
        if call == "read":
            bucket.objects.pop(name, None)

    bucket.before = go
    with pytest.raises(StoreGone, match="shows nothing") as gone:
        keeper(bucket).put(NAME, [b"x"], never)
    assert gone.value.hint == "try again"


@pytest.mark.parametrize("conditions", [False, None])
@pytest.mark.parametrize(("first", "second"), [("a/b", "a/b/c"), ("a/b/c", "a"), ("a/b/c", "a/b")])
def test_no_name_above_or_below_another_reaches_an_engine_that_may_take_the_one_for_the_other(
    conditions: bool | None, first: str, second: str
) -> None:
    bucket = FakeBucket(conditions)
    at = keeper(bucket)
    at.put(object_name(first), [b"1"], never)
    bucket.calls.clear()
    with pytest.raises(NameTaken):
        at.put(object_name(second), [b"2"], never)
    assert not [call for call in bucket.calls if call[0] in ("put", "create")]


def test_folders_are_looked_at_once_and_again_where_one_became_an_object() -> None:
    bucket = FakeBucket(conditions=False)
    at = keeper(bucket)
    for name in ("f/x", "f/y"):
        at.put(object_name(name), [b"1"], never)
    assert bucket.calls.count(("size", "f")) == 1
    for name in ("f/x", "f/y"):
        at.delete(object_name(name))
    at.put(object_name("f"), [b"1"], never)
    with pytest.raises(NameTaken):
        at.put(object_name("f/x"), [b"1"], never)


def test_what_is_not_there_is_not_asked_to_be_deleted() -> None:
    """One engine was seen to take the object above it away instead."""
    bucket = FakeBucket()
    bucket.objects["a"] = b"1"
    keeper(bucket).delete(object_name("a/b"))
    assert ("delete", "a/b") not in bucket.calls


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_what_was_given_up_before_it_was_sent_is_not_sent(conditions: bool | None) -> None:
    bucket = FakeBucket(conditions)
    keeper(bucket).put(NAME, [bytearray(b"torn"), b"?"], lambda: True)
    keeper(bucket).replace(object_name("5" * 64 + "/hints/" + "0" * 32), [b"torn"], lambda: True)
    assert bucket.calls == []


def test_a_miss_is_only_told_of_a_bucket_that_is_the_store() -> None:
    bucket = FakeBucket()
    at = keeper(bucket)
    with pytest.raises(NoSuchObject):
        at.get(NAME, 0, None)
    for text, error in (
        (marker_bytes(bytes(16)), StoreGone),
        (None, StoreGone),
        (b"?", StoreDamaged),
        (b'{"format": 2}', UnknownStoreFormat),
    ):
        bucket.objects = {} if text is None else {MARKER: text}
        with pytest.raises(error):
            at.get(NAME, 0, None)
        with pytest.raises(error):
            at.page(at.walk("", ""), 10)
        with pytest.raises(error):
            at.delete(NAME)
        with pytest.raises(error):
            at.replace(object_name("5" * 64 + "/hints/" + "0" * 32), [b"x"], never)
        with pytest.raises(error):
            at.confirm()
    assert at.identity == IDENTITY
