"""Lines: where in a TOML text a key stands, which tomllib does not tell.

Flow: text -> its headers and keys, in order, past the values -> the line of a path of keys
Never: decides whether the text is TOML: tomllib has read it before.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

__all__ = ["STATEMENT", "TOKEN", "line_of", "split_key"]

_BARE, _BASIC, _LITERAL = r"[A-Za-z0-9_-]+", r'"(?:[^"\\\n]|\\.)*"', r"'[^'\n]*'"
_PART = f"(?:{_BARE}|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
STATEMENT = re.compile(rf"[ \t\r\n]*(?:#[^\n]*|(\[\[?)[ \t]*({_KEY})[ \t]*\]\]?|({_KEY})[ \t]*=)")
# What a value is made of, as far as its end is concerned; strings first, since they may hold all the others.
_BASICS, _LITERALS = r'"""(?:[^\\]|\\.)*?"{3,5}', r"'''.*?'{3,5}"
_STRING = f"{_BASICS}|{_LITERALS}|{_BASIC}|{_LITERAL}"
TOKEN = re.compile(rf"{_STRING}|#[^\n]*|[\[\]{{}}\n]|[^\"'#\[\]{{}}\n]+", re.DOTALL)


def line_of(text: str, path: Sequence[str]) -> int:
    """The line, from 1, where a key stands; if it is not there, that of the longest part of it; 1 if there is none.

    Args:
        text: TOML.
        path: Keys from the top; a place in an array of tables counts as a key, as in ``("servers", "0", "port")``.
    """
    best, at = 0, 0
    for offset, key in _keys(text):
        if len(key) > best and key == tuple(path[: len(key)]):
            best, at = len(key), offset
    return text.count("\n", 0, at) + 1


def _keys(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each header and key with its offset; keys below their header's. Keys inside inline tables are not told."""
    table: tuple[str, ...] = ()
    seen: dict[tuple[str, ...], int] = {}
    at = 0
    while found := STATEMENT.match(text, at):
        at = found.end()
        if found[2]:
            table = split_key(found[2])
            if found[1] == "[[":
                seen[table] = seen.get(table, -1) + 1
            table = _placed(table, seen)
            if found[1] == "[[":
                yield found.start(2), table[:-1]  # the array, which has no other line
            yield found.start(2), table
        elif found[3]:
            yield found.start(3), table + split_key(found[3])
            at = _past_value(text, at)


def _past_value(text: str, at: int) -> int:
    depth = 0
    while token := TOKEN.match(text, at):
        if token[0] == "\n" and depth == 0:
            break
        depth += (token[0] in "[{") - (token[0] in "]}")
        at = token.end()
    return at


def split_key(key: str) -> tuple[str, ...]:
    """The parts of a key, as it is written."""
    parts: list[str] = []
    level: object = tomllib.loads(f"{key} = 0")
    while isinstance(level, dict):
        ((name, level),) = level.items()
        parts.append(name)
    return tuple(parts)


def _placed(table: tuple[str, ...], seen: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    """The table's path with the places of the arrays of tables on the way."""
    path: list[str] = []
    for end, name in enumerate(table, 1):
        path.append(name)
        if table[:end] in seen:
            path.append(str(seen[table[:end]]))
    return tuple(path)
