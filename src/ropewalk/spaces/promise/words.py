"""The computed promise in plain sentences, and as values that fit JSON.

Flow: Computed -> explain -> status for people;  Computed -> as_dict -> ``--json``
Never: computes anything, or says more than was computed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.counting import count
from ropewalk.spaces.pool.placement import KINDS
from ropewalk.spaces.promise.computed import Computed, Dimension, KeyHolder, Standing
from ropewalk.spaces.promise.kill_sets import Domain, Kill, Smallest

__all__ = ["as_dict", "explain"]

MOST_NAMED = 8  # of a list: a group has hundreds of devices, and nobody reads on

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]


def explain(promise: Computed) -> list[str]:
    """The state of the promise, one sentence each, the worst news first."""
    lines = _now(promise)
    for standing in promise.keeps.kinds:
        if standing.kind in KINDS and promise.stores:
            lines += _kind(promise, standing)
    if not promise.unreadable.what:
        lines.append(_mixed("loses data", promise.keeps.mixed, promise))
    lines.append(_writes(promise))
    lines.append(_keys(promise.keys))
    lines.append(_secret(promise))
    silent = [kind for kind in KINDS if kind not in promise.unstated and not any(s.value(kind) for s in promise.stores)]
    if silent:
        lines.append(f"not stated for any store: {_listed(silent)}; nothing is known of losing one of these")
    return lines


def as_dict(promise: Computed) -> dict[str, object]:
    """The same as ``explain`` knows, in strings, numbers, lists and dicts.  Sizes are bytes."""
    return {
        "asked": {"survive": dict(promise.survive), "write_floor": promise.write_floor},
        "kept": promise.kept,
        "stores": [{"name": store.name, "domains": dict(store.labels)} for store in promise.stores],
        "keys": [
            {"name": key.name, "domains": dict(key.labels), "said": key.said, "writes": key.writes}
            for key in promise.keys
        ],
        "unreachable": list(promise.unreachable),
        "unstated": {kind: list(names) for kind, names in promise.unstated.items()},
        "packs": promise.packs,
        "size": promise.size,
        "lost": _kill_dict(promise.lost),
        "unreadable": _kill_dict(promise.unreadable),
        "loses_data": _dimension_dict(promise.keeps),
        "stops_reads": _dimension_dict(promise.keeps),
        "stops_writes": _dimension_dict(promise.writes),
        "discloses": _dimension_dict(promise.secret),
        "forges": _dimension_dict(promise.forged),
    }


def _now(promise: Computed) -> list[str]:
    lines = []
    away = promise.unreachable
    if away:
        lines.append(f"{_listed(away)} {'is' if len(away) == 1 else 'are'} unreachable and counted as lost")
    if not promise.keys:
        lines.append("there is no copy of the keys: nothing can be read")
    if promise.lost.what not in ((), ("keys",)):
        lines.append(f"lost: {_what(promise.lost)}")
    if promise.unreadable != promise.lost:
        lines.append(f"not readable until enough of {_listed(away)} answer again: {_what(promise.unreadable)}")
    return lines


def _kind(promise: Computed, standing: Standing) -> list[str]:
    """What can be lost of one kind, against what was asked; then what the figure rests on."""
    kind, asked = standing.kind, _asked(standing)
    if not standing.asked and (standing.holds is None or standing.holds < 0):
        return []
    if standing.holds and standing.asked is None and not any(store.value(kind) for store in promise.stores):
        return []  # only keys are known to lie on some: that would be no news of the stores
    silence = f"; the promise says nothing about {_plural(kind)}" if standing.asked is None else ""
    unstated = promise.unstated.get(kind, ())
    lines = []
    if standing.holds is None:
        lines.append(f"all {_plural(kind)} can be lost together{asked}")
    elif standing.holds < 0:
        lines.append(f"{_plural(kind)}: broken now{asked}")
    else:
        kill = standing.kills[0]
        if (stores := _all_on(promise, kill)) is not None:
            return [f"{stores}: losing it {_takes(promise, kill)}{asked}{silence}"]
        how = "alone" if len(kill.domains) == 1 else "together"
        losing = f"losing {_domains(kill.domains, promise)} {how} {_takes(promise, kill)}"
        if standing.holds or standing.asked:
            any_of = f"any {_count(standing.holds, kind)}" if standing.holds else f"no {kind}"
            losing = f"{any_of} can be lost{asked}; {losing}"
        lines.append(losing + silence)
    if unstated:
        apart = ", apart from the others" if len(unstated) < len(promise.stores) else ""
        lines.append(f"{kind}: not stated for {_listed(unstated)}, counted as one{apart}")
    return lines


def _all_on(promise: Computed, kill: Kill) -> str | None:
    """That all stores, two or more, fail with the one domain of this kill set; else None."""
    kind, value = kill.domains[0]
    if len(kill.domains) > 1 or len(promise.stores) < 2 or any(store.value(kind) != value for store in promise.stores):
        return None
    if value is None:
        return f"none of the {_number(len(promise.stores))} stores states its {kind}, so they count as on one"
    stores = "both" if len(promise.stores) == 2 else f"all {_number(len(promise.stores))}"
    return f"{stores} stores lie on one {kind} ({value})"


def _asked(standing: Standing) -> str:
    if standing.asked is None:
        return ""
    if standing.kept:
        return ", as asked" if standing.holds == standing.asked else f", {standing.asked} asked"
    short = (
        f" ({count(standing.short, 'pack')} {'falls' if standing.short == 1 else 'fall'} short)"
        if standing.short
        else ""
    )
    return f", {standing.asked} asked{short}"


def _mixed(does: str, smallest: Smallest, promise: Computed) -> str:
    if smallest.kill is None:
        return f"no set of domains {does}"
    named = _domains(smallest.kill.domains, promise)
    if smallest.exact:
        return f"the smallest set of any kinds that {does}: {named}"
    return f"a set of {smallest.at_most} of any kinds {does}: {named}; the smallest has at least {smallest.at_least}"


def _writes(promise: Computed) -> str:
    reachable = len(promise.stores) - len(promise.unreachable)
    needs = f"a write needs {promise.write_floor} of {len(promise.stores)} stores"
    if promise.keys and not any(key.writes for key in promise.keys):
        return f"{needs}, and no key may write: nothing can be written"
    if promise.writes.mixed.at_most == 0:
        return f"{needs}, {reachable} answer: nothing can be written now" if promise.keys else f"{needs} and a key"
    standing = promise.writes.of("store")
    away = f"; any {_count(standing.holds, 'store')} can be away" if standing is not None and standing.holds else ""
    return f"{needs}{away}; {_mixed('stops writes', promise.writes.mixed, promise)}"


def _keys(keys: Sequence[KeyHolder]) -> str:
    """Who opens the space: each alone is enough, so only the loss of all of them loses it."""
    if not keys:
        return "keys: no copy"
    named = _listed([key.name + (f" ({key.said})" if key.said else "") for key in keys])
    if len(keys) == 1:
        return f"keys: one copy, {named}: losing it loses everything"
    return f"keys: {_number(len(keys))} copies, each of which opens all: {named}"


def _secret(promise: Computed) -> str:
    if not promise.keys:
        return "no one can read or forge: there is no key"
    reach = sorted({Domain(kind, value) for key in promise.keys for kind, value in key.labels.items()})
    through = f"; within reach of {_listed([_name(domain, promise) for domain in reach])}" if reach else ""
    readers = [key.name for key in promise.keys if not key.writes]
    which = "any of these keys" if len(promise.keys) > 1 else "this key"
    can = f"read, and forge unless it is that of {_listed(readers, 'or')}" if readers else "read and forge"
    can = "read" if len(readers) == len(promise.keys) else can
    return f"whoever has {which} can {can}{through}; stores alone can do neither, however many of them"


def _takes(promise: Computed, kill: Kill) -> str:
    if "keys" in kill.what or (promise.packs and kill.packs == promise.packs):
        return "loses everything"
    return "loses data" + (f" ({count(kill.packs, 'pack')} of {promise.packs})" if kill.packs else "")


def _what(kill: Kill) -> str:
    named = {"packs": f"{count(kill.packs, 'pack')} ({kill.size:,} bytes)", "heads": "the newest state"}
    return _listed([named[what] for what in kill.what if what in named])


def _domains(domains: Sequence[Domain], promise: Computed) -> str:
    return _listed([_name(domain, promise) for domain in domains])


def _name(domain: Domain, promise: Computed) -> str:
    if domain.value is None:
        return f"the unstated {domain.kind} ({', '.join(promise.unstated[domain.kind])})"
    return domain.value if domain.kind in ("store", "key") else f"{domain.kind} {domain.value}"


def _plural(kind: str) -> str:
    return f"{kind}s"


def _count(count: int, kind: str) -> str:
    return f"{count} {kind if count == 1 else _plural(kind)}"


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _listed(names: Sequence[str], last: str = "and") -> str:
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"{len(names) - MOST_NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _dimension_dict(dimension: Dimension) -> dict[str, object]:
    return {
        "kinds": {
            standing.kind: {
                "values": standing.values,
                "asked": standing.asked,
                "holds": standing.holds,
                "kept": standing.kept,
                "short_packs": standing.short,
                "kill_sets": [_kill_dict(kill) for kill in standing.kills],
            }
            for standing in dimension.kinds
        },
        "any_kinds": {
            "at_least": dimension.mixed.at_least,
            "at_most": dimension.mixed.at_most,
            "kill_set": None if dimension.mixed.kill is None else _kill_dict(dimension.mixed.kill),
        },
    }


def _kill_dict(kill: Kill) -> dict[str, object]:
    return {
        "domains": [{"kind": domain.kind, "value": domain.value} for domain in kill.domains],
        "loses": list(kill.what),
        "packs": kill.packs,
        "size": kill.size,
    }
