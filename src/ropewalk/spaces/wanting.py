"""Wanting: packs that keep the promise less than it was given, mended as far as can be, and what is left to be done.

Flow: ledger that was just set right -> packs_wanting -> mend_wanting, one by one -> Wanting
Never: counts a share in a store that is being emptied, or takes a pack for sound because something was done to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.errors import RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.mend import mend_pack
from ropewalk.spaces.moving import crowded, move_shares
from ropewalk.spaces.pool.placement import StoreDomains
from ropewalk.spaces.state import KnownPack, State

__all__ = ["Wanting", "mend_wanting", "packs_wanting"]


@dataclass(slots=True)
class Wanting:
    """What became of a pack that kept the promise less than it was given.

    Attributes:
        placed: Shares put to where they should lie.
        remade: Of those, the ones that were made again.
        bytes: In them.
        owed: Shares that lack still; 1 where all are there, and too many of them lie on what fails as one.
    """

    placed: int = 0
    remade: int = 0
    bytes: int = 0
    owed: int = 0
    problems: list[str] = field(default_factory=list)


def packs_wanting(state: State, without: str, domains: Sequence[StoreDomains], survive: Mapping[str, int]) -> list[int]:
    """The numbers of the packs that have too few good shares, or too many of them on what fails as one.

    Args:
        state: The ledger.
        without: A store that counts for nothing.
        domains: Of all stores.
        survive: The promise.
    """
    short = [pack.id for pack in state.packs() if pack.promised and _lacking(_without(pack, without))]
    packs = (_without(pack, without) for pack in state.packs() if pack.promised)
    return short + [pack.id for pack in crowded(packs, domains, survive)]


async def mend_wanting(core: Core, number: int, without: str) -> Wanting:
    """Make what lacks of a pack, and move what lies too close.

    Args:
        core: The space; the caller has the turn.
        number: Of the pack in the ledger.
        without: A store that counts for nothing, and gets nothing.
    """
    wanting = Wanting()
    pack = await _again(core, number, without)
    try:
        if _lacking(pack):
            mended = await mend_pack(core, pack)
            wanting.placed = wanting.remade = len(mended.placed)
            wanting.bytes = mended.bytes
            wanting.problems += mended.damaged
            pack = await _again(core, number, without)
        if _crowded(core, pack):
            moved = await move_shares(core, pack)
            wanting.placed += len(moved.placed)
            wanting.remade += moved.remade
            wanting.bytes += moved.bytes
            wanting.problems += moved.problems
    except RopewalkError as error:
        wanting.problems.append(str(error))
    pack = await _again(core, number, without)
    wanting.owed = _lacking(pack) or int(_crowded(core, pack))
    if wanting.owed:
        which = f"pack {pack.name.hex()[:8]}"
        good = pack.n - _lacking(pack)
        wanting.problems.append(
            f"{which} has {good} good shares on stores of their own, expected {pack.n}"
            if good < pack.n
            else f"{which} has too many of its shares on stores that fail as one"
        )
    return wanting


def _lacking(pack: KnownPack) -> int:
    return pack.n - len(pack.good)


def _crowded(core: Core, pack: KnownPack) -> bool:
    return bool(crowded([pack], core.pool.domains, core.membership.policy.survive))


def _without(pack: KnownPack, store: str) -> KnownPack:
    return replace(pack, shares=[share for share in pack.shares if share.store != store])


async def _again(core: Core, number: int, without: str) -> KnownPack:
    return _without((await core.ledger.do(State.packs_by_id, [number]))[number], without)
