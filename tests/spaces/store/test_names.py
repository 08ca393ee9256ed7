"""Names, listings and markers for any input at all.

Flow: Hypothesis -> object_name, walk, read_marker, pieces
Never: leaves out what a hostile folder may hold.
"""

from __future__ import annotations

import os
from contextlib import suppress
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Misuse
from ropewalk.spaces.store import StoreDamaged, UnknownStoreFormat, object_name, size_of
from ropewalk.spaces.store.listing import walk
from ropewalk.spaces.store.marker import marker_bytes, read_marker
from ropewalk.spaces.store.parts import pieces
from ropewalk.testing.powerloss import PowerLossFileSystem

SEGMENTS = st.text("ab0.-", min_size=1, max_size=3).filter(lambda text: text[0] not in ".-")
NAMES = st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join)


def fill(disk: PowerLossFileSystem, path: str, held: bytes) -> None:
    folder = ""
    for step in path.strip("/").split("/")[:-1]:
        folder += f"/{step}"
        with suppress(FileExistsError):
            disk.mkdir(folder)
    fd = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    disk.writev(fd, [memoryview(held)])
    disk.close(fd)


@given(st.text() | NAMES)
def test_a_name_is_fit_or_misuse(text: str) -> None:
    try:
        assert object_name(text) == text
    except Misuse:
        return
    assert text.isascii()
    assert text == text.lower()
    assert not {"", ".", ".."} & set(text.split("/"))
    assert len(text) <= 200


@given(st.sets(NAMES), st.sets(st.sampled_from(["A", ".x", "_", "ropewalk-store"])), NAMES | st.text("ab/-."), NAMES)
def test_a_walk_gives_what_sorting_whole_names_gives(
    names: set[str], strangers: set[str], prefix: str, after: str
) -> None:
    # A folder cannot hold both a file and a folder of one name.
    held = {name for name in names if not any(other.startswith(f"{name}/") for other in names)}
    disk = PowerLossFileSystem()
    disk.mkdir("/store")
    for name in held | strangers:
        fill(disk, f"/store/{name}", b"x" * len(name))
    for wanted, start in ((prefix, ""), ("", after), (prefix, after)):
        expected = sorted(name for name in held if name.startswith(wanted) and name > start)
        for most in (1, 2, 65536):
            with mock.patch("ropewalk.spaces.store.listing._HELD", most):
                found = list(walk(disk, "/store", wanted, start))
            assert [listed.name for listed in found] == expected
            assert all(listed.size == len(listed.name) for listed in found)


def marker(text: bytes) -> bytes:
    disk = PowerLossFileSystem()
    disk.mkdir("/store")
    fill(disk, "/store/ropewalk-store", text)
    return read_marker(disk, "/store")


@given(st.binary(min_size=16, max_size=16))
def test_a_marker_is_read_as_it_was_written(identity: bytes) -> None:
    assert marker(marker_bytes(identity)) == identity


@given(st.binary(), st.binary(min_size=16, max_size=16), st.integers(0, 58), st.binary(min_size=1, max_size=3))
def test_a_marker_that_was_changed_is_refused(junk: bytes, identity: bytes, at: int, bit: bytes) -> None:
    whole = marker_bytes(identity)
    for text in (junk, whole[:at], whole[:at] + bit + whole[at + len(bit) :], whole + bit):
        with suppress(StoreDamaged, UnknownStoreFormat):
            assert marker_bytes(marker(text)) == text


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_pieces_are_the_object_and_never_too_long(parts: list[bytes], most: int) -> None:
    found = list(pieces(parts, most))
    assert b"".join(found) == b"".join(parts)
    assert all(0 < piece.nbytes <= most for piece in found)
    assert size_of(parts) == len(b"".join(parts))


def test_wide_elements_are_counted_in_bytes() -> None:
    assert size_of([memoryview(bytes(8)).cast("I")]) == 8
    with pytest.raises(Misuse, match="too large"):
        size_of([bytes(1024 * 1024)] * 65)
