"""Completing: words that could stand where somebody types.

Flow: the line up to the cursor -> the command before it -> its parameters -> what they may be
Never: shows names to who may not look, or fails for a line that is half written.
"""

from __future__ import annotations

import shlex

from ropewalk.console.asking import Ask
from ropewalk.console.commands import COMMON
from ropewalk.console.errors import UnknownCommand
from ropewalk.console.splitting import LONGEST_LINE

__all__ = ["completions"]

_MOST = 200  # words: as many as anybody looks through


def completions(ask: Ask, line: str) -> list[str]:
    """Words that begin as the last one of a line does, which is "" after a space."""
    if len(line) > LONGEST_LINE:
        return []
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    last = "" if not line or line[-1].isspace() else (words.pop() if words else "")
    return sorted({word for word in _known(ask, words, last) if word.startswith(last)})[:_MOST]


def _known(ask: Ask, words: list[str], last: str) -> list[str]:
    if not words:
        return ["exit", "quit", *(command.name for command in ask.commands if command.right in ask.rights)]
    try:
        command = ask.commands.find(words[0])
    except UnknownCommand:
        return []
    if command.right not in ask.rights:
        return []
    options = {one.name: one for one in command.parameters if one.option}
    before = options.get(words[-1])
    if before is not None and before.kind is not bool:
        return before.known(ask)
    if last.startswith("--"):
        return [*options, *COMMON]
    given, takes = 0, False
    for word in words[1:]:
        if takes:
            takes = False
        elif word in options:
            takes = options[word].kind is not bool
        elif not word.startswith("--"):
            given += 1
    places = [one for one in command.parameters if not one.option]
    if places and (given < len(places) or places[-1].many):
        return places[min(given, len(places) - 1)].known(ask)
    return []
