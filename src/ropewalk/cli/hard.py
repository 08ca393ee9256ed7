"""`ropewalk member reseal`, `member remove --hard`: all that is there now sealed anew, for those who belong now.

Flow: open space -> what it costs -> yes or no -> reseal, with a bar -> words, JSON, exit status
Never: begins unasked, or says that a former member can read nothing any more: what is in stores can be read there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.asking import agreed
from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import LEFT_OUT, settle
from ropewalk.cli.output import Voice, count, size
from ropewalk.cli.place import parse_place
from ropewalk.cli.progress import steps
from ropewalk.cli.session import opened
from ropewalk.errors import Damaged, Missing, Misuse, Refused, RopewalkError
from ropewalk.spaces.chunk import ChunkType, Reference, seal
from ropewalk.spaces.reseal import Estimate, Resealed, estimate
from ropewalk.spaces.reseal import reseal as reseal_space
from ropewalk.spaces.space import Space
from ropewalk.spaces.tree.entry import Chunks, Offsets, decode_entry

__all__ = ["StillExposed", "check_asked", "reseal", "seal_anew"]

SAMPLE = 8 * 1024 * 1024  # bytes of content read and sealed to learn how long all of it takes
MOST_LOOKED = 10_000  # entries among which a sample is looked for
FIRST = 1  # the epoch that a space begins with
MOST_NAMED = 20  # entries that could not be sealed anew and are named

Clock = Callable[[], float]


class StillExposed(Refused):
    """Somebody who was put out holds the newest keys: what is sealed with them is for him, too."""

    code = "members.still-exposed"


async def reseal(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative="", help="Do not ask.")] = False,
    common: Keyed = KEYED,
) -> int:
    """Seal all that is in the newest version anew, with keys that nobody has who was put out.

    Says first what that costs. It can be stopped at any time: run again, it goes on. Older versions stay as they are,
    and nothing is deleted: what they alone need can be read, in the stores, by who was put out and reaches them.
    """
    check_asked(yes=yes, hint=f"in a script: `ropewalk member reseal {space} --yes`")
    async with opened(parse_place(space).space, common) as one:
        return await seal_anew(one, common, asked=not yes)


def check_asked(*, yes: bool, hint: str) -> None:
    """See that somebody is there who can say yes, before anything is done.

    Raises:
        Misuse: Nobody is.
    """
    if not yes and not sys.stdin.isatty():
        raise Misuse("nobody is there to say whether to go on once it is known what it costs", hint=hint)


async def seal_anew(space: Space, common: Keyed, *, asked: bool, clock: Clock = time.monotonic) -> int:
    """Seal all that is in the newest version anew; the exit status.

    Args:
        space: Open.
        common: The command's options.
        asked: Whether to ask before it begins.
        clock: Seconds, monotonic.

    Raises:
        StillExposed: It would do no good yet.
    """
    voice = common.voice
    async with space.change("joined"):
        pass  # whoever may write has the newest keys from here on, and made them if that was due
    if exposed := space.core.membership.epochs.exposure:
        raise StillExposed(
            f"{count(len(exposed), 'device')} that {'was' if len(exposed) == 1 else 'were'} put out can read what is"
            f" new in {space.name}, so it would be sealed for that, too",
            hint="open it on an admin's device first, with all its stores there; any change that it makes will do",
        )
    if space.core.keys.number <= FIRST:
        raise Misuse(f"nobody was put out of {space.name} since it was made, so there is nothing to be sealed anew")
    found = await estimate(space)
    rate = await _rate(space, clock) if found.entries else None
    voice.note(_cost(space.name, found, rate))
    if asked and found.entries and not agreed("Seal it anew now? (yes/no) "):
        voice.warning(f"nothing was sealed anew; `ropewalk member reseal {space.name}` does it at any time")
        return LEFT_OUT
    try:
        with steps("seal anew", common) as progress:
            done = await reseal_space(
                space, progress=lambda entries, _: progress(entries, max(found.entries, entries, 1))
            )
    except asyncio.CancelledError:
        voice.warning(f"what was sealed anew stays so; `ropewalk member reseal {space.name}` goes on with the rest")
        raise
    settled = await settle(space, voice)
    sealed = f", {size(done.sealed)}" if done.sealed else ""
    voice.done(
        f"{count(done.entries, 'entry/entries')} of {space.name} sealed anew{sealed}"
        if done.entries
        else f"all of {space.name} was sealed anew already",
        {"space": space.name, "estimate": _costs(found, rate), **_fields(done), "owed": settled.fields["owed"]},
    )
    left = _tell_rest(done, voice, space.name)
    return LEFT_OUT if left and not settled.queued else settled.status


def _cost(name: str, found: Estimate, rate: float | None) -> str:
    if not found.entries:
        return f"all of {name} was sealed anew already"
    inside = f", {size(found.plain)} in {count(found.chunks, 'chunk')}" if found.chunks else ""
    parts = f"{count(found.entries, 'entry/entries')}{inside}"
    takes = ""
    if rate:
        seconds = (found.plain + found.stored) / rate
        takes = f", and about {_long(seconds)}, if stores take bytes as fast as they gave some just now"
    return f"to seal anew: {parts}; it needs {size(found.stored)} more in the stores{takes}"


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _costs(found: Estimate, rate: float | None) -> dict[str, object]:
    return {
        "entries": found.entries,
        "chunks": found.chunks,
        "bytes": found.plain,
        "stored": found.stored,
        "seconds": round((found.plain + found.stored) / rate, 1) if rate else None,
    }


def _fields(done: Resealed) -> dict[str, object]:
    return {
        "entries": done.entries,
        "sealed": done.sealed,
        "versions": done.versions,
        "unknown": done.kept,
        "failed": len(done.failed) + done.unnamed,
        "again": done.left,
        "former": done.former,
    }


def _tell_rest(done: Resealed, voice: Voice, name: str) -> bool:
    """Say what is not as one might think; whether something is left to be done."""
    if done.former:
        voice.warning(
            f"older versions stay as they were: {size(done.former)} in the stores can still be read by those who were"
            " put out, if they reach the stores; take away their access to these"
        )
    for key, why in list(done.failed.items())[:MOST_NAMED]:
        words = key[16:].partition(b"\0")[0].decode(errors="surrogateescape")  # the name in its folder
        voice.warning(f"left out: {words}: {why}")
    if (more := len(done.failed) + done.unnamed - MOST_NAMED) > 0:
        voice.warning(f"left out: {more:,} more")
    if done.kept:
        voice.warning(f"left out: {count(done.kept, 'entry/entries')} of kinds that this version does not know")
    if done.left:
        voice.warning(
            f"others write with older keys as fast as this went on: run `ropewalk member reseal {name}` again"
        )
    return bool(done.failed or done.kept or done.left)


async def _rate(space: Space, clock: Clock) -> float | None:
    """Bytes a second of content that is read from the stores and sealed; None where there is none in packs."""
    core = space.core
    try:
        references = await _some_references(space)
        started = clock()
        plains = await core.reader.read(references, ChunkType.DATA)
    except RopewalkError:
        return None  # what cannot be read is named when its turn comes
    if not plains:
        return None
    await asyncio.get_running_loop().run_in_executor(core.cpu, _seal_all, plains, space)
    seconds = clock() - started
    return sum(map(len, plains)) / seconds if seconds > 0 else None


async def _some_references(space: Space) -> list[Reference]:
    found: list[Reference] = []
    looked = sampled = 0
    async for batch in (await space.current()).tree.scan():
        for _, value in batch:
            looked += 1
            try:
                entry = decode_entry(value)
                if not isinstance(entry.content, Chunks | Offsets):
                    continue
                async for cuts in space.core.content.references(entry):
                    for _, reference in cuts:
                        found.append(reference)
                        sampled += reference.size
                        if sampled >= SAMPLE:
                            return found
            except (Damaged, Missing):
                continue  # it is named when its turn comes
        if looked >= MOST_LOOKED:
            break
    return found


def _seal_all(plains: Sequence[bytes], space: Space) -> None:
    for plain in plains:
        seal(plain, ChunkType.DATA, space.core.keys, padded=space.core.padded)
