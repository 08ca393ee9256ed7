"""Console: one command interpreter for a running application, by whatever way somebody comes.

Flow: Unix socket, SSH, telnet, web socket -> Conversation -> commands -> Control of the application
Never: lets a line go by without a right for it, and without an audit line.
"""

from __future__ import annotations

from ropewalk.console.answer import Answer
from ropewalk.console.asking import Ask
from ropewalk.console.commands import Commands, Words
from ropewalk.console.errors import (
    BadCommand,
    BadSocket,
    BadWords,
    NotAllowed,
    NotUp,
    TooMuchOutput,
    UnknownCommand,
)
from ropewalk.console.interpreter import Interpreter, Outcome
from ropewalk.console.rights import Groups, Operator, Right
from ropewalk.console.service import ConsoleConfig, ConsoleService, NoConsole, talk

__all__ = [
    "Answer",
    "Ask",
    "BadCommand",
    "BadSocket",
    "BadWords",
    "Commands",
    "ConsoleConfig",
    "ConsoleService",
    "Groups",
    "Interpreter",
    "NoConsole",
    "NotAllowed",
    "NotUp",
    "Operator",
    "Outcome",
    "Right",
    "TooMuchOutput",
    "UnknownCommand",
    "Words",
    "talk",
]
