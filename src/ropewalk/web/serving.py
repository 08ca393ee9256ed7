"""Serving: an app is run for a request, and whatever it does, its connection ends up where the next one can begin.

Flow: the connection's task -> serve -> the app, in a context of its own -> answered, or 500, or the connection is cut
Never: lets out what an app raised: it is in the log, with its stack, and nowhere else.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from ropewalk.web.errors import BadRequest, BrokenAnswer
from ropewalk.web.own_context import OwnContext
from ropewalk.web.plain import plain
from ropewalk.web.quick import Receive, Scope, Send

if TYPE_CHECKING:
    from ropewalk.web.exchange import Exchange
    from ropewalk.web.protocol import Connection
    from ropewalk.web.site import Site

__all__ = ["run_app", "serve", "told_of"]

_log = logging.getLogger("ropewalk.web")
_BUSY = b"retry-after: 1\r\n"


async def serve(connection: Connection, exchange: Exchange, task: asyncio.Task[None]) -> None:
    """Have the app answer a request, in this task, the current one.

    Raises:
        asyncio.CancelledError: The site waits no longer.
    """
    site = connection.site
    if site.running >= site.limits.running:
        connection.refuse_exchange(exchange, BadRequest(503, "too much is going on here now", lines=_BUSY))
        return
    if exchange.upgrade:
        from ropewalk.web.upgrading import upgrade

        await upgrade(connection, exchange, task)
        return
    exchange.began = site.time()
    failure = await run_app(site, task, exchange.scope, exchange.receive, exchange.send)
    if failure is None and not exchange.over and not exchange.cut:
        failure = BrokenAnswer("the app returned before its answer was whole")
    if failure is not None:
        _fail(connection, exchange, failure)


async def run_app(
    site: Site, task: asyncio.Task[None], scope: Scope, receive: Receive, send: Send
) -> BaseException | None:
    """Await an app in this task, the current one; what it raised, if it did.

    Raises:
        asyncio.CancelledError: The site waits no longer.
    """
    site.running += 1
    try:
        work = site.app(scope, receive, send)  # one that is no coroutine function may raise here
        coroutine = work if inspect.iscoroutine(work) else _awaited(work)
        await OwnContext(coroutine, site.context.copy())
    except asyncio.CancelledError as error:
        if site.over:
            raise
        return error  # of its own: nobody else cancels it
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - user code: whatever it raises ends here
        return error
    finally:
        site.running -= 1
        if not site.over and task.cancelling():
            while task.uncancel():  # what an app asked for itself must not meet the next one
                pass
    return None


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _fail(connection: Connection, exchange: Exchange, failure: BaseException) -> None:
    site = connection.site
    if exchange.cut:
        # It was told that nobody listens; most apps end by raising then.
        _log.debug("%s: app ended after its peer: %r", site.name, failure, extra={"code": "web.after-peer"})
        return
    told_of(site, exchange.method, exchange, failure)
    if exchange.over:
        return
    exchange.over, exchange.keep = True, False
    if exchange.started:
        connection.answered(exchange)
        connection.abort()
        return
    exchange.status = 500
    only_head = exchange.method == "HEAD"
    connection.write(plain(500, "something went wrong here", site.date, close=True, only_head=only_head))
    connection.answered(exchange)


def told_of(site: Site, what: str, exchange: Exchange, failure: BaseException) -> None:
    """Log and count what an app raised."""
    site.counts.failures.inc()
    _log.error(
        "%s: app failed at %s %s",
        site.name,
        what,
        exchange.scope["raw_path"].decode("latin-1"),
        exc_info=failure,
        extra={"code": "web.app-failed", "service": site.name},
    )
