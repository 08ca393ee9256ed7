"""Acting: what the panel's buttons do: services start and stop, connections are closed, loggers say more.

Flow: form, behind the gate -> Control -> a line for the audit -> back to the page
Never: ends the service by which it was asked, or does anything that leaves no line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ropewalk.errors import Missing, Misuse
from ropewalk.pages.asking import asker_of
from ropewalk.pages.auditing import audited
from ropewalk.service import Control

__all__ = ["Acting", "NoSuchVerb"]

_DIGITS = 18


class NoSuchVerb(Missing):
    """A service can be started, stopped and restarted, and nothing else."""

    code = "pages.no-such-verb"


class NothingSaid(Misuse):
    """The form lacks what it is about."""

    code = "pages.nothing-said"


class Acting:
    """Endpoints that change something.

    Args:
        control: Of the application.
        by: The service by which it is asked.
        older: The services that run by something else than the file says.
    """

    def __init__(
        self, control: Control, by: str, older: Callable[[], Awaitable[tuple[frozenset[str], str]]] | None = None
    ) -> None:
        self._control, self._by, self._older = control, by, older

    async def steer(self, request: Request) -> Response:
        """Start, stop or restart a service."""
        name, verb = request.path_params["name"], request.path_params["verb"]
        control, by = self._control, self._by
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "start": lambda: control.start(name),
            "stop": lambda: control.stop(name, by=by),
            "restart": lambda: control.restart(name, by=by),
        }
        if verb not in verbs:
            raise NoSuchVerb(f"a service cannot be made to {verb[:20]!r}", hint=f"it can {', '.join(verbs)}")
        if verb != "stop" and self._older is not None and name in (await self._older())[0]:
            verbs[verb] = lambda: control.take(name, by=by)  # it counts from the next start on
        with audited(request, f"{verb} {name}"):
            await verbs[verb]()
        return _back("/process")

    async def close(self, request: Request) -> Response:
        """Close a connection."""
        number = int(request.path_params["number"][:_DIGITS])  # more than any connection has
        with audited(request, f"close connection {number}"):
            self._control.end_connection(number)
        return _back("/process/connections")

    async def level(self, request: Request) -> Response:
        """From which level on a logger speaks; "" is as it was."""
        fields = asker_of(request).fields
        if "logger" not in fields or "level" not in fields:
            raise NothingSaid("the form has no logger or no level")
        logger, level = fields["logger"], fields["level"]
        with audited(request, f"log level of {logger[:100]} {level[:20] or 'as it was'}"):
            if level:
                self._control.levels.set(logger, level)
            else:
                self._control.levels.put_back(logger)
        return _back("/process/log")


def _back(path: str) -> Response:
    return RedirectResponse(path, 303)
