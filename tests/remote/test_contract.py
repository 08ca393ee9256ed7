"""The store contract, over a node and every way to it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from ropewalk.remote import RemoteStore
from ropewalk.testing.stores import check_store
from tests.node.making import a_node

WAYS = {
    "memory": "memory://node",
    "unix": "unix:FOLDER/socket",
    "tls": "tls://localhost:0?cert=CERT",
    "ws": "ws+memory://node",
    "wss": "wss://localhost:0?cert=CERT",
    "wss and an authority": "wss://localhost:0?dev",
}


@pytest.mark.system
@pytest.mark.parametrize("way", WAYS)
async def test_a_remote_store_keeps_the_contract(folder: Path, way: str) -> None:
    numbers = itertools.count()
    async with a_node(folder / "home", WAYS[way]) as town:

        async def make() -> RemoteStore:
            name = f"disk{next(numbers)}"
            await (await town.offer(name)).aclose()
            town.grant(name)
            await town.node.look()
            return await town.store(name)

        await check_store(make)
