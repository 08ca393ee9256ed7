"""The computed promise by its four dimensions, in sentences for people who do not know the words of this project.

Flow: Computed, privacy level -> told -> Told of reliable, available, private, secure -> pages
Never: computes anything, says more than was computed, or names what the promise does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ropewalk.counting import count
from ropewalk.spaces.pool.placement import KINDS
from ropewalk.spaces.promise.computed import Computed, Dimension, Standing
from ropewalk.spaces.promise.kill_sets import Domain, Kill

__all__ = ["PLAIN", "Told", "told"]

MOST_NAMED = 8  # of a list: nobody reads on

PLAIN: Mapping[str, tuple[str, str]] = {
    "store": ("store", "stores"),
    "disk": ("disk", "disks"),
    "machine": ("machine", "machines"),
    "site": ("site", "sites"),
    "account": ("account", "accounts"),
    "credential": ("credential", "credentials"),
    "admin": ("person who runs stores", "people who run stores"),
    "build": ("build of software", "builds of software"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """One dimension.

    Attributes:
        promised: What the signed records say.
        now: What holds now.
        breaks: What it takes to break it: the kill sets.
        kept: Whether what was promised holds.
        broken: Whether it is broken already, and not only closer to it.
    """

    promised: Sequence[str]
    now: Sequence[str]
    breaks: Sequence[str]
    kept: bool = True
    broken: bool = False


def told(promise: Computed, privacy: int) -> Mapping[str, Told]:
    """By dimension: reliable, available, private, secure.

    Args:
        promise: As it stands.
        privacy: The level that the records say.
    """
    return {
        "reliable": _reliable(promise),
        "available": _available(promise),
        "private": _private(promise, privacy),
        "secure": _secure(promise),
    }


def _reliable(promise: Computed) -> Told:
    promised = [
        f"Any {count_of(number, kind)} may be lost for good, and nothing that was acknowledged is lost with"
        f" {'it' if number == 1 else 'them'}."
        for kind, number in promise.survive.items()
        if number
    ]
    now: list[str] = []
    breaks: list[str] = []
    gone = not promise.keys or promise.lost.what not in ((), ("keys",))
    if gone:
        now.append(f"Lost for good: {_what(promise.lost)}." if promise.keys else "No copy of the keys is left.")
    if away := promise.unreachable:
        now.append(f"{listed(away)} {'does' if len(away) == 1 else 'do'} not answer and {_counts(away)} as lost.")
    kinds = list(_told_kinds(promise, promise.keeps))
    now += [_holds(one) for one in kinds if one.asked is not None]
    if others := [PLAIN[one.kind][1] for one in kinds if one.asked is None]:
        now.append(f"Nothing was promised about {listed(others)}; what losing one takes stands below.")
    for one in kinds:
        breaks += _breaks(promise, one)
    if unsaid := [_unsaid(promise, one.kind) for one in kinds if promise.unstated.get(one.kind)]:
        breaks.append(f"Never said: {'; '.join(unsaid)}. What was never said counts as one and the same.")
    if promise.keys:
        keys = listed([_key(one.name, one.said) for one in promise.keys])
        breaks.append(
            f"Without a key nothing can be opened. The copies are {keys}: if all of them are lost, everything is."
            if len(promise.keys) > 1
            else f"There is one copy of the keys, {keys}. If it is lost, everything is."
        )
    if silent := [PLAIN[kind][0] for kind in KINDS if _silent(promise, kind)]:
        breaks.append(f"Never said of any store: {listed(silent)}; so nothing is known of losing one.")
    return Told(promised or ["No loss was promised to be survived."], now, breaks, promise.kept, gone)


def _available(promise: Computed) -> Told:
    stores, away, floor = len(promise.stores), len(promise.unreachable), promise.write_floor
    unreadable = promise.unreadable if promise.unreadable.what else None
    stopped = promise.writes.mixed.at_most == 0 or not any(key.writes for key in promise.keys)
    promised = [f"A change counts once {floor} of the stores have it for good; before that it is not called done."]
    promised += [
        f"Any {count_of(number, kind)} may be away, and everything can be read."
        for kind, number in promise.survive.items()
        if number
    ]
    now = [f"{stores - away} of {count_of(stores, 'store')} {'answers' if stores - away == 1 else 'answer'}."]
    if unreadable is None:
        now.append("Everything can be read.")
    else:
        now.append(f"Not readable until more stores answer: {_what(unreadable)}.")
    now.append("No change can be acknowledged now." if stopped else "Changes can be made.")
    breaks = []
    reads, writes = promise.keeps.of("store"), promise.writes.of("store")
    if unreadable is None and reads is not None and reads.holds is not None:
        names = _names(reads.kills[0].domains, promise)
        back = "it is back" if len(names) == 1 else "one of them is back"
        breaks.append(
            f"If {listed(names)} {_are(names)} away{_together(names)}, some files cannot be read until {back}."
        )
    if not stopped and writes is not None and writes.holds is not None and writes.kills:
        names = _names(writes.kills[0].domains, promise)
        back = "it is back" if len(names) == 1 else "one of them is back"
        any_of = f"Any {count_of(writes.holds, 'store')} may be away and changes go on. " if writes.holds else ""
        breaks.append(
            f"{any_of}If {listed(names)} {_are(names)} away{_together(names)}, no change counts until {back}."
        )
    alone = [
        _name(one.kills[0].domains[0], promise)
        for one in _told_kinds(promise, promise.writes)
        if one.kind != "store" and one.holds == 0 and one.kills and not _assumed(one)
    ]
    if alone and not stopped:
        breaks.append(f"No change counts without each of these: {listed(alone)}.")
    return Told(promised, now, breaks, unreadable is None and not stopped and promise.kept, unreadable is not None)


def _private(promise: Computed, privacy: int) -> Told:
    sizes = "only rounded sizes of them" if privacy >= 2 else "how large they are"
    promised = [
        "Only members can read what is in this space.",
        f"Stores keep sealed pieces; they see {sizes} and when they come (privacy level {privacy}).",
    ]
    keys = [_key(one.name, one.said) for one in promise.keys]
    if not keys:
        return Told(promised, ["No key is left, so nobody can read."], [])
    now = [f"{count(len(keys), 'copy/copies')} of the keys can read: {listed(keys)}."]
    breaks = [
        f"Whoever gets {'this key' if len(keys) == 1 else 'one of these keys'} can read everything.",
        *_reach(promise, promise.secret, "read"),
        "The stores alone can read nothing, not even all of them together.",
    ]
    return Told(promised, now, breaks)


def _secure(promise: Computed) -> Told:
    promised = [
        "Every change is signed by the device that made it, and each device checks it before it shows it.",
        "What was acknowledged stays: older versions are kept.",
    ]
    keys = [_key(one.name, one.said) for one in promise.keys if one.writes]
    if not keys:
        return Told(promised, ["No key may write, so nobody can change anything."], [])
    now = [f"{count(len(keys), 'copy/copies')} of the keys may change things: {listed(keys)}."]
    which = "this key" if len(keys) == 1 else "one of these keys"
    breaks = [
        f"Whoever gets {which} can write in its name until it is put out; older versions stay as they were.",
        *_reach(promise, promise.forged, "write"),
        "The stores alone can forge nothing, not even all of them together.",
    ]
    return Told(promised, now, breaks)


# -- pieces of sentences -----------------------------------------------------------------------------------------------


def count_of(number: int, kind: str) -> str:
    """So many of a kind: "2 stores"."""
    return f"{number} {PLAIN[kind][number != 1]}"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Names in a row, the first few of many."""
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _told_kinds(promise: Computed, dimension: Dimension) -> Iterator[Standing]:
    """The kinds of which there is something to say of stores."""
    for one in dimension.kinds:
        if one.kind in KINDS and (one.asked or any(store.value(one.kind) for store in promise.stores)):
            yield one


def _holds(one: Standing) -> str:
    singular, plural = PLAIN[one.kind]
    if one.holds is None:
        return f"All {plural} could be lost: nothing rests on them yet."
    if one.holds < 0:
        return f"Too many {plural} are missing now for what was promised."
    of = f" of {one.values}" if one.values > one.holds else ""
    text = f"Any {one.holds}{of} {plural} may fail" if one.holds else f"No {singular} may fail"
    asked = one.asked or 0
    return f"{text}, as promised." if one.holds == asked else f"{text}; {asked} {_were(asked)} promised."


def _assumed(one: Standing) -> bool:
    """Whether all that would break it is that nothing was said, where nothing was asked either."""
    return one.asked is None and any(domain.value is None for domain in one.kills[0].domains)


def _unsaid(promise: Computed, kind: str) -> str:
    return f"the {PLAIN[kind][0]} behind {listed(promise.unstated[kind])}"


def _breaks(promise: Computed, one: Standing) -> Iterator[str]:
    if one.holds is None or one.holds < 0 or not one.kills or _assumed(one):
        return
    kill = one.kills[0]
    names = _names(kill.domains, promise)
    lost = _lost(promise, kill)
    if len(names) > 1:
        yield f"If {listed(names)} fail together, {lost}."
    elif len(promise.stores) > 1 and one.values == 1 and kill.domains[0].value is not None:
        yield f"All {len(promise.stores)} stores depend on {names[0]}: if that fails, {lost}."
    else:
        yield f"If {names[0]} fails, {lost}."


def _names(domains: Sequence[Domain], promise: Computed) -> list[str]:
    return [_name(domain, promise) for domain in domains]


def _name(domain: Domain, promise: Computed) -> str:
    if domain.kind == "admin" and domain.value is not None:
        return f"{domain.value} (who runs stores)"
    singular = PLAIN.get(domain.kind, (domain.kind, ""))[0]
    if domain.value is None:
        return f"the unknown {singular} behind {listed(promise.unstated[domain.kind])}"
    return domain.value if domain.kind in ("store", "key") else f"{singular} {domain.value}"


def _reach(promise: Computed, dimension: Dimension, does: str) -> Iterator[str]:
    """Single domains in whose reach a key is."""
    found = [
        _name(kill.domains[0], promise)
        for one in dimension.kinds
        if one.kind in KINDS
        for kill in one.kills
        if len(kill.domains) == 1 and kill.domains[0].value is not None
    ]
    if found:
        yield f"Keys are in reach of {listed(found)}: whoever controls {_one(found)} may {does}."


def _one(names: Sequence[str]) -> str:
    return "it" if len(names) == 1 else "one of them"


def _lost(promise: Computed, kill: Kill) -> str:
    if "keys" in kill.what or (promise.packs and kill.packs == promise.packs):
        return "everything is lost"
    if kill.packs:
        return f"a part of the data is lost ({count(kill.packs, 'pack')} of {promise.packs:,})"
    return "the newest state is lost"


def _what(kill: Kill) -> str:
    named = {
        "packs": f"{count(kill.packs, 'pack')} with {kill.size:,} bytes",
        "heads": "the newest state",
        "keys": "the keys",
    }
    return listed([named[what] for what in kill.what if what in named])


def _silent(promise: Computed, kind: str) -> bool:
    return kind not in promise.unstated and not any(store.value(kind) for store in promise.stores)


def _key(name: str, said: str) -> str:
    return f"{name} ({said})" if said else name


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _counts(names: Sequence[str]) -> str:
    return "counts" if len(names) == 1 else "count"


def _together(names: Sequence[str]) -> str:
    return "" if len(names) == 1 else " at the same time"
