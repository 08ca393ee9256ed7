"""What a frame costs to take grows with its bytes, and no faster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ropewalk import broker as rope
from ropewalk.broker import broker as engine
from ropewalk.broker.weigh import too_deep
from tests.broker.pair import Pair


class Counts(rope.Object):
    @rope.remote
    def count(self, *values: object) -> int:
        return len(values)


async def test_arguments_are_looked_through_once_however_many_are_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(Counts())
    await pair.run()
    looks = 0

    def counted(values: Iterable[Any], most: int) -> bool:
        nonlocal looks
        looks += 1
        return too_deep(values, most)

    monkeypatch.setattr(engine, "too_deep", counted)
    for _ in range(2):  # the first call goes the long way: no number is free yet
        promise = pair.me.count(*[[] for _ in range(300)])
        await pair.run()
        assert await pair.got(promise) == 300
    assert looks <= 2
    await pair.stop()
