"""`ropewalk pool`: the stores of a space together: what lies where and why, and how one of them is emptied.

Flow: settings, open space -> overview, draining, evacuation -> words, JSON, exit status
Never: deletes what a store has before it was read elsewhere, or without being asked to.
"""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from ropewalk.cli.asking import agreed
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT, OWED
from ropewalk.cli.output import count, size
from ropewalk.cli.place import parse_place
from ropewalk.cli.progress import steps
from ropewalk.cli.session import device_keys, opened
from ropewalk.errors import Misuse
from ropewalk.spaces.evacuate import StoreNeeded, check_can_go
from ropewalk.spaces.following import with_draining
from ropewalk.spaces.home import Home, Settings, SpaceSetting
from ropewalk.spaces.overview import Kind, Lies, Overview, StoreView, overview
from ropewalk.spaces.pool.rooms import UP
from ropewalk.spaces.state import State

__all__ = ["drain", "evacuate", "show"]

Space = Annotated[str, Parameter(help="The space.")]
Store = Annotated[str, Parameter(help="One of its stores.")]


async def show(
    space: Space,
    /,
    *,
    pack: Annotated[
        str, Parameter(name="--pack", metavar="ID", help="The pack to explain, by its first digits; or the newest.")
    ] = "",
    common: Keyed = KEYED,
) -> int:
    """Show what lies in which store, and why the shares of a pack lie where they do.

    A kind of domain binds where nothing is to spare: with one more share on its fullest values, fewer than asked could
    be lost.
    """
    if pack.lower().strip("0123456789abcdef"):
        raise Misuse(f"--pack has {pack!r}, expected hex digits")
    async with opened(parse_place(space).space, common, tell_away=False, stewards=True) as one:
        found = await overview(one.core, pack)
    common.voice.answer(_lines(found), _fields(found))
    return 0


async def drain(
    space: Space,
    store: Store,
    /,
    *,
    undo: Annotated[bool, Parameter(name="--undo", help="Let it get what is new again.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Let a store get nothing new, for as long as this machine uses it.

    What it has stays and is read. Other machines of the space go on as their own settings say.
    """
    home = Home.of_user()
    name = parse_place(space).space
    setting = home.space(name)
    _check_part(name, setting, store)
    device_keys(home, common)  # a wrong passphrase is told before anything is changed
    if not undo:
        async with opened(name, common, stewards=True) as one:
            left = [other for other in one.core.pool.fit if other != store]
            floor = one.core.membership.policy.floor
            if len(left) < floor:
                raise StoreNeeded(
                    f"{name} would have {count(len(left), 'store')} that get what is new, and a write needs {floor}",
                    hint=f"add another first: `ropewalk space add-store {name} STORE`",
                )
            try:
                check_can_go(one.core, store)
            except StoreNeeded as error:
                common.voice.warning(f"what is new now will not be as promised: {error}")
    home.update(lambda now: _with(now, name, with_draining(now.spaces[name], store, draining=not undo)))
    fields = {"space": name, "store": store, "draining": not undo}
    if undo:
        common.voice.done(f"store {store} gets what is new of {name} again", fields)
        common.voice.note(f"`ropewalk repair {name}` brings it what it missed")
    else:
        common.voice.done(f"store {store} gets nothing new of {name}; what it has stays, and is read", fields)
        common.voice.note(f"`ropewalk pool evacuate {name} {store}` brings what it has to the others")
    return 0


async def evacuate(
    space: Space,
    store: Store,
    /,
    *,
    keep: Annotated[bool, Parameter(name="--keep", help="Delete no share there, once it is elsewhere.")] = False,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", help="Do not ask.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Bring all that a store has of a space to its other stores, and then delete the shares there.

    The store is drained first. Each share is read at its new place before it is deleted at the old one. It can be
    stopped at any time, and run again. Packs that lack shares for another reason are mended, too. It is refused where
    the promise could not be kept without the store, and ends where `pool drain --undo` is said meanwhile.

    Heads and membership records are copied and stay there, with the hint: other machines judge the store by them, and
    would say that it went back. Once no machine has the store any more, delete the folder or bucket, or what is in it
    under the space's id.

    Exit status: 0 nothing is left there that may be needed, and the promise is kept without the store; 10 something is
    left that no other store takes, or that is not known here, or packs lack shares elsewhere; 11 not agreed.
    """
    home = Home.of_user()
    name = parse_place(space).space
    _check_part(name, home.space(name), store)
    if not (yes or keep or sys.stdin.isatty()):
        raise Misuse(
            "nobody is there to say whether it may be deleted there",
            hint=f"in a script: `ropewalk pool evacuate {name} {store} --yes`, or --keep",
        )
    async with opened(name, common, stewards=True) as one:
        check_can_go(one.core, store)
        if not (yes or keep):
            packs = len(await one.core.ledger.do(State.packs_on, store))
            question = f"shares of {count(packs, 'pack')} of {name} are moved out of {store}; go on? [y/N] "
            if not agreed(question):
                common.voice.warning("nothing was changed")
                return LEFT_OUT
        home.update(lambda now: _with(now, name, with_draining(now.spaces[name], store, draining=True)))
        with steps("evacuate", common) as progress:
            report = await one.evacuate(store, progress, delete=not keep)
    common.voice.answer(report.lines, {"space": name, "store": store, **report.as_dict()})
    if report.owed:
        common.voice.note(f"`ropewalk repair {name}` may make room or mend what is in the way; then run this again")
    elif report.unknown:
        common.voice.note(
            f"if nobody writes to it, `ropewalk space remove-store {name} {store}` takes it out all the same"
        )
    if not report.done:
        return OWED
    common.voice.note(f"`ropewalk space remove-store {name} {store}` takes it out of the space, on this machine")
    common.voice.note(
        f"once no machine has it any more, what stays there may be deleted: all under {one.core.space_id.hex()}/"
    )
    return 0


def _check_part(name: str, setting: SpaceSetting, store: str) -> None:
    if store not in setting.stores:
        raise Misuse(f"store {store} is not part of {name}, which has {', '.join(setting.stores)}")


def _with(settings: Settings, name: str, setting: SpaceSetting) -> Settings:
    return replace(settings, spaces={**settings.spaces, name: setting})


def _lines(found: Overview) -> list[str]:
    rows = [("store", "domains", "free", "of", "this space", "shares", "state"), *map(_row, found.stores)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"  {one.name} is {one.standing}: {one.why}" for one in found.stores if one.standing != UP and one.why]
    lines.append(f"any {found.k} of {found.n} shares give a pack back, so {found.n - found.k} may be lost")
    lines += map(_kind, found.kinds)
    if found.pack is None:
        lines.append("there is no pack in shares yet; one that is written now would lie so:")
    else:
        lines.append(f"pack {found.pack.hex()[:16]}:")
    told = {one.name: one.why for one in found.stores if one.standing != UP and one.why}
    lines += [_lies(one, told.get(one.store or "", "")) for one in found.shares]
    if not found.sure:
        lines.append("  not every way was looked at: stores cross each other in too many kinds")
    return lines


def _row(one: StoreView) -> tuple[str, ...]:
    domains = " ".join(f"{kind}={value}" for kind, value in sorted(one.domains.items()))
    free, total = (size(one.room.free), size(one.room.total)) if one.room is not None else ("?", "?")
    stored = "?" if one.stored is None else size(one.stored)
    shares = "?" if one.shares is None else f"{one.shares:,}"
    return one.name, domains or "-", free, total, stored, shares, one.standing


def _kind(one: Kind) -> str:
    held = ", ".join(f"{'not stated' if value is None else value} {shares}" for value, shares in one.held[:8])
    more = f", and {len(one.held) - 8} more" if len(one.held) > 8 else ""
    stands = "does not hold" if one.slack < 0 else "binds" if one.slack == 0 else f"{one.slack} to spare"
    what = f"  {one.kind}={one.survive}: {stands}"
    return what if one.kind == "store" else f"{what}; shares by {one.kind}: {held}{more}"


def _lies(one: Lies, told: str) -> str:
    share = "no share" if one.share is None else f"share {one.share}"
    why = one.why.removesuffix(f": {told}") if told else one.why
    return f"  {share:<9} {one.store or '-'}: {why}"


def _fields(found: Overview) -> dict[str, object]:
    return {
        "stores": [
            {
                "store": one.name,
                "domains": dict(one.domains),
                "free": one.room.free if one.room is not None else None,
                "total": one.room.total if one.room is not None else None,
                "stored": one.stored,
                "shares": one.shares,
                "state": one.standing,
                "why": one.why,
            }
            for one in found.stores
        ],
        "policy": {"k": found.k, "n": found.n},
        "kinds": [
            {
                "kind": one.kind,
                "survive": one.survive,
                "most": one.most,
                "slack": one.slack,
                "binds": one.slack <= 0,
                "held": [{"value": value, "shares": shares} for value, shares in one.held],
            }
            for one in found.kinds
        ],
        "pack": found.pack.hex() if found.pack is not None else None,
        "shares": [{"share": one.share, "store": one.store, "why": one.why} for one in found.shares],
        "sure": found.sure,
    }
