"""Login: a visitor is asked for a name and a password, and let in by a portal.

Flow: portal, terminal -> login:, password: -> Portal.login -> a Login, or why there is none
Never: asks for a password where others may read it; shows, logs or keeps one; asks more often than it may.
"""

from __future__ import annotations

from ropewalk.auth import Anonymous, Denied, Login, Password, Portal
from ropewalk.errors import Refused
from ropewalk.terminal.terminal import Terminal

__all__ = ["NoLogin", "ask"]

_LONGEST_NAME = 256  # characters; the portal has its own bounds


class NoLogin(Refused):
    """Nobody was let in, for the reason that the visitor is told."""

    code = "terminal.no-login"


async def ask(terminal: Terminal, portal: Portal, wanted: type[object], tries: int) -> Login[object]:
    """Let the visitor of a terminal in.

    Args:
        wanted: The kind of perspective.
        tries: How often a password may be wrong.

    Raises:
        NoLogin: Too often wrong, or there is no way to say who one is.
        RopewalkError: As by `Portal.login`, but for Denied.
        Ended, Interrupted: By the visitor.
    """
    named = Password in portal.takes and terminal.channel.verified
    guests = Anonymous in portal.takes
    if not named:
        if guests:
            return await portal.login(Anonymous(), wanted, terminal.channel)
        raise NoLogin(
            "no login: a password is not taken by this connection",
            hint="use TLS, SSH or a Unix socket" if Password in portal.takes else "",
        )
    for _ in range(tries):
        name = (await terminal.read_line("login (none for guests): " if guests else "login: ")).strip()
        if not name and guests:
            return await portal.login(Anonymous(), wanted, terminal.channel)
        password = await terminal.read_line("password: ", secret=True)
        try:
            return await portal.login(Password(name[:_LONGEST_NAME], password), wanted, terminal.channel)
        except Denied as error:
            terminal.write(f"{error}\n")
    raise NoLogin("too many logins failed")
