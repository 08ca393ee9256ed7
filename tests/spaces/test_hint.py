"""The bulletin: it opens to what it was made from, says what the vectors say, and junk is refused as documented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.spec.vectors.cases_hints import object_of
from ropewalk.errors import RopewalkError
from ropewalk.spaces.hint import (
    LARGEST_RECORD,
    LONGEST_PERIOD,
    MOST_NAMED,
    Bulletin,
    BulletinDamaged,
    Named,
    NotActive,
    bulletin_name,
    heads_digest,
    open_bulletin,
    records_digest,
    seal_bulletin,
)
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.keys import BoxDamaged, EpochUnknown, KeyRing, Secrets, hashed
from ropewalk.spaces.records import encode
from ropewalk.spaces.store import LARGEST_HINT
from tests.spaces.making import device, flips, paper, some_keys, truncations

FOLDER = Path(__file__).parents[2] / "docs" / "spec" / "vectors"
CASES: list[dict[str, Any]] = json.loads((FOLDER / "hints.json").read_text())
BASICS = json.loads((FOLDER / "basics.json").read_text())
KNOWN = next(case for case in BASICS if case["what"] == "space-keys")
KEYS = KeyRing.derive(
    bytes.fromhex(KNOWN["space_id"]),
    bytes.fromhex(KNOWN["epoch_record"]),
    Secrets(*(bytes.fromhex(KNOWN[name]) for name in "ESW")),
)
DEVICE = DeviceKeys(bytes.fromhex(next(case for case in BASICS if case["what"] == "device")["seed"]))
ACTIVE = {DEVICE.public().id: DEVICE.public()}
OURS = {device().public().id: device().public()}

SIZES = st.integers(1, (1 << 63) - 1)
BULLETINS = st.builds(
    Bulletin,
    version=st.just(1),
    device=st.just(device().public().id),
    run=st.binary(min_size=16, max_size=16),
    count=SIZES,
    time=SIZES | st.just(0),
    period=st.integers(1, LONGEST_PERIOD),
    heads=st.binary(min_size=32, max_size=32),
    records=st.binary(min_size=32, max_size=32),
    newest=st.dictionaries(
        st.binary(min_size=16, max_size=16).filter(any), st.tuples(SIZES, st.binary(min_size=32, max_size=32))
    ).map(lambda heads: [Named(writer, *heads[writer]) for writer in sorted(heads)][:MOST_NAMED]),
)


def a_bulletin(**fields: Any) -> Bulletin:
    heads = [Named(bytes((at,)) * 16, at, bytes((at,)) * 32) for at in range(1, 4)]
    plain = Bulletin(1, device().public().id, bytes(16), 5, 7, 60, bytes(32), bytes(32), heads)
    return msgspec.structs.replace(plain, **fields)


def sealed(bulletin: Bulletin) -> bytes:
    return seal_bulletin(bulletin, some_keys(), device().sign_quick)


def of(what: str) -> pytest.MarkDecorator:
    found = [case for case in CASES if case["what"] == what]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case["why"] for case in found])


def test_every_kind_of_case_has_a_test() -> None:
    assert {case["what"] for case in CASES} == {"hint", "heads-digest", "records-digest", "bulletin"}


@of("hint")
def test_name_and_key(case: dict[str, Any]) -> None:
    assert bulletin_name(KEYS.space_id) == case["name"]
    assert hashed("hint key", KEYS.steward_secret(KEYS.current)).hex() == case["key"]


@of("heads-digest")
def test_digests_of_heads(case: dict[str, Any]) -> None:
    vector = {bytes.fromhex(writer): (at, bytes.fromhex(head)) for writer, at, head in reversed(case["heads"])}
    assert heads_digest(vector).hex() == case["digest"]


@of("records-digest")
def test_digests_of_records(case: dict[str, Any]) -> None:
    assert records_digest(bytes.fromhex(one) for one in case["records"]).hex() == case["digest"]


@of("bulletin")
def test_bulletins(case: dict[str, Any]) -> None:
    data = object_of(case)
    if "error" in case:
        with pytest.raises(RopewalkError) as caught:
            open_bulletin(data, KEYS, ACTIVE.get)
        assert caught.value.code == case["error"]
        return
    bulletin = open_bulletin(data, KEYS, ACTIVE.get)
    assert encode(bulletin).hex() == case["record"]
    assert seal_bulletin(bulletin, KEYS, DEVICE.sign_quick) == data


@given(BULLETINS)
def test_a_bulletin_opens_to_what_it_was_made_from(bulletin: Bulletin) -> None:
    assert open_bulletin(sealed(bulletin), some_keys(), OURS.get) == bulletin


def test_a_full_bulletin_fits() -> None:
    top = (1 << 63) - 1
    full = a_bulletin(
        newest=[Named(at.to_bytes(16, "big"), top, bytes(32)) for at in range(1, MOST_NAMED + 1)],
        count=top,
        time=top,
        extra=msgspec.Raw(msgspec.msgpack.encode({1: bytes(1018)})),
    )
    assert len(encode(full)) <= LARGEST_RECORD
    assert len(sealed(full)) <= LARGEST_HINT
    assert open_bulletin(sealed(full), some_keys(), OURS.get) == full
    one_more = msgspec.structs.replace(full, newest=[*full.newest, Named(b"\1" + bytes(15), 1, bytes(32))])
    with pytest.raises(BulletinDamaged, match="65 heads"):
        open_bulletin(sealed(one_more), some_keys(), OURS.get)


def test_whatever_was_changed_is_refused() -> None:
    data = sealed(a_bulletin())
    for junk in (*flips(data), *truncations(data)):
        with pytest.raises((BoxDamaged, EpochUnknown)):
            open_bulletin(junk, some_keys(), OURS.get)


@given(st.binary(max_size=300))
def test_junk_is_refused_outside_and_inside_of_the_box(junk: bytes) -> None:
    inside = some_keys().seal("hint", b"hint" + some_keys().space_id, junk)
    for data in (junk, some_keys().epoch + junk, inside):
        with pytest.raises((BulletinDamaged, BoxDamaged, EpochUnknown)):
            open_bulletin(data, some_keys(), OURS.get)


def test_what_is_too_large_is_not_even_decrypted() -> None:
    with pytest.raises(BulletinDamaged, match="too large"):
        open_bulletin(bytes(LARGEST_HINT + 1), some_keys(), OURS.get)


def test_only_active_devices_are_heard_and_only_by_their_own_signature() -> None:
    with pytest.raises(NotActive):
        open_bulletin(sealed(a_bulletin()), some_keys(), lambda _: None)
    forged = seal_bulletin(a_bulletin(), some_keys(), paper().sign_quick)
    with pytest.raises(BulletinDamaged, match="signature"):
        open_bulletin(forged, some_keys(), OURS.get)


def test_a_steward_reads_it_and_the_object_does_not_show_whose_it_is() -> None:
    keys = some_keys()
    steward = KeyRing(keys.space_id)
    steward.add(keys.current, keys.steward_secret(keys.current), 1)
    data = sealed(a_bulletin())
    assert open_bulletin(data, steward, OURS.get) == a_bulletin()
    assert device().public().id not in data
    other = KeyRing.derive(keys.space_id, keys.current, Secrets(bytes(32), bytes(32), bytes(32)))
    with pytest.raises(BoxDamaged):
        open_bulletin(data, other, OURS.get)
