"""Watching: what the pages of figures and of alerts show, of this process and of those that a collector knows.

Flow: request -> whose numbers -> Past or Collected -> charts, alerts -> values of a page
Never: has a page fail since a collector is away, or tells of one process what another said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request

from ropewalk.collector.wire import Source
from ropewalk.errors import Missing, Misuse, RopewalkError
from ropewalk.pages.answers import Failure
from ropewalk.pages.names import shown
from ropewalk.pages.panel.collected import Collected
from ropewalk.pages.panel.counted import Alerts, Counted, NoAnswer
from ropewalk.pages.panel.down import down_of
from ropewalk.pages.panel.figures import FIGURES, SPANS, Figure, Whose, charts_of, names_of, of_metric, span_of
from ropewalk.pages.panel.past import Past
from ropewalk.service import Control

__all__ = ["ALL", "BadProcess", "NoSuchProcess", "Watching"]

ALL = "*"  # all processes, compared; no process is called so
_WEEK = 7 * 86_400  # seconds of alerts
_MOST_SHOWN = 200  # alerts that stand
_WITHIN = 15.0  # seconds for all that a page of figures asks


class BadProcess(Misuse):
    """This cannot be the name of a process."""

    code = "pages.bad-process"


class NoSuchProcess(Missing):
    """No process of this name has pushed its numbers."""

    code = "pages.no-such-process"


class Watching:
    """Values for templates.

    Args:
        control: Of the application.
        past: What this process has counted; None where nobody keeps it.
        collected: What others have, by a collector; None where none was given.
    """

    def __init__(self, control: Control, past: Past | None, collected: Collected | None) -> None:
        self._control, self._past, self._collected = control, past, collected

    @property
    def mark(self) -> int:
        """How much is wrong that is known without asking."""
        standing = sum(len(one.standing) for one in (self._past, self._collected) if one is not None)
        silent = len(self._collected.silent) if self._collected is not None else 0
        return len(down_of(self._control.services())) + standing + silent

    async def figures(self, request: Request) -> Mapping[str, Any]:
        """Charts of what matters most, and the names of all that is counted."""
        return await self._drawn(request, FIGURES, listed=True)

    async def figure(self, request: Request) -> Mapping[str, Any]:
        """One metric."""
        return await self._drawn(request, [of_metric(request.path_params["name"])], listed=False)

    async def _drawn(self, request: Request, figures: Sequence[Figure], *, listed: bool) -> Mapping[str, Any]:
        span = span_of(request)
        process, counted, whose = self._chosen(request.query_params.get("process"))
        values: dict[str, Any] = {"charts": [], "names": [], "trouble": None}
        if counted is not None:
            try:
                async with asyncio.timeout(_WITHIN):
                    values["charts"] = await charts_of(counted, figures, span, whose)
                    values["names"] = await names_of(counted, whose.source) if listed else []
            except TimeoutError:
                values["trouble"] = Failure.of(NoAnswer(f"the numbers did not come within {_WITHIN:g} seconds"))
            except RopewalkError as error:
                values["trouble"] = Failure.of(error)
        return {
            **values,
            "span": span,
            "spans": SPANS,
            "process": process,
            "all": ALL,
            "kept": self._past is not None,
            "collected": self._collected,
        }

    def _chosen(self, process: str | None) -> tuple[str, Counted | None, Whose]:
        """Which process, who is asked, and for what.

        Raises:
            BadProcess, NoSuchProcess.
        """
        collected = self._collected
        if process is None:
            process = ALL if self._past is None and collected is not None else ""
        if not process:
            return "", self._past, Whose()
        if collected is None:
            raise NoSuchProcess("no collector was given, so other processes are not known", hint="up --collector URL")
        names = [one.name for one in sorted(collected.processes, key=lambda one: (one.state != "alive", one.name))]
        if process == ALL:
            return ALL, collected, Whose(compared=names)
        try:
            msgspec.convert(process, Source)
        except msgspec.ValidationError:
            raise BadProcess(f"got {shown(process[:40])!r}, expected the name of a process") from None
        if process not in names and collected.away is None:
            raise NoSuchProcess(f"no process called {process} has pushed its numbers to {collected.where}")
        return process, collected, Whose(process)

    async def alerts(self) -> Mapping[str, Any]:
        """What is wrong now, and what was within the last week: here, and elsewhere."""
        here, here_trouble = await _told(self._past)
        elsewhere, trouble = await _told(self._collected)
        return {
            "down": down_of(self._control.services()),
            "here": here,
            "here_trouble": here_trouble,
            "elsewhere": elsewhere,
            "trouble": trouble,
            "most": _MOST_SHOWN,
            "kept": self._past is not None,
            "collected": self._collected,
        }


async def _told(counted: Counted | None) -> tuple[Alerts, Failure | None]:
    if counted is None:
        return Alerts(), None
    try:
        return await counted.ask(Alerts, {"from": str(int(counted.now()) - _WEEK)}), None
    except RopewalkError as error:
        return Alerts(), Failure.of(error)
