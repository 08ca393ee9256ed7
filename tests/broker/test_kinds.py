"""Kinds of values come as they were, with annotations and without."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ropewalk import broker as rope
from tests.broker.pair import Pair


class Desk(rope.Object):
    """Takes anything."""

    @rope.remote
    def plain(self, it: Any) -> Any:
        return [it]


LOSSLESS: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.datetimes()
    | st.datetimes(timezones=st.just(dt.UTC))
    | st.timedeltas(dt.timedelta(-100_000_000), dt.timedelta(100_000_000)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.sets(st.integers() | st.text(max_size=3), max_size=3)
    ),
    max_leaves=8,
)


@given(value=LOSSLESS)
async def test_values_come_as_they_were(value: Any) -> None:
    pair = Pair(Desk())
    got = (await pair.got(pair.me.plain(value)))[0]
    assert got == value
    assert type(got) is type(value)
    await pair.stop()


class Exact(rope.Object):
    """Takes what is annotated, and says of which class it was."""

    @rope.remote
    def it(
        self,
        a: tuple[int, str],
        b: set[int],
        c: frozenset[int],
        d: decimal.Decimal,
        e: uuid.UUID,
        f: dt.date,
        g: dt.datetime,
        h: dt.timedelta,
        i: int,
        j: float,
    ) -> list[str]:
        return [type(one).__name__ for one in (a, b, c, d, e, f, g, h, i, j)]


async def test_annotated_kinds_come_as_they_are_annotated() -> None:
    pair = Pair(Exact())
    got = await pair.got(
        pair.me.it(
            (1, "x"),
            {1},
            frozenset({1}),
            decimal.Decimal("1.50"),
            uuid.uuid4(),
            dt.date(2026, 1, 2),
            dt.datetime(2026, 1, 2),  # noqa: DTZ001
            dt.timedelta(1),
            2**100,
            float("nan"),
        )
    )
    assert got == ["tuple", "set", "frozenset", "Decimal", "UUID", "date", "datetime", "timedelta", "int", "float"]
    await pair.stop()
