"""`ropewalk space attach`: take in a space that is in some stores, on a machine that does not know it.

Flow: stores -> discover -> the space that is meant -> settings
Never: takes a space in because the keys open it: whoever can write to a store can make such a one.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.first_look import look_first
from ropewalk.cli.mailboxes import joinings_of
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.output import count, date
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys
from ropewalk.cli.space import Stores, store_names
from ropewalk.cli.which_space import Ids, choose, matches, parse_id, shown_id
from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.discover import Discovery, FoundSpace, discover
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.opening import MOST_SHARES, open_pool
from ropewalk.spaces.places import opener

__all__ = ["attach"]


async def attach(
    name: Annotated[str, Parameter(help="What you will call it.")],
    /,
    *,
    stores: Stores = None,
    ids: Ids = None,
    common: Keyed = KEYED,
) -> int:
    """Take in a space that is in some stores already, on a machine that does not know it.

    Without --stores, all stores are looked into. Without --id, what was found is shown, and a terminal is asked, unless
    an invite has said which it is: stores can make another space that the same keys open, and only its id tells it from
    yours.
    """
    home, voice = Home.of_user(), common.voice
    check_own_name(name, "space")
    digits = [parse_id(one) for one in ids or ()]
    if len(digits) > 1:
        raise Misuse(f"--id is given {len(digits)} times, expected once", hint="attach one space after the other")
    settings = home.load()
    if name in settings.spaces:
        raise Misuse(f"a space is called {name!r} already", hint="choose another name")
    names = store_names(stores) if stores is not None else sorted(settings.stores)
    if not names:
        raise Missing("there are no stores to look into", hint="add them with `ropewalk store add`")
    if stores is not None:
        _check_count(name, names)
    keys = device_keys(home, common)
    pool = await open_pool(home, names, time.monotonic, opener(home, keys), keys.public())
    try:
        found = await discover(pool, keys)
    finally:
        await pool.aclose()
    for problem in found.problems:
        voice.warning(problem)
    told = digits or [one.hex() for one in joinings_of(home).offered(keys)]  # an invite has said so
    fresh = _fresh(found, settings, digits, names)
    space = choose(fresh, keys, voice, told=told, what="the keys here open", single=True)[0]
    chosen = names if stores is not None else list(space.stores)
    _check_count(name, chosen)
    setting = SpaceSetting(space.id.hex(), chosen)
    await look_first(home, chosen, keys, voice)
    home.add_space(name, setting)
    voice.done(
        f"space {name} is there, made {date(space.membership.created)}, over {', '.join(chosen)}",
        {"space": name, "id": setting.id, "stores": chosen},
    )
    voice.note(f"its id is {shown_id(space.id)}")
    n = space.membership.policy.n
    if len(chosen) < n:
        here = count(len(chosen), "is/are")
        voice.note(f"its pieces lie in {n} stores, and {here} here; `ropewalk space add-store` adds others")
    return 0


def _check_count(name: str, stores: list[str]) -> None:
    """Refuse more stores than a space may have.

    Raises:
        Misuse.
    """
    if len(stores) > MOST_SHARES:
        raise Misuse(
            f"{name} would have {len(stores)} stores, expected at most {MOST_SHARES}",
            hint="name those that it keeps its pieces in with --stores",
        )


def _fresh(found: Discovery, settings: Settings, digits: Collection[str], names: list[str]) -> list[FoundSpace]:
    """What was found and is asked for, and is not in the settings yet."""
    spaces = [space for space in found.spaces if not digits or matches(space.id, digits)]
    known = {setting.id: name for name, setting in settings.spaces.items()}
    if fresh := [space for space in spaces if space.id.hex() not in known]:
        return fresh
    if spaces:
        here = known[spaces[0].id.hex()]
        raise Misuse(f"the space in these stores is called {here} here already", hint=f"use {here}")
    such = " of this id" if digits else ""
    others = f"; {count(found.closed, 'space')} there they do not open" if found.closed else ""
    raise Missing(
        f"{', '.join(names)} hold no space{such} that the keys of this device open{others}",
        hint="bring more of its stores; if another machine made it: `ropewalk init --restore` with its paper key",
    )
