"""Unfit: stores that each break the contract in one way, or cannot do one thing, and do all else as they should.

Flow: a test -> UNFIT by name -> a store in memory
Never: misbehaves by chance: what it does wrong it does each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ropewalk.spaces.store import Examined, MemoryStore
from ropewalk.testing.unfit.abilities import (
    AllTaken,
    CutsNames,
    HasToBeAsked,
    NoHints,
    NothingLarge,
    ReadOnly,
    Restarts,
    RoomIsWrong,
    Says,
    ShortNames,
    Slow,
    StaleHints,
    TearsLarge,
    TellsTooLate,
)
from ropewalk.testing.unfit.listings import (
    DeletesLater,
    DeletesNothing,
    HidesTheRest,
    Invents,
    ListsBackwards,
    ListsForEver,
    ListsFromTheStart,
    ListsLate,
    ListsNothing,
    ListsSizes,
    MayNotBeListed,
    Remembers,
)
from ropewalk.testing.unfit.objects import (
    AnswersAnything,
    CannotRead,
    Claims,
    Flips,
    Forgets,
    ForgetsLater,
    Halves,
    LooksThenPuts,
    Mixes,
    NobodyReads,
    NoRanges,
    Overwrites,
    PutsOnce,
    Shifts,
    ShowsParts,
    StopsAtTheEnd,
    TearsInARace,
)

__all__ = ["UNFIT", "Restarts", "Slow"]

UNFIT: Mapping[str, Callable[[], MemoryStore]] = {
    "forgets": Forgets,
    "halves": Halves,
    "flips": Flips,
    "cannot read": CannotRead,
    "forgets later": ForgetsLater,
    "nobody reads": NobodyReads,
    "no ranges": NoRanges,
    "shows parts": ShowsParts,
    "shifts ranges": Shifts,
    "stops at the end": StopsAtTheEnd,
    "answers anything": AnswersAnything,
    "overwrites": Overwrites,
    "mixes": Mixes,
    "claims": Claims,
    "puts once": PutsOnce,
    "looks, then puts": LooksThenPuts,
    "tears in a race": TearsInARace,
    "lists nothing": ListsNothing,
    "may not be listed": MayNotBeListed,
    "hides the rest": HidesTheRest,
    "lists late": ListsLate,
    "lists backwards": ListsBackwards,
    "lists from the start": ListsFromTheStart,
    "lists other sizes": ListsSizes,
    "invents": Invents,
    "lists for ever": ListsForEver,
    "deletes nothing": DeletesNothing,
    "deletes later": DeletesLater,
    "remembers": Remembers,
    "no hints": NoHints,
    "stale hints": StaleHints,
    "tells nothing": HasToBeAsked,
    "tells too late": TellsTooLate,
    "short names": ShortNames,
    "cuts names": CutsNames,
    "nothing large": NothingLarge,
    "tears large": TearsLarge,
    "read only": ReadOnly,
    "all taken": AllTaken,
    "room is wrong": RoomIsWrong,
    "engine overwrites": lambda: Says(Examined(creates_once=False)),
    "clock is off": lambda: Says(Examined(time=0)),
    "lacks locks": lambda: Says(Examined(lacks=("locks",))),
}
