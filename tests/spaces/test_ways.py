"""Ways: a store that can be reached by several is found by whichever leads there, and none that hangs is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from ropewalk.loops import Simulated, run
from ropewalk.spaces import places
from ropewalk.spaces.arrival import _stores
from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.invites.messages import GrantedStore
from ropewalk.spaces.places import START, Placed, first_of_ways, opener
from ropewalk.spaces.store import MemoryStore, Store, StoreGone
from tests.spaces.making import device

IDENTITY = bytes(range(16))


class Found(MemoryStore):
    identity = IDENTITY

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


async def _way(store: Found | None, seconds: float) -> Placed:
    await asyncio.sleep(seconds)
    if store is None:
        raise StoreGone(f"after {seconds:g} s")
    return store


@pytest.mark.parametrize(
    ("ways", "took"),
    [
        ([(True, 0.1), (True, 0.1)], 0.1),
        ([(False, 0.1), (True, 0.1)], 0.2),
        ([(True, 1e6), (True, 0.1)], START + 0.1),
        ([(True, 1e6), (False, 0.1), (True, 0.5)], START + 0.1 + 0.5),
        ([(True, START + 0.2), (True, 5.0)], START + 0.2),
    ],
)
def test_the_first_that_leads_there_is_taken_and_the_others_are_closed(
    ways: list[tuple[bool, float]], took: float
) -> None:
    async def main() -> None:
        stores = [Found() if leads else None for leads, _ in ways]
        calls = [partial(_way, store, seconds) for store, (_, seconds) in zip(stores, ways, strict=True)]
        found = await first_of_ways(calls)
        assert asyncio.get_running_loop().time() == pytest.approx(took)
        assert not any(store.closed for store in stores if store is found)
        assert len(asyncio.all_tasks()) == 1

    run(main(), loop=Simulated(1))


def test_where_none_leads_there_it_is_said_what_was_wrong_with_the_first() -> None:
    async def main() -> None:
        with pytest.raises(StoreGone, match=r"after 3 s"):
            await first_of_ways([partial(_way, None, 3.0), partial(_way, None, 1.0)])

    run(main(), loop=Simulated(1))


def _scheme(monkeypatch: pytest.MonkeyPatch, leads: Callable[[str], bool]) -> list[str]:
    """Stores of a scheme; the places that were asked for."""
    asked: list[str] = []

    async def found(place: str, _identity: bytes | None, _home: Home, _keys: DeviceKeys) -> Placed:
        asked.append(place)
        return await _way(Found() if leads(place) else None, 0.0)

    monkeypatch.setattr(places, "opens", lambda _: found)
    return asked


async def test_later_commands_know_all_ways_to_a_store_that_an_invite_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "config", tmp_path / "state")
    ways = ["tls://one:1#key/disk", "tls://two:2#key/disk", "/mnt/theirs", "tls://three:3#key/disk"]
    up = {"two"}
    asked = _scheme(monkeypatch, lambda place: any(name in place for name in up))
    open_store: Callable[[str, bytes], Awaitable[Store]] = opener(home, device())
    names, missing = await _stores(home, [GrantedStore(IDENTITY, {"site": "there"}, ways)], open_store)
    assert (names, missing) == (["disk"], [])
    setting = home.load().stores["disk"]
    assert setting == StoreSetting(ways[1], IDENTITY.hex(), {"site": "there"}, [ways[0], ways[3]])
    up.clear()
    up.add("three")
    asked.clear()
    await (await open_store(setting.path, IDENTITY)).aclose()
    assert asked == [ways[1], ways[0], ways[3]]
    up.clear()
    with pytest.raises(StoreGone):
        await open_store(setting.path, IDENTITY)


def test_settings_without_other_ways_are_written_as_before(tmp_path: Path) -> None:
    home = Home(tmp_path / "config", tmp_path / "state")
    home.add_store("disk", StoreSetting("/mnt/disk", "ab" * 16, {"machine": "here"}))
    assert "others" not in home.settings_file.read_text()
