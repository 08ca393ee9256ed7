"""`ropewalk node show`: addresses to hand out, what is offered, to whom, and what of it is used.

Flow: node.toml, register, folders, the node that runs -> lines, JSON
Never: changes anything, or waits for a disk that hangs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ropewalk.cli.amounts import span
from ropewalk.cli.node_grants import SHORTEST_ID
from ropewalk.cli.options import COMMON, Common
from ropewalk.cli.output import date, size
from ropewalk.cli.reach import Reached, node_file, reached
from ropewalk.errors import RopewalkError
from ropewalk.node import GrantSetting, NodeSettings, OfferSetting
from ropewalk.node.node import REGISTER_FILE
from ropewalk.node.register import Register
from ropewalk.spaces.home import Home
from ropewalk.spaces.store import DiskStore

__all__ = ["show"]

PATIENCE = 5.0  # seconds for a folder to say how much room it has


async def show(*, common: Common = COMMON) -> int:
    """Show what this machine's node offers, to whom, what is used, and the addresses to hand out."""
    home = Home.of_user()
    settings, near = node_file(home).load(), reached(home)
    register = Register(home.state / REGISTER_FILE) if (home.state / REGISTER_FILE).exists() else None
    if register is not None:
        await register.open()
    try:
        offers = [await _offer(name, one, settings, register, near) for name, one in sorted(settings.offers.items())]
    finally:
        if register is not None:
            await register.aclose()
    fields = {"key": near.key, "running": near.running, "addresses": list(near.addresses), "offers": offers}
    common.voice.answer(_lines(home, near, offers), fields)
    return 0


async def _offer(
    name: str, one: OfferSetting, settings: NodeSettings, register: Register | None, near: Reached
) -> dict[str, Any]:
    free, why = await _room(one)
    grants = [grant for grant in settings.grants if grant.offer == name]
    return {
        "name": name,
        "path": one.path,
        "id": one.id,
        "quota": one.quota,
        "keep": one.keep,
        "used": register.used(one.id) if register is not None else 0,
        "free": free,
        "there": not why,
        "why": why,
        "addresses": [f"{address}/{name}" for address in near.addresses],
        "grants": [_grant(grant, one, register) for grant in grants],
    }


def _grant(one: GrantSetting, offer: OfferSetting, register: Register | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "label": one.label,
        "keys": list(one.keys),
        "space": one.space,
        "may": [act.value for act in one.may],
        "spaces": None if one.spaces is None else list(one.spaces),
        "alone": one.alone,
        "quota": one.quota,
        "used": register.used(offer.id, one.id) if register is not None else 0,
        "until": one.until,
    }


async def _room(one: OfferSetting) -> tuple[int | None, str]:
    try:
        async with asyncio.timeout(PATIENCE):
            store = await DiskStore.open(one.path, bytes.fromhex(one.id))
            try:
                room = await store.room()
            finally:
                await store.aclose()
    except TimeoutError:
        return None, f"it did not answer within {PATIENCE:g} s"
    except RopewalkError as error:
        return None, str(error)
    return (room.free if room else None), ""


def _lines(home: Home, near: Reached, offers: list[dict[str, Any]]) -> list[str]:
    lines = [f"key      {near.key}"]
    lines += [f"address  {address}" for address in near.addresses] or ["address  known once it runs"]
    lines.append("running  " + ("yes" if near.running else "no: `ropewalk up` runs it"))
    names = {setting.id: name for name, setting in home.load().spaces.items()}
    for one in offers:
        of = f" of {size(one['quota'])}" if one["quota"] is not None else ""
        free = f", {size(one['free'])} free on the disk" if one["free"] is not None else ""
        lines += [
            "",
            f"{one['name']}  {one['path']}",
            f"    {size(one['used'])}{of} used{free}; what is deleted is kept for {span(one['keep'])}",
            *(f"    store add NAME '{address}'" for address in one["addresses"]),
        ]
        if one["why"]:
            lines.append(f"    it is not there: {one['why']}")
        lines += [f"    {_line(grant, names)}" for grant in one["grants"]]
    if not offers:
        lines += ["", "nothing is offered: `ropewalk node offer NAME FOLDER` offers a store"]
    return lines


def _line(one: dict[str, Any], names: dict[str, str]) -> str:
    of = f" of {size(one['quota'])}" if one["quota"] is not None else ""
    parts = [f"{one['id'][: 2 * SHORTEST_ID]}  {one['label'] or 'somebody'}: {', '.join(one['may'])}"]
    parts.append(f"{size(one['used'])}{of} used")
    if one["spaces"] is not None:
        parts.append(f"for {', '.join(names.get(space, space[:8]) for space in one['spaces'])}")
    if one["alone"]:
        parts.append("alone")
    if one["until"] is not None:
        parts.append(f"until {date(one['until'] * 10**9)}")
    return "; ".join(parts)
