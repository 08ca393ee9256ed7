"""Reference: docs/reference/console.md, made from the commands, so that it cannot say something else.

Flow: commands -> their own help -> `python -m ropewalk.console.reference >docs/reference/console.md`
Never: says of a command what its own help does not.
"""

from __future__ import annotations

import sys

from ropewalk.console.acting import ACTING
from ropewalk.console.commands import Command
from ropewalk.console.interpreter import help_of
from ropewalk.console.looking import LOOKING
from ropewalk.console.rights import Right

__all__ = ["reference"]

_WIDTH = 100  # columns
_OPENING = """\
# The commands of the console

Made from their own help by `python -m ropewalk.console.reference`; a test compares them.
How to reach a console, and who may do what, is in [operating.md](../howto/operating.md).

Each command takes `--help`, and `--json` for an answer in one line of JSON; an error is then
`{"error": {"code", "message", "hint"}}`. Words with spaces in them are put in quotes; after `--` nothing is an option.
An answer has at most 2,000 lines, or 1 MiB of JSON. `quit` ends a conversation.
"""
_TITLES = {Right.LOOK: "To look", Right.ACT: "To act", Right.PYTHON: "Python"}


def reference() -> str:
    """The whole page."""
    parts = [_OPENING]
    for right, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [_part(one) for one in LOOKING.with_those_of(ACTING) if one.right is right]
    return "\n".join(parts)


def _part(command: Command) -> str:
    lines = "\n".join(help_of(command, _WIDTH))
    return f"### {command.name}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
