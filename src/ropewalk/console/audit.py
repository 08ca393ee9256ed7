"""Audit: every line that somebody gave, and what became of it, in the log.

Flow: a conversation -> `audited` -> logger ropewalk.console.audit
Never: writes a secret that can be told as one, a control character, or more than a bound of what was typed.
"""

from __future__ import annotations

import logging
import re

from ropewalk.console.asking import Ask

__all__ = ["LOGGER", "auditable", "audited"]

LOGGER = "ropewalk.console.audit"
_LONGEST = 1_000  # characters of a line
_SECRET = re.compile(
    r"(?i)((?<![\w-])(?:[\w-]*(?:passw|passphrase|secret|token|credential|api[_-]?key)[\w-]*)[\"']?"
    r"(?:\s*(?::=|[=:])\s*|\s+)[brfu]*)"
    r"(\"[^\"]*\"?|'[^']*'?|[^\s,;)]+)"
)
_USER_INFO = re.compile(r"(://[^/?#\s@:]*):[^/?#\s@]*@")

_log = logging.getLogger(LOGGER)
_log.setLevel(logging.INFO)  # of its own: it is written down whatever else the log leaves out


def audited(ask: Ask, line: str, outcome: str) -> None:
    """Write down who gave which line by what, and how it went: "done", an error's code, "interrupted", "cut off"."""
    name = auditable(ask.identity.name) or "nobody in particular"
    extra = {"who": name, "by": ask.by, "address": ask.address, "outcome": outcome}
    _log.info("%s", auditable(line), extra=extra)


def auditable(line: str) -> str:
    """A line as the log may have it."""
    cut = line if len(line) <= _LONGEST else line[:_LONGEST] + "..."
    cut = _USER_INFO.sub(r"\1:(hidden)@", _SECRET.sub(r"\1(hidden)", cut))
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in cut)
