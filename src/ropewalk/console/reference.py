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
_BY_WEB = """\
## By WebSocket

The page `/process/console` of the panel talks by a WebSocket at `/process/console/talk`. It is opened only with the
cookie of a session and an `Origin` that is the page's own; else the answer is 403. There is no Python prompt by it,
whatever rights somebody has. Each message is text, one object of JSON with a key `what`; unknown keys are ignored.

| from the page | says |
|---|---|
| `{"what": "line", "text": "services"}` | a line was typed; no control character but the tab |
| `{"what": "interrupt"}` | what runs is to stop, as by ^C |
| `{"what": "complete", "text": "ser", "number": 7}` | which words could stand where the last one of this does? |
| `{"what": "columns", "number": 80}` | so many characters fit into a line, 20 to 500 |

| to the page | says |
|---|---|
| `{"what": "text", "text": "..."}` | to be shown; no control character but newline and tab |
| `{"what": "prompt", "text": "shop> "}` | a line is waited for |
| `{"what": "words", "number": 7, "words": ["service"]}` | answers `complete`, with its number; at most 200 words |

A message has at most 20,480 characters, a line 4,096; of messages there may be 100 at once and 20 a second, of such
WebSockets 16. One that is closed says why in its reason:

| code | why |
|---|---|
| 1000 | the conversation has ended: by `quit`, by `idle` seconds without a line, or since the console stops |
| 1003, 1008, 1009 | a message was no text; was not as above, came too fast, or answers were not read; was too long |
| 1013 | there are too many |
| 4401 | the session has ended: somebody left, or it lapsed |
| 4404 | the console is not up |
"""
_TITLES = {Right.LOOK: "To look", Right.ACT: "To act", Right.PYTHON: "Python"}


def reference() -> str:
    """The whole page."""
    parts = [_OPENING]
    for right, title in _TITLES.items():
        parts.append(f"## {title}\n")
        parts += [_part(one) for one in LOOKING.with_those_of(ACTING) if one.right is right]
    return "\n".join([*parts, _BY_WEB])


def _part(command: Command) -> str:
    lines = "\n".join(help_of(command, _WIDTH))
    return f"### {command.name}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
