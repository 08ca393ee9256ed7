"""Plan: which services an application has, what each needs, and what happens when one fails.

Flow: configuration or Python -> Plan, one a service -> checked_order -> Application
Never: makes or starts anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from ropewalk.errors import Misuse
from ropewalk.service.interface import Context, Service

__all__ = ["BadPlan", "Plan", "Restart", "checked_order"]


class BadPlan(Misuse):
    """The services cannot be started in any order, or their names are wrong."""

    code = "service.bad-plan"


class Restart(StrEnum):
    """When a service is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"  # also when it ended by itself


@dataclass(frozen=True, slots=True)
class Plan:
    """A service that is to run.

    Attributes:
        name: Unique in the application.
        make: Makes it, anew for each run.
        config: What it is told; equal plans are not restarted by a reload.
        needs: Names of the services that are up before it starts and for as long as it is up.
        restart: When it is started again.
        critical: Its failure stops the application.
        start_within: Seconds that a start may take.
    """

    name: str
    make: Callable[[Any, Context], Service]  # a service takes the class of its own configuration, which `config` is
    config: msgspec.Struct
    needs: tuple[str, ...] = ()
    restart: Restart = Restart.ON_FAILURE
    critical: bool = False
    start_within: float = 30.0


def checked_order(plans: Iterable[Plan]) -> Mapping[str, Plan]:
    """Plans by name, each after those it needs.

    Raises:
        BadPlan: Two have one name, one needs what there is not, or they need each other.
    """
    by_name: dict[str, Plan] = {}
    for plan in plans:
        if plan.name in by_name:
            raise BadPlan(f"two services are called {plan.name!r}", hint="give each a name of its own")
        by_name[plan.name] = plan
    for plan in by_name.values():
        for need in plan.needs:
            if need not in by_name:
                known = ", ".join(sorted(by_name))
                raise BadPlan(f"service {plan.name!r} needs {need!r}, which there is not", hint=f"there are: {known}")
    try:
        order = list(TopologicalSorter({plan.name: plan.needs for plan in by_name.values()}).static_order())
    except CycleError as error:
        circle = " needs ".join(repr(name) for name in reversed(error.args[1]))
        raise BadPlan(f"services need each other: {circle}", hint="let one of them do without") from None
    return {name: by_name[name] for name in order}
