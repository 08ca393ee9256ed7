"""`ropewalk store`: the places that keep things, by the user's names for them.

Flow: name, folder or URL, domains -> a store made or recognised -> settings
Never: deletes anything in a store, or takes a missing store for an empty one.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.output import size
from ropewalk.cli.passport import brief, brief_fields, known, tell_quickly
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys
from ropewalk.cli.store_url import add_url, taken, with_store
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.identity import DeviceKeys
from ropewalk.spaces.places import opener, scheme_of
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.store import DiskStore, Store
from ropewalk.spaces.store.marker import MARKER

__all__ = ["add", "list_stores", "look_at", "remove"]

PATIENCE = 10.0  # seconds for a store to say how much room it has


async def add(
    name: Annotated[str, Parameter(help="What you call it.")],
    place: Annotated[
        str,
        Parameter(
            help="An empty folder, one that is yet to be made, or a store that is there already; or the URL of one: of"
            " a node as its owner's `ropewalk node show` prints it, or s3://BUCKET/PREFIX, gs://, az://, https://."
        ),
    ],
    /,
    *,
    domain: Annotated[
        list[str] | None,
        Parameter(
            metavar="KIND=VALUE,...",
            help="What it fails together with: disk, machine, site, account, credential, admin or build, each with a"
            " value of yours: --domain machine=here,disk=a.",
        ),
    ] = None,
    endpoint: Annotated[
        str, Parameter(metavar="URL", help="Where the service of a bucket is, if not at the provider's own place.")
    ] = "",
    region: Annotated[
        str, Parameter(metavar="NAME", help="The bucket's region, where its service wants to know.")
    ] = "",
    common: Keyed = KEYED,
) -> int:
    """Add a store: a folder on some disk, what a node offers to you, or a bucket.

    Say with --domain which disk and machine it is on: a space can only be told to survive what is stated. Given again,
    with the same name and the same store, it takes the store's new place or domains. What it does is tried at once, as
    by `ropewalk store passport NAME --quick`.
    """
    home = Home.of_user()
    check_own_name(name, "store")
    domains = _parse_domains(domain or [])
    if domains.get("store", name) != name:
        raise Misuse(
            f"domain store is {domains['store']!r}, and that of a store is always its own name, {name!r}",
            hint="leave it out; disk, machine, site, account, credential, admin and build have values of yours",
        )
    StoreDomains(name, domains)  # refuses unknown kinds
    if scheme_of(place):
        if await add_url(home, name, place, domains, endpoint, region, stated=bool(domain), common=common):
            await tell_quickly(home, name, common)
        return 0
    if endpoint or region:
        raise Misuse(f"--endpoint and --region are for buckets, and {place} is a folder", hint="leave them out")
    path, there = look_at(place)
    if name in home.load().stores and not there:
        raise taken(name)
    store = await (DiskStore.open(path) if there else DiskStore.create(path))
    try:
        identity = store.identity.hex()
        room = await store.room()
    finally:
        await store.aclose()
    setting = StoreSetting(path, identity, domains)
    domains = (
        home.update(lambda settings: with_store(settings, name, setting, stated=bool(domain))).stores[name].domains
    )
    fields = {"store": name, "place": path, "folder": path, "id": identity, "domains": domains, "made": not there}
    free = f", {size(room.free)} free" if room else ""
    common.voice.done(f"store {name} {'is' if there else 'was made'} in {path}{free}", fields)
    if not domains:
        common.voice.note("it is not stated what it fails together with: --domain disk=..,machine=.. would say it")
    await tell_quickly(home, name, common)
    return 0


async def list_stores(*, common: Keyed = KEYED) -> int:
    """List the stores, and whether they answer."""
    home, voice = Home.of_user(), common.voice
    settings = home.load()
    looked = await _all(home, settings, common)
    now = time.time_ns()
    for name, setting in sorted(settings.stores.items()):
        used = sorted(space for space, one in settings.spaces.items() if name in one.stores)
        free, why = looked[name]
        domains = " ".join(f"{kind}={value}" for kind, value in sorted(setting.domains.items()))
        state = "away" if why else f"{size(free)} free" if free is not None else "there"
        seen = known(home, setting, common)
        voice.line(
            "  ".join(part for part in (f"{name:<12}", setting.path, domains, state, brief(seen, now)) if part),
            {
                "store": name,
                "place": setting.path,
                "folder": setting.path if not scheme_of(setting.path) else None,
                "id": setting.id or None,
                "domains": setting.domains,
                "spaces": used,
                "there": not why,
                "why": why,
                "free": free,
                "passport": brief_fields(seen),
            },
        )
        if why and not voice.json:
            voice.line(f"{'':<12}  {why}")
    if not settings.stores:
        voice.note("there are none; add one with `ropewalk store add NAME FOLDER`, or with the URL of one")
    return 0


async def remove(
    name: Annotated[str, Parameter(help="The store.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Forget a store.

    Nothing in it is changed.
    """
    home = Home.of_user()
    setting = home.store(name)
    home.update(lambda settings: _without_store(settings, name))
    common.voice.done(f"store {name} is forgotten; what is in {setting.path} was left as it is", {"store": name})
    return 0


async def _all(home: Home, settings: Settings, common: Keyed) -> dict[str, tuple[int | None, str]]:
    """Look into all stores at once; by name, bytes free where that is known, and why one does not answer."""
    urls = any(scheme_of(setting.path) for setting in settings.stores.values())
    device = device_keys(home, common) if urls and home.has_keys else None
    looks = [_look(home, setting, device) for setting in settings.stores.values()]
    return dict(zip(settings.stores, await asyncio.gather(*looks), strict=True))


async def _look(home: Home, setting: StoreSetting, device: DeviceKeys | None) -> tuple[int | None, str]:
    store: Store
    try:
        if not scheme_of(setting.path):
            store = await DiskStore.open(setting.path, bytes.fromhex(setting.id))
        elif device is not None:
            store = await opener(home, device)(setting.path, bytes.fromhex(setting.id))
        else:
            return None, "it is opened with the keys of a device, and there are none here yet"
    except RopewalkError as error:
        return None, str(error)
    try:
        async with asyncio.timeout(PATIENCE):
            room = await store.room()
    except TimeoutError:
        return None, f"it did not answer within {PATIENCE:g} s"
    except RopewalkError as error:
        return None, str(error)
    finally:
        await store.aclose()
    return (room.free if room else None), ""


def _parse_domains(given: list[str]) -> dict[str, str]:
    domains: dict[str, str] = {}
    for part in ",".join(given).split(",") if given else []:
        kind, equals, value = part.strip().partition("=")
        if not equals or not kind or not value:
            raise Misuse(f"domain is {part!r}, expected KIND=VALUE", hint="as in --domain machine=here,disk=a")
        if domains.setdefault(kind, value) != value:
            raise Misuse(f"domain {kind} is both {domains[kind]!r} and {value!r}")
    return domains


def look_at(folder: str) -> tuple[str, bool]:
    """The whole path, and whether a store is there."""
    path = os.path.abspath(folder)
    try:
        path.encode()
    except UnicodeEncodeError:
        raise Misuse(
            f"the settings cannot hold {path!r}, which is not UTF-8",
            hint="make a link to it with another name, and add that",
        ) from None
    return path, os.path.exists(os.path.join(path, MARKER))


def _without_store(settings: Settings, name: str) -> Settings:
    used = sorted(space for space, setting in settings.spaces.items() if name in setting.stores)
    if used:
        raise Misuse(
            f"store {name} is part of {', '.join(used)}", hint=f"`ropewalk space remove-store {used[0]} {name}` first"
        )
    return replace(settings, stores={one: setting for one, setting in settings.stores.items() if one != name})
