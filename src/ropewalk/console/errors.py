"""Errors of the console: what somebody typed that cannot be done, and why.

Flow: interpreter, commands -> one of these -> a line and a hint on the terminal, JSON, or an exit status
Never: repeats what was typed at length.
"""

from __future__ import annotations

from ropewalk.errors import Misuse, Refused, Unavailable

__all__ = ["BadCommand", "BadSocket", "BadWords", "NotAllowed", "NotUp", "TooMuchOutput", "UnknownCommand"]


class UnknownCommand(Misuse):
    """The console has no command of this name."""

    code = "console.unknown-command"


class BadWords(Misuse):
    """A command was not given as it must be."""

    code = "console.bad-words"


class BadCommand(Misuse):
    """A function cannot be a command."""

    code = "console.bad-command"


class BadSocket(Refused):
    """A console's socket would lie where others could put another one."""

    code = "console.bad-socket"


class NotAllowed(Refused):
    """Who asks has no right to it, or not by this way."""

    code = "console.not-allowed"


class NotUp(Unavailable):
    """What was asked for was done, and the service is not up nevertheless."""

    code = "console.not-up"


class TooMuchOutput(Refused):
    """What was asked for writes more than a conversation shows."""

    code = "console.too-much-output"
