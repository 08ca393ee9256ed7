"""A host: who is let in to a talk, and what becomes of each conversation.

Flow: a carrier's terminal -> Host.visit: a place, a login -> the talk -> farewell -> the carrier is closed
Never: lets one conversation's failure touch another, or the service; leaves one running when its visitor is gone.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from ropewalk.auth import Login, Portal
from ropewalk.errors import RopewalkError
from ropewalk.metrics import current_registry
from ropewalk.terminal.interface import Ended, Interrupted, Limits, Talk
from ropewalk.terminal.login import NoLogin, ask
from ropewalk.terminal.terminal import Terminal

__all__ = ["Host", "can_edit"]

_log = logging.getLogger("ropewalk.terminal")
_GRACE = 5.0  # seconds in which a talk may notice that its visitor is gone, before it is cancelled


class Host:
    """Gives visitors to a talk.

    Args:
        talk: What is said to each, until it returns.
        portal: Asked who they are; None where it does not matter.
        wanted: The kind of perspective that the portal's realm is asked for.
        visitors: How many there may be at a time.
        editors: For how many of them lines are edited; the others type without history and completion.
        tries: How often a password may be wrong.
        login_within: Seconds for a whole login.
        greeting: Shown first.
        limits: Of each terminal; for carriers, which make them.
        grace: Seconds in which a talk may end by itself when nobody is there any more.

    Attributes:
        terminals: Those that are visited from now.
    """

    def __init__(
        self,
        talk: Talk,
        portal: Portal | None = None,
        *,
        wanted: type[object] = object,
        visitors: int = 1000,
        editors: int = 100,
        tries: int = 3,
        login_within: float = 60.0,
        greeting: str = "",
        limits: Limits | None = None,
        grace: float = _GRACE,
    ) -> None:
        self.talk, self.portal, self.wanted = talk, portal, wanted
        self.visitors, self.editors = visitors, editors
        self.tries, self.login_within = tries, login_within
        self.greeting, self.limits, self.grace = greeting, limits or Limits(), grace
        self.terminals: set[Terminal] = set()
        self._closing = False
        self._empty = asyncio.Event()
        registry = current_registry()
        self._ended = registry.counter(
            "ropewalk_terminal_visits_total", "conversations that have ended, by carrier and why", ("carrier", "why")
        )
        self._open = registry.gauge("ropewalk_terminal_visitors", "conversations now, by carrier", ("carrier",))

    async def visit(self, terminal: Terminal, *, known: bool = False) -> None:
        """One conversation, from login to farewell; carriers make a task of it that a service owns.

        Whatever the talk raises ends here, and so does the carrier.

        Args:
            known: The carrier has let them in already, and set the terminal's identity.
        """
        why = "cancelled"
        try:
            if self._closing or len(self.terminals) >= self.visitors:
                why = "full"
                terminal.dismiss(why, "there are too many visitors now, try again later")
                return
            terminal.may_edit = self._may_edit
            self.terminals.add(terminal)
            self._open.of(terminal.name).inc()
            try:
                why = await self._converse(terminal, known)
            finally:
                self.terminals.discard(terminal)
                self._open.of(terminal.name).dec()
                if not self.terminals:
                    self._empty.set()
        finally:
            self._ended.of(terminal.name, why).inc()
            terminal.carrier.close()

    def _may_edit(self) -> bool:
        return sum(one.editing for one in self.terminals) < self.editors

    async def close(self, seconds: float) -> None:
        """Take no more visitors, tell those that are there, and end what goes on for so many seconds nevertheless."""
        self._closing = True
        self.grace = min(self.grace, seconds / 2)
        if not self.terminals:
            return
        self._empty.clear()
        for terminal in list(self.terminals):
            terminal.dismiss("stopped", "\nthe server stops: good-bye")
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    async def _converse(self, terminal: Terminal, known: bool) -> str:
        """Login and talk; how it ended, in a word."""
        try:
            async with self._while_there(terminal), AsyncExitStack() as owned:
                terminal.write(self.greeting)
                if self.portal is not None and not known:
                    login = await owned.enter_async_context(await self._login(terminal, self.portal))
                    terminal.identity, terminal.perspective = login.identity, login.perspective
                await self.talk(terminal)
        except Ended as error:
            return error.why
        except Interrupted:
            return "interrupted"
        except _NotIn as error:
            terminal.write(f"{error}\n")
            return "refused"
        except Exception as error:  # noqa: BLE001 - of a talk: it ends this conversation, and no other
            _log.exception(
                "conversation by %s failed",
                terminal.name,
                extra={"code": "terminal.failed", "error": type(error).__name__},
            )
            terminal.write("\nsomething went wrong here, so this conversation ends; the log of the server says more\n")
            return "failed"
        return "done"

    async def _login(self, terminal: Terminal, portal: Portal) -> Login[object]:
        try:
            async with asyncio.timeout(self.login_within):
                return await ask(terminal, portal, self.wanted, self.tries)
        except (Ended, Interrupted):
            raise
        except RopewalkError as error:  # its words are for those who come in
            _log.info("no login by %s: %s", terminal.name, error, extra={"code": error.code})
            raise _NotIn(f"{error}: {error.hint}" if error.hint else str(error)) from error
        except TimeoutError:
            _log.info("no login by %s: too late", terminal.name, extra={"code": NoLogin.code})
            raise _NotIn(f"\nno login within {self.login_within:g} s") from None

    @asynccontextmanager
    async def _while_there(self, terminal: Terminal) -> AsyncIterator[None]:
        """What goes on for too long after its visitor has gone is cancelled."""
        try:
            async with asyncio.timeout(None) as scope:

                def over() -> None:
                    scope.reschedule(asyncio.get_running_loop().time() + self.grace)

                terminal.when_over(over)
                try:
                    yield
                finally:
                    terminal.when_over(None)
        except TimeoutError:
            if terminal.over is None:
                raise
            _log.info("conversation by %s went on without its visitor", terminal.name, extra={"code": Ended.code})
            raise terminal.over from None


class _NotIn(Exception):
    """Why a visitor is not let in, in words for them."""


def can_edit() -> bool:
    """Whether what edits lines is installed; where it is not, line mode is the better one to offer.

    It takes some tenths of a second to come in, so services ask before they have visitors.
    """
    try:
        importlib.import_module("ropewalk.terminal.editing")
    except ModuleNotFoundError:
        return False
    return True
