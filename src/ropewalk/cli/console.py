"""`ropewalk console`: the console of a running application: a conversation, or one command.

Flow: --socket, or the home's own -> the client -> standard streams, the command's exit status
Never: starts an application, or needs keys.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import COMMON, Common

__all__ = ["console"]


def console(
    *command: Annotated[str, Parameter(help="One command; without it, a conversation. `help` says which there are.")],
    socket: Annotated[
        Path | None,
        Parameter(metavar="PATH", help="The socket of an application's console; by default that of `ropewalk up`."),
    ] = None,
    common: Common = COMMON,
) -> int:
    """Look at a running application, and start, stop and restart its services.

    Options of a command come after `--`: `ropewalk console -- stop web --force`.
    """
    from ropewalk.console.client import converse, told
    from ropewalk.console.place import socket_of
    from ropewalk.spaces.home import Home

    path = socket if socket is not None else socket_of(Home.of_user().state)
    if not command and not common.json:
        return converse(path)
    words = list(command) or ["help"]
    return told(path, [words[0], *(["--json"] if common.json else []), *words[1:]], _columns())


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 0
