"""`ropewalk store add NAME URL`: stores behind URLs: what nodes offer, and buckets.

Flow: URL -> the store opened once, or a bucket made one -> its id, its whole place -> settings
Never: keeps a credential, or puts down an id that the store itself did not show.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace as replaced

from msgspec.structs import replace

from ropewalk.cli.options import Keyed
from ropewalk.cli.output import size
from ropewalk.cli.session import device_keys
from ropewalk.engines import SCHEMES, EngineAddress, create_engine
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.net import BadEndpoint
from ropewalk.remote import NodeAddress, RemoteStore
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.places import Placed, opens, scheme_of
from ropewalk.spaces.store import StoreGone

__all__ = ["add_url", "is_node", "taken", "with_store"]

_NOT_MACHINES = ("", "localhost", "127.0.0.1", "::1")


def is_node(place: str) -> bool:
    """Whether a place is what a node offers."""
    return scheme_of(place) not in ("", *SCHEMES)


async def add_url(
    home: Home,
    name: str,
    url: str,
    domains: Mapping[str, str],
    endpoint: str,
    region: str,
    *,
    stated: bool,
    common: Keyed,
) -> bool:
    """Put a store behind a URL into the settings, once it has shown which it is; whether more can be found out of it.

    Where this machine has no keys yet, that is put down when it is opened for the first time.

    Raises:
        Misuse: The URL is none, or the name is taken by another store.
        Unavailable: It does not answer.
    """
    place = _checked(url, endpoint, region)
    voice = common.voice
    fields: dict[str, object] = {"store": name, "place": place, "id": None, "domains": dict(domains), "made": False}
    if not home.has_keys:
        setting = StoreSetting(place, "", dict(domains))
        home.update(lambda settings: with_store(settings, name, setting, stated=stated))
        voice.done(f"store {name} at {place} is noted", fields)
        voice.note("it is opened with the keys of a device; which store it is will be put down when there are some")
        return True
    store, made = await _opened(home, place, device_keys(home, common))
    try:
        if isinstance(store, RemoteStore) and not NodeAddress.parse(place).offer:
            place = str(
                replaced(NodeAddress.parse(place), offer=store.offer)
            )  # the only one today need not be so tomorrow
        setting = StoreSetting(place, store.identity.hex(), dict(domains))
        setting = home.update(lambda settings: with_store(settings, name, setting, stated=stated)).stores[name]
        room, granted = None, True
        with suppress(RopewalkError):  # it says so again when it is used
            room = await store.room()
            granted = room is not None or not isinstance(store, RemoteStore)  # a node tells a stranger nothing
    finally:
        await store.aclose()
    free = f", {size(room.free)} free" if room else ""
    voice.done(
        f"store {name} {'was made' if made else 'is'} at {place}{free}",
        {
            **fields,
            "place": place,
            "id": setting.id,
            "domains": setting.domains,
            "made": made,
            "granted": granted,
        },
    )
    if not granted:
        voice.warning(
            f"the owner of {place} has allowed this device nothing there, so nothing is kept in it until that changes:"
            " tell the owner the key that `ropewalk node key` shows, for `ropewalk node allow KEY`;"
            f" `ropewalk store passport {name}` tries it then"
        )
    if not setting.domains:
        voice.note(f"it is not stated what it fails together with: {_suggestion(place)} would say it")
    return granted


def with_store(settings: Settings, name: str, setting: StoreSetting, *, stated: bool) -> Settings:
    """Settings with this store under a name, which may have been elsewhere.

    Raises:
        Misuse: The name is another store's, or the store has another name.
    """
    for other, known in settings.stores.items():
        if known.id == setting.id != "" and other != name:
            if known.path == setting.path:
                raise Misuse(
                    f"{setting.path} is store {other} already",
                    hint=f"use it by that name, or `ropewalk store remove {other}` first",
                )
            raise Misuse(
                f"{setting.path} is store {other} already, known to be in {known.path}",
                hint=f"if it was moved: `ropewalk store add {other} {shlex.quote(setting.path)}`",
            )
    if (before := settings.stores.get(name)) is not None:
        if before.id and setting.id and before.id != setting.id:
            raise taken(name)
        setting = replace(setting, id=setting.id or before.id)
        setting = setting if stated else replace(setting, domains=before.domains)
    return replace(settings, stores={**settings.stores, name: setting})


def taken(name: str) -> Misuse:
    """That a name is another store's."""
    return Misuse(
        f"a store is called {name!r} already", hint="choose another name, or `ropewalk store remove` that one first"
    )


def _checked(url: str, endpoint: str, region: str) -> str:
    if not is_node(url):
        return EngineAddress.parse(url, endpoint=endpoint, region=region).format()
    if endpoint or region:
        raise Misuse(f"--endpoint and --region are for buckets, and {url} is a node's", hint="leave them out")
    opens(scheme_of(url))
    return str(NodeAddress.parse(url))


async def _opened(home: Home, place: str, device: DeviceKeys) -> tuple[Placed, bool]:
    """The store at a place, and whether it was made one just now."""
    open_one = opens(scheme_of(place))
    try:
        return await open_one(place, None, home, device), False
    except StoreGone:
        if is_node(place) or EngineAddress.parse(place).read_only:
            raise
    return await create_engine(place, home=home), True  # where it did not answer, it says so again


def _suggestion(place: str) -> str:
    try:
        host = NodeAddress.parse(place).endpoint.host if is_node(place) else EngineAddress.parse(place).bucket
    except (BadEndpoint, Misuse):
        host = ""
    if is_node(place):
        return f"--domain machine={'..' if host in _NOT_MACHINES else host},site=..,admin=.."
    return "--domain account=..,site=.."
