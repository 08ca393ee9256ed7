"""The view: each entry of any map is seen once, at a path of its own, the same for everyone."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.tree import (
    LOST_FOLDER,
    ROOT_FOLDER,
    Entry,
    EntryId,
    EntryKey,
    Inline,
    Kind,
    Settled,
    Shown,
    WriterId,
    encode_entry,
    pack_key,
    settle,
    show_folder,
    unpack_key,
)
from ropewalk.spaces.tree.entry import NO_ENTRY, kind_of
from ropewalk.spaces.tree.view import Item

FOLDER = encode_entry(Entry(Kind.FOLDER))


def number(n: int) -> EntryId:
    return EntryId(n.to_bytes(16, "big"))


def at(parent: int, name: bytes, entry: int, sequence: int, value: bytes = FOLDER, writer: int = 1) -> Item:
    key = EntryKey(number(parent), name, number(entry), WriterId(bytes([writer]) * 16), sequence)
    return pack_key(key), value


def file(content: bytes, content_id: bytes | None = None, kind: int = Kind.FILE) -> bytes:
    return encode_entry(Entry(kind, size=len(content), content=Inline(content), content_id=content_id))


def walk(items: Sequence[Item], settled: Settled | None = None) -> dict[bytes, Shown]:
    """Every path that can be reached, and what is shown there."""
    settled = settled or settle(sorted(items))
    found: dict[bytes, Shown] = {}

    def enter(path: bytes, folders: Sequence[EntryId]) -> None:
        inside = [item for item in items if item[0][:16] in folders]
        listing = show_folder(folders, inside, settled)
        assert [one.name for one in listing] == sorted({one.name for one in listing}), "in order, no name twice"
        for one in listing:
            assert 1 <= len(one.name) <= 255
            below = path + b"/" + one.name
            found[below] = one
            if one.folders:
                enter(below, one.folders)

    enter(b"", [ROOT_FOLDER])
    return found


values = st.sampled_from(
    [
        *[FOLDER] * 3,
        *[file(b"a"), file(b"b"), file(b"a", b"i" * 32), file(b"l", kind=Kind.SYMLINK)],
        *[encode_entry(Entry(9, size=1)), encode_entry(Entry(200))],
    ]
)
names = st.sampled_from([b"a", b"b", b"a.txt", b"lost+found", number(7).hex().encode(), b"a (conflict 01010101-3)"])
item = st.builds(at, st.integers(0, 7), names, st.integers(1, 6), st.integers(1, 9), values, st.integers(1, 2))


@settings(max_examples=600, deadline=None)
@given(st.lists(item, max_size=25, unique_by=lambda one: one[0]), st.randoms(use_true_random=False))
def test_every_entry_of_any_map_is_seen_at_one_path_alike_for_everyone(
    items: list[Item], chance: random.Random
) -> None:
    found = walk(items)
    seen: dict[bytes, bytes] = {}
    homes: dict[EntryId, bytes] = {}
    for path, one in found.items():
        for key, _ in one.items:
            assert key not in seen
            seen[key] = path
        for folder in one.folders:
            assert folder not in homes, "content is not doubled"
            homes[folder] = path
    for key, value in items:
        place = unpack_key(key)
        if key not in seen:
            assert value == FOLDER, "only folders are shown elsewhere than they stand"
            assert place.entry_id in homes
        else:
            above = homes[place.parent] if place.parent != ROOT_FOLDER else b""
            assert seen[key].rpartition(b"/")[0] == above
    for one in found.values():
        assert {kind_of(value) for _, value in one.items} <= {one.kind}
    shuffled = list(items)
    chance.shuffle(shuffled)
    assert walk(shuffled) == found


def names_of(items: Sequence[Item]) -> list[bytes]:
    return sorted(walk(items))


def test_folders_of_one_name_are_shown_as_one_that_holds_what_is_in_all() -> None:
    items = [
        at(0, b"f", 1, 1),
        at(0, b"f", 2, 2, writer=2),
        at(1, b"x", 3, 3, file(b"x")),
        at(2, b"y", 4, 4, file(b"y")),
    ]
    found = walk(items)
    assert sorted(found) == [b"/f", b"/f/x", b"/f/y"]
    assert found[b"/f"].folders == [number(1), number(2)]
    assert found[b"/f"].key.entry_id == number(2), "mode and attributes are the winner's"


def test_the_loser_of_two_files_is_shown_beside_the_winner_with_its_write_in_its_name() -> None:
    items = [at(0, b"a.txt", 1, 5, file(b"old")), at(0, b"a.txt", 2, 6, file(b"new"), writer=2)]
    found = walk(items)
    assert sorted(found) == [b"/a (conflict 01010101-5).txt", b"/a.txt"]
    assert found[b"/a.txt"].entry.content == Inline(b"new")
    assert found[b"/a (conflict 01010101-5).txt"].key.name == b"a.txt"


def test_two_edits_of_one_file_are_both_shown() -> None:
    items = [at(0, b".rc", 1, 5, file(b"mine")), at(0, b".rc", 1, 5, file(b"yours"), writer=2)]
    assert names_of(items) == [b"/.rc", b"/.rc (conflict 01010101-5)"]


def test_a_folder_keeps_its_name_against_a_file() -> None:
    items = [at(0, b"n", 1, 1), at(0, b"n", 2, 9, file(b"x"))]
    assert names_of(items) == [b"/n", b"/n (conflict 01010101-9)"]


def test_a_conflict_name_that_is_taken_gets_a_number() -> None:
    items = [at(0, b"n", 1, 9, file(b"x")), at(0, b"n", 2, 3, file(b"y")), at(0, b"n", 3, 3, file(b"z"))]
    items.append(at(0, b"n (conflict 01010101-3)", 4, 4, file(b"real")))
    found = walk(items)
    assert sorted(found) == [
        b"/n",
        b"/n (conflict 01010101-3 2)",
        b"/n (conflict 01010101-3 3)",
        b"/n (conflict 01010101-3)",
    ]
    assert found[b"/n (conflict 01010101-3)"].entry.content == Inline(b"real")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"n" * 255, b"n" * 233),
        ("é".encode() * 127, "é".encode() * 116),
        (b"n" + "é".encode() * 127, b"n" + "é".encode() * 116),
        (b"s" * 250 + b".txt", b"s" * 229),
        (b"a." + b"x" * 253, b"a." + b"x" * 231),
        (b"\x80" * 255, b"\x80" * 230),
    ],
)
def test_a_long_name_is_shortened_to_make_room_and_no_character_is_cut_in_two(name: bytes, kept: bytes) -> None:
    found = walk([at(0, name, 1, 9, file(b"x")), at(0, name, 2, 3, file(b"y"))])
    (other,) = (one.name for one in found.values() if one.name != name)
    assert other.startswith(kept + b" (conflict 01010101-3)")
    assert other.endswith(b".txt") == name.endswith(b".txt")


def test_equal_files_of_one_name_are_shown_once() -> None:
    """Equal content id or equal content, and equal kind; the mode shown is the winner's."""
    same = [at(0, b"n", 1, 1, file(b"x", b"c" * 32)), at(0, b"n", 2, 2, file(b"y", b"c" * 32))]
    found = walk(same)
    assert list(found) == [b"/n"]
    assert [key for key, _ in found[b"/n"].items] == [same[1][0], same[0][0]]
    links = [at(0, b"l", 1, 1, file(b"to", kind=Kind.SYMLINK)), at(0, b"l", 2, 2, file(b"to", kind=Kind.SYMLINK))]
    assert names_of(links) == [b"/l"]
    assert len(names_of([links[0], at(0, b"l", 2, 2, file(b"to"))])) == 2
    assert len(names_of([at(0, b"u", 1, 1, encode_entry(Entry(9))), at(0, b"u", 2, 2, encode_entry(Entry(9)))])) == 2


def test_a_file_moved_by_two_is_shown_in_both_places() -> None:
    assert names_of([at(0, b"x", 1, 1, file(b"x")), at(0, b"y", 1, 2, file(b"x"))]) == [b"/x", b"/y"]


def test_a_folder_moved_by_two_is_shown_where_the_winner_put_it() -> None:
    items = [at(0, b"x", 1, 1), at(0, b"y", 1, 2), at(1, b"in", 2, 3, file(b"x"))]
    assert names_of(items) == [b"/y", b"/y/in"]


def test_a_folder_moved_into_one_that_is_gone_stays_where_it_can_be_seen() -> None:
    assert names_of([at(0, b"x", 1, 1), at(5, b"y", 1, 2)]) == [
        b"/lost+found",
        b"/lost+found/" + number(5).hex().encode(),
        b"/x",
    ]


def test_entries_whose_folder_is_gone_are_shown_under_lost_and_found() -> None:
    items = [at(5, b"f", 1, 1), at(1, b"in", 2, 2, file(b"x")), at(6, b"f", 3, 3, file(b"y"))]
    five, six = (b"/lost+found/" + number(n).hex().encode() for n in (5, 6))
    found = walk(items)
    assert sorted(found) == [b"/lost+found", five, five + b"/f", five + b"/f/in", six, six + b"/f"]
    assert found[five].entry == Entry(Kind.FOLDER)
    assert found[b"/lost+found"].folders == [LOST_FOLDER]


def test_a_ring_of_folders_is_broken_at_the_lowest_winner() -> None:
    items = [at(2, b"a", 1, 7), at(3, b"b", 2, 5), at(1, b"c", 3, 6), at(2, b"in", 4, 1, file(b"x")), at(0, b"z", 5, 1)]
    top = b"/lost+found/" + number(2).hex().encode()
    assert names_of(items) == [b"/lost+found", top, top + b"/a", top + b"/a/c", top + b"/in", b"/z"]
    assert settle(sorted(items)).lost == [number(2)]


def test_a_folder_in_itself_is_a_ring_of_one() -> None:
    assert settle([at(1, b"a", 1, 7)]).lost == [number(1)]


def test_a_lost_and_found_of_the_users_own_is_kept() -> None:
    own = at(0, b"lost+found", 1, 1)
    assert names_of([own, at(1, b"x", 2, 2, file(b"x"))]) == [b"/lost+found", b"/lost+found/x"]
    lost = at(5, b"y", 3, 3, file(b"y"))
    five = b"/lost+found/" + number(5).hex().encode()
    assert names_of([own, lost]) == [b"/lost+found", five, five + b"/y"]
    a_file = at(0, b"lost+found", 1, 1, file(b"mine"))
    assert b"/lost+found (conflict 01010101-1)" in names_of([a_file, lost])


def test_without_joins_there_is_nothing_to_settle() -> None:
    assert settle([at(0, b"a", 1, 1), at(1, b"b", 2, 1), at(2, b"c", 3, 1, file(b"x"))]) == Settled(frozenset(), [])


@pytest.mark.parametrize("key", [b"", b"no key", bytes(57), b"\xff" * 16 + at(0, b"a", 1, 1)[0][16:]])
def test_what_is_no_key_is_not_shown_and_keeps_nothing_else_from_being_seen(key: bytes) -> None:
    honest = [at(0, b"a", 1, 1), at(1, b"b", 2, 1, file(b"x"))]
    assert settle(sorted([(key, FOLDER), *honest])) == settle(honest)
    folders = [ROOT_FOLDER, LOST_FOLDER]
    assert show_folder(folders, [(key, FOLDER), *honest]) == show_folder(folders, honest)


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x98\x00junk", b"\x98\x01junk", b"\x98\x02junk"])
def test_a_value_that_is_no_entry_hides_no_other_one(junk: bytes) -> None:
    """Whoever put it there could have removed what had its name, and can do no more."""
    other = at(0, b"a", 2, 2, file(b"x"))
    beside = at(0, b"b", 3, 3, file(b"y"))
    items = [(at(0, b"a", 1, 1)[0], junk), other, beside]
    shown = show_folder([ROOT_FOLDER], items, settle(items))
    assert {one.entry.content_id or one.entry.content for one in shown} >= {
        show_folder([ROOT_FOLDER], [one])[0].entry.content for one in (other, beside)
    }
    assert [one.entry.kind for one in shown].count(NO_ENTRY) == 1
