"""Limits: counted in and out, by the clock that is given."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.net import BadLimit, Limits
from ropewalk.net.counting import QuietLog
from ropewalk.net.limits import Admission, TokenBucket, address_key


@pytest.mark.parametrize("name", ["connections", "per_address", "rate", "handshake", "idle", "close"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_that_none_can_keep_are_refused(name: str, value: float) -> None:
    with pytest.raises(BadLimit, match=name):
        Limits(**{name: value})  # type: ignore[arg-type]  # by name


@given(st.floats(0.5, 100), st.lists(st.floats(0, 3), max_size=50))
def test_bucket_gives_no_more_than_its_rate_and_one_burst(rate: float, waits: list[float]) -> None:
    bucket, now, taken = TokenBucket(rate, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        while bucket.take(now):
            taken += 1
    assert taken <= max(1.0, rate) + now * rate + 1e-6


def test_addresses_count_as_whom_they_belong_to() -> None:
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1")
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("fe80::1%eth0") == address_key("fe80::2%eth1")


def test_nothing_of_an_address_is_kept_once_it_is_gone() -> None:
    admission = Admission(Limits(per_address=2, connections=3), lambda: 0.0)
    keys = []
    for _ in range(2):
        assert admission.enter() == ""
        keys.append(admission.claim("192.0.2.1"))
    with pytest.raises(OverflowError):
        admission.claim("192.0.2.1")
    assert admission.enter() == ""
    assert admission.enter() == "connections"
    admission.leave(None)
    for key in keys:
        admission.leave(key)
    assert admission.inside == 0
    assert not admission._by_address


def test_log_tells_each_reason_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    now = 0.0
    quiet = QuietLog(logging.getLogger("ropewalk.net"), "web", lambda: now)
    for now in (0.0, 1.0, 9.0, 10.0, 11.0):  # noqa: B007 - the log looks at it
        quiet.tell(logging.WARNING, "net.refused", "rate", "refused one")
    quiet.tell(logging.WARNING, "net.refused", "connections", "refused another")
    assert [record.getMessage() for record in caplog.records] == [
        "web: refused one",
        "web: refused one (2 more like it since the last line)",
        "web: refused another",
    ]
    quiet.flush()
    assert caplog.records[-1].getMessage() == "web: rate: 1 more"
