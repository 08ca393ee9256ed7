"""`ropewalk store`: the places that keep things, by the user's names for them.

Flow: name, folder, domains -> DiskStore made or recognised -> settings
Never: deletes anything in a store, or takes a missing store for an empty one.
"""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.options import COMMON, Common
from ropewalk.cli.output import size
from ropewalk.cli.place import check_own_name
from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.home import Home, Settings, StoreSetting
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.store import DiskStore
from ropewalk.spaces.store.marker import MARKER

__all__ = ["add", "list_stores", "remove"]


async def add(
    name: Annotated[str, Parameter(help="What you call it.")],
    folder: Annotated[
        str, Parameter(help="An empty folder, one that is yet to be made, or a store that is there already.")
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
    common: Common = COMMON,
) -> int:
    """Add a store: a folder on some disk.

    Say with --domain which disk and machine it is on: a space can only be told to survive what is stated. Given again,
    with the same name and the same store, it takes the store's new place or domains.
    """
    home = Home.of_user()
    check_own_name(name, "store")
    domains = _parse_domains(domain or [])
    StoreDomains(name, domains)  # refuses unknown kinds
    path, there = _look_at(folder)
    if name in home.load().stores and not there:
        raise _taken(name)
    store = await (DiskStore.open(path) if there else DiskStore.create(path))
    try:
        identity = store.identity.hex()
        room = await store.room()
    finally:
        await store.aclose()
    home.update(
        lambda settings: _with_store(settings, name, StoreSetting(path, identity, domains), stated=bool(domain))
    )
    fields = {"store": name, "folder": path, "id": identity, "domains": domains, "made": not there}
    free = f", {size(room.free)} free" if room else ""
    common.voice.done(f"store {name} {'is' if there else 'was made'} in {path}{free}", fields)
    if not domains:
        common.voice.note("it is not stated what it fails together with: --domain disk=..,machine=.. would say it")
    return 0


async def list_stores(*, common: Common = COMMON) -> int:
    """List the stores, and whether they answer."""
    settings = Home.of_user().load()
    voice = common.voice
    for name, setting in sorted(settings.stores.items()):
        used = sorted(space for space, one in settings.spaces.items() if name in one.stores)
        free, why = await _look(setting)
        domains = " ".join(f"{kind}={value}" for kind, value in sorted(setting.domains.items()))
        state = why or (f"{size(free)} free" if free is not None else "there")
        voice.line(
            "  ".join(part for part in (f"{name:<12}", setting.path, domains, state) if part),
            {
                "store": name,
                "folder": setting.path,
                "id": setting.id,
                "domains": setting.domains,
                "spaces": used,
                "there": not why,
                "why": why,
                "free": free,
            },
        )
    if not settings.stores:
        voice.note("there are none; add one with `ropewalk store add NAME FOLDER`")
    return 0


async def remove(
    name: Annotated[str, Parameter(help="The store.")],
    /,
    *,
    common: Common = COMMON,
) -> int:
    """Forget a store.

    Nothing in its folder is changed.
    """
    home = Home.of_user()
    setting = home.store(name)
    home.update(lambda settings: _without_store(settings, name))
    common.voice.done(f"store {name} is forgotten; what is in {setting.path} was left as it is", {"store": name})
    return 0


async def _look(setting: StoreSetting) -> tuple[int | None, str]:
    """Bytes free where that is known, and why the store does not answer."""
    try:
        store = await DiskStore.open(setting.path, bytes.fromhex(setting.id))
    except RopewalkError as error:
        return None, str(error)
    try:
        room = await store.room()
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


def _look_at(folder: str) -> tuple[str, bool]:
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


def _with_store(settings: Settings, name: str, setting: StoreSetting, *, stated: bool) -> Settings:
    for other, known in settings.stores.items():
        if known.id == setting.id and other != name:
            raise Misuse(
                f"{setting.path} is store {other} already, known to be in {known.path}",
                hint=f"if it was moved: `ropewalk store add {other} {setting.path}`",
            )
    if (before := settings.stores.get(name)) is not None:
        if before.id != setting.id:
            raise _taken(name)
        setting = setting if stated else replace(setting, domains=before.domains)
    return replace(settings, stores={**settings.stores, name: setting})


def _taken(name: str) -> Misuse:
    return Misuse(
        f"a store is called {name!r} already", hint="choose another name, or `ropewalk store remove` that one first"
    )


def _without_store(settings: Settings, name: str) -> Settings:
    used = sorted(space for space, setting in settings.spaces.items() if name in setting.stores)
    if used:
        raise Misuse(
            f"store {name} is part of {', '.join(used)}", hint=f"`ropewalk space remove-store {used[0]} {name}` first"
        )
    return replace(settings, stores={one: setting for one, setting in settings.stores.items() if one != name})
