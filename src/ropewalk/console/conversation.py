"""Conversation: what one person and the console say to each other on a terminal.

Flow: Terminal -> lines -> Interpreter, or the Python prompt -> text -> Terminal, until `quit` or nobody is there
Never: knows what carries it, or keeps a history past its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from ropewalk.console.asking import Ask
from ropewalk.console.audit import audited
from ropewalk.console.commands import Commands
from ropewalk.console.completing import completions
from ropewalk.console.interpreter import Interpreter, Outcome
from ropewalk.console.looking import counted
from ropewalk.console.python import PythonPrompt
from ropewalk.console.rights import Operator, Right, rights_by
from ropewalk.console.table import seconds
from ropewalk.service import Control
from ropewalk.ssh.commands import is_command
from ropewalk.terminal import Interrupted, Terminal, plain

__all__ = ["Conversation"]

_HISTORY = 500  # lines of one conversation


class Conversation:
    """Made anew for each terminal.

    Args:
        control: Of the application.
        commands: All there are.
        terminal: Whose perspective is an `Operator`.
        service: The service by which it came.
    """

    def __init__(self, control: Control, commands: Commands, terminal: Terminal, service: str) -> None:
        operator = terminal.perspective if isinstance(terminal.perspective, Operator) else Operator(frozenset())
        self._control, self._terminal = control, terminal
        self.status = 0  # of the last line
        self._quiet = is_command(terminal) or bool(getattr(terminal.carrier, "quiet", False))
        self._ask = Ask(
            control,
            terminal.identity,
            rights_by(operator, terminal.name, terminal.channel),
            terminal.name,
            commands,
            terminal.channel.address,
            service,
        )
        self._interpreter = Interpreter(self._ask)

    async def go_on(self) -> None:
        """Until `quit`.

        Raises:
            Ended: Nobody is there any more.
        """
        terminal, control, ask = self._terminal, self._control, self._ask
        history: deque[str] = deque(maxlen=_HISTORY)
        with control.presence.enter(ask.identity.name, ask.by, ask.address, ask.service) as visitor:
            if not self._quiet:
                terminal.write(self._greeting())
            while True:
                try:
                    line = await terminal.read_line(
                        self._prompt(f"{plain(control.name, 30)}> "),
                        complete=lambda text: completions(ask, text),
                        history=history,
                    )
                    control.presence.acts(visitor)
                    outcome = await terminal.interruptible(self._interpreter.line(line, terminal.columns))
                except Interrupted:
                    terminal.write("interrupted\n")
                    continue
                self._told(outcome)
                await terminal.drain()
                if outcome.leaves:
                    return
                if outcome.python:
                    await self._python()

    def _greeting(self) -> str:
        names = len(self._control.names())
        up = seconds(self._control.uptime)
        who = plain(self._ask.identity.name, 64) or "somebody"
        return f"{plain(self._control.name, 64)}: {counted(names, 'service')}, for {up}; hello {who}, `help` helps\n"

    async def _python(self) -> None:
        """The Python prompt."""
        terminal = self._terminal
        self._ask.check(Right.PYTHON)
        prompt = PythonPrompt(self._at_hand(), terminal.write)
        history: deque[str] = deque(maxlen=_HISTORY)
        if not self._quiet:
            terminal.write("Python with `await`; at hand: application, services, registry, control; exit() ends it\n")
        while not prompt.leaves:
            try:
                line = await terminal.read_line(
                    self._prompt("... " if prompt.waits else ">>> "), complete=prompt.completions, history=history
                )
            except Interrupted:
                prompt.drop()
                terminal.write("KeyboardInterrupt\n")
                continue
            if not prompt.waits and line.strip() in ("exit", "quit", "exit()", "quit()"):
                return
            if source := prompt.take(line):
                await self._run(prompt, source)
                await terminal.drain()

    async def _run(self, prompt: PythonPrompt, source: str) -> None:
        audited(self._ask, source, "begins")  # one that ends the process is written down, too
        outcome = "interrupted"
        try:
            outcome = await self._terminal.interruptible(prompt.run(source))
        except Interrupted:
            self._terminal.write("KeyboardInterrupt\n")
        finally:
            audited(self._ask, source, outcome)

    def _prompt(self, text: str) -> str:
        return "" if self._quiet else text

    def _told(self, outcome: Outcome) -> None:
        self._terminal.write(outcome.text)
        self.status = outcome.status

    def _at_hand(self) -> dict[str, Any]:
        control = self._control
        return {
            "application": control.application,
            "control": control,
            "services": control.live(),
            "registry": control.registry,
            "asyncio": asyncio,
        }
