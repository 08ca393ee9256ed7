"""Reference: docs/reference/command-line.md, made from the help pages, so that it cannot say something else.

Flow: make_app -> help pages -> `python -m ropewalk.cli.reference >docs/reference/command-line.md`
Never: says of a command what its own help does not.
"""

from __future__ import annotations

import io
import sys

from cyclopts import App
from rich.console import Console

from ropewalk.cli.app import make_app
from ropewalk.cli.commands import COMMANDS

__all__ = ["reference"]

_WIDTH = 100  # columns
_OPENING = """\
# The command line

Made from the help pages by `python -m ropewalk.cli.reference`; a test compares them.

## Places

- `SPACE:/PATH` is a place in a space; the slash after the colon may be left out, and `SPACE` alone is its top.
- `put`, `get`, `restore` and `mv` take targets as `cp` does: where the target ends in a slash, or is a folder, things
  go into it under their own name; otherwise the target is the name they get.
- An older version is named by four or more of the first digits that `ropewalk log` shows: with `--at`, or in `restore`
  and `diff` by `@VERSION` at the end.
- Names are bytes. Those that are not UTF-8 are taken as they are, and shown with `\\xff` for a byte; so are characters
  that a terminal could take for its own commands.

## Passphrase

It is never taken from the arguments, which every user of a machine can see. In this order: the first line of
`--passphrase-file`, `$ROPEWALK_PASSPHRASE`, the system's keyring if `ropewalk init --keyring` put it there, the
terminal.

## Errors

Exit statuses are in [exit-status.md](exit-status.md).

An error is one line, `error: ...`, mostly with a second one, `hint: ...`, on standard error. What needs care is
`warning: ...`, what is good to know `note: ...`.

## JSON

With `--json`, `ls`, `find`, `du`, `log`, `diff`, `conflicts`, `audit`, `watch`, `members`, `device list`, `store list`,
`space list`, `node trash` and `invite --list` write one JSON object a line, one for each item, and so do `join`,
`device add` and `device revoke` for each space; every other command but `cat` writes one object when it is done. Before
they wait, `invite` and `device add` write an object with what the other machine needs; where this machine is the
mailbox itself, `listens` has the `address` and the `port` that others must reach, and is null elsewhere. Sizes are
bytes. A path is in `path`; where it is not UTF-8, `path` is what can be shown of it, and `path_base64` its bytes.
On standard error, an error is `{"error": {"code", "message", "hint"}}` and a warning `{"warning"}`; with
`--age`, `{"freshness"}` says how old the view may be, and is null where no other device belongs. Codes are stable;
messages are not.

## Environment

| Variable | Meaning |
|---|---|
| `ROPEWALK_HOME` | The folder of settings, keys and local state, instead of the platform's own. |
| `ROPEWALK_PASSPHRASE` | The passphrase of the device keys. |
| `ROPEWALK_MAILBOX` | Where `invite`, `device add` and `join` meet, unless `--mailbox` says where. |
| `ROPEWALK_DEBUG` | If set, a fault of ropewalk shows where it is, and what goes on in the network is told. |
| `NO_COLOR` | If set, nothing is coloured. |

## Completion

`ropewalk --install-completion` sets up completion in bash, zsh or fish.
"""


def reference() -> str:
    """The whole page."""
    app = make_app()
    parts = [_OPENING, f"## ropewalk\n\n```text\n{_page(app, [])}\n```\n"]
    for words, *_ in COMMANDS:
        parts.append(f"## ropewalk {words}\n\n```text\n{_page(app, words.split())}\n```\n")
    return "\n".join(parts)


def _page(app: App, words: list[str]) -> str:
    page = io.StringIO()
    console = Console(file=page, width=_WIDTH, color_system=None, highlight=False)
    app.help_print(words, console=console)
    return "\n".join(line.rstrip() for line in page.getvalue().strip().splitlines())


if __name__ == "__main__":
    sys.stdout.write(reference())
