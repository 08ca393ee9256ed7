"""Lines: where in a TOML text a key stands, which tomllib does not tell.

Flow: text -> the headers and keys of its lines, in order -> the line of a path of keys
Never: decides whether the text is TOML: tomllib has read it before.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

__all__ = ["line_of"]

_BARE, _BASIC, _LITERAL = r"[A-Za-z0-9_-]+", r'"(?:[^"\\]|\\.)*"', r"'[^']*'"
_PART = f"(?:{_BARE}|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_KEY})[ \t]*\]")
_ASSIGNED = re.compile(rf"[ \t]*({_KEY})[ \t]*=")
_FENCE = re.compile(r'"""|\'\'\'')


def line_of(text: str, path: Sequence[str]) -> int:
    """The line, from 1, where a key stands; if it is not there, that of the longest part of it; 1 if there is none.

    Args:
        text: TOML.
        path: Keys from the top; a place in an array of tables counts as a key, as in ``("servers", "0", "port")``.
    """
    best, at = 0, 1
    for line, key in _keys(text):
        same = 0
        for one, other in zip(key, path, strict=False):
            if one != other:
                break
            same += 1
        if same == len(key) and same > best:
            best, at = same, line
    return at


def _keys(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each header and key with its line; keys below their header's. Keys inside inline tables are not told."""
    table: tuple[str, ...] = ()
    seen: dict[tuple[str, ...], int] = {}
    fence = ""  # what ends the string of several lines that we are in
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            if fence in line:
                fence = ""
            continue
        if found := _HEADER.match(line):
            table = _split(found[2])
            if found[1] == "[[":
                seen[table] = seen.get(table, -1) + 1
            table = _placed(table, seen)
            yield number, table
        elif found := _ASSIGNED.match(line):
            yield number, table + _split(found[1])
            rest = line[found.end() :].split("#", 1)[0]
            opened = _FENCE.search(rest)
            if opened and opened[0] not in rest[opened.end() :]:
                fence = opened[0]


def _split(key: str) -> tuple[str, ...]:
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
