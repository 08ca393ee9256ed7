"""The store contract, over real engines: one that keeps to conditions, and one that ignores them."""

from __future__ import annotations

import pytest

from ropewalk.engines import ObjectStore, create_engine
from ropewalk.spaces.home import Home
from ropewalk.testing.stores import check_store
from tests.engines.conftest import Engine, Prefix

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def test_an_object_store_keeps_the_contract(engine: Engine, home: Home, fresh: Prefix) -> None:
    async def make() -> ObjectStore:
        return await create_engine(engine.place(fresh()), home=home)

    await check_store(make)
