"""Asking: who asks, how, and what they may: all that a command knows of the one who gave it.

Flow: a conversation -> Ask -> commands
Never: changes while a command runs, but for the width of a window.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ropewalk.auth import Identity
from ropewalk.console.errors import NotAllowed
from ropewalk.console.rights import Right
from ropewalk.service import Control

if TYPE_CHECKING:
    from ropewalk.console.commands import Commands

__all__ = ["Ask"]

_WORDS = {
    Right.LOOK: "to look at this process",
    Right.ACT: "to change anything here",
    Right.PYTHON: "to run Python here",
}


@dataclass(slots=True)
class Ask:
    """What a command is told.

    Attributes:
        control: What may be seen of the application and done with it.
        identity: Who asks.
        rights: What they may do over this connection.
        by: What carries the conversation: "ssh", "unix", "telnet", "web".
        commands: All there are.
        address: The peer's, "" where it has none.
        service: The service by which it came, which is not stopped by mistake.
        insists: The same line was refused just before, for what it would do to this very connection.
    """

    control: Control
    identity: Identity
    rights: frozenset[Right]
    by: str
    commands: Commands = field(repr=False)
    address: str = ""
    service: str = ""
    insists: bool = False

    def check(self, right: Right) -> None:
        """Let only those go on who have a right.

        Raises:
            NotAllowed.
        """
        if right not in self.rights:
            way = f" by {self.by}" if right is Right.PYTHON and Right.ACT in self.rights else ""
            raise NotAllowed(f"no right {_WORDS[right]}{way}", hint="groups of an account give rights")
