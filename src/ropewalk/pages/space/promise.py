"""Promise: what a space promises in four dimensions, what holds now, what was measured, and what it takes to break it.

Flow: request -> what is known -> told in words, by dimension -> verdict, what to do -> page
Never: asks a store for a page, or calls well what is not known.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ropewalk.counting import count
from ropewalk.pages.answers import page
from ropewalk.pages.browsing import Browsing
from ropewalk.pages.names import BadAddress, amount, moment, shown
from ropewalk.pages.opened import Spaces
from ropewalk.pages.places import Place, place_of
from ropewalk.pages.space.drawing import ago, latency
from ropewalk.pages.space.looking import Known, Look, Looking
from ropewalk.spaces.freshness import Freshness, Word
from ropewalk.spaces.promise import Told, told
from ropewalk.spaces.promise.plain import listed

__all__ = ["Card", "PromisePages", "Todo"]

TITLES = {
    "reliable": ("Reliable", "nothing is lost"),
    "available": ("Available", "it is there when it is wanted"),
    "private": ("Private", "only members can read it"),
    "secure": ("Secure", "nobody can forge it"),
}
_STATES = {"up": "kept", "wait": "at risk", "off": "broken"}


@dataclass(frozen=True, slots=True)
class Todo:
    """Something that can be done.

    Attributes:
        text: What is wrong, and since when where that is known.
        command: What mends it, on this machine.
        href, label: A page that does, or says more.
    """

    text: str
    command: str = ""
    href: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One dimension.

    Attributes:
        name: reliable, available, private, secure.
        title, means: For people.
        mark: up, wait, off.
        told: What was promised, what holds, what breaks it.
        measured: What was seen, not computed.
        todo: What to do.
    """

    name: str
    title: str
    means: str
    mark: str
    told: Told
    measured: Sequence[str]
    todo: Sequence[Todo]

    @property
    def state(self) -> str:
        """In words."""
        return _STATES[self.mark]


class PromisePages:
    """Endpoints.

    Args:
        spaces: What can be shown.
        browsing: Gives what each page needs.
        looking: What is known of stores.
    """

    def __init__(self, spaces: Spaces, browsing: Browsing, looking: Looking) -> None:
        self._spaces, self._browsing, self._looking = spaces, browsing, looking

    def table(self) -> Mapping[str, Mapping[str, Callable[[Request], Awaitable[Response]]]]:
        """By WHAT, by method."""
        return {"promise": {"GET": self.promise}}

    async def promise(self, request: Request) -> Response:
        """The four dimensions."""
        place = await place_of(request, self._spaces)
        if place.parts:
            raise BadAddress("a promise is of a whole space", hint="its address ends with /promise/")
        known = await self._looking.known(place.space)
        cards = cards_of(place, known, self._looking.last(place.space))
        worst = next((mark for mark in ("off", "wait") if any(card.mark == mark for card in cards)), "up")
        values = {
            "place": place, "cards": cards, "worst": worst, "status": known.status,
            "created": place.space.core.membership.created,
        }  # fmt: skip
        return page("space/promise.html", {**values, **self._browsing.frame(request, place.space)})


def cards_of(place: Place, known: Known, last: Look | None) -> list[Card]:
    """The four dimensions, with what to do about each."""
    status = known.status
    words = told(status.promise, place.space.core.membership.privacy)
    group = status.group
    made = {
        "reliable": (_reliable(known, last), list(_lost(place, known))),
        "available": (_available(known), list(_away(place, known))),
        "private": (_private(known), list(_exposed(place, known))),
        "secure": (_secure(known), list(_lied(place, known))),
    }
    bad = {"private": bool(group.exposed), "secure": bool(group.frozen)}
    cards = []
    for name, (title, means) in TITLES.items():
        (measured, todo), one = made[name], words[name]
        mark = "off" if one.broken or bad.get(name) else "wait" if todo or not one.kept else "up"
        cards.append(Card(name, title, means, mark, one, measured, todo))
    return cards


# -- reliable ----------------------------------------------------------------------------------------------------------


def _reliable(known: Known, last: Look | None) -> list[str]:
    status = known.status
    pieces = sum(one.held.shares for one in known.stores)
    lines = [f"{count(status.packs, 'pack')} in {count(pieces, 'piece')}, {amount(status.stored)} in all stores."]
    if status.damaged:
        lines.append(f"{count(status.damaged, 'piece')} read and found damaged.")
    if last is None:
        lines.append("The stores were not asked what they hold since this space was opened.")
    elif last.cut:
        lines.append(f"A look at all stores {_when(last)} took too long and was ended.")
    else:
        gone = last.missing + last.short
        what = f"{count(gone, 'piece was/pieces were')} missing or cut short" if gone else "no known piece was missing"
        lines.append(f"A look at all stores {_when(last)}: {last.answered} of {last.stores} answered, {what}.")
    return lines


def _when(last: Look) -> str:
    return f"on {moment(last.time)}"


def _lost(place: Place, known: Known) -> Iterator[Todo]:
    status, name = known.status, shlex.quote(place.name)
    promise = status.promise
    repair = f"ropewalk repair {name}"
    if promise.lost.what not in ((), ("keys",)):
        text = "Too few pieces are left of a part of the data. Bring back any store or disk that ever belonged to it."
        yield Todo(text, repair)
    if promise.unreachable:
        text = "Stores that do not answer count as lost until they are back."
        yield Todo(text, "", place.href("pool", (), at=""), "See which, and why")
    if status.owed_shares:
        missing = count(status.owed_shares, "piece is/pieces are")
        text = f"{missing} not in a store yet. The node brings them as soon as stores allow it; this does it now:"
        yield Todo(text, repair)
    if status.damaged:
        yield Todo(f"{count(status.damaged, 'piece is/pieces are')} damaged; this makes what is damaged anew:", repair)
    elif not promise.kept and not promise.unreachable and not status.owed_shares:
        kinds = [one.kind for one in promise.keeps.kinds if not one.kept]
        text = f"The pieces do not lie far enough apart: {', '.join(kinds)}. Add a store that stands elsewhere, then:"
        yield Todo(text, repair)
    if len(promise.keys) == 1 and not status.paper:
        yield Todo("Only one copy of the keys is left. Words on paper are another:", "ropewalk recovery paper")
    if status.paper:
        yield Todo(_sentence(status.paper))


# -- available ---------------------------------------------------------------------------------------------------------


def _available(known: Known) -> list[str]:
    times = sorted(one.seen.usual for one in known.stores if one.seen.usual)
    lines = []
    if times:
        quick, slow = latency(times[0]), latency(times[-1])
        lines.append(f"Small reads took up to {quick} from the quickest store, {slow} from the slowest.")
    late = [shown(one.name) for one in known.stores if one.seen.slow]
    if late:
        lines.append(f"Slower than the others lately: {listed(late)}.")
    if known.status.fresh is not None:
        lines.append(_freshness(known.status.fresh, known.status.heard))
    return lines or ["Nothing was read from the stores since the node started."]


def _freshness(fresh: Freshness, heard: str) -> str:
    who = heard or "this device itself"
    if fresh.word is Word.FRESH:
        return f"What is shown is new: {who} was heard {ago(fresh.age or 0.0)}."
    if fresh.word is Word.STALE:
        since = f" since {moment(fresh.since)}" if fresh.since else ""
        return f"What is shown may be old: no other device was heard{since}."
    return "Whether what is shown is the newest is not known: no other device was heard."


def _away(place: Place, known: Known) -> Iterator[Todo]:
    status = known.status
    for one in known.stores:
        if one.name in status.away:
            since = f", last heard {ago(one.seen.ago)}" if one.seen.ago is not None else ""
            href = place.href("pool", (), at="", store=one.name)
            text = f"{one.name} does not answer{since}. Bring it back: {status.away[one.name]}."
            command = f"ropewalk space remove-store {shlex.quote(place.name)} {shlex.quote(one.name)}"
            yield Todo(
                f"{text} If it is gone for good, put another in its place first, then:", command, href, "About it"
            )
        elif one.name in status.refused:
            text = f"Nothing is put into {one.name}: {status.refused[one.name].refused}. This looks at it again:"
            yield Todo(text, f"ropewalk store passport {shlex.quote(one.name)}")
    for line in status.queue.lines:
        yield Todo(_sentence(line), f"ropewalk space queue {shlex.quote(place.name)}")
    if status.fresh is not None and status.fresh.missing:
        text = f"{count(status.fresh.missing, 'change was/changes were')} heard of that no store that answers has."
        yield Todo(text, "", place.href("pool", (), at=""), "See the stores")


# -- private and secure ------------------------------------------------------------------------------------------------


def _private(known: Known) -> list[str]:
    exposed = known.status.group.exposed
    if exposed:
        return [f"{count(len(exposed), 'device')} put out, and still able to read what is new."]
    return ["Nobody who was put out can read what is new."]


def _exposed(place: Place, known: Known) -> Iterator[Todo]:
    for name, _, since in known.status.group.exposed:
        when = f" since {moment(since)}" if since else ""
        text = f"{name} was put out and can still read what is new{when}. Any change by an admin's device ends that."
        yield Todo(text, "", place.href("members", (), at=""), "Members")


def _secure(known: Known) -> list[str]:
    group = known.status.group
    lied = count(len(group.frozen), "device was/devices were") if group.frozen else "No device was"
    aside = count(group.quarantined, "change is/changes are") if group.quarantined else "no change is"
    return [f"{lied} shown to have lied; {aside} kept aside."]


def _lied(place: Place, known: Known) -> Iterator[Todo]:
    audit = place.href("audit", (), at="")
    for name, _ in known.status.group.frozen:
        text = f"{name} was shown to have lied; what it writes now does not count until an admin accepts it."
        yield Todo(text, "", audit, "The audit trail")
    if known.status.group.quarantined:
        what = count(known.status.group.quarantined, "change is/changes are")
        yield Todo(f"{what} kept aside and shown to nobody.", "", audit, "The audit trail says whose")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
