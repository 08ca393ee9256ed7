"""`ropewalk node`: what the node of this machine offers, and the key by which other nodes know this machine.

Flow: name, folder, quota -> a store made or recognised -> node.toml, which a node that runs takes up by itself
Never: deletes anything in a store, or gives room to anybody but the owner.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.amounts import parse_size, parse_span
from ropewalk.cli.init import paper_key
from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.output import count, size
from ropewalk.cli.reach import node_file, reached
from ropewalk.cli.session import device_keys
from ropewalk.cli.store import look_at
from ropewalk.errors import Missing, Misuse
from ropewalk.node import GrantSetting, NodeSettings, OfferSetting
from ropewalk.node.node import REGISTER_FILE
from ropewalk.node.register import Register
from ropewalk.node.settings import KEEP, LEAST_KEEP, MOST_KEEP
from ropewalk.spaces.home import Home
from ropewalk.spaces.identity import DeviceKeys, KeysDamaged
from ropewalk.spaces.store import DiskStore

__all__ = ["OWNER", "NoOffer", "Quota", "key", "new_id", "offer", "offer_of", "withdraw"]

OWNER = "owner"  # the label of the grant that an offer begins with
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # as it may stand in an address

Quota = Annotated[str | None, Parameter(metavar="SIZE", help="At most so much of it, as in 50G; all by default.")]


class NoOffer(Missing):
    """The node offers nothing of this name."""

    code = "node.no-such-offer"


async def offer(
    name: Annotated[str, Parameter(help="What it is called, in its address too.")],
    folder: Annotated[
        str, Parameter(help="An empty folder, one that is yet to be made, or a store that is there already.")
    ],
    /,
    *,
    quota: Quota = None,
    keep: Annotated[
        str | None,
        Parameter(metavar="TIME", help="How long what is deleted stays in the trash; 7d by default, 1h at least."),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Offer a store in a folder of this machine to people whom you name.

    You may do all there yourself; `ropewalk node allow` lets others. Given again with the same folder, it takes the new
    quota and time. `ropewalk up` runs the node.
    """
    home = Home.of_user()
    if not _NAME.fullmatch(name):
        raise Misuse(
            f"{name!r} cannot be the name of an offer", hint="1 to 64 small letters, digits, dots, dashes, underscores"
        )
    most = None if quota is None else parse_size(quota, "--quota")
    seconds = KEEP if keep is None else int(parse_span(keep, "--keep", LEAST_KEEP, MOST_KEEP))
    keys = _own_keys(home, device_keys(home, common))
    path, there = look_at(folder)
    store = await (DiskStore.open(path) if there else DiskStore.create(path))
    try:
        identity, room = store.identity.hex(), await store.room()
    finally:
        await store.aclose()

    def change(settings: NodeSettings) -> NodeSettings:
        for other, one in settings.offers.items():
            if other == name and one.id != identity:
                raise Misuse(f"another store is offered as {name!r} already, in {one.path}", hint="choose another name")
            if other != name and one.id == identity:
                raise Misuse(f"this store is offered already, as {other!r}", hint=f"`ropewalk node withdraw {other}`")
        before = settings.offers.get(name)
        made = OfferSetting(
            path,
            identity,
            most if quota is not None or before is None else before.quota,
            seconds if keep is not None or before is None else before.keep,
        )
        grants = settings.grants
        if not any(one.offer == name and one.label == OWNER for one in grants):
            grants = (*grants, GrantSetting(new_id(), name, keys, label=OWNER))
        return replace(settings, offers={**settings.offers, name: made}, grants=grants)

    now = node_file(home).update(change).offers[name]
    near = reached(home)
    addresses = [f"{one}/{name}" for one in near.addresses]
    common.voice.done(
        f"{path} is offered as {name}{f', {size(now.quota)} of it' if now.quota is not None else ''}",
        {
            "offer": name,
            "path": path,
            "id": identity,
            "quota": now.quota,
            "keep": now.keep,
            "addresses": addresses,
            "made": not there,
        },
    )
    if now.quota is not None and room is not None and now.quota > room.free + await _used(home, identity):
        common.voice.warning(
            f"{size(now.quota)} do not fit: the disk has {size(room.free)} free, and what finds no room is refused"
        )
    if addresses:
        common.voice.note(f"others add it with `ropewalk store add NAME '{addresses[0]}'`, once they are allowed to")
    common.voice.note(
        "`ropewalk node allow WHO` lets somebody use it" + ("" if near.running else "; `ropewalk up` runs the node")
    )
    return 0


def withdraw(name: Annotated[str, Parameter(help="The offer.")], /, *, common: Common = COMMON) -> int:
    """Offer a store no more; the grants for it end.

    Nothing in its folder is changed.
    """
    path, ended = "", 0

    def change(settings: NodeSettings) -> NodeSettings:
        nonlocal path, ended
        path = offer_of(settings, name).path
        grants = tuple(one for one in settings.grants if one.offer != name)
        ended = sum(one.label != OWNER for one in settings.grants if one.offer == name)
        return replace(
            settings, offers={one: what for one, what in settings.offers.items() if one != name}, grants=grants
        )

    node_file(Home.of_user()).update(change)
    common.voice.done(
        f"{name} is not offered any more, and {count(ended, 'grant')} ended; what is in {path} was left as it is",
        {"offer": name, "path": path, "ended": ended},
    )
    return 0


def key(*, common: Keyed = KEYED) -> int:
    """Print the key by which nodes know this machine, for the owner of one."""
    mine = _of_device(device_keys(Home.of_user(), common))
    common.voice.answer([mine], {"key": mine})
    common.voice.note("it is no secret: `ropewalk node allow KEY` on the owner's machine lets this one in")
    return 0


def _of_device(device: DeviceKeys) -> str:
    return device.public().ed25519.hex()


def _own_keys(home: Home, device: DeviceKeys) -> tuple[str, ...]:
    """This machine's, and those of the paper key, which restores what it holds."""
    keys = [_of_device(device)]
    with suppress(KeysDamaged):  # it was restored from words, which are the device's own then
        keys.append(paper_key(home).ed25519.hex())
    return tuple(dict.fromkeys(keys))


async def _used(home: Home, identity: str) -> int:
    """Bytes that lie in a store for others already."""
    path = home.state / REGISTER_FILE
    if not path.exists():
        return 0
    register = Register(path)
    await register.open()
    try:
        return register.used(identity)
    finally:
        await register.aclose()


def offer_of(settings: NodeSettings, name: str) -> OfferSetting:
    """What is offered by a name.

    Raises:
        NoOffer: Nothing is.
    """
    if name not in settings.offers:
        known: Sequence[str] = sorted(settings.offers)
        raise NoOffer(
            f"nothing is offered as {name!r}, known are: {', '.join(known) or 'none'}",
            hint="`ropewalk node show` lists what is",
        )
    return settings.offers[name]


def new_id() -> str:
    """For a grant."""
    return secrets.token_hex(8)
