"""Evacuate: all that a space has in one store brought to its others, and its shares deleted there.

Flow: survey -> records, heads copied -> pack by pack, its share moved -> packs that still want something, mended
      -> heads, records read in other stores -> Evacuated
Never: deletes what was not read whole elsewhere, or what others judge the store by: heads, records and hints stay; or
       what is not known to be this space's: it may be being written; or goes on with a store that drains no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from ropewalk.counting import count
from ropewalk.errors import Misuse, Refused, RopewalkError
from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName, heads_prefix
from ropewalk.spaces.learning import look
from ropewalk.spaces.members import LARGEST_RECORD, is_record, records_prefix
from ropewalk.spaces.mend import name_of
from ropewalk.spaces.moving import move_shares
from ropewalk.spaces.pool.placement import PromiseImpossible, feasible
from ropewalk.spaces.publish import settle_journal
from ropewalk.spaces.rebuild import rebuild
from ropewalk.spaces.repair import RepairReport, copy_records
from ropewalk.spaces.state import State
from ropewalk.spaces.store import ObjectName, StoreGone
from ropewalk.spaces.survey import MOST_NAMES, Findings, Progress, silent, survey
from ropewalk.spaces.turns import LONGEST_WAIT
from ropewalk.spaces.wanting import mend_wanting, packs_wanting

__all__ = ["DrainEnded", "Evacuated", "StoreNeeded", "check_can_go", "evacuate"]

ROUNDS = 4  # looks at what came meanwhile, from devices that do not know that the store is being emptied
TURN = 1.0  # seconds for which others that want to write wait for us, and the time of one pack
PAUSE = 1.2 * LONGEST_WAIT  # seconds until the next turn: whoever waits for his has looked by then
AT_ONCE = 16  # heads or records that are looked at together

Turn = Callable[[], AbstractAsyncContextManager[None]]
Fits = Callable[[str, bytes], bool]  # whether an object of this name may have these bytes
_T = TypeVar("_T")


class StoreNeeded(Refused):
    """Without this store something could not be read, or not be kept as promised, or nothing written."""

    code = "space.store-needed"


class DrainEnded(Refused):
    """The store gets what is new again, or was taken out of the space, while it was being emptied."""

    code = "space.drain-ended"


@dataclass(slots=True)
class Evacuated(Findings):
    """What came of it."""

    emptied: bool = True  # whether what is elsewhere was to be deleted there
    packs: int = 0  # that had shares there
    mended: int = 0  # packs that lacked something besides, and lack nothing now
    shares: int = 0  # put elsewhere
    remade: int = 0  # of those: made again, since what was there could not be read
    size: int = 0  # bytes put elsewhere
    deleted: int = 0  # shares
    owed: int = 0  # shares, heads and records that the promise wants elsewhere, and that no other store took
    stay: int = 0  # heads, records and hints that are left there on purpose
    stay_size: int = 0  # bytes of them
    left: int = 0  # other objects of this space that are listed there now
    unknown: int = 0  # of those: not known here, or there since it was looked at; nobody brought them elsewhere

    @property
    def done(self) -> bool:
        """Whether nothing is left that may be needed, and the promise is kept without the store."""
        return not self.owed and not self.unknown

    @property
    def lines(self) -> list[str]:
        """In words."""
        remade = f" ({self.remade} of them made anew)" if self.remade else ""
        moved = f"{count(self.shares, 'share')} ({count(self.size, 'byte')}) brought to other stores{remade}"
        lines = [*self.named, f"{count(self.packs, 'pack')} looked at, {moved}"]
        if self.mended:
            lines.append(
                f"{count(self.mended, 'pack')} mended that lacked shares, or had too many on what fails as one"
            )
        if self.unknown:
            lines.append(
                f"{count(self.unknown, 'object there is/objects there are')} not known here, or came meanwhile, and"
                f" {'stays' if self.unknown == 1 else 'stay'}: another machine may be writing; run this again once it"
                " is done"
            )
        if self.emptied and not self.owed and self.left > self.unknown:
            lines.append(
                f"{count(self.left - self.unknown, 'object')} there could not be deleted; other stores have the same,"
                " and nothing needs what is left there"
            )
        if self.stay:
            lines.append(
                f"{count(self.stay, 'head, record or hint stays/heads, records and hints stay')} there"
                f" ({count(self.stay_size, 'byte')}): other machines judge the store by that, and would say"
                " without it that it went back"
            )
        lines.append(
            f"{count(self.deleted, 'object')} deleted, {count(self.left, 'other')} left there, {self.owed} owed"
        )
        return lines

    def as_dict(self) -> dict[str, object]:
        """As values that fit JSON; sizes are bytes."""
        return {
            "packs": self.packs,
            "mended": self.mended,
            "shares": self.shares,
            "remade": self.remade,
            "bytes": self.size,
            "deleted": self.deleted,
            "stay": self.stay,
            "stay_bytes": self.stay_size,
            "left": self.left,
            "unknown": self.unknown,
            "owed": self.owed,
            "away": self.away,
            "problems": self.problems,
        }


def check_can_go(core: Core, store: str) -> None:
    """See that the promise can be kept on the other stores that get what is new.

    Raises:
        StoreNeeded: It cannot, and why.
    """
    policy = core.membership.policy
    others = [one for one in core.pool.domains if one.name != store and one.name in core.pool.fit]
    without = f"without store {store}{_passed_over(core, store)}"
    try:
        largest = feasible(others, policy.n, policy.survive)
    except PromiseImpossible as error:
        raise StoreNeeded(f"{without}: {error}", hint=_ADD) from None
    if largest < policy.k:
        asked = ", ".join(f"{kind}={s}" for kind, s in policy.survive.items() if s)
        raise StoreNeeded(
            f"{without}, {asked} is survived only where any {largest} shares give a pack back, and here it"
            f" takes {policy.k}",
            hint=_ADD,
        )


def _passed_over(core: Core, store: str) -> str:
    """The other stores that do not count, and why."""
    why = {
        one.name: "drains" if one.name in core.pool.draining else "is not written to"
        for one in core.pool.domains
        if one.name != store and one.name not in core.pool.fit
    }
    told = ", ".join(f"{name} {what} and does not count" for name, what in why.items())
    return f" ({told})" if told else ""


_ADD = "add another store to the space first, on what fails apart from the others"


async def evacuate(
    core: Core, store: str, turn: Turn, progress: Progress = silent, *, delete: bool = True
) -> Evacuated:
    """Bring what a draining store has to others; it may be stopped at any point and run again.

    Args:
        core: The space.
        store: The store.
        turn: The device's turn; it is given back every now and then.
        progress: Told how many packs are done, and how many there are to move.
        delete: Whether shares that were brought elsewhere are deleted there.

    Raises:
        Misuse: It is not draining, or not of this space.
        StoreNeeded: The promise could not be kept without it.
        DrainEnded: It drains no more, or is no longer of this space; what was moved is elsewhere, the rest stays.
    """
    if store not in core.pool.names:
        raise Misuse(f"store {store} is not part of this space, which has {', '.join(core.pool.names)}")
    if store not in core.pool.draining:
        raise Misuse(f"store {store} gets what is new, so it would never be empty", hint="drain it first")
    check_can_go(core, store)
    evacuation = _Evacuation(core, store, turn, delete)
    await evacuation.move_all(progress)
    await evacuation.check_copies()
    await evacuation.count_left()
    return evacuation.report


class _Evacuation:
    """What is known while a store is being emptied."""

    def __init__(self, core: Core, store: str, turn: Turn, delete: bool) -> None:
        self._core, self._store, self._any_turn, self._delete = core, store, turn, delete
        self._tried: set[int] = set()  # packs of which shares stay there, whatever the reason
        self._owing: dict[int, int] = {}  # packs that were done in vain, and how many shares of each are owed
        self._stay: set[str] = set()  # heads and records there that were looked for elsewhere
        self.report = Evacuated(emptied=delete)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A turn, which begins with a look at the settings."""
        async with self._any_turn():
            if self._store not in self._core.pool.draining:
                raise DrainEnded(
                    f"store {self._store} is not being drained any more: another process said so, and it keeps what it"
                    " has left",
                    hint="`ropewalk repair` brings it what it missed; to empty it, run this again",
                )
            yield

    async def _by_turns(
        self, things: Sequence[_T], do: Callable[[_T], Awaitable[None]], progress: Progress = silent
    ) -> None:
        """Do something with each, and let others have their turn every now and then."""
        done, now = 0, asyncio.get_running_loop().time
        while done < len(things):
            if done:
                await asyncio.sleep(PAUSE)
            async with self._turn():
                until = now() + TURN
                while True:
                    progress(done, len(things))
                    await do(things[done])
                    done += 1
                    if done == len(things) or now() >= until:
                        break
        progress(done, done)

    async def move_all(self, progress: Progress) -> None:
        """Move and mend until a look at all stores shows that nothing is left to be done, or was done in vain."""
        for left in range(ROUNDS, -1, -1):
            async with self._turn():
                await self._look()
                packs = [
                    one for one in await self._core.ledger.do(State.packs_on, self._store) if one not in self._tried
                ]
                wanting = await self._wanting()
            if not packs and not wanting:
                break
            if not left:
                self._owing |= dict.fromkeys({*packs, *wanting}, 1)
                self._tried.update(packs)
                self.report.name("packs came or changed all the while; run this again")
                break
            self.report.packs += len(packs)
            await self._by_turns(packs, self._move, progress)
            await self._by_turns(await self._wanting(), self._mend)
        self.report.owed += sum(self._owing.values())

    async def _wanting(self) -> list[int]:
        core = self._core
        survive = core.membership.policy.survive
        found = await core.ledger.do(packs_wanting, self._store, core.pool.domains, survive)
        return [one for one in found if one not in self._owing]

    async def _look(self) -> None:
        """Set right what is known of all stores, so that all is known that the one has; records and heads to others.

        Raises:
            StoreGone: That one does not answer.
        """
        core, report = self._core, self.report
        await core.pool.revive(len(core.pool.names))
        await core.pool.weigh()
        await look(core)
        found = await survey(core)
        if found.unknown:
            for problem in (await rebuild(core)).problems:
                report.name(problem)
        if self._store in found.away:
            raise StoreGone(
                f"store {self._store} is not there: {found.away[self._store]}",
                hint="bring it back; if it is gone for good, take it out with `ropewalk space remove-store` and run"
                " `ropewalk repair`",
            )
        report.away = dict(found.away)
        copied = RepairReport()
        await copy_records(core, found, copied)
        await settle_journal(core)
        for problem in copied.problems:
            report.name(problem)

    async def _move(self, number: int) -> None:
        pack = (await self._core.ledger.do(State.packs_by_id, [number])).get(number)
        if pack is None:
            return
        report = self.report
        try:
            moved = await move_shares(self._core, pack, [self._store], delete=self._delete)
        except RopewalkError as error:
            self._tried.add(number)
            self._owing[number] = 1
            report.name(str(error))
            return
        report.shares += len(moved.placed)
        report.remade += moved.remade
        report.size += moved.bytes
        report.deleted += len(moved.removed)
        if moved.owed:
            self._owing[number] = moved.owed
        if any(share.store == self._store and share not in moved.removed for share in pack.shares):
            self._tried.add(number)
        for problem in moved.problems:
            report.name(problem)

    async def _mend(self, number: int) -> None:
        """Mend what else the promise wants: others may have moved shares meanwhile, or stores have lost some."""
        report = self.report
        wanting = await mend_wanting(self._core, number, self._store)
        report.shares += wanting.placed
        report.remade += wanting.remade
        report.size += wanting.bytes
        if wanting.owed:
            self._owing[number] = wanting.owed
        else:
            report.mended += 1
        for problem in wanting.problems:
            report.name(problem)

    async def check_copies(self) -> None:
        """See that enough others have the heads and records, which stay: see docs/design/nodes.md, Placement."""
        space_id = self._core.space_id
        async with self._turn():
            known = await self._core.ledger.do(_known)
            heads = [name for name in await self._listed(heads_prefix(space_id)) if name in known]
            records = [name for name in await self._listed(records_prefix(space_id)) if name in known]
        await self._by_turns(_batches(heads), partial(self._look_for, _is_head))
        await self._by_turns(_batches(records), partial(self._look_for, is_record))

    async def _look_for(self, fits: Fits, names: Sequence[str]) -> None:
        async def one(name: str) -> None:
            self._stay.add(name)
            if not await self._enough_have(name, fits):
                self.report.owed += 1
                self.report.name(f"{name}: fewer than {self._core.head_floor} other stores have it")

        await asyncio.gather(*map(one, names))

    async def _enough_have(self, name: str, fits: Fits) -> bool:
        core, have = self._core, 0
        for other in core.pool.fit:
            if other == self._store or not core.pool.up(other):
                continue
            try:
                have += fits(name, await core.pool.get(other, ObjectName(name), 0, LARGEST_RECORD + 1))
            except RopewalkError:
                continue
            if have == core.head_floor:
                return True
        return False

    async def count_left(self) -> None:
        """What is there now, and what of it nobody here has looked at: it may be needed."""
        core, report, stay = self._core, self.report, self._stay
        shares = {
            name_of(core, pack, share).encode()
            for pack in (await core.ledger.do(State.packs_by_id, list(self._tried))).values()
            for share in pack.shares
            if share.store == self._store
        }
        there = await self._listed(f"{core.space_id.hex()}/")
        staying = [size for name, size in there.items() if name in stay or "/hints/" in name]
        report.stay, report.stay_size = len(staying), sum(staying)
        report.left = len(there) - len(staying)
        report.unknown = sum(name not in stay and name not in shares and "/hints/" not in name for name in there)

    async def _listed(self, prefix: str) -> dict[str, int]:
        """At most `MOST_NAMES` names, with sizes; whoever lists more lies, or another round takes the rest."""
        sizes: dict[str, int] = {}
        async for listed in self._core.pool.list(self._store, prefix):
            sizes[listed.name] = listed.size
            if len(sizes) == MOST_NAMES:
                break
        return sizes


def _known(state: State) -> set[str]:
    return state.head_names() | state.record_names()


def _batches(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]


def _is_head(name: str, data: bytes) -> bool:
    parsed = HeadName.decode(name)
    return parsed is not None and parsed.fits(data)
