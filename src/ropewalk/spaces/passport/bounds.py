"""Bounds: how long a name may be, how large an object, how much there is room for; what the store says of its ground.

Flow: looking -> takes_names, takes_sizes, has_room, stands_on -> Findings
Never: fills a store: what is tried takes at most half of the room that is left.
"""

from __future__ import annotations

from ropewalk.errors import RopewalkError
from ropewalk.spaces.passport.ground import Ground, answer, tried
from ropewalk.spaces.passport.record import Finding, found
from ropewalk.spaces.store import LARGEST_OBJECT, ObjectName, Room, StoreFull, examine

__all__ = ["QUICK_LARGEST", "has_room", "stands_on", "takes_names", "takes_sizes"]

NEEDED_NAME = 185  # characters, of a head's; no name of docs/spec/store.md 3 is longer
LONGEST_NAME = 200
QUICK_LARGEST = 5 * 1024 * 1024  # bytes
_MIB = 1024 * 1024
_SIZES = tuple(size * _MIB for size in (64, 32, 16, 5, 1))  # tried from the largest: mostly the first is taken
_READ = 8 * _MIB  # bytes read at once
_SKEW = 60  # seconds; people compare times of this coarseness
_NANO = 10**9
_MOST_SKEW = 100 * 365 * 86_400 * _NANO


async def takes_names(ground: Ground) -> list[Finding]:
    """How long a name may be, and whether two long ones are two."""
    longest = 0
    for length in (NEEDED_NAME, LONGEST_NAME):
        name = ground.long_name(length)
        twin = ObjectName(name[:-1] + "1")
        if any([isinstance(await answer(ground.put(one, one.encode())), RopewalkError) for one in (name, twin)]):
            break
        for one in (name, twin):
            outcome = await ground.look(one, one.encode())
            if outcome.amiss:
                words = f"of two names of {length} characters one took the other's place"
                if outcome.unread:
                    words = f"what lies under a name of {length} characters cannot be read: {outcome.why}"
                return [found("names", longest, "bad", words)]
        longest = length
    if longest < NEEDED_NAME:
        return [found("names", longest, "limited", f"names of {NEEDED_NAME} characters, as heads have, are not taken")]
    return [found("names", longest, "good", f"names of {longest} characters are taken")]


async def takes_sizes(ground: Ground) -> list[Finding]:
    """How large an object may be, up to what there is room for."""
    room = await tried(ground.store.room())
    free = room.free if isinstance(room, Room) else None
    asked = [size for size in _SIZES if size <= (QUICK_LARGEST if ground.quick else LARGEST_OBJECT)]
    sizes = [size for size in asked if free is None or size <= free // 2]
    why: RopewalkError | None = None
    for size in sizes:
        refused = await _takes(ground, size)
        if refused is None:
            return [_largest(size, asked[0], len(sizes) < len(asked), why)]
        if isinstance(refused, bool):
            words = f"an object of {size // _MIB} MiB that it acknowledged does not come back as it was put"
            return [found("largest", size, "bad", words)]
        why = refused
    if why is not None and not isinstance(why, StoreFull):
        return [found("largest", 65_537, "limited", f"an object of 1 MiB is not taken: {why}")]
    return [found("largest", None, "unknown", "there is no room to try a large object")]


def _largest(size: int, asked: int, cramped: bool, why: RopewalkError | None) -> Finding:
    words = f"objects of {size // _MIB} MiB are taken"
    if size == asked:
        return found("largest", size, "good", words if size == LARGEST_OBJECT else f"{words}; no larger one was tried")
    if why is None or isinstance(why, StoreFull) or cramped:
        return found("largest", size, "unknown", f"{words}; there was no room to try more")
    return found("largest", size, "limited", f"{words}, larger ones are not: {why}")


async def _takes(ground: Ground, size: int) -> RopewalkError | bool | None:
    """None where an object of this size came back; False where it did not; why it was not taken."""
    name, data = ground.name("large", size // _MIB), ground.bytes_of(f"large {size}", size)
    refused = await tried(ground.put(name, data))
    if isinstance(refused, RopewalkError):
        await ground.get(ground.name("first"))  # it answers: so it was the size
        return refused
    for start in range(0, size, _READ):
        if await answer(ground.get(name, start, min(_READ, size - start))) != data[start : start + _READ]:
            return False
    await tried(ground.delete(name))  # the room is somebody's
    return None


async def has_room(ground: Ground) -> list[Finding]:
    """What the store says is left."""
    room = await answer(ground.call(ground.store.room()))
    if isinstance(room, RopewalkError):
        return [found("room", None, "limited", f"it does not say how much room is left: {room}")]
    if room is None:
        return [found("room", None, "unknown", "it cannot say how much room is left")]
    if not 0 <= room.free <= room.total:
        return [found("room", None, "limited", f"it says that {room.free} of {room.total} bytes are free")]
    return [
        found(
            "room", min(room.free, (1 << 62)), "good", f"{room.free // _MIB:,} of {room.total // _MIB:,} MiB are free"
        )
    ]


async def stands_on(ground: Ground) -> list[Finding]:
    """What the store itself says of its engine, clock and file system."""
    before = ground.now()
    said = await answer(ground.call(examine(ground.store)))
    after = ground.now()
    if isinstance(said, RopewalkError):
        return [found("ground", "no", "limited", f"what it stands on cannot be looked at: {said}")]
    made = [_creates(said.creates_once), _folds(said.folds_case), _clock(said.time, before, after)]
    if said.lacks is not None:
        made.append(
            found("file-system", "no", "limited", f"its file system lacks {', '.join(said.lacks)}")
            if said.lacks
            else found("file-system", "yes", "good", "its file system has what a store needs")
        )
    return made


def _creates(once: bool | None) -> Finding:
    if once is None:
        return found("conditional-create", None, "unknown", "it cannot be seen whether its engine refuses a taken name")
    if once:
        return found("conditional-create", "yes", "good", "its engine itself refuses to create what is there")
    return found("conditional-create", "no", "limited", "its engine overwrites: each put reads before and after")


def _folds(folds: bool | None) -> Finding:
    if folds is None:
        return found("case", None, "unknown", "no name has capital letters: it cannot be seen whether they count")
    if folds:
        return found("case", "yes", "good", "capital letters do not count; no name has any")
    return found("case", "no", "good", "capital letters count")


def _clock(told: int | None, before: int, after: int) -> Finding:
    if told is None:
        return found("clock", None, "unknown", "it tells no time")
    off = told - before if told < before else max(told - after, 0)
    if abs(off) <= _SKEW * _NANO:
        return found("clock", off // 1000, "good", f"its clock is ours within {_SKEW} s")
    if abs(off) > _MOST_SKEW:
        return found("clock", None, "limited", "its clock is off by more than a hundred years")
    way = f"{abs(off) // _NANO} s {'ahead of' if off > 0 else 'behind'} ours"
    return found("clock", off // 1000, "limited", f"its clock is {way}; nothing rests on it")
