"""Realms: one that is put together from functions, for programs that need no class of their own.

Flow: Perspectives.give(Console, make_console) -> Realm.perspective(visit, Console)
Never: gives a kind that was not named.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from ropewalk.auth.interface import NoPerspective, Visit

__all__ = ["Perspectives"]

P = TypeVar("P")


class Perspectives:
    """A realm of functions: one for each kind of perspective, which gets the visit."""

    def __init__(self) -> None:
        self._makers: dict[type[object], Callable[[Visit], object | Awaitable[object]]] = {}

    def give(self, kind: type[P], make: Callable[[Visit], P | Awaitable[P]]) -> None:
        """Give perspectives of this kind by calling ``make``; it may raise Denied."""
        self._makers[kind] = make

    async def perspective(self, visit: Visit, wanted: type[P]) -> P:
        """What the function for this kind gives.

        Raises:
            NoPerspective: None was named for it.
        """
        if wanted not in self._makers:
            known = ", ".join(sorted(kind.__name__ for kind in self._makers)) or "none"
            raise NoPerspective(f"no perspective of kind {wanted.__name__}, known are: {known}")
        made = self._makers[wanted](visit)
        return cast(P, await made if inspect.isawaitable(made) else made)
