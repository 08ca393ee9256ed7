"""Scenario: one operation that every lie is tried on, a short story with a stage.

A scenario lets the liars begin, does its operation, and tells what came of it: what was acknowledged goes to
`Stage.files` and `Stage.people`, what a user was told to `Stage.said`; what is wrong raises `Wrong`.

Flow: Stage -> Scenario.act -> Stage
Never: decides what is harmless: see `verdict`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ropewalk.errors import RopewalkError, Unavailable
from ropewalk.spaces.space import Space
from ropewalk.testing.liars.stage import Stage, Wrong, contents

__all__ = ["PATIENCE", "THOROUGH", "LeftOut", "Scenario", "check_newest", "write_file"]

PATIENCE = 120.0  # seconds that an operation may take, whatever one store does
THOROUGH = 600.0  # for what asks each store for each of its objects, one after the other


class LeftOut(Unavailable):
    """Not all files were brought back, and those that were not are named."""

    code = "liars.left-out"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One operation.

    Attributes:
        limit: Simulated seconds that it may take.
        sees_past: It is done by a device without memory, or with an old one, which may be shown an old state where all
            stores agree on it.
        by_mailbox: A mailbox has a part in it, which may lie too.
    """

    name: str
    act: Callable[[Stage], Awaitable[None]]
    limit: float = PATIENCE
    sees_past: bool = False
    by_mailbox: bool = False


async def write_file(stage: Stage, space: Space, path: str, data: bytes) -> None:
    """Write a file, and note that it is there."""
    try:
        await space.write(path, data)
    except RopewalkError:
        stage.may_be.add(data)  # a copy of what was refused may come back
        raise
    stage.files[path] = data


async def check_newest(stage: Stage, space: Space) -> None:
    """What is shown without reading: the names."""
    found = set(await contents(await space.current(), read=False))
    if not set(stage.files) <= found:
        raise Wrong(f"{sorted(set(stage.files) - found)} are not there")
