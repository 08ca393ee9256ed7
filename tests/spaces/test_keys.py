"""Keys: a box opens to what was sealed, where it was sealed for, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.keys import (
    BoxDamaged,
    Secrets,
    SpaceKeys,
    aead_open,
    aead_seal,
    hashed,
    keyed,
    keyed_stream,
    open_box,
    seal_box,
)
from tests.spaces.making import flips, some_keys, truncations

KEY = bytes(32)
key = st.binary(min_size=32, max_size=32)


@given(key, st.binary(), st.binary())
def test_a_box_opens_to_what_was_sealed_and_sealing_twice_gives_the_same(
    key: bytes, context: bytes, plain: bytes
) -> None:
    box = seal_box(key, context, plain)
    assert open_box(key, context, box) == plain
    assert open_box(key, context, memoryview(box)) == plain
    assert seal_box(key, context, memoryview(plain)) == box


@given(key, key, st.binary(), st.binary(), st.binary())
def test_a_box_does_not_open_with_another_key_or_for_another_context(
    key: bytes, other: bytes, context: bytes, elsewhere: bytes, plain: bytes
) -> None:
    box = seal_box(key, context, plain)
    if other != key:
        with pytest.raises(BoxDamaged):
            open_box(other, context, box)
    if elsewhere != context:
        with pytest.raises(BoxDamaged):
            open_box(key, elsewhere, box)


@given(st.binary(max_size=200))
def test_fuzz_junk_is_no_box(junk: bytes) -> None:
    with pytest.raises(BoxDamaged):
        open_box(KEY, b"", junk)
    with pytest.raises(BoxDamaged):
        some_keys().open(some_keys().member, b"", junk)
    with pytest.raises(BoxDamaged):
        some_keys().open(some_keys().member, b"", some_keys().epoch + junk)


def test_no_bit_and_no_length_of_a_box_can_change() -> None:
    sealed = some_keys().seal(some_keys().member, b"here", b"what was sealed")
    for changed in (*flips(sealed), *truncations(sealed)):
        with pytest.raises(BoxDamaged):
            some_keys().open(some_keys().member, b"here", changed)


def test_a_box_sealed_with_a_chosen_iv_is_refused() -> None:
    """Else a holder of the key could make two boxes under one message key."""
    iv = bytes(32)
    box = iv + aead_seal(keyed(hashed("box key", KEY), iv), b"plain", b"here")
    with pytest.raises(BoxDamaged, match="was not made from"):
        open_box(KEY, b"here", box)


def test_boxes_of_two_epochs_are_told_apart_in_clear() -> None:
    sealed = some_keys("one").seal(KEY, b"", b"plain")
    with pytest.raises(BoxDamaged, match="another epoch"):
        some_keys("two").open(KEY, b"", sealed)


@given(key, st.lists(st.binary()))
def test_parts_are_hashed_as_if_joined_and_a_stream_starts_with_the_hash(key: bytes, parts: list[bytes]) -> None:
    assert keyed(key, *parts) == keyed(key, b"".join(parts)) == keyed_stream(key, 32, *parts)
    assert keyed_stream(key, 100, *parts)[:32] == keyed(key, *parts)


def test_each_tag_hashes_by_itself_and_buffers_hash_as_bytes() -> None:
    assert hashed("one", b"data") != hashed("two", b"data")
    assert hashed("one", b"data") == hashed("one", bytearray(b"data")) == hashed("one", memoryview(b"data"))


@given(st.binary(), st.binary())
def test_a_sealed_message_opens_only_with_its_associated_data(plain: bytes, associated: bytes) -> None:
    sealed = aead_seal(KEY, plain, associated)
    assert aead_open(KEY, sealed, associated) == plain
    with pytest.raises(BoxDamaged):
        aead_open(KEY, sealed, associated + b"\0")


def test_all_keys_of_a_space_differ_and_none_is_shown() -> None:
    secrets = Secrets(b"e" * 32, b"s" * 32, b"w" * 32)
    keys = SpaceKeys.derive(bytes(32), bytes(range(32)), secrets)
    derived = [keys.chunk, keys.pad, keys.plain, keys.content, keys.boundary, keys.member, keys.steward, keys.directory]
    assert len({*derived, secrets.epoch, secrets.steward, secrets.space}) == len(derived) + 3
    shown = repr(keys) + repr(secrets)
    assert not any(repr(secret)[2:-1] in shown for secret in derived)
    assert "eeee" not in shown
    assert keys.epoch == bytes(range(8))
