"""Limits: how they are evaded, whom they lock out, and what they cost."""

from __future__ import annotations

import pytest

from ropewalk.auth import FailureLimits, Rate
from ropewalk.errors import Misuse


def fails(limits: FailureLimits, address: str, name: str, times: int) -> int:
    """How many of so many failing logins were looked at."""
    looked = 0
    for _ in range(times):
        if not limits.wait_for(address, name):
            limits.attempted(address, name)
            looked += 1
    return looked


def test_limits_remember_no_more_than_they_are_told_to() -> None:
    limits = FailureLimits(lambda: 0.0, most=100)
    for number in range(1000):
        limits.attempted(f"10.0.{number // 256}.{number % 256}", f"name{number}")
        limits.succeeded(f"10.0.{number // 256}.{number % 256}", f"name{number}")
        limits.attempted(f"10.0.{number // 256}.{number % 256}", f"name{number}")
    assert limits.remembered <= 200


def test_a_bucket_fills_with_time() -> None:
    now = [0.0]
    limits = FailureLimits(lambda: now[0], pair=Rate(2, 10), address=Rate(100, 1), name=Rate(100, 1))
    limits.attempted("a", "n")
    assert limits.wait_for("a", "n") == 0
    limits.attempted("a", "n")
    assert limits.wait_for("a", "n") == 10
    assert limits.wait_for("b", "n") == 0
    now[0] = 5
    assert limits.wait_for("a", "n") == 5
    now[0] = 10
    assert limits.wait_for("a", "n") == 0
    limits.attempted("a", "n")
    assert limits.wait_for("a", "n") == 10
    limits.succeeded("a", "n")
    assert limits.wait_for("a", "n") == 0


@pytest.mark.parametrize(
    "addresses",
    [
        [f"2001:db8:0:1::{n:x}" for n in range(1, 200)],  # what one customer has at the least
        [f"fe80::{n:x}%eth{n % 3}" for n in range(1, 200)],
        ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"] * 60,  # one host by a socket of both kinds
    ],
)
def test_addresses_of_one_host_are_one(addresses: list[str]) -> None:
    limits = FailureLimits(lambda: 0.0)
    assert sum(fails(limits, address, f"name{n}", 1) for n, address in enumerate(addresses)) == 20
    limits = FailureLimits(lambda: 0.0)
    assert sum(fails(limits, address, "anna", 1) for address in addresses) == 5


def test_a_site_that_has_many_networks_is_limited_as_a_whole() -> None:
    limits = FailureLimits(lambda: 0.0)
    networks = [f"2001:db8:0:{n:x}::1" for n in range(1000)]
    assert sum(fails(limits, address, f"name{n}", 1) for n, address in enumerate(networks)) == 200
    assert fails(limits, "2001:db8:1::1", "name", 1) == 1


def test_what_is_no_address_is_one_of_its_own() -> None:
    limits = FailureLimits(lambda: 0.0)
    assert fails(limits, "not an address: at all", "anna", 10) == 5
    assert fails(limits, "another", "anna", 10) == 5


def test_many_addresses_cannot_lock_out_an_owner_where_they_have_been_before() -> None:
    now = [0.0]
    limits = FailureLimits(lambda: now[0])
    limits.attempted("192.0.2.1", "anna")
    limits.succeeded("192.0.2.1", "anna")
    for n in range(300):
        fails(limits, f"198.51.100.{n % 250}", "anna", 5)
    assert limits.wait_for("203.0.113.9", "anna") > 0  # guesses from new places wait
    assert limits.wait_for("192.0.2.1", "anna") == 0
    assert fails(limits, "192.0.2.1", "anna", 100) == 5  # and this is no way to guess from there


def test_a_neighbour_behind_one_address_does_not_lock_out_who_has_been_in() -> None:
    limits = FailureLimits(lambda: 0.0)
    limits.attempted("192.0.2.1", "anna")
    limits.succeeded("192.0.2.1", "anna")
    assert 19 <= sum(fails(limits, "192.0.2.1", f"name{n}", 1) for n in range(100)) <= 20
    assert limits.wait_for("192.0.2.1", "anna") == 0
    assert limits.wait_for("192.0.2.1", "bob") > 0


def test_one_success_forgives_no_failures_of_others() -> None:
    limits = FailureLimits(lambda: 0.0)
    fails(limits, "192.0.2.1", "anna", 5)
    for n in range(14):
        fails(limits, "192.0.2.1", f"name{n}", 1)
    limits.attempted("192.0.2.1", "mallory")
    limits.succeeded("192.0.2.1", "mallory")
    assert limits.wait_for("192.0.2.1", "anna") > 0
    assert fails(limits, "192.0.2.1", "carol", 5) == 1


def test_a_full_bucket_is_no_fuller_for_whom_it_does_not_hold() -> None:
    """Else an owner's typing errors would make others at the address wait for long."""
    now = [0.0]
    limits = FailureLimits(lambda: now[0], pair=Rate(1000, 1))
    limits.attempted("192.0.2.1", "anna")
    limits.succeeded("192.0.2.1", "anna")
    fails(limits, "192.0.2.1", "anna", 500)
    assert 0 < limits.wait_for("192.0.2.1", "bob") <= 6


@pytest.mark.parametrize(("burst", "seconds"), [(0, 1), (-1, 1), (1, 0), (1, -1), (1, float("nan")), (1, float("inf"))])
def test_rates_that_are_none(burst: int, seconds: float) -> None:
    with pytest.raises(Misuse, match="expected a burst of 1 or more"):
        Rate(burst, seconds)
