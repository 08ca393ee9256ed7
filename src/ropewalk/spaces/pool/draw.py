"""Draw: which stores are asked first for the shares of a pack: by its name, each in proportion to its room.

Flow: pack name, room of each store -> drawn -> placement
Never: draws a random number: the same pack is drawn alike everywhere, as long as the stores and their room are alike.

A store with twice the room is drawn for twice as many packs, as far as no store gets two shares of one.  That is
Pareto sampling (Rosen 1997): stores are ranked by the odds of their hash against the odds that they should have.  The
race that draws one store by weight exactly, run for several, gives large stores too little.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Drawn", "drawn"]


class Drawn(NamedTuple):
    """Two numbers that the pack's name gives to a store.

    Attributes:
        turn: The lowest come first.
        share: Of those that get one, the lowest gets the first; so that large stores do not have all the data columns.
    """

    turn: tuple[float, float, str]
    share: bytes


def drawn(pack_name: bytes, room: Mapping[str, float], count: int) -> dict[str, Drawn]:
    """The turn of each store.

    Args:
        pack_name: The name of the pack.
        room: By store, its weight; above 0.
        count: How many are to be drawn; at least 1.
    """
    odds = _odds(room, count)
    started = hashlib.blake2b(pack_name, digest_size=16, person=b"rw placement")
    found = {}
    for name, weight in room.items():
        lane = started.copy()
        lane.update(name.encode())
        digest = lane.digest()
        at = (int.from_bytes(digest[:6], "big") + 0.5) / 2**48  # above 0 and below 1
        turn = at / (1 - at) / odds[name] if odds[name] < math.inf else 0.0
        found[name] = Drawn((turn, -math.log(at) / weight, name), digest[6:])
    return found


def _odds(room: Mapping[str, float], count: int) -> dict[str, float]:
    """Odds of being among those drawn: infinite for who has so much room that no pack should pass him over."""
    left = sorted(room.items(), key=lambda one: one[1])
    total = math.fsum(room.values())
    odds: dict[str, float] = {}
    while left and count > 0 and left[-1][1] * count >= total:
        odds[left.pop()[0]] = math.inf
        total, count = math.fsum(one for _, one in left), count - 1
    # Where all that are to be drawn have so much, the others stand behind them by their room.
    return odds | {name: _against(weight * max(count, 1) / total) for name, weight in left}


def _against(chance: float) -> float:
    return chance / (1 - chance) if chance < 1 else math.inf
