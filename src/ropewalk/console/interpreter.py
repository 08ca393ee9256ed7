"""Interpreter: one line to one outcome; the same for telnet, SSH, web sockets, the Unix socket and its command line.

Flow: line -> words -> command -> right -> arguments -> its function -> Outcome; each line -> audit
Never: raises of what somebody typed, or of what a command failed of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ropewalk.console.answer import Answer
from ropewalk.console.asking import Ask
from ropewalk.console.audit import audited
from ropewalk.console.commands import COMMON, Command
from ropewalk.console.splitting import words_of
from ropewalk.console.table import wrapped
from ropewalk.errors import RopewalkError
from ropewalk.metrics import current_registry
from ropewalk.service import CutsOff
from ropewalk.terminal import plain

__all__ = ["Interpreter", "Outcome", "help_of"]

_log = logging.getLogger("ropewalk.console")
_LEAVE = ("quit", "exit")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a line.

    Attributes:
        text: To be shown; "" or whole lines.
        status: As an exit status.
        leaves: The conversation is to end.
        python: The Python prompt is wanted, and allowed.
    """

    text: str
    status: int = 0
    leaves: bool = False
    python: bool = False


class Interpreter:
    """Does what one person says.

    Args:
        ask: Who.
    """

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self._refused = ""  # the last line, if it was refused since it would have cut its own connection
        self._lines = current_registry().counter(
            "ropewalk_console_lines_total", "lines given to consoles, by carrier and outcome", ("carrier", "outcome")
        )

    async def line(self, line: str, width: int) -> Outcome:
        """Do what a line says.

        Args:
            line: As it was typed.
            width: Characters of a line of theirs now; 0 where that does not matter.
        """
        try:
            words = words_of(line)
        except RopewalkError as error:
            return self._failed(line, error, json=False)
        return await self.words(words, width, line)

    async def words(self, words: Sequence[str], width: int, line: str = "") -> Outcome:
        """Do what words say that need no splitting any more."""
        line = line or " ".join(words)
        if not words:
            return Outcome("")
        plain_words = words[: words.index("--")] if "--" in words else words
        json = "--json" in plain_words
        self.ask.insists, self._refused = line == self._refused, ""
        told = "cut-off"  # if it ends with neither an answer nor an error
        try:
            outcome, told = await self._done(list(words), json, width), "done"
        except asyncio.CancelledError:
            told = "interrupted"
            raise
        except RopewalkError as error:
            if isinstance(error, CutsOff):
                self._refused, error.hint = line, "the same line again does it all the same, and so does --force"
            told = ""
            return self._failed(line, error, json=json)
        except Exception as error:  # noqa: BLE001 - a command may be anybody's
            told = "failed"
            _log.exception("command failed", extra={"code": "console.failed", "command": plain(words[0], 40)})
            fault = f"{type(error).__name__}: {error}"
            return _error(f"{words[0]} failed: {fault}", "console.failed", "the log says more", 1, json=json)
        finally:
            if told:
                self._tell(line, told)
        return outcome

    async def _done(self, words: list[str], json: bool, width: int) -> Outcome:
        if words[0] in _LEAVE and len(words) == 1:
            return Outcome("", leaves=True)
        command = self.ask.commands.find(words[0])
        rest = words[1:]
        end = rest.index("--") if "--" in rest else len(rest)
        asked, rest = rest[:end], [word for at, word in enumerate(rest) if at >= end or word not in COMMON]
        if "--help" in asked:
            answer = Answer({"usage": command.usage, "help": command.summary}, lambda most: help_of(command, most))
        else:
            self.ask.check(command.right)
            answer = await command.function(self.ask, **command.bind(rest))
        text = answer.json() if json else answer.text(width)
        return Outcome(text, python=command.name == "python" and "--help" not in asked)

    def _failed(self, line: str, error: RopewalkError, *, json: bool) -> Outcome:
        self._tell(line, error.code)
        return _error(str(error), error.code, error.hint, error.status, json=json)

    def _tell(self, line: str, outcome: str) -> None:
        audited(self.ask, line, outcome)
        self._lines.of(self.ask.by, outcome).inc()


def help_of(command: Command, width: int) -> list[str]:
    """The help of one command."""
    lines = [command.usage, "", *wrapped(command.summary, width)]
    if command.details:
        lines += ["", *wrapped(command.details, width)]
    told = [one for one in command.parameters if one.words.help or one.choices]
    if told:
        lines.append("")
    for one in told:
        choices = f" ({', '.join(one.choices)})" if one.choices else ""
        lines += wrapped(f"  {one.name}  {one.words.help}{choices}", width, "      ")
    return lines


def _error(message: str, code: str, hint: str, status: int, *, json: bool) -> Outcome:
    if json:
        error = {"error": {"code": code, "message": plain(message), "hint": plain(hint)}}
        return Outcome(msgspec.json.encode(error).decode() + "\n", status)
    text = f"error: {plain(message, 1_000)}\n"
    return Outcome(text + (f"hint: {plain(hint, 1_000)}\n" if hint else ""), status)
