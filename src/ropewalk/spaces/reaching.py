"""Reaching: the stores of a space, as the settings of this machine name them, opened together.

Flow: Home, passports -> stores that are being opened -> Pool
Never: waits for a store by itself, but where nothing says yet how many are needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from ropewalk.spaces.home import Home, StoreSetting
from ropewalk.spaces.identity import PublicKeys
from ropewalk.spaces.passport import terms_of
from ropewalk.spaces.places import OpenStore
from ropewalk.spaces.pool.lately import Lately
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.pool.pool import Pool, PoolStore

__all__ = ["begin_pool", "most_of_all", "open_pool", "pool_store"]


async def open_pool(
    home: Home,
    names: Sequence[str],
    clock: Callable[[], float],
    open_store: OpenStore,
    device: PublicKeys,
    now: Callable[[], int] = time.time_ns,
) -> Pool:
    """The stores of a space; those that are gone are in it too, and say why.

    More than half of them are waited for, and those that are well.

    Args:
        home: The user's settings.
        names: Of the stores.
        clock: Seconds, monotonic.
        open_store: Opens a store at a place.
        device: This one, whose passports say on what terms a store is used.
        now: Nanoseconds since 1970.
    """
    pool = begin_pool(home, names, clock, open_store, device, now)
    try:
        await pool.revive(most_of_all(pool))
    except BaseException:
        await pool.aclose()
        raise
    return pool


def begin_pool(
    home: Home,
    names: Sequence[str],
    clock: Callable[[], float],
    open_store: OpenStore,
    device: PublicKeys,
    now: Callable[[], int],
) -> Pool:
    """The same, with none waited for: they are being opened, each by a task of the pool."""
    settings = dict(zip(names, home.stores(names), strict=True))
    members = [pool_store(home, name, setting, open_store, device) for name, setting in settings.items()]
    slow = Lately(home.state, {name: setting.id for name, setting in settings.items()}, now)
    pool = Pool(members, clock, slow)
    pool.begin()
    return pool


def most_of_all(pool: Pool) -> int:
    """So many stores are needed where nothing says how many are: that is known once records can be read from some."""
    return len(pool.names) // 2 + 1


def pool_store(home: Home, name: str, setting: StoreSetting, open_store: OpenStore, device: PublicKeys) -> PoolStore:
    """A store as the settings name it, not opened yet; arguments as for `open_pool`."""
    reopen = partial(open_store, setting.path, bytes.fromhex(setting.id))
    domains = StoreDomains(name, setting.domains)
    return PoolStore(domains, None, "it has not opened yet", reopen, terms_of(home, setting, device))
