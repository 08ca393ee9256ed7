"""A passport's bytes: what was signed comes back; another store's, another device's, and junk do not."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.passport import Finding, Passport, PassportDamaged, open_passport, sign
from ropewalk.spaces.passport.record import LONGEST_WORDS, found
from ropewalk.spaces.records import encode
from tests.spaces.making import device, flips, truncations
from tests.spaces.passport.looks import IDENTITY, KEY, NOW

_findings = st.builds(
    Finding,
    probe=st.from_regex(r"[a-z][a-z-]{0,39}", fullmatch=True),
    value=st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=25),
    verdict=st.sampled_from(["good", "limited", "bad", "unknown"]),
    words=st.text(max_size=60),
)
_passports = st.builds(
    Passport,
    version=st.just(1),
    store=st.just(IDENTITY),
    device=st.just(KEY),
    kind=st.from_regex(r"[a-z][a-z0-9+]{0,9}", fullmatch=True),
    time=st.integers(0, 2**62),
    software=st.text(max_size=10),
    quick=st.integers(0, 1),
    left=st.binary(max_size=16),
    findings=st.lists(_findings, max_size=8).map(tuple),
)
ONE = Passport(1, IDENTITY, KEY, "folder", NOW, "0.1.0", 0, b"", (found("writes", "yes", "good", "it does"),))


@given(_passports)
def test_what_was_signed_comes_back(passport: Passport) -> None:
    assert open_passport(sign(passport, device()), IDENTITY, KEY) == passport


@given(st.binary(max_size=400))
def test_junk_is_no_passport(data: bytes) -> None:
    with pytest.raises(PassportDamaged):
        open_passport(data, IDENTITY, KEY)


def test_what_was_changed_is_no_passport() -> None:
    data = sign(ONE, device())
    for changed in [*flips(data), *truncations(data)]:
        with pytest.raises(PassportDamaged):
            open_passport(changed, IDENTITY, None)


def test_another_stores_is_none() -> None:
    with pytest.raises(PassportDamaged, match="is of store"):
        open_passport(sign(ONE, device()), bytes(16), KEY)


def test_another_devices_is_none() -> None:
    other = DeviceKeys(bytes(32))
    theirs = msgspec.structs.replace(ONE, device=other.public().ed25519)
    with pytest.raises(PassportDamaged, match="is by device"):
        open_passport(sign(theirs, other), IDENTITY, KEY)
    assert open_passport(sign(theirs, other), IDENTITY, None) == theirs
    with pytest.raises(PassportDamaged, match="not signed"):
        open_passport(sign(ONE, other), IDENTITY, KEY)  # in our name


def test_a_signature_of_other_words_is_none() -> None:
    """The same key signs heads and logins: none of those can be shown as a passport."""
    body = encode(ONE)
    for prefix in (b"", b"ropewalk head 1\0", b"ropewalk record 1\0"):
        data = encode([body, device().sign_quick(prefix + body)])
        with pytest.raises(PassportDamaged, match="not signed"):
            open_passport(data, IDENTITY, KEY)


@pytest.mark.parametrize(
    "passport",
    [
        msgspec.structs.replace(ONE, version=2),
        msgspec.structs.replace(ONE, kind="A folder"),
        msgspec.structs.replace(ONE, left=bytes(17)),
        msgspec.structs.replace(ONE, time=-1),
        msgspec.structs.replace(ONE, quick=2),
        msgspec.structs.replace(ONE, quick=True),
        msgspec.structs.replace(ONE, findings=(Finding("writes", True, "good", ""),)),
        msgspec.structs.replace(ONE, findings=ONE.findings * 65),
        msgspec.structs.replace(ONE, findings=(Finding("Writes", None, "good", ""),)),
        msgspec.structs.replace(ONE, findings=(Finding("writes", "x" * 101, "good", ""),)),
        msgspec.structs.replace(ONE, findings=(Finding("writes", None, "fine", ""),)),  # type: ignore[arg-type]
        msgspec.structs.replace(ONE, findings=(Finding("writes", None, "good", "x" * (LONGEST_WORDS + 1)),)),
    ],
)
def test_a_form_that_is_not_known_is_none(passport: Passport) -> None:
    with pytest.raises(PassportDamaged):
        open_passport(sign(passport, device()), IDENTITY, KEY)


@given(st.text(max_size=2000))
def test_a_store_cannot_make_words_that_do_not_fit(text: str) -> None:
    finding = found("writes", "no", "limited", text)
    assert finding.words.isprintable()
    assert len(finding.words) <= LONGEST_WORDS
    passport = msgspec.structs.replace(ONE, findings=(finding,) * 64)
    assert len(encode(passport)) < 64 * (LONGEST_WORDS * 4 + 64) + 200
