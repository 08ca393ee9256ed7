"""Down: services that should be up and are not, for the page of alerts.

Flow: the services of a process -> those that are down, and what goes down with each
Never: counts a service that only waits for another, that ended as it should, or that is on its way up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ropewalk.service.control import ServiceShown
from ropewalk.service.standing import State

__all__ = ["Down", "down_of"]

_WORDS = {
    State.FAILED: "failed, and is not started again by itself",
    State.PAUSING: "failed, and is started again soon",
    State.STOPPED: "was stopped",
}


@dataclass(frozen=True, slots=True)
class Down:
    """A service that is down.

    Attributes:
        name: The service's.
        words: How it is, after its name.
        why: What its last failure was; "" without one.
        seconds: For how long.
        without: Those that are down with it, since they need it.
    """

    name: str
    words: str
    why: str
    seconds: float
    without: tuple[str, ...]


def down_of(services: Iterable[ServiceShown]) -> list[Down]:
    """Those that are down, each after those it needs."""
    return [
        Down(
            one.name,
            "was stopped by hand" if one.halted else _WORDS[State(one.state)],
            "" if one.halted else one.why,
            one.seconds,
            one.needed_by,
        )
        for one in services
        if one.halted or one.state in _WORDS
    ]
