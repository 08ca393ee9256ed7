"""Places: a store by where it is, whether in a folder or behind a URL of a scheme that some package knows.

Flow: a place out of the settings -> a folder, or the entry point of its scheme -> Store, which has the right identity
Never: imports what a scheme needs before a store of it is opened, or lets a package that is missing pass for a store.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import entry_points
from typing import Protocol, cast
from urllib.parse import parse_qsl, urlsplit

from msgspec.structs import replace

from ropewalk.errors import Misuse
from ropewalk.spaces.home import Home, Settings
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.store import DiskStore, Store

__all__ = [
    "GROUP",
    "OpenStore",
    "Placed",
    "UnknownPlace",
    "first_of_ways",
    "opener",
    "opens",
    "scheme_of",
    "without_secrets",
]

GROUP = "ropewalk.stores"  # entry points: a scheme, and an `Opens`

START = 1.0  # seconds after which one more way to a store is tried beside those that have not led there yet

_SCHEME = re.compile(r"(?:([a-z][a-z0-9+]*)://|unix:)")

_TOLD = frozenset({"account", "alpn", "endpoint", "pin", "profile", "region", "server_name"})  # options, no secrets

OpenStore = Callable[[str, bytes], Awaitable[Store]]  # the store at a place, which must have this id, if one is given


class Placed(Store, Protocol):
    """A store that can say which it is."""

    identity: bytes  # 16


Opens = Callable[[str, bytes | None, Home, DeviceKeys], Awaitable[Placed]]


class UnknownPlace(Misuse):
    """Nothing that is installed knows stores of this scheme."""

    code = "store.unknown-place"


def scheme_of(place: str) -> str:
    """The scheme of a place, such as ``tls`` or ``s3``; "" for a folder."""
    found = _SCHEME.match(place)
    return (found[1] or "unix") if found else ""


def without_secrets(place: str) -> str:
    """A place as it may be shown: of a URL neither who logs in nor any option that is not known to be no secret."""
    if not scheme_of(place):
        return place
    try:
        split = urlsplit(place)
        options = parse_qsl(split.query, keep_blank_values=True)
    except ValueError:
        return f"{scheme_of(place)}: (an address that cannot be read)"
    told = "&".join(f"{name}={value if name in _TOLD and '@' not in value else '...'}" for name, value in options)
    host = split.netloc.rpartition("@")[2]
    return split._replace(netloc=f"...@{host}" if host != split.netloc else host, query=told).geturl()


def opener(home: Home, device: DeviceKeys) -> OpenStore:
    """What opens the stores of a user.

    Args:
        home: Whose settings and credentials are used; the id of a store that none was known of is put down there.
        device: By whose key nodes know us.
    """

    async def open_store(place: str, identity: bytes) -> Store:
        if not (scheme := scheme_of(place)):
            return await DiskStore.open(place, identity)
        if identity and (others := _others(home, place, identity)):
            ways = [place, *others]
            return await first_of_ways([partial(opens(scheme_of(one)), one, identity, home, device) for one in ways])
        store = await opens(scheme)(place, identity or None, home, device)
        if not identity:
            try:
                _learn(home, place, store.identity)
            except BaseException:
                await store.aclose()
                raise
        return store

    return open_store


def _others(home: Home, place: str, identity: bytes) -> list[str]:
    """Other ways that are known to a store."""
    stores = home.load().stores.values()
    return next((one.others for one in stores if one.path == place and one.id == identity.hex()), [])


async def first_of_ways(ways: Sequence[Callable[[], Awaitable[Placed]]]) -> Placed:
    """What is behind the first of several ways that leads there; each gets a start before the next one.

    Raises:
        RopewalkError: None does; what was wrong with the first.
    """
    left = list(ways)
    running: list[asyncio.Future[Placed]] = []
    try:
        while left or not all(one.done() for one in running):
            if left:
                running.append(asyncio.ensure_future(left.pop(0)()))
            going = [one for one in running if not one.done()]
            await asyncio.wait(going, timeout=START if left else None, return_when=asyncio.FIRST_COMPLETED)
            for one in running:
                if one.done() and one.exception() is None:
                    running.remove(one)
                    return one.result()
        return running[0].result()
    finally:
        for one in running:
            one.cancel()
        for found in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(found, BaseException):
                await found.aclose()


def _learn(home: Home, place: str, identity: bytes) -> None:
    """Put down which store it is that is at a place, once and for all.

    Raises:
        Misuse: It is one that is set up under another name already.
    """

    def change(settings: Settings) -> Settings:
        known = {one.id: name for name, one in settings.stores.items()}
        names = [name for name, one in settings.stores.items() if one.path == place and not one.id]
        if names and (other := known.get(identity.hex())) is not None:
            raise Misuse(
                f"store {names[0]} at {place} is the one that is called {other!r} already",
                hint=f"`ropewalk store remove {names[0]}`: two names for one store count twice",
            )
        learnt = {name: replace(settings.stores[name], id=identity.hex()) for name in names[:1]}
        return replace(settings, stores={**settings.stores, **learnt})

    home.update(change)


def opens(scheme: str) -> Opens:
    """What opens stores of a scheme.

    Raises:
        UnknownPlace: Nothing that is installed does, or it cannot be imported.
    """
    found = list(entry_points(group=GROUP, name=scheme))
    if not found:
        known = sorted({entry.name for entry in entry_points(group=GROUP)})
        raise UnknownPlace(f"no kind of store has the scheme {scheme!r}, known are: a folder, {', '.join(known)}")
    try:
        return cast(Opens, found[0].load())
    except (ImportError, AttributeError) as error:
        raise UnknownPlace(
            f"stores of the scheme {scheme!r} cannot be used: {error}",
            hint="pip install 'ropewalk[engines]'" if scheme in ("s3", "gs", "az", "http", "https") else "",
        ) from None
