"""Order: whatever way an engine lists, a store lists by name in byte order, and all of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.engines.order import HELD, in_order, start_of, wanted
from ropewalk.spaces.store import Listed, ObjectName, StoreDamaged
from tests.engines.fake import FakeBucket, keeper

segments = st.text("-.0_az", min_size=1, max_size=3).filter(lambda text: text[0] in "0az")
names = st.lists(segments, min_size=1, max_size=4).map("/".join)
starts = st.one_of(names, names.map(lambda name: f"{name}/"), st.just(""), st.text("a-./zA\u00e4", max_size=4))


@given(st.sets(names, max_size=25), starts, starts, st.booleans())
def test_a_listing_is_all_names_in_byte_order(held: set[str], prefix: str, after: str, tree: bool) -> None:
    bucket = FakeBucket(tree=tree)
    bucket.objects = dict.fromkeys(held, b"")
    found = [listed.name for listed in keeper(bucket).walk(prefix, after)]
    assert found == sorted(name for name in held if name.startswith(prefix) and name > after)


@pytest.mark.parametrize("tree", [True, False])
def test_a_listing_reads_no_more_than_it_needs(tree: bool) -> None:
    bucket = FakeBucket(tree=tree)
    space = "5" * 64
    packs = [f"{space}/packs/{number:064x}-00-{'0' * 32}" for number in range(300)]
    heads = [f"{space}/heads/{'0' * 32}/{number:016x}-{'0' * 64}" for number in range(300)]
    bucket.objects = dict.fromkeys(packs + heads, b"")
    at = keeper(bucket)
    assert [listed.name for listed in at.walk(packs[20][:-36], "")] == packs[20:21]
    assert bucket.listed <= 20, "one pack is looked for among all"
    bucket.listed = 0
    assert next(at.walk(f"{space}/heads/{'0' * 32}/", "")).name == heads[0]
    assert bucket.listed == 1, "the newest head comes first, and before the others were read"
    bucket.listed = 0
    assert [listed.name for listed in at.walk(f"{space}/packs/", packs[289])] == packs[290:]
    assert bucket.listed <= 30, "a page is begun where the one before ended"


def listed(names: Iterable[str]) -> list[Listed]:
    return [Listed(ObjectName(name), 1) for name in names]


def test_names_that_come_twice_are_given_once() -> None:
    assert list(in_order(listed(["a", "a", "b/x", "b/x"]), "")) == listed(["a", "b/x"])


@pytest.mark.parametrize("name", ["a", "a/b"])
def test_names_that_come_again_and_again_have_an_end(name: str) -> None:
    with pytest.raises(StoreDamaged, match="too often"):
        list(in_order((Listed(ObjectName(name), 1) for _ in itertools.count()), ""))


def test_names_are_held_back_up_to_a_bound() -> None:
    late = [f"a/{number:05}" for number in range(HELD)]
    assert [one.name for one in in_order(listed([*late, "a-b"]), "")] == ["a-b", *late]
    with pytest.raises(StoreDamaged, match=f"'a-b' more than {HELD} names late"):
        list(in_order(listed([*late, "a/x", "a-b"]), ""))


def test_names_without_any_order_are_an_error_where_there_should_be_one() -> None:
    with pytest.raises(StoreDamaged):
        list(in_order(listed(["b", "a"]), ""))
    assert list(in_order(listed(["b", "a"]), "", ordered=False)) == listed(["a", "b"])


def test_names_without_any_order_are_all_looked_at() -> None:
    found = listed(["c/3", "a/1", "c/1", "b"])
    assert [one.name for one in wanted(found, "a/", "", ordered=False)] == ["a/1"]


@pytest.mark.parametrize("prefix", ["../", "/", "A", "a//", "a b", "-", ".a", "a/-", "\u00e4"])
def test_nothing_is_asked_where_no_name_can_be(prefix: str) -> None:
    assert start_of(prefix, "") is None
