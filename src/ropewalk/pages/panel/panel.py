"""Panel: the pages that show a process: services, connections, tasks, log, figures, alerts.

Flow: request -> Control, Watching -> page
Never: changes anything; `acting` does.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from ropewalk.pages.answers import page
from ropewalk.pages.asking import asker_of
from ropewalk.pages.panel.acting import Acting
from ropewalk.pages.panel.collected import Collected
from ropewalk.pages.panel.configuring import Configuring, flat
from ropewalk.pages.panel.console import Consoles, Desk
from ropewalk.pages.panel.editing import Subject
from ropewalk.pages.panel.past import Past
from ropewalk.pages.panel.watching import Watching
from ropewalk.service import Control
from ropewalk.service.levels import LEVELS

__all__ = ["Panel"]

MOST = 500  # rows of a page

Endpoint = Callable[[Request], Awaitable[Response]]


class Panel:
    """Endpoints.

    Args:
        control: Of the application.
        by: The service that the pages are served by, which they do not stop.
        past: What was counted; None where nobody keeps it.
        collected: What other processes have counted; None where no collector was given.
        desk: Gives the desk of the console, while that is up.
        settings: What can be changed besides the configuration of services, by a word for its address.

    Attributes:
        consoles: The WebSockets of the console.
    """

    def __init__(
        self,
        control: Control,
        by: str,
        past: Past | None = None,
        collected: Collected | None = None,
        desk: Callable[[], Desk | None] = lambda: None,
        settings: Mapping[str, Subject] | None = None,
    ) -> None:
        self._control, self._by = control, by
        self._watching = Watching(control, past, collected)
        self._configuring = configuring = Configuring(control, by, self._page, settings or {})
        self._acting = Acting(control, by, configuring.older)
        self.consoles = Consoles(desk)

        acting = self._acting
        self._routes = [(compile_path(path)[0], methods) for path, methods in configuring.table.items()]
        self._routes += [
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
                ("/process/console", "GET", self.console),
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
        older, fault = await self._configuring.older()
        return self._page(
            request,
            "services",
            services=control.services(),
            uptime=control.uptime,
            by=self._by,
            older=older,
            fault=fault,
            settings=self._configuring.settings,
        )

    async def service(self, request: Request) -> Response:
        """One of them, and what it was told."""
        name = request.path_params["name"]
        one, told = self._control.service(name), flat(self._control.configuration(name))
        older = name in (await self._configuring.older())[0]
        changeable = self._control.file is not None
        return self._page(request, "service", one=one, told=told, older=older, changeable=changeable)

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
        return self._page(request, "figures", **await self._watching.figures(request))

    async def figure(self, request: Request) -> Response:
        """One metric."""
        return self._page(request, "figures", **await self._watching.figure(request))

    async def alerts(self, request: Request) -> Response:
        """Those that stand, and those of the last week."""
        return self._page(request, "alerts", **await self._watching.alerts())

    async def console(self, request: Request) -> Response:
        """What is typed there goes by a WebSocket."""
        return self._page(request, "console", there=self.consoles.there)

    def _page(self, request: Request, what: str, **values: object) -> Response:
        session = asker_of(request).session
        common = {"what": what, "name": self._control.name, "csrf": session.csrf, "who": session.who}
        mark = self._watching.mark
        return page(f"panel/{what}.html", {**common, **values, "mark": mark, "has_panel": True})
