"""Known: what this device knows, as a bulletin says it.

Flow: ledger -> Known.refresh -> what a bulletin is compared with, and made from
Never: asks a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ropewalk.spaces.core import Core
from ropewalk.spaces.head import HeadName
from ropewalk.spaces.hint import MOST_NAMED, Named, heads_digest, records_digest
from ropewalk.spaces.learning import Standing, standing
from ropewalk.spaces.state import State

__all__ = ["Known"]

LOOKED = 1.0  # seconds for which it is not asked anew whether another process of this device has written


@dataclass(frozen=True, slots=True)
class _Heads:
    standing: Standing
    digest: bytes
    writers: int
    newest: list[Named]


class Known:
    """What is known, as of the last `refresh`.

    Args:
        core: The space.
        moved: Called when it stands elsewhere than before.
        clock: Seconds, monotonic.
    """

    def __init__(self, core: Core, moved: Callable[[], None], clock: Callable[[], float]) -> None:
        self._core, self._moved, self._clock = core, moved, clock
        self._looked = float("-inf")
        self._version: int | None = None
        self._heads = _Heads(Standing([]), b"", 0, [])

    @property
    def standing(self) -> Standing:
        """The newest heads of all."""
        return self._heads.standing

    @property
    def heads(self) -> bytes:
        """What stands for all heads."""
        return self._heads.digest

    @property
    def records(self) -> bytes:
        """What stands for all records."""
        return records_digest(self._core.membership.heads)

    @property
    def writers(self) -> int:
        """How many there are."""
        return self._heads.writers

    @property
    def newest(self) -> list[Named]:
        """The heads that changed last, by writer."""
        return self._heads.newest

    async def refresh(self, *, written: bool = True) -> None:
        """Look again; unless something was ``written`` here, only if another process of this device did."""
        if not written and self._clock() < self._looked + LOOKED:
            return
        self._looked = self._clock()
        version = await self._core.ledger.do(State.data_version)
        if not written and version == self._version:
            return
        before, first = self._heads.standing, self._version is None
        self._version, self._heads = version, await self._core.ledger.do(_heads)
        if not first and _names(before) != _names(self._heads.standing):
            self._moved()

    async def lacking(self, named: Iterable[Named | HeadName]) -> list[HeadName]:
        """Those of some heads that are not known, nor a later one of their writer."""
        names = [HeadName(self._core.space_id, head.writer, head.sequence, head.check) for head in named]
        return await self._core.ledger.do(_lacking, names)


def _names(now: Standing) -> frozenset[str]:
    return frozenset(head.name for head in now.heads)


def _heads(state: State) -> _Heads:
    # Of a writer that forked, the same branch on all devices, and one: no writer is named twice.
    heads = {head.writer: head for head in sorted(state.newest_heads(), key=lambda head: (head.sequence, head.hash))}
    digest = heads_digest({writer: (head.sequence, head.hash) for writer, head in heads.items()})
    last = sorted(heads.values(), key=lambda head: head.time, reverse=True)[:MOST_NAMED]
    named = [Named(name.writer, name.sequence, name.check) for head in last if (name := HeadName.decode(head.name))]
    return _Heads(standing(state), digest, len(heads), sorted(named, key=lambda head: head.writer))


def _lacking(state: State, names: list[HeadName]) -> list[HeadName]:
    lacking = []
    for name in names:
        newest = state.newest_head(name.writer)
        if (newest is None or newest.sequence <= name.sequence) and state.head_named(name.encode()) is None:
            lacking.append(name)
    return lacking
