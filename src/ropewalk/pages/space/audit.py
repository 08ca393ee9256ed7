"""Audit: who did what in a space, as signed, and what was found out of devices and stores.

Flow: Audit of the space -> Told -> lines of one kind, of one person -> page by page, or all of them as JSON lines
Never: hides what had no effect, or changes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from weakref import ReferenceType, ref

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ropewalk.errors import Missing
from ropewalk.pages.answers import page
from ropewalk.pages.browsing import Browsing, start_of
from ropewalk.pages.names import BadAddress, shown
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.sending import Streamed, attachment
from ropewalk.pages.space.told import Line, Told
from ropewalk.spaces.audit import audit
from ropewalk.spaces.deeds import Deeds
from ropewalk.spaces.members import Names
from ropewalk.spaces.members.operations import Prove
from ropewalk.spaces.proof import digest
from ropewalk.spaces.space import Space
from ropewalk.spaces.state import State

__all__ = ["Audits", "NoSuchProof"]

MORE = 100  # lines on one page
AT_ONCE = 500  # lines in one piece of a download
KINDS: Mapping[str, str] = {"": "everything", "found": "what was found out", "member": "members", "change": "changes"}
_LONGEST_ID = 64  # hex digits


class NoSuchProof(Missing):
    """No proof has this id."""

    code = "pages.no-such-proof"


@dataclass(frozen=True, slots=True)
class _Last:
    """The audit of the space that was looked at last, good until anything in it changes."""

    space: ReferenceType[Space]
    mark: tuple[object, ...]
    told: Told
    names: Names


class Audits:
    """A section.  An audit takes in all that is known of a space, so there is one at a time, and the last is kept.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing) -> None:
        self._spaces, self._browsing = spaces, browsing
        self._turn = asyncio.Lock()
        self._last: _Last | None = None

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """The endpoints."""
        return {
            "audit": {"GET": self.look},
            "audit.jsonl": {"GET": self.lines},
            "proof": {"GET": self.proof},
        }

    async def look(self, request: Request) -> Response:
        """Some lines, the newest first."""
        place = await place_of(request, self._spaces)
        kind, who, start = _kind(request), _who(request), start_of(request)
        chosen = await self._chosen(place, kind, who)
        some = [line() for line in chosen[start : start + MORE + 1]]
        given = {"kind": kind, "who": who}
        values = {
            "place": place, "lines": some[:MORE], "start": start, "kinds": KINDS, "kind": kind, "person": who,
            "people": [(person.id.hex(), shown(person.called)) for person in place.space.people()],
            "next": place.href("audit", (), **given, start=str(start + MORE)) if len(some) > MORE else "",
            "download": place.href("audit.jsonl", (), **given),
            "log": "/process/log?" + urlencode({"level": "INFO", "logger": "ropewalk.pages.audit"}),
        }  # fmt: skip
        return page("space/audit.html", {**values, **self._browsing.frame(request, place.space)})

    async def lines(self, request: Request) -> Response:
        """All of the same lines, each as values with the fields of `ropewalk audit --json`."""
        place = await place_of(request, self._spaces)
        kind, who = _kind(request), _who(request)
        chosen = await self._chosen(place, kind, who)

        async def pieces() -> AsyncGenerator[bytes, None]:
            for at in range(0, len(chosen), AT_ONCE):
                yield b"".join(msgspec.json.encode(line().fields) + b"\n" for line in chosen[at : at + AT_ONCE])
                await asyncio.sleep(0)  # whoever reads as fast as this can say it is not alone here

        headers = {"content-disposition": attachment(f"audit of {place.name}.jsonl")}
        return Streamed(pieces(), 200, headers, "application/jsonl")

    async def proof(self, request: Request) -> Response:
        """A proof, or a testimony, as a file: ``id``."""
        place = await place_of(request, self._spaces)
        wanted = request.query_params.get("id", "")
        core = place.space.core
        recorded = [record.content.proof for record in core.membership.records if isinstance(record.content, Prove)]
        kept = [data for _, _, _, data in await core.ledger.do(State.proofs)]
        data = next((one for one in (*recorded, *kept) if digest(one).hex() == wanted), None)
        if data is None:
            raise NoSuchProof(f"no proof has the id {wanted[:12]!r}", hint="the audit of the space lists them")
        headers = {"content-disposition": attachment(f"{wanted[:12]}.proof")}
        return Response(data, 200, headers, "application/octet-stream")

    async def _chosen(self, place: Place, kind: str, who: str) -> Sequence[Callable[[], Line]]:
        async with self._turn:
            last = await self._audit(place.space)
        return last.told.lines(kind, last.names.devices_of(bytes.fromhex(who)) if who else None)

    async def _audit(self, space: Space) -> _Last:
        await space.current()  # what is new is learnt
        core = space.core
        mark = (*await core.ledger.do(State.written), core.membership, tuple(core.markers.items()))
        if self._last is None or self._last.space() is not space or self._last.mark != mark:
            self._last = None  # two of them need not be held at once
            found, names = await audit(core), Names(core.membership, core.keys)
            stores = {marker: name for name, marker in core.markers.items()}
            self._last = _Last(ref(space), mark, Told(Deeds(found, names, stores)), names)
        return self._last


def _kind(request: Request) -> str:
    kind = request.query_params.get("kind", "")
    if kind not in KINDS:
        raise BadAddress(f"kind is {kind[:20]!r}, expected one of {', '.join(filter(None, KINDS))}")
    return kind


def _who(request: Request) -> str:
    who = request.query_params.get("who", "")
    if len(who) > _LONGEST_ID or len(who) % 2 or who.strip("0123456789abcdef"):
        raise BadAddress(f"who is {who[:20]!r}, expected the hex digits of a member's id")
    return who
