"""Keys: a box opens to what was sealed, where it was sealed for, or not at all."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.errors import Missing, Refused
from ropewalk.spaces.keys import (
    BoxDamaged,
    EpochUnknown,
    KeyRing,
    Kind,
    MembersOnly,
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
SPACE = bytes(range(100, 132))
SECRETS = Secrets(b"e" * 32, b"s" * 32, b"w" * 32)
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
        some_keys().open("member", b"", junk)
    with pytest.raises(BoxDamaged):
        some_keys().open("member", b"", some_keys().epoch + junk)


def test_no_bit_and_no_length_of_a_box_can_change() -> None:
    sealed = some_keys().seal("member", b"here", b"what was sealed")
    for changed in (*flips(sealed), *truncations(sealed)):
        with pytest.raises(BoxDamaged if changed[:8] == sealed[:8] or len(changed) < 56 else EpochUnknown):
            some_keys().open("member", b"here", changed)


def test_a_box_sealed_with_a_chosen_iv_is_refused() -> None:
    """Else a holder of the key could make two boxes under one message key."""
    iv = bytes(32)
    box = iv + aead_seal(keyed(hashed("box key", KEY), iv), b"plain", b"here")
    with pytest.raises(BoxDamaged, match="was not made from"):
        open_box(KEY, b"here", box)


def test_boxes_of_two_epochs_are_told_apart_in_clear() -> None:
    one, two = (SpaceKeys.derive(SPACE, epoch, SECRETS) for epoch in (b"1" * 32, b"2" * 32))
    sealed = one.seal(KEY, b"", b"plain")
    assert one.open(KEY, b"", sealed) == b"plain"
    with pytest.raises(BoxDamaged, match="another epoch"):
        two.open(KEY, b"", sealed)


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
    keys = SpaceKeys.derive(SPACE, bytes(range(32)), SECRETS)
    held = [value for slot in fields(keys) if isinstance(value := getattr(keys, slot.name), bytes)]
    derived = [value for value in held if value not in (keys.space_id, keys.epoch)]
    assert len(derived) == 11
    assert len({*derived, SECRETS.epoch, SECRETS.steward, SECRETS.space}) == len(derived) + 3
    ring = KeyRing.derive(SPACE, bytes(range(32)), SECRETS)
    shown = repr(keys) + repr(SECRETS) + repr(ring) + repr(ring.find("hint", b"", ring.seal("hint", b"", b""))[0])
    assert not any(repr(secret)[2:-1] in shown for secret in derived)
    assert "eeee" not in shown
    assert "ssss" not in shown
    assert keys.epoch == bytes(range(8))


# ---- the ring ----------------------------------------------------------------------------------------------------

KINDS: tuple[Kind, ...] = get_args(Kind)
STEWARDS: tuple[Kind, ...] = ("steward", "directory", "hint")


def _secrets(number: int) -> Secrets:
    return Secrets(hashed("test epoch", bytes((number,))), hashed("test steward", bytes((number,))), SECRETS.space)


def _epoch(number: int) -> bytes:
    return hashed("test epoch id", bytes((number,)))


def test_a_ring_of_one_epoch_seals_as_that_epochs_keys_do() -> None:
    keys, ring = SpaceKeys.derive(SPACE, _epoch(1), _secrets(1)), KeyRing.derive(SPACE, _epoch(1), _secrets(1))
    for kind in KINDS:
        assert ring.seal(kind, b"here", b"plain") == keys.seal(getattr(keys, kind), b"here", b"plain")
    same = ("space_id", "epoch", "chunk", "plain", "content")
    assert ring.members == keys
    assert [getattr(ring, name) for name in same] == [getattr(keys, name) for name in same]
    assert (ring.current, ring.number, ring.epochs) == (_epoch(1), 1, frozenset({_epoch(1)}))


@given(st.lists(st.tuples(st.sampled_from(["add", "use", "seal"]), st.integers(1, 5), st.sampled_from(KINDS))))
def test_whatever_was_sealed_stays_readable_and_each_box_says_its_epoch(steps: list[tuple[str, int, Kind]]) -> None:
    ring, sealed = KeyRing.derive(SPACE, _epoch(0), _secrets(0), 0), []
    for step, number, kind in steps:
        if step == "add":
            ring.add(_epoch(number), _secrets(number), number)
        elif step == "seal":
            sealed.append((ring.number, kind, ring.seal(kind, b"here", bytes((number,))), bytes((number,))))
        elif _epoch(number) in ring.epochs:
            ring.use(_epoch(number))
            assert (ring.current, ring.number, ring.epoch) == (_epoch(number), number, _epoch(number)[:8])
        else:
            with pytest.raises(EpochUnknown):
                ring.use(_epoch(number))
    for number, kind, box, plain in sealed:
        assert box[:8] == _epoch(number)[:8]
        keys, opened = ring.find(kind, b"here", box)
        assert (keys.epoch, opened) == (_epoch(number)[:8], plain)
        other: Kind = "label" if kind == "member" else "member"
        with pytest.raises(BoxDamaged):
            ring.open(other, b"here", box)


def test_a_box_of_an_epoch_that_is_not_known_may_open_later() -> None:
    ring, newer = KeyRing.derive(SPACE, _epoch(1), _secrets(1)), KeyRing.derive(SPACE, _epoch(2), _secrets(2))
    box = newer.seal("member", b"", b"plain")
    with pytest.raises(EpochUnknown) as caught:
        ring.open("member", b"", box)
    assert (caught.value.code, isinstance(caught.value, Missing)) == ("keys.epoch-unknown", True)
    with pytest.raises(EpochUnknown):
        ring.secrets(_epoch(2))
    ring.add(_epoch(2), _secrets(2), 2)
    assert ring.open("member", b"", box) == b"plain"
    assert ring.number == 1  # what is known is not used before it is said
    assert ring.secrets(_epoch(2)) == _secrets(2)


def test_a_ring_without_an_epoch_seals_nothing() -> None:
    with pytest.raises(EpochUnknown):
        KeyRing(SPACE).seal("member", b"", b"")


def test_two_epochs_of_one_tag_both_open() -> None:
    """Whoever makes epochs can look for such a pair, and must not lock anybody out by it."""
    one, two = bytes(32), bytes(8) + b"2" * 24
    ring = KeyRing.derive(SPACE, one, _secrets(1))
    boxes = [ring.seal("member", b"", b"of one")]
    ring.add(two, _secrets(2), 2)
    ring.use(two)
    boxes.append(ring.seal("member", b"", b"of two"))
    assert [ring.open("member", b"", box) for box in boxes] == [b"of one", b"of two"]
    with pytest.raises(BoxDamaged):
        ring.open("member", b"elsewhere", boxes[0])


def test_a_steward_opens_what_is_for_stewards_and_is_refused_the_rest() -> None:
    members = KeyRing.derive(SPACE, _epoch(1), _secrets(1))
    ring = KeyRing(SPACE)
    ring.add(_epoch(1), _secrets(1).steward, 1)
    ring.use(_epoch(1))
    for kind in KINDS:
        box = members.seal(kind, b"", b"plain")
        if kind in STEWARDS:
            assert ring.open(kind, b"", box) == b"plain"
            assert ring.seal(kind, b"", b"plain") == box
            continue
        with pytest.raises(MembersOnly) as caught:
            ring.open(kind, b"", box)
        assert (caught.value.code, isinstance(caught.value, Refused)) == ("keys.members-only", True)
        with pytest.raises(MembersOnly):
            ring.seal(kind, b"", b"")
    for name in ("chunk", "plain", "content", "members"):
        with pytest.raises(MembersOnly, match="steward"):
            getattr(ring, name)
    assert (members.reads, ring.reads) == (True, False)
    with pytest.raises(MembersOnly):
        ring.secrets(_epoch(1))
    assert ring.steward_secret(_epoch(1)) == members.steward_secret(_epoch(1)) == _secrets(1).steward


def test_a_steward_who_becomes_a_member_reads_the_same_epoch_and_never_loses_it_again() -> None:
    ring = KeyRing(SPACE)
    ring.add(_epoch(1), _secrets(1).steward, 1)
    ring.use(_epoch(1))
    ring.add(_epoch(1), _secrets(1), 1)
    ring.add(_epoch(1), _secrets(1).steward, 1)
    box = ring.seal("member", b"", b"plain")
    assert box == KeyRing.derive(SPACE, _epoch(1), _secrets(1)).seal("member", b"", b"plain")
    assert ring.open("member", b"", box) == b"plain"
    with pytest.raises(BoxDamaged):
        ring.open("member", b"other", box)  # and not refused as a steward's
