"""Heads: from names in listings to heads that were fetched, checked and opened, many at once.

Flow: names by store -> bytes -> signatures of the newest, opened layers -> admitted in the ledger
Never: holds more than a few hundred heads, or checks a signature that a later head of its writer stands for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, groupby

from ropewalk.errors import Damaged, Missing, RopewalkError, Unavailable
from ropewalk.spaces.core import Core
from ropewalk.spaces.envelope import HeadDamaged
from ropewalk.spaces.head import LARGEST_HEAD, HeadName, Parts, open_layers, take_apart, verify
from ropewalk.spaces.keys import EpochUnknown, KeyRing, MembersOnly
from ropewalk.spaces.learning.aside import CLOSED, JUNK, AsideRow, aside, misfit, put_aside, still_waiting, worth_asking
from ropewalk.spaces.learning.sight import Admitted, Opened, Sight, Waiting, admit, take_back
from ropewalk.spaces.learning.standing import read_embedded
from ropewalk.spaces.learning.testimony import MOST_STRANGE, strange
from ropewalk.spaces.members import Membership
from ropewalk.spaces.pool.pool import StoreLate
from ropewalk.spaces.state import State

__all__ = ["Fetched", "fetch_heads", "told_of"]

AT_ONCE = 32  # gets
TOGETHER = 32  # heads in one call to a store that gives many: a slow disk has read them long before it is given up
PARTS = 8  # of a batch, each opened in one turn of a thread: a turn for each writer takes longer where these are many
BATCH = 256  # heads held at once, judged in one transaction
MOST_WAITING = 1024  # heads that wait for others are held; more are fetched again
MOST_ROUNDS = 8  # in one look, of heads that were put aside until one came that came now; the next look takes more
MOST_MISFITS = 1000  # objects of one store that are not what their names say; the next look takes more
MISFIT_BYTES = 16 << 20  # of these
MOST_TOLD = 16  # of these, one by one
MOST_ELSEWHERE = 256  # heads, in one look, that other stores are asked for once those that list them failed
SLOW = 5.0  # seconds for one head, where another store lists it too


@dataclass(slots=True)
class Fetched:
    """What became of the heads that stores list."""

    admitted: Admitted = field(default_factory=Admitted)
    unread: int = 0  # could not be read for now
    doubts: dict[str, str] = field(default_factory=dict)  # by name, of those that rest on what is not here, why
    raised: set[str] = field(default_factory=set)  # names that were put aside until others came, which came
    passed: Counter[bytes] = field(default_factory=Counter)  # that were put aside before, by until when
    closed: int = 0  # that are sealed with keys that are not here
    strange: dict[str, bytes] = field(default_factory=dict)  # some that are of other spaces, by name
    misfits: Counter[str] = field(default_factory=Counter)  # by store, objects that are not what their names say

    @property
    def passed_waiting(self) -> int:
        """How many were put aside before until something comes that they rest on."""
        return self.passed.total() - self.passed[CLOSED] - self.passed[JUNK]

    def add(self, more: Admitted) -> None:
        """Some more of them."""
        mine = self.admitted
        mine.new += more.new
        mine.writers |= more.writers
        mine.forked |= more.forked
        mine.gaps |= more.gaps
        mine.told += more.told
        mine.raised |= more.raised


async def fetch_heads(
    core: Core, wanted: Mapping[HeadName, Sequence[str]], *, listed: bool = True, again: bool = False
) -> Fetched:
    """Fetch heads, check them, and keep those that what they rest on is known of.

    Args:
        core: The space.
        wanted: Names that are not known, with the stores to ask for each first.
        listed: Whether these stores list it; else who gives it has it, and of the others nothing is known.
        again: Also those that were put aside before.
    """
    fetched = Fetched()
    if not wanted:
        return fetched
    held = {} if again else await aside(core)
    passed: dict[str, bytes] = {}
    if held:
        wanted, passed = worth_asking(wanted, held, listed=listed)
    fetched.passed = Counter(passed.values())
    sight = await core.ledger.do(Sight, core.membership, core.head_floor)
    getting = _Getting(core, wanted, fetched, listed=listed)
    left = [name for name in wanted if name.encode() not in passed] if passed else list(wanted)
    for _ in range(MOST_ROUNDS):
        await _fetch(core, sight, getting, sorted(left, key=_order))
        await put_aside(core, getting.useless)
        getting.useless.clear()
        raised, fetched.admitted.raised = fetched.admitted.raised, set()
        fetched.raised |= raised
        if not raised or not (left := [name for name in wanted if name.encode() in raised]):
            break
        fetched.passed.subtract(passed.pop(name) for name in raised if name in passed)
    fetched.closed = len(getting.closed)
    return fetched


def told_of(core: Core, fetched: Fetched) -> list[str]:
    """What people should hear of it."""
    told = [*fetched.admitted.told, *fetched.doubts.values()]
    if waiting := fetched.passed_waiting:
        told.append(f"{waiting} heads that were set aside before rest on what is still not here")
    for store, count in fetched.misfits.items():
        if count > MOST_TOLD:
            told.append(f"store {store}: {count} heads in all have other bytes than their names say")
    if junk := fetched.passed[JUNK]:
        told.append(f"{junk} heads that stores show are none, as was found before")
    return told + _too_new(core, fetched.closed + fetched.passed[CLOSED])


async def _fetch(core: Core, sight: Sight, getting: _Getting, left: Sequence[HeadName]) -> None:
    fetched = getting.fetched
    while left:
        before = fetched.admitted.new
        again: list[HeadName] = []
        useless: list[AsideRow] = []
        waiting = Waiting()
        async for opened in _ahead(getting, [left[at : at + BATCH] for at in range(0, len(left), BATCH)]):
            fetched.add(await core.ledger.do(admit, sight, opened, waiting))
            if waiting.count > MOST_WAITING:
                useless += still_waiting(waiting, core.membership)
                again += [one.head.name for one in waiting.take_all()]
        while waiting.count:  # what lies behind a gap that no store fills is not waited for
            some = fetched.admitted.new
            fetched.add(await core.ledger.do(admit, sight, waiting.take_all(), waiting))
            if fetched.admitted.new == some and not await _take_back(core, sight, getting, waiting):
                break
        if not again or fetched.admitted.new == before:
            for one, wait in chain.from_iterable(waiting.by_hash.values()):
                fetched.doubts[one.head.name.encode()] = f"head {_of(one)} was set aside: {wait.why}"
            getting.useless += [*useless, *still_waiting(waiting, core.membership)]
            break
        left = sorted([*again, *(one.head.name for one in waiting.take_all())], key=_order)


async def _take_back(core: Core, sight: Sight, getting: _Getting, waiting: Waiting) -> bool:
    """Have heads of our own count that were given up, or not sent yet, and that others wait for; whether any does."""
    done = False
    for head, kept in await core.ledger.do(State.given_up, list(waiting.by_hash)):
        name = HeadName.decode(head.name)
        assert name is not None
        data = kept if kept is not None else await getting.get(name)
        if data is None or not name.fits(data):
            continue
        good, _ = open_run([(name, data)], core.membership, core.keys)
        for one in good:
            getting.fetched.add(await core.ledger.do(take_back, sight, one, data, core.pool.takers, waiting))
            done = True
    return done


async def _ahead(getting: _Getting, batches: Sequence[Sequence[HeadName]]) -> AsyncIterator[list[Opened]]:
    """Heads batch by batch; while one is judged, the next is fetched."""
    task: asyncio.Task[list[Opened]] | None = None
    try:
        for batch in (*batches, None):
            before, task = task, asyncio.create_task(getting.open(batch)) if batch is not None else None
            if before is not None:
                yield await before
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


def _too_new(core: Core, heads: int) -> list[str]:
    """That so many heads do not open, and why; a device that was put out is told that alone."""
    mine = core.device.public().id
    if not heads or mine not in core.membership.state.devices:
        return []
    what = "1 change is" if heads == 1 else f"{heads} changes are"
    waits = not core.membership.epochs.current.holds(mine, as_steward=False)
    why = (
        "another device that has them hands them on with its next change"
        if waits
        else "the record of these keys is in no store that was asked"
    )
    return [f"{what} sealed with newer keys than this device has, and cannot be read yet: {why}"]


def _order(name: HeadName) -> tuple[int, bytes, bytes]:
    return name.sequence, name.writer, name.check


def _of(one: Opened) -> str:
    return f"{one.head.name.writer.hex()[:8]}-{one.head.name.sequence}"


def _first(name: HeadName, stores: Sequence[str]) -> int:
    """Which of the stores that list a head is asked for it first: so each gives a part of all heads."""
    return name.check[0] % len(stores) if stores else 0


class _Getting:
    def __init__(self, core: Core, wanted: Mapping[HeadName, Sequence[str]], fetched: Fetched, *, listed: bool) -> None:
        self._core, self._wanted, self._listed, self.fetched = core, wanted, listed, fetched
        self._having: dict[HeadName, set[str]] = {}  # stores that list it, or gave it, and none that was asked in vain
        self._misfit_bytes: Counter[str] = Counter()  # by store
        self._slow: set[str] = set()
        self._strange: Counter[str] = Counter()  # objects of other spaces, by store
        self._elsewhere = 0  # heads that stores were asked for which do not list them
        self._own: set[str] | None = None
        self.closed: set[HeadName] = set()  # good, and sealed with keys that are not here
        self.useless: list[AsideRow] = []  # to be put aside

    async def open(self, names: Sequence[HeadName]) -> list[Opened]:
        """Fetch heads and open those that are good."""
        core = self._core
        if self._own is None:
            self._own = await core.ledger.do(State.unacknowledged)
        if self._own:  # their fate is for the journal to settle
            names = [name for name in names if name.encode() not in self._own]
        data_of = await self._get_together(names)
        opened = await self._open(data_of)
        left = iter([name for name in names if name not in data_of])
        alone: dict[HeadName, bytes] = {}

        async def get_some() -> None:
            for name in left:
                if (data := await self.get(name)) is not None:
                    alone[name] = data

        await asyncio.gather(*(get_some() for _ in range(AT_ONCE)))
        opened += await self._open(alone)
        return sorted(opened, key=lambda one: (one.head.name.sequence, one.head.name.writer))

    async def _open(self, data_of: dict[HeadName, bytes]) -> list[Opened]:
        """Those that are good; what its name does not commit to is taken out of those given."""
        core, loop = self._core, asyncio.get_running_loop()
        found = sorted(data_of.items(), key=lambda one: (one[0].writer, -one[0].sequence))
        runs = [list(run) for _, run in groupby(found, key=lambda one: one[0].writer)]
        parts = [runs[at::PARTS] for at in range(min(PARTS, len(runs)))]
        work = [loop.run_in_executor(core.cpu, partial(_open_runs, part, core.membership, core.keys)) for part in parts]
        opened: list[Opened] = []
        for good, problems in chain.from_iterable(await asyncio.gather(*work)):
            opened += [self._seen(one, data_of[one.head.name]) for one in good]
            for name, problem in problems:
                if isinstance(problem, HeadDamaged) and not name.fits(data_of[name]):  # others may have what it names
                    del data_of[name]
                elif isinstance(problem, EpochUnknown | MembersOnly):  # no store is to blame
                    self.closed.add(name)
                    self.useless.append(AsideRow(name.encode(), CLOSED))
                else:
                    self.useless.append(AsideRow(name.encode(), JUNK))
                    self._tell(", ".join(sorted(self._wanted[name])), str(problem))
                    self._keep_strange(name, data_of[name])
        return opened

    def _keep_strange(self, name: HeadName, data: bytes) -> None:
        stores = self._wanted[name]
        if any(self._strange[store] < MOST_STRANGE for store in stores) and strange(self._core, name.encode(), data):
            self._strange.update(stores)
            self.fetched.strange[name.encode()] = data

    async def get(self, name: HeadName) -> bytes | None:
        """The bytes that a name commits to, from any of the stores that list it, or else from another."""
        stores = self._wanted.get(name, ())
        having = self._having[name] = set(stores) if self._listed else set()
        unread: dict[str, str] = {}
        for store, patience in self._to_ask(name, stores):
            try:
                data = await self._from(store, name, patience)
            except (Missing, Unavailable) as error:
                if store in stores:
                    unread[store] = str(error)
            except RopewalkError as error:
                if self.fetched.misfits[store] <= MOST_TOLD:
                    self._tell(store, str(error))
            else:
                having.add(store)
                return data
            having.discard(store)
        if unread:
            self.fetched.unread += 1
            why = "; ".join(f"{store}: {reason}" for store, reason in sorted(unread.items()))
            self.fetched.admitted.told.append(
                f"head {name.writer.hex()[:8]}-{name.sequence} is listed and cannot be read, so this may be an older"
                f" version ({why})"
            )
        return None

    async def _get_together(self, names: Sequence[HeadName]) -> dict[HeadName, bytes]:
        """What the stores that are asked first give in few calls, unchecked; the rest is to be asked for one by one."""
        by_store: dict[str, list[HeadName]] = {}
        for name in names:
            if stores := self._wanted.get(name):
                by_store.setdefault(stores[_first(name, stores)], []).append(name)
        found: dict[HeadName, bytes] = {}

        async def get_some(store: str, some: Sequence[HeadName]) -> None:
            objects = [name.encode() for name in some]
            try:
                given = await self._core.pool.get_many(store, objects, LARGEST_HEAD + 1, SLOW)
            except StoreLate:
                self._slow.add(store)
            except RopewalkError:
                return  # whoever asks it for one of them will find that, too
            else:
                there = {name: data for name, data in zip(some, given, strict=True) if data is not None}
                found.update(there)
                self._having.update((name, set(self._wanted[name]) if self._listed else {store}) for name in there)

        await asyncio.gather(
            *(
                get_some(store, of_store[at : at + TOGETHER])
                for store, of_store in by_store.items()
                if not any(self._worse(store)) and not self._is_misfit(store)
                for at in range(0, len(of_store), TOGETHER)
            )
        )
        return found

    def _seen(self, one: Opened, data: bytes) -> Opened:
        stores = self._having[one.head.name]
        few = len(stores) < self._core.head_floor
        return Opened(one.head, one.embedded, stores, data if few else None, self._core.now())

    def _to_ask(self, name: HeadName, stores: Sequence[str]) -> Iterator[tuple[str, float | None]]:
        """Stores, each with the seconds that it is waited for."""
        pool = self._core.pool
        first = _first(name, stores)
        order = [*stores[first:], *stores[:first]]
        if len(order) > 1 and not any(self._worse(order[0])):  # none is better, and as a rule no other is needed
            yield order.pop(0), SLOW
        order.sort(key=self._worse)
        for at, store in enumerate(order):
            yield store, SLOW if at + 1 < len(order) else None
        others = [store for store in pool.names if store not in stores and pool.up(store)]
        if others and self._elsewhere < MOST_ELSEWHERE:  # one may have it whose listing was not waited for
            self._elsewhere += 1
            for store in others:
                yield store, SLOW

    def _worse(self, store: str) -> tuple[bool, bool]:
        return store in self._slow, self._core.pool.is_late(store)

    async def _from(self, store: str, name: HeadName, patience: float | None) -> bytes:
        if self._is_misfit(store):
            raise Unavailable("it gives other bytes than names say")
        try:
            data = await self._core.pool.get(store, name.encode(), 0, LARGEST_HEAD + 1, patience)
        except StoreLate:
            self._slow.add(store)
            raise
        if not name.fits(data):
            self.fetched.misfits[store] += 1
            self._misfit_bytes[store] += len(data)
            self.useless.append(AsideRow(misfit(store, name.encode()), JUNK))
            raise Damaged(f"head {name.writer.hex()[:8]}-{name.sequence} has other bytes than its name says")
        return data

    def _is_misfit(self, store: str) -> bool:
        return self.fetched.misfits[store] >= MOST_MISFITS or self._misfit_bytes[store] > MISFIT_BYTES

    def _tell(self, store: str, what: str) -> None:
        self.fetched.admitted.told.append(f"store {store}: {what}")


def _open_runs(
    runs: Sequence[Sequence[tuple[HeadName, bytes]]], membership: Membership, keys: KeyRing
) -> list[tuple[list[Opened], list[tuple[HeadName, RopewalkError]]]]:
    return [open_run(run, membership, keys) for run in runs]


def open_run(
    found: Sequence[tuple[HeadName, bytes]], membership: Membership, keys: KeyRing
) -> tuple[list[Opened], list[tuple[HeadName, RopewalkError]]]:
    """Check and open heads of one writer, newest first; a head that a good one follows needs no signature of its own.

    Returns:
        The good ones, and what is wrong with the others.
    """
    opened: list[Opened] = []
    problems: list[tuple[HeadName, RopewalkError]] = []
    vouched: Collection[bytes] = ()
    for name, data in found:
        try:
            parts = take_apart(data, name)
            follows = parts.hash in vouched
            verify(parts, membership, follows=follows)
            vouched = _vouched(vouched, parts)
            head = open_layers(parts, keys)
            opened.append(Opened(head, read_embedded(head.embedded, keys)))
        except (Damaged, EpochUnknown, MembersOnly) as error:
            problems.append((name, error))
    return opened, problems


def _vouched(before: Collection[bytes], parts: Parts) -> Collection[bytes]:
    # Heads come by falling sequence: two of one sequence may both be followed, and older ones no more.
    return {*before, parts.envelope.previous} if before else {parts.envelope.previous}
