"""Commands: what `ssh host command` is for a talk: one line, and an exit status in return.

Flow: Commands(talk) in a Host -> a command is its first line, and then there is no more -> exit_status -> the client
Never: runs a program of this machine.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ropewalk.terminal import Ended, Interrupted, Talk, Terminal

__all__ = ["Commands", "RunsCommands", "exit_status", "is_command"]

_FAILED, _INTERRUPTED = 1, 130  # as shells have it


@runtime_checkable
class RunsCommands(Protocol):
    """A carrier that may have been started for one command.

    Attributes:
        command: The line; None where somebody is there to talk.
        exit_status: What the client is told at the end, 0 to 255.
    """

    command: str | None
    exit_status: int


class Commands:
    """A talk that takes commands too: each is a visit of its own, whose first line is the command and the only one.

    Prompts are not sent to it. Where the talk fails, the exit status says so.

    Args:
        talk: Reads lines until there are no more.
    """

    def __init__(self, talk: Talk) -> None:
        self._talk = talk

    async def __call__(self, terminal: Terminal) -> None:
        """Talk."""
        try:
            await self._talk(terminal)
        except Ended:
            raise
        except Interrupted:
            exit_status(terminal, _INTERRUPTED)
            raise
        except Exception:
            exit_status(terminal, _FAILED)
            raise


def is_command(terminal: Terminal) -> bool:
    """Whether this visit is for one command: nobody is there to be asked."""
    return isinstance(terminal.carrier, RunsCommands) and terminal.carrier.command is not None


def exit_status(terminal: Terminal, status: int) -> None:
    """Say how a command went, 0 to 255; where somebody is there to talk, it is how the talk ends."""
    if isinstance(terminal.carrier, RunsCommands):
        terminal.carrier.exit_status = status & 0xFF
