"""Changes: what makes one state of a shared object the next one.

Flow: state, change -> `applied` -> the state after it, at both ends
Never: looks into anything but maps and lists.
Source: docs/spec/broker.md section 8.
"""

from __future__ import annotations

from typing import Any

from ropewalk.broker.errors import BadMessage
from ropewalk.errors import Misuse

__all__ = ["Change", "Step", "applied"]

_LONGEST_PATH = 64

Step = int | str
Change = list[Any]  # [path, value] or [path]


def applied(state: Any, change: Change, wrong: type[Misuse | BadMessage]) -> Any:
    """The state after a change, which is made in place where it is not the whole.

    Raises:
        wrong: The path does not lead there.
    """
    path, *values = change
    if not path:
        if not values:
            raise wrong("the whole of a shared object cannot be removed")
        return values[0]
    if len(path) > _LONGEST_PATH:
        raise wrong(f"a path has {len(path)} steps, at most {_LONGEST_PATH} are taken")
    *above, last = path
    place = state
    for step in above:
        place = _part(place, step, wrong)
    if type(last) is str and place.__class__ is dict:
        if values:
            place[last] = values[0]
        elif place.pop(last, change) is change:
            raise wrong(f"there is no {last!r:.60} to remove")
    elif type(last) is int and place.__class__ is list and 0 <= last < len(place) + bool(values):
        if not values:
            del place[last]
        elif last == len(place):
            place.append(values[0])
        else:
            place[last] = values[0]
    else:
        raise wrong(f"there is no place {last!r:.60} in a {type(place).__name__}")
    return state


def _part(place: Any, step: object, wrong: type[Misuse | BadMessage]) -> Any:
    if type(step) is str and place.__class__ is dict and step in place:
        return place[step]
    if type(step) is int and place.__class__ is list and 0 <= step < len(place):
        return place[step]
    raise wrong(f"there is no part {step!r:.60} in a {type(place).__name__}")
