"""Drawing: the map of a pool: stores in the boxes that they fail with, how they are, and how full.

Flow: StoreAtHand -> Face, with its words and its bar; faces, kinds of domain -> Box in Box -> page
Never: says by colour or place alone what it does not say in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ropewalk.counting import count
from ropewalk.pages.names import amount
from ropewalk.spaces.at_hand import StoreAtHand
from ropewalk.spaces.pool.rooms import AWAY, DRAINING, FULL, READ_ONLY, UP

__all__ = ["VIEWS", "Bar", "Box", "Face", "ago", "boxes_of", "face_of", "latency", "views_of"]

VIEWS = {  # how boxes lie in each other, the outermost first
    "where": ("Where they stand", ("site", "machine", "disk")),
    "who": ("Who runs them", ("admin", "account", "credential")),
    "what": ("What software they run", ("build",)),
}
_SLIVER = 0.4  # of 100: the narrowest part of a bar that can be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """How full a store is, of 100.

    Attributes:
        ours: The part of this space.
        others: What else lies there, or cannot be used.
    """

    ours: float
    others: float


@dataclass(frozen=True, slots=True)
class Face:
    """One store as it is shown.

    Attributes:
        mark: Of its style: up, wait, off.
        state: In a few words.
        notes: What else there is to know, the worst first.
        words: How full it is.
        answers: How quickly it answered lately, and when.
    """

    store: StoreAtHand
    mark: str
    state: str
    notes: Sequence[str]
    bar: Bar | None
    words: str
    answers: str

    @property
    def name(self) -> str:
        """The user's name for it."""
        return self.store.name


@dataclass(frozen=True, slots=True)
class Box:
    """What fails as one.

    Attributes:
        kind: Of domain.
        value: None where nobody said it.
        faces: Of the stores in it; none where it has boxes within.
        elsewhere: Whether a box elsewhere on the map is the same.
    """

    kind: str
    value: str | None
    faces: Sequence[Face]
    boxes: Sequence[Box] = field(default_factory=list)
    elsewhere: bool = False

    @property
    def stores(self) -> int:
        """How many there are in it."""
        return len(self.faces) + sum(box.stores for box in self.boxes)


def views_of(stores: Iterable[StoreAtHand]) -> list[str]:
    """The views that show anything; the first in any case."""
    stated = {kind for store in stores for kind in store.domains}
    return [name for name, (_, kinds) in VIEWS.items() if name == "where" or stated.intersection(kinds)]


def boxes_of(faces: Sequence[Face], view: str) -> list[Box]:
    """The map in one view; kinds that nobody stated are left out, and with none all stores lie in one box."""
    kinds = [kind for kind in VIEWS[view][1] if any(kind in face.store.domains for face in faces)]
    if not kinds:
        return [Box("", None, faces)]
    boxes = _nested(faces, kinds)
    seen = Counter[tuple[str, str | None]]((box.kind, box.value) for box in _all(boxes) if box.value is not None)
    return sorted((_marked(box, seen) for box in boxes), key=lambda box: -box.stores)  # the small ones share a row


def _nested(faces: Sequence[Face], kinds: Sequence[str]) -> list[Box]:
    kind, *inner = kinds
    by_value: dict[str | None, list[Face]] = {}
    for face in faces:
        by_value.setdefault(face.store.domains.get(kind), []).append(face)
    boxes = []
    for value, those in sorted(by_value.items(), key=lambda one: (one[0] is None, one[0] or "")):
        further = next((at for at, one in enumerate(inner) if any(one in face.store.domains for face in those)), None)
        if further is None:
            boxes.append(Box(kind, value, those))
        else:
            boxes.append(Box(kind, value, (), _nested(those, inner[further:])))
    return boxes


def _all(boxes: Iterable[Box]) -> Iterator[Box]:
    for box in boxes:
        yield box
        yield from _all(box.boxes)


def _marked(box: Box, seen: Counter[tuple[str, str | None]]) -> Box:
    inside = [_marked(one, seen) for one in box.boxes]
    return replace(box, boxes=inside, elsewhere=seen[box.kind, box.value] > 1)


# -- one store ---------------------------------------------------------------------------------------------------------


def face_of(store: StoreAtHand) -> Face:
    """A store in words and a bar."""
    notes = list(_notes(store))
    mark, state = _state(store)
    return Face(store, mark, state, notes, _bar(store), _fill(store), _answers(store))


def _state(store: StoreAtHand) -> tuple[str, str]:
    standing = store.standing
    if standing == AWAY:
        return "off", "does not answer"
    if standing == READ_ONLY:
        return "off", "takes nothing new"
    if standing == FULL:
        return "wait", "is full"
    if store.held.damaged:
        return "wait", "answers, and holds damage"
    if standing == DRAINING:
        return "wait", "is being emptied"
    if store.seen.slow:
        return "wait", "answers slowly"
    assert standing == UP, standing
    return "up", "answers"


def _notes(store: StoreAtHand) -> Iterator[str]:
    held, limits = store.held, store.terms.limits
    if store.standing in (AWAY, READ_ONLY) and store.why:
        yield f"{store.why[:1].upper()}{store.why[1:]}."
    elif store.standing == READ_ONLY:
        yield "It refused what was put into it last."
    if store.standing == FULL:
        yield "It had no room when it was last asked. What it should have got goes to others, where there are any."
    if held.damaged:
        yield f"{count(held.damaged, 'piece')} of this space in it {_is(held.damaged)} damaged."
    if held.owed:
        yield f"It is owed {count(held.owed, 'copy/copies')} of heads and records."
    if store.draining:
        yield "It is being emptied: what it has is read, and it gets nothing new."
    if store.seen.slow and store.standing != AWAY:
        yield "It was slower than the others lately, so they are asked first."
    if store.seen.under_way:
        yield f"{count(store.seen.under_way, 'call')} to it {_is(store.seen.under_way)} still under way."
    if limits:
        yield f"It was seen to do less than it might in {count(len(limits), 'thing')}."


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _bar(store: StoreAtHand) -> Bar | None:
    room = store.room
    if room is None or room.total <= 0:
        return None
    used = min(max(room.total - room.free, 0), room.total) / room.total * 100
    ours = min(store.held.size / room.total * 100, used)
    if store.held.size:
        ours = max(ours, _SLIVER)
    return Bar(round(ours, 2), round(max(used - ours, 0.0), 2))


def _fill(store: StoreAtHand) -> str:
    ours = f"{amount(store.held.size)} of this space"
    if store.room is None:
        return f"{ours}; how much room is left is not known"
    return f"{ours}; {amount(store.room.free)} of {amount(store.room.total)} free"


def _answers(store: StoreAtHand) -> str:
    seen = store.seen
    when = "not heard since the node started" if seen.ago is None else f"heard {ago(seen.ago)}"
    return f"reads take {latency(seen.usual)}; {when}" if seen.usual else when


def latency(seconds: float) -> str:
    """A short time for people."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(seconds * 1000, 1):.0f} ms"


def ago(seconds: float) -> str:
    """How long ago something was."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago" if seconds >= 1 else "just now"
