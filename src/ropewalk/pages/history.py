"""History: the versions of a space, or of one thing in it, on a time line.

Flow: heads, newest first -> those in which the thing became what it then was -> page
Never: looks at more heads for one page than it has said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.pages.answers import page
from ropewalk.pages.browsing import Browsing, start_of
from ropewalk.pages.names import moment, shown, stamp
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.undoing import found_at
from ropewalk.spaces.current import version_of
from ropewalk.spaces.learning import Standing
from ropewalk.spaces.members import Names
from ropewalk.spaces.state import KnownHead, State
from ropewalk.spaces.tree.entry import Kind
from ropewalk.spaces.tree.view import Shown

__all__ = ["History", "Moment"]

LOOKED_AT = 200  # heads for one page; each costs a few nodes, most of which the next one shares
SHORT = 12  # hex digits of a version for people


@dataclass(frozen=True, slots=True)
class Moment:
    """One point of a time line.

    Attributes:
        version: Its hash in hex.
        when, stamp: For people and for programs.
        note: What was done.
        author: Whose device wrote it.
        gone: Whether the thing was not there from then on.
        size: Bytes of a file, else None.
        entries: Of the whole space then.
        newest: Whether it is what the newest version has.
        queued: Whether it waits on this machine, and is not acknowledged.
    """

    version: str
    when: str
    stamp: str
    note: str
    author: str
    gone: bool
    size: int | None
    entries: int
    newest: bool
    queued: bool

    @property
    def short(self) -> str:
        """What people call it."""
        return self.version[:SHORT]


class History:
    """Endpoints.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing) -> None:
        self._spaces, self._browsing = spaces, browsing

    async def versions(self, request: Request) -> Response:
        """The time line of a place: of a file, when it changed; of a folder, all versions of its space."""
        place = await place_of(request, self._spaces)
        start = start_of(request)
        heads = await place.space.log()
        looked = heads[start : start + LOOKED_AT]
        now = await found_at(await place.space.current(), place.parts)
        alone = now is None or now.kind != Kind.FOLDER
        moments = await self._moments(place, looked, heads[start + LOOKED_AT :][:1], now, alone=alone)
        following = start + LOOKED_AT if len(heads) > start + LOOKED_AT else None
        values = {"place": place, "moments": moments, "alone": alone, "next": following, "there": now is not None}
        return page("versions.html", {**values, **self._browsing.frame(request, place.space)})

    async def _moments(
        self, place: Place, heads: Sequence[KnownHead], before: Sequence[KnownHead], now: Shown | None, *, alone: bool
    ) -> list[Moment]:
        core = place.space.core
        names = Names(core.membership, core.keys)
        waiting = set(await core.ledger.do(State.queued_names))
        moments: list[Moment] = []
        newest = _state(now)
        states: list[tuple[KnownHead, Shown | None]] = []
        for head in [*heads, *before]:
            found = None
            if alone:
                found = await found_at(await version_of(core, Standing([head]), newest=False), place.parts)
            states.append((head, found))
        for at, (head, found) in enumerate(states[: len(heads)]):
            earlier = states[at + 1][1] if at + 1 < len(states) else None
            if alone and _state(found) == _state(earlier):
                continue  # it was so already
            moments.append(
                Moment(
                    *(head.hash.hex(), moment(head.time), stamp(head.time), shown(head.note)),
                    author=_author(names, head.device),
                    gone=alone and found is None,
                    size=found.entry.size if found is not None and found.kind == Kind.FILE else None,
                    entries=head.entries,
                    newest=_state(found) == newest if alone else at == 0 and not place.at,
                    queued=head.name in waiting,
                )
            )
        return moments


def _state(found: Shown | None) -> Sequence[bytes] | None:
    return None if found is None else [key for key, _ in found.items]


def _author(names: Names, device: bytes) -> str:
    return shown(names.whose(device))
