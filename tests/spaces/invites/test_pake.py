"""The exchange: the same key for the same secret, another for another, and nothing for junk."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropewalk.spaces.invites import MessageMalformed, OutOfTurn
from ropewalk.spaces.invites.pake import MESSAGE_SIZE, Exchange
from tests.spaces.invites.parties import drawn


def pair(secret: bytes = b"ab", other: bytes | None = None) -> tuple[Exchange, Exchange]:
    return Exchange("inviter", secret, drawn(1)), Exchange("joiner", secret if other is None else other, drawn(2))


@settings(max_examples=10)
@given(st.binary(min_size=2, max_size=32))
def test_one_secret_gives_one_key(secret: bytes) -> None:
    inviter, joiner = pair(secret)
    assert inviter.key(joiner.message) == joiner.key(inviter.message)


def test_another_secret_gives_another_key() -> None:
    inviter, joiner = pair(b"ab", b"ac")
    assert inviter.key(joiner.message) != joiner.key(inviter.message)


def test_a_second_guess_is_refused() -> None:
    inviter, joiner = pair()
    inviter.key(joiner.message)
    with pytest.raises(OutOfTurn):
        inviter.key(joiner.message)


def test_junk_uses_the_exchange_up_too() -> None:
    inviter, joiner = pair()
    with pytest.raises(MessageMalformed):
        inviter.key(b"B" + bytes(32))
    with pytest.raises(OutOfTurn):
        inviter.key(joiner.message)


FIELD = 2**255 - 19
OF_ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def point(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(point(1), id="the neutral point"),
        pytest.param(point(1, 1), id="the neutral point, with a sign"),
        pytest.param(point(FIELD - 1), id="of order 2"),
        pytest.param(point(FIELD - 1, 1), id="of order 2, with a sign"),
        pytest.param(point(0), id="of order 4"),
        pytest.param(OF_ORDER_8, id="of order 8"),
        pytest.param(point(FIELD + 1), id="the neutral point, written otherwise"),
        pytest.param(point(FIELD + 18), id="not the shortest encoding"),
        pytest.param(point(2), id="not on the curve"),
        pytest.param(bytes(31), id="too short"),
        pytest.param(b"", id="empty"),
        pytest.param(bytes([88] + [102] * 31) + b"\0", id="a byte too many"),
        pytest.param(bytes([88] + [102] * 31)[:31], id="a byte too few"),
    ],
)
def test_what_is_no_point_of_the_subgroup_is_refused(body: bytes) -> None:
    with pytest.raises(MessageMalformed):
        pair()[0].key(b"B" + body)


def test_the_base_point_is_one() -> None:
    assert len(pair()[0].key(b"B" + bytes([88] + [102] * 31))) == 32


@pytest.mark.parametrize("side", ["inviter", "joiner"])
def test_ones_own_message_is_refused(side: Literal["inviter", "joiner"]) -> None:
    exchange = Exchange(side, b"ab", drawn(1))
    with pytest.raises(MessageMalformed):
        exchange.key(exchange.message)
    again = Exchange(side, b"ab", drawn(1))
    with pytest.raises(MessageMalformed):
        again.key((b"B" if side == "inviter" else b"A") + again.message[1:])


@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32).map(lambda body: b"B" + body))
@settings(max_examples=60)
def test_junk_gives_a_key_or_the_documented_error(data: bytes) -> None:
    try:
        assert len(pair()[0].key(data)) == 32
        assert len(data) == MESSAGE_SIZE
    except MessageMalformed:
        pass
