"""`ropewalk watch`: changes of a space as they are heard of, until it is stopped.

Flow: open space -> Space.watch, its freshness, its members -> lines, each at once
Never: shows a change before it is checked, or piles up what nobody reads.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import KEYED, Keyed
from ropewalk.cli.outcome import SHORT
from ropewalk.cli.output import Voice, count, date, iso
from ropewalk.cli.place import parse_place
from ropewalk.cli.session import opened
from ropewalk.errors import Misuse
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.members import Membership, Names
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import KnownHead

__all__ = ["watch"]

LOOK = 1.0  # seconds between two looks at how fresh the view is, and who belongs


async def watch(
    space: Annotated[str, Parameter(help="The space.")],
    /,
    *,
    number: Annotated[
        int | None, Parameter(name=("--count", "-n"), metavar="N", help="End after so many changes.")
    ] = None,
    common: Keyed = KEYED,
) -> int:
    """Say each change of a space as soon as it is heard of.

    A line has when it was made, by whom, its version, the number of entries, and what the log says; for a steward, when
    it came, by whom, and its version. It goes on until ^C, and the exit status is 130 then. While it runs, it also
    tells the others' `ropewalk watch` and `status` that this device is there, and says when nobody is heard any more.
    """
    if number is not None and number < 1:
        raise Misuse(f"--count is {number}, expected 1 or more")
    async with opened(parse_place(space).space, common, stewards=True) as one:
        watching = _Watching(one, common.voice)
        looking = asyncio.create_task(watching.look_around())
        try:
            await watching.follow(number)
        finally:
            looking.cancel()
            await asyncio.wait([looking])
            watching.warn()
    return 0


class _Watching:
    """What was said of a space so far."""

    def __init__(self, space: Space, voice: Voice) -> None:
        self._space, self._voice = space, voice
        self._membership: Membership = space.core.membership
        self._names = Names(space.core.membership, space.core.keys)
        self._told = len(space.warnings)
        self._word = Word.UNKNOWN

    async def follow(self, number: int | None) -> None:
        """Say changes, as many as are wanted."""
        said = 0
        await self._space.live.start()
        self._voice.note(f"watching {self._space.name}; ^C ends it")
        async for moved in self._space.watch():
            for head in sorted(moved.heads, key=lambda one: one.time):
                self._say(head)
                said += 1
                if said == number:
                    return

    def _say(self, head: KnownHead) -> None:
        names = self._current_names()
        what = f"{count(head.entries, 'entry/entries')}  {head.note}" if not head.unread else "a new version, seen now"
        ours = head.device == self._space.core.device.public().id
        self._line(
            f"{date(head.time)}  {names.whose(head.device)}{' (this machine)' if ours else ''}"
            f"  {head.hash.hex()[:SHORT]}"
            f"  {what}".rstrip(),
            {
                "version": head.hash.hex(),
                "time": None if head.unread else iso(head.time),
                "seen": iso(head.time) if head.unread else None,
                "device": head.device.hex(),
                "who": names.whose(head.device),
                "entries": None if head.unread else head.entries,
                "note": None if head.unread else head.note,
            },
        )

    async def look_around(self) -> None:
        """Say again and again what else is new."""
        while True:
            await asyncio.sleep(LOOK)
            self.warn()
            self._tell_freshness(self._space.live.view())
            if self._space.core.membership is not self._membership:
                self._current_names()
                self._line(
                    f"{date(time.time_ns())}  who belongs to {self._space.name}, or what they are called, has changed:"
                    f" `ropewalk members {self._space.name}`",
                    {"members": True},
                )

    def _tell_freshness(self, view: Freshness) -> None:
        if view.word is self._word:
            return
        self._word = view.word
        if view.word is Word.STALE and view.since is not None:
            text = f"stale since {date(view.since)}: no device was heard, so newer changes may be missing here"
            if view.missing:
                text = f"stale since {date(view.since)}: {count(view.missing, 'change')} that others name cannot be had"
        elif view.word is Word.FRESH:
            text = "fresh: other devices are heard, and all that they name is here"
        else:
            text = "whether this is the newest is not known: no other device is heard"
        self._line(f"{date(time.time_ns())}  {text}", {"freshness": view.as_dict()})

    def warn(self) -> None:
        """Say what the space warns of, once and now."""
        warnings = self._space.warnings
        while len(warnings) > self._told:
            self._voice.warning(warnings.pop(self._told))

    def _current_names(self) -> Names:
        if self._space.core.membership is not self._membership:
            self._membership = self._space.core.membership
            self._names = Names(self._membership, self._space.core.keys)
        return self._names

    def _line(self, text: str, fields: dict[str, object]) -> None:
        self._voice.line(text, fields)
        sys.stdout.flush()  # whoever reads this through a pipe waits for it
