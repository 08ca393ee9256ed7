"""Panel: the pages that show a process: services, connections, tasks, log, figures, alerts.

Flow: request -> Control, Past -> page
Never: changes anything; `acting` does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from ropewalk.pages.answers import page
from ropewalk.pages.asking import asker_of
from ropewalk.pages.panel.acting import Acting
from ropewalk.pages.panel.figures import FIGURES, SPANS, charts_of, names_of, of_metric, span_of
from ropewalk.pages.panel.past import Past
from ropewalk.service import Control
from ropewalk.service.levels import LEVELS

__all__ = ["Panel"]

MOST = 500  # rows of a page
_WEEK = 7 * 86_400  # seconds of alerts

Endpoint = Callable[[Request], Awaitable[Response]]


class Panel:
    """Endpoints.

    Args:
        control: Of the application.
        by: The service that the pages are served by, which they do not stop.
        past: What was counted; None where nobody keeps it.
    """

    def __init__(self, control: Control, by: str, past: Past | None = None) -> None:
        self._control, self._by, self._past = control, by, past
        self._acting = Acting(control, by)

        acting = self._acting
        self._routes = [
            (compile_path(path)[0], {method: endpoint})
            for path, method, endpoint in (
                ("/process", "GET", self.services),
                ("/process/services/{name}", "GET", self.service),
                ("/process/services/{name}/{verb}", "POST", acting.steer),
                ("/process/connections", "GET", self.connections),
                ("/process/connections/{number:int}/close", "POST", acting.close),
                ("/process/tasks", "GET", self.tasks),
                ("/process/log", "GET", self.log),
                ("/process/log/level", "POST", acting.level),
                ("/process/figures", "GET", self.figures),
                ("/process/figures/{name}", "GET", self.figure),
                ("/process/alerts", "GET", self.alerts),
            )
        ]

    def find(self, request: Request) -> Mapping[str, Endpoint] | None:
        """Who answers, by method; what the path names is put into the request."""
        for pattern, methods in self._routes:
            if (match := pattern.match(request.scope["path"])) is not None:
                request.scope["path_params"] = match.groupdict()
                return methods
        return None

    async def services(self, request: Request) -> Response:
        """All services."""
        control = self._control
        return self._page(request, "services", services=control.services(), uptime=control.uptime, by=self._by)

    async def service(self, request: Request) -> Response:
        """One of them, and what it was told."""
        name = request.path_params["name"]
        return self._page(
            request, "service", one=self._control.service(name), told=_flat(self._control.configuration(name))
        )

    async def connections(self, request: Request) -> Response:
        """Who is connected."""
        found, number = self._control.connections(MOST)
        return self._page(request, "connections", connections=found, number=number)

    async def tasks(self, request: Request) -> Response:
        """What runs, and where it waits."""
        found, number = self._control.tasks(MOST)
        return self._page(request, "tasks", tasks=found, number=number)

    async def log(self, request: Request) -> Response:
        """The last lines."""
        level = request.query_params.get("level", "info")
        logger = request.query_params.get("logger", "")[:100]
        least = getattr(logging, level.upper()) if level in LEVELS else logging.INFO
        levels = self._control.levels
        return self._page(
            request,
            "log",
            lines=self._control.log.lines(MOST, least=least, logger=logger)[::-1],
            level=level,
            logger=logger,
            levels=LEVELS,
            loggers=levels.names(),
            changed=levels.changed,
        )

    async def figures(self, request: Request) -> Response:
        """Charts of what matters most."""
        span = span_of(request)
        charts = await charts_of(self._past, FIGURES, span) if self._past else []
        names = await names_of(self._past) if self._past else []
        return self._page(request, "figures", charts=charts, names=names, span=span, spans=SPANS, kept=self._past)

    async def figure(self, request: Request) -> Response:
        """One metric."""
        span, name = span_of(request), request.path_params["name"]
        charts = await charts_of(self._past, [of_metric(name)], span) if self._past else []
        return self._page(request, "figures", charts=charts, names=[], span=span, spans=SPANS, kept=self._past)

    async def alerts(self, request: Request) -> Response:
        """Those that stand, and those of the last week."""
        told: dict[str, Any] = {"standing": [], "events": []}
        if self._past is not None:
            since = int(self._past.now()) - _WEEK
            told = await self._past.ask("/alerts", {"from": str(since)})
        return self._page(request, "alerts", **told, kept=self._past)

    def _page(self, request: Request, what: str, **values: object) -> Response:
        session = asker_of(request).session
        common = {"what": what, "name": self._control.name, "csrf": session.csrf, "who": session.who}
        return page(f"panel/{what}.html", {**common, **values, "has_panel": True})


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A configuration as rows."""
    if isinstance(value, dict) and value:
        return [row for key, one in value.items() for row in _flat(one, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        return [(path, ", ".join(str(one) for one in value))]
    return [(path, "" if value in (None, {}) else str(value).lower() if isinstance(value, bool) else str(value))]
