"""Carriers of third parties: found by entry point, served with limits, and able to carry WebSocket."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from ropewalk import net
from ropewalk.net import carriers
from ropewalk.net.memory import MemoryCarrier
from ropewalk.testing.recorder import Recorder
from ropewalk.testing.transports import check_transport, pair_of
from tests.net.peers import Echo


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two carriers, one of which cannot be loaded; and what was looked up."""
    asked: list[str] = []
    points = [
        EntryPoint("loop-back", "ropewalk.net.memory:MemoryCarrier", "ropewalk.transports"),
        EntryPoint("broken", "ropewalk.net.none:Carrier", "ropewalk.transports"),
    ]

    def entry_points(group: str, name: str = "") -> list[EntryPoint]:
        asked.append(group)
        return [point for point in points if name in {"", point.name}]

    monkeypatch.setattr(carriers, "entry_points", entry_points)
    return asked


async def test_carrier_is_found_and_keeps_the_contract(installed: list[str]) -> None:
    await check_transport(pair_of("ws+loop-back://name:7?anything=theirs"))
    endpoint = net.Endpoint.parse("loop-back://name:7")
    assert str(endpoint) == "loop-back://name:7"
    assert set(installed) == {"ropewalk.transports"}


async def test_known_schemes_look_nothing_up(installed: list[str]) -> None:
    async with await net.listen("memory://x", Echo):
        pass
    assert installed == []


async def test_carrier_that_cannot_be_loaded_is_told(installed: list[str]) -> None:
    with pytest.raises(net.NotCarried, match="cannot be loaded"):
        await net.connect("broken://x", Recorder)
    with pytest.raises(net.BadEndpoint):
        await net.connect("unknown://x", Recorder)


def test_memory_is_such_a_carrier() -> None:
    carrier: carriers.Carrier = MemoryCarrier()
    told: Any = carrier
    assert told.listen
    assert told.connect
