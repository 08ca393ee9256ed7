"""`ropewalk space`: spaces over stores, by the user's names for them.

Flow: promise, stores -> plan_policy -> create_space; stores -> discover -> settings; settings -> stores of a space
Never: lets go of a store while something can only be read with it.
"""

from __future__ import annotations

import time
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.options import COMMON, KEYED, Common, Keyed
from ropewalk.cli.output import count
from ropewalk.cli.paper import present_paper
from ropewalk.cli.place import check_own_name
from ropewalk.cli.session import device_keys, opened
from ropewalk.cli.which_space import WHY, shown_id
from ropewalk.cli.who import own_device, own_name
from ropewalk.errors import Misuse, Refused, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.evacuate import StoreNeeded
from ropewalk.spaces.home import Home, Settings
from ropewalk.spaces.identity import PAPER, DeviceKeys
from ropewalk.spaces.members import check_person
from ropewalk.spaces.opening import MOST_SHARES, create_space, open_pool, plan_policy
from ropewalk.spaces.places import opener
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.state import KnownPack, State
from ropewalk.spaces.store import ObjectName

__all__ = [
    "StoreNeeded",
    "Stores",
    "add_store",
    "create",
    "list_spaces",
    "parse_survive",
    "remove_store",
    "store_names",
]


Stores = Annotated[str | None, Parameter(metavar="A,B,...", help="Names of stores.")]


async def create(
    name: Annotated[str, Parameter(help="What you call it.")],
    /,
    *,
    stores: Annotated[str, Parameter(metavar="A,B,...", help="Names of stores, two or more.")],
    survive: Annotated[
        list[str] | None,
        Parameter(metavar="N", help="How many may be lost, of what --across says; or both: store=2,machine=1."),
    ] = None,
    across: Annotated[
        list[str] | None,
        Parameter(
            metavar="KIND",
            help="Of what: store, disk, machine, site, account, credential, admin or build; store, if it is left out."
            " --survive and --across may be given several times, in pairs.",
        ),
    ] = None,
    floor: Annotated[
        int | None,
        Parameter(
            metavar="N",
            help="Stores that must have a write before it is acknowledged; by default one more than it takes to read.",
        ),
    ] = None,
    privacy: Annotated[
        int, Parameter(metavar="N", help="1 (by default), or 2, which hides the sizes of files from stores.")
    ] = 1,
    person: Annotated[
        str | None,
        Parameter(name="--as", metavar="NAME", help="What you are called in it; your name on this machine by default."),
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Make a space that survives losing some of its stores, disks, machines.

    It is only made if these stores can give what is asked.
    """
    home = Home.of_user()
    check_own_name(name, "space")
    called = check_person(person or own_name()), own_device()
    names = store_names(stores)
    if not names:
        raise Misuse("--stores names no store", hint="as in --stores disk1,disk2,disk3")
    domains = [StoreDomains(one, home.store(one).domains) for one in names]
    policy = plan_policy(domains, parse_survive(survive or [], across or []), floor)
    if name in home.load().spaces:
        raise Misuse(f"a space is called {name!r} already", hint="choose another name")
    device = device_keys(home, common)
    if device.kind == PAPER:
        raise Refused(
            "this device works with a paper key, and a new space needs keys of a device",
            hint="make it where `ropewalk init` was run without --restore, or here with another ROPEWALK_HOME",
        )
    await _all_there(home, names, device)
    paper = await present_paper(home, device, common.voice)
    space_id = await create_space(
        home, name, names, policy, privacy, device, paper, time.monotonic, time.time_ns, names=called
    )
    common.voice.done(
        f"space {name} is there: each piece lies in {policy.n} stores, any {policy.k} of them give it back,"
        f" a write needs {policy.floor}",
        {
            "space": name,
            "id": space_id.hex(),
            "stores": names,
            "policy": {"k": policy.k, "n": policy.n, "floor": policy.floor, "survive": policy.survive},
            "privacy": privacy,
        },
    )
    common.voice.note(f"its id is {shown_id(space_id)}; write it down beside the words of the paper key: {WHY}")
    common.voice.note(f"`ropewalk status {name}` says what it survives, and what it does not")
    return 0


def list_spaces(*, common: Common = COMMON) -> int:
    """List the spaces that this machine knows."""
    settings = Home.of_user().load()
    for name, setting in sorted(settings.spaces.items()):
        common.voice.line(
            f"{name:<12}  {shown_id(setting.id)}  {', '.join(setting.stores)}",
            {"space": name, "id": setting.id, "stores": setting.stores},
        )
    if not settings.spaces:
        common.voice.note(
            "there are none; `ropewalk space create` makes one, `ropewalk space attach` finds one in stores"
        )
    return 0


async def add_store(
    name: Annotated[str, Parameter(name="SPACE", help="The space.")],
    store: Annotated[str, Parameter(help="A store that is set up already.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """Let a space use one more store.

    From now on it gets its part of what is new. `ropewalk repair` brings it what lies in every store; nothing else is
    moved to it without need.
    """
    home = Home.of_user()
    setting = home.space(name)
    home.store(store)
    if store in setting.stores:
        raise Misuse(f"store {store} is part of {name} already")
    if len(setting.stores) >= MOST_SHARES:
        raise Misuse(f"{name} has {len(setting.stores)} stores, expected at most {MOST_SHARES}")
    # A wrong passphrase is told before anything is changed.
    await _all_there(home, [store], device_keys(home, common))
    home.update(lambda now: _with_stores(now, name, [*now.spaces[name].stores, store]))
    async with opened(name, common, stewards=True) as space:
        for record, data in await space.core.ledger.do(State.records):
            await space.core.pool.put(store, ObjectName(record), (data,))
    common.voice.done(f"store {store} is part of {name} now", {"space": name, "store": store})
    common.voice.note(
        f"it gets its part of what is new; `ropewalk repair {name}` brings it what every store should have"
    )
    return 0


async def remove_store(
    name: Annotated[str, Parameter(name="SPACE", help="The space.")],
    store: Annotated[str, Parameter(help="One of its stores.")],
    /,
    *,
    common: Keyed = KEYED,
) -> int:
    """Let a space no longer use a store.

    It is refused while something can only be read with it. Nothing in the store is deleted: `ropewalk pool evacuate`
    brings what it has to the others first, and deletes the shares there.
    """
    home = Home.of_user()
    setting = home.space(name)
    if store not in setting.stores:
        raise Misuse(f"store {store} is not part of {name}, which has {', '.join(setting.stores)}")
    async with opened(name, common, stewards=True) as space:
        await _check_needless(space.core, name, store)
        held = len(await space.core.ledger.do(State.packs_on, store))
    home.update(lambda now: _with_stores(now, name, [one for one in now.spaces[name].stores if one != store]))
    common.voice.done(f"store {store} is no longer part of {name}", {"space": name, "store": store})
    if held:
        common.voice.note(
            f"`ropewalk repair {name}` makes what it held anew on other stores,"
            f" `ropewalk status {name}` says what holds"
        )
    return 0


def parse_survive(survive: list[str], across: list[str]) -> dict[str, int]:
    """The promise that --survive and --across ask for.

    Raises:
        Misuse: They do not pair up, or a number is none.
    """
    promise: dict[str, int] = {}
    numbers: list[str] = []
    for part in ",".join(survive).split(",") if survive else []:
        kind, equals, number = part.partition("=")
        if equals:
            _promise(promise, kind.strip(), number)
        else:
            numbers.append(part)
    kinds = [kind.strip() for kind in ",".join(across).split(",")] if across else []
    if len(numbers) == 1 and not kinds:
        kinds = ["store"]
    if len(numbers) != len(kinds):
        raise Misuse(
            f"--survive has {count(len(numbers), 'number')}, --across {count(len(kinds), 'kind')}, expected as many",
            hint="as in --survive 2 --across store --survive 1 --across machine, or --survive store=2,machine=1",
        )
    for kind, number in zip(kinds, numbers, strict=True):
        _promise(promise, kind, number)
    if not promise:
        raise Misuse("nothing is asked for", hint="say what may be lost: --survive 2 --across store")
    return promise


def _promise(promise: dict[str, int], kind: str, number: str) -> None:
    try:
        wanted = int(number)
    except ValueError:
        raise Misuse(f"--survive has {number!r}, expected a number", hint="as in --survive 2 --across store") from None
    if promise.setdefault(kind, wanted) != wanted:
        raise Misuse(f"{kind} is asked for twice, with {promise[kind]} and {wanted}")


def store_names(stores: str) -> list[str]:
    """Names of stores, as an option has them."""
    return [name.strip() for name in stores.split(",") if name.strip()]


async def _all_there(home: Home, names: list[str], device: DeviceKeys) -> None:
    pool = await open_pool(home, names, time.monotonic, opener(home, device), device.public())
    try:
        await pool.revive(len(pool.names))  # opening it has waited for more than half of them
        for name in pool.names:
            if (why := pool.why_down(name)) is not None:
                raise Unavailable(f"store {name} is not there: {why}", hint="bring it back, or leave it out")
            pool.check_fit(name)  # a promise that counts on it would not hold
    finally:
        await pool.aclose()


async def _check_needless(core: Core, name: str, store: str) -> None:
    left = [one for one in core.pool.names if one != store]
    taking = sum(one != store for one in core.pool.fit)
    if taking < core.membership.policy.floor:
        raise StoreNeeded(
            f"{name} would have {count(taking, 'store')} that get what is new, and a write needs"
            f" {core.membership.policy.floor}",
            hint=f"add another first: `ropewalk space add-store {name} STORE`",
        )
    needing = await core.ledger.do(_packs_needing, {one for one in left if core.pool.up(one)})
    if needing:
        raise StoreNeeded(
            f"{count(needing, 'pack')} of {name} could not be read without {store} now",
            hint=f"bring the other stores back, or run `ropewalk repair {name}` with another store first",
        )


def _packs_needing(state: State, left: set[str]) -> int:
    return sum(1 for pack in state.packs() if pack.head is None and not _readable(pack, left))


def _readable(pack: KnownPack, stores: set[str]) -> bool:
    return len({share.number for share in pack.shares if not share.damaged and share.store in stores}) >= pack.k


def _with_stores(settings: Settings, name: str, stores: list[str]) -> Settings:
    space = settings.spaces[name]
    draining = [one for one in space.draining if one in stores]
    return replace(settings, spaces={**settings.spaces, name: replace(space, stores=stores, draining=draining)})
