"""Outcome: what became of a change or a transfer, in words, as values, and as an exit status.

Flow: Space.outcome, Report -> settle, told -> Voice, exit status
Never: calls something done while it is owed or was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ropewalk.cli.output import Voice, count, path_fields, shown, size
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State
from ropewalk.spaces.transfer import Report
from ropewalk.spaces.waiting import queued as queued_of

__all__ = ["LEFT_OUT", "OWED", "QUEUED", "Settled", "merged", "report_fields", "settle", "tell_left_out", "told"]

OWED = 10  # acknowledged; some store has not got its part yet
LEFT_OUT = 11  # done, but for what was named
QUEUED = 12  # kept on this machine alone, and not acknowledged
PATIENCE = 1.0  # seconds that stores which are slow have for what is under way, before it is said what they owe
SHORT = 12  # hex digits of a version for people


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a change.

    Attributes:
        version: Its hash in hex, None where nothing was to be changed.
        copies: Stores that have the head, of ``stores``.
        owed: Shares, and copies of heads, still owed.
        why: Store to what kept it from doing its part.
        queued: Whether it waits on this machine, and is not acknowledged.
        waits: What for, where it does.
    """

    version: str | None
    copies: int
    stores: int
    owed: tuple[int, int]
    why: Mapping[str, str]
    queued: bool = False
    waits: str = ""

    @property
    def status(self) -> int:
        """The exit status."""
        if self.queued:
            return QUEUED
        return OWED if any(self.owed) else 0

    @property
    def fields(self) -> dict[str, object]:
        """For JSON."""
        shares, heads = self.owed
        return {
            "version": self.version,
            "copies": self.copies,
            "stores": self.stores,
            "queued": self.queued,
            "waits": shown(self.waits) or None,
            "owed": {"shares": shares, "heads": heads},
            "why": {store: shown(why) for store, why in self.why.items()},
        }

    @property
    def words(self) -> str:
        """What people call the version."""
        if not self.version:
            return "nothing changed"
        return f"version {self.version[:SHORT]}{', queued' if self.queued else ''}"


async def settle(space: Space, voice: Voice) -> Settled:
    """What became of the last change; what is owed is paid now if all stores are there, and named if not."""
    outcome = space.outcome
    if outcome is None:
        return Settled(None, 0, len(space.core.pool.names), (0, 0), {})
    shares, heads, queued = outcome.owed_shares, outcome.owed_heads, outcome.queued
    if not outcome.in_full:
        await space.core.pool.opened(most=PATIENCE)
    if not outcome.in_full and all(space.core.pool.up(name) for name in space.core.pool.names):
        await space.core.pool.caught_up(PATIENCE)  # what slow ones are at may be all that is owed
        shares = await space.pay()
        heads = len(await space.core.ledger.do(State.owed_heads))
        queued = await space.core.ledger.do(State.is_queued, outcome.head.name)
    found = await queued_of(space.core) if queued else None
    settled = Settled(
        *(outcome.head.hash.hex(), outcome.copies, outcome.stores, (shares, heads), dict(outcome.why)),
        *(queued, found.why if found else ""),
    )
    if found is not None and not voice.json:
        why = found.short or "too few stores answered"
        then = "cannot be published" if found.stuck else "is published once enough stores take it"
        voice.warning(
            f"it is queued on this machine alone, and not acknowledged: {why}; it {then}"
            f" (`ropewalk space queue {space.name}`)"
        )
    elif settled.status and not voice.json:
        away = {store: why for store, why in space.core.pool.missing().items() if store in space.core.told_away}
        reasons = "; ".join(
            f"{store} is away" if away.get(store, "\n") in why else f"{store}: {why}"
            for store, why in sorted(settled.why.items())
        )
        owing = " and ".join(
            part
            for part in (
                count(shares, "share") if shares else "",
                count(heads, "copy/copies") + " of a head" if heads else "",
            )
            if part
        )
        voice.warning(
            f"it is kept, and {owing} still owed{f' ({reasons})' if reasons else ''};"
            f" `ropewalk repair {space.name}` pays what can be paid"
        )
    return settled


def merged(reports: list[Report]) -> Report:
    """Several reports as one."""
    whole = Report()
    for report in reports:
        whole.files += report.files
        whole.folders += report.folders
        whole.links += report.links
        whole.size += report.size
        whole.unchanged += report.unchanged
        whole.left_out += report.left_out
        whole.skipped += report.skipped
    return whole


def told(report: Report, seconds: float) -> str:
    """``3 files, 1 folder, 4.2 MiB in 0.3 s (13.9 MiB/s)``."""
    parts = [count(report.files, "file")]
    parts += [count(report.folders, "folder")] if report.folders else []
    parts += [count(report.links, "link")] if report.links else []
    rate = f" ({size(report.size / seconds)}/s)" if report.size and seconds > 0 else ""
    unchanged = f", {report.unchanged:,} unchanged" if report.unchanged else ""
    return f"{', '.join(parts)}, {size(report.size)} in {seconds:.1f} s{rate}{unchanged}"


def report_fields(report: Report, seconds: float) -> dict[str, object]:
    """For JSON."""
    return {
        "files": report.files,
        "folders": report.folders,
        "links": report.links,
        "bytes": report.size,
        "unchanged": report.unchanged,
        "seconds": round(seconds, 3),
        "left_out": report.left_out,
        "skipped": [{**path_fields(one.path), "why": shown(one.why)} for one in report.skipped],
    }


def tell_left_out(report: Report, voice: Voice) -> int:
    """Name what was left out; the exit status."""
    if not report.left_out:
        return 0
    if not voice.json:
        for one in report.skipped:
            voice.warning(f"left out: {one.path}: {one.why}")
        if report.left_out > len(report.skipped):
            voice.warning(f"left out: {report.left_out - len(report.skipped):,} more")
    return LEFT_OUT
