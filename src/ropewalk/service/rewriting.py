"""Rewriting: a TOML text with some values changed, and every other byte as it was: comments, order, spelling.

Flow: text, values by path -> the place of each in the text -> pieces replaced -> text, read again to be sure
Never: gives back a text that says anything but what was asked for: rather it refuses.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from ropewalk.errors import Misuse
from ropewalk.service.lines import STATEMENT, TOKEN, split_key

__all__ = ["CannotRewrite", "rewritten"]

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z", re.ASCII)
_WIDEST = 100  # characters of a list in one line

Path = tuple[str, ...]


class CannotRewrite(Misuse):
    """The text is written in a way that a value in it cannot be changed without harm to the rest."""

    code = "service.cannot-rewrite"


class _Piece(NamedTuple):
    """A header, or a key with its value: where they stand.

    `path` is from the top; `value` and `end` are those of the value's text; `after` is where the next line begins.
    """

    path: Path
    header: bool
    start: int
    value: int
    end: int
    after: int
    inside: Path  # of a key: the header above it


def rewritten(text: str, changes: Mapping[Path, Any]) -> str:
    """A text with other values.

    Args:
        text: TOML.
        changes: By path: strings, numbers, booleans, lists and tables of those; None for what is to go.

    Raises:
        CannotRewrite: It cannot be done with all else kept.
    """
    wanted = tomllib.loads(text)
    try:
        for path, value in changes.items():
            _put(wanted, path, value)
            text = _removed(text, path) if value is None else _changed(text, path, value)
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        found = None
    if repr(_filled(found)) != repr(_filled(wanted)):  # equal is not enough: 1 is 1.0 and true, and nan is not nan
        raise CannotRewrite("the file is written in a way that it cannot be changed here", hint="change it by hand")
    return text


def _changed(text: str, path: Path, value: Any) -> str:
    pieces = list(_pieces(text))
    for piece in pieces:
        if not piece.header and path[: len(piece.path)] == piece.path:
            below = path[len(piece.path) :]
            if below:  # within a table in one line
                table = tomllib.loads(f"x = {text[piece.value : piece.end]}")
                _put(table, ("x", *below), value)
                value = table["x"]
            return text[: piece.value] + _replaced(text[piece.value : piece.end], value) + text[piece.end :]
    inside = max(
        (piece.path for piece in pieces if piece.header and path[: len(piece.path)] == piece.path), key=len, default=()
    )
    return _inserted(text, pieces, inside, f"{_key(path[len(inside) :])} = {_value(value)}")


def _inserted(text: str, pieces: Sequence[_Piece], inside: Path, line: str) -> str:
    """A line after the last one of a table, as far in as that."""
    end = "\r\n" if "\r\n" in text else "\n"
    last = next((one for one in reversed(pieces) if one.inside == inside and not one.header), None)
    last = last or next((one for one in pieces if one.header and one.path == inside), None)
    if last is None:  # of the top, and there is nothing yet
        return f"{line}{end}{end if text else ''}{text}"
    begin = text.rfind("\n", 0, last.start) + 1
    indent = text[begin : last.start] if not last.header and not text[begin : last.start].strip() else ""
    before = text[: last.after]
    return f"{before}{'' if before.endswith(chr(10)) else end}{indent}{line}{end}{text[last.after :]}"


def _removed(text: str, path: Path) -> str:
    for piece in _pieces(text):
        if piece.header or path[: len(piece.path)] != piece.path:
            continue
        if piece.path == path:
            _check_bare(text[piece.value : piece.end])
            return text[: text.rfind("\n", 0, piece.start) + 1] + text[piece.after :]
        table = tomllib.loads(f"x = {text[piece.value : piece.end]}")
        _put(table, ("x", *path[len(piece.path) :]), None)
        return text[: piece.value] + _replaced(text[piece.value : piece.end], table["x"]) + text[piece.end :]
    raise CannotRewrite("what is to go is a table of its own", hint="change it by hand")


def _replaced(old: str, value: Any) -> str:
    """Another value in the place of one; of a list with remarks, each remark stays with its line."""
    if not isinstance(value, list | tuple) or not _has_remarks(old):
        _check_bare(old)
        return _value(value)
    end = "\r\n" if "\r\n" in old else "\n"
    head, *rows = re.split(r"\r?\n", old)
    foot = rows.pop()
    items = [_item(row) for row in rows]
    if head.partition("#")[0].strip() != "[" or foot.strip() != "]" or None in items:
        raise CannotRewrite("the list has remarks in it that would be lost", hint="change it by hand")
    before = tomllib.loads(f"x = {old}")["x"]
    places = [number for number, item in enumerate(items) if item]
    if len(places) != len(before):
        raise CannotRewrite("the list has remarks in it that would be lost", hint="change it by hand")
    indent = next((re.match(r"[ \t]*", rows[number])[0] for number in places), "    ")  # type: ignore[index]
    made, begun = [head], 0
    steps = SequenceMatcher(None, [repr(one) for one in before], [repr(one) for one in value], autojunk=False)
    for kind, first, last, new, until in steps.get_opcodes():
        for place in places[first:last]:
            made += rows[begun:place]  # remarks that stand by themselves
            made += [_with_comma(rows[place], items[place])] if kind == "equal" else []
            begun = place + 1
        made += [f"{indent}{_value(one)}," for one in value[new:until]] if kind != "equal" else []
    return end.join([*made, *rows[begun:], foot])


def _has_remarks(value: str) -> bool:
    return any(token[0].startswith("#") for token in TOKEN.finditer(value))


def _check_bare(value: str) -> None:
    """See that nothing but a value goes with it."""
    if _has_remarks(value):
        raise CannotRewrite("what is there has remarks in it that would be lost", hint="change it by hand")


def _item(row: str) -> str | None:
    """The one value of a row of a list, "" where there is only a remark; None where it is otherwise."""
    found = ""
    for token in TOKEN.finditer(row):
        one = token[0]
        if one.startswith("#"):
            break
        if one in "[]{}" or (found and one.strip() not in ("", ",")):
            return None
        if one.strip() not in ("", ","):
            found = one.strip()
    if not found.startswith(("'", '"')):
        found = found.removesuffix(",").rstrip()
        return None if "," in found else found
    return None if found.startswith(('"""', "'''")) else found


def _with_comma(row: str, item: str | None) -> str:
    if not item:
        return row
    at = row.index(item) + len(item)
    return row if row[at:].lstrip().startswith(",") else f"{row[:at]},{row[at:]}"


def _pieces(text: str) -> Iterator[_Piece]:
    """Headers and keys, in order; keys inside tables in one line are not told."""
    table: Path = ()
    many: set[Path] = set()
    at = 0
    while found := STATEMENT.match(text, at):
        at = found.end()
        if found[2]:
            path = split_key(found[2])
            if found[1] == "[[":
                many.add(path)
            # What is in a list of tables is at no path that can be asked for.
            table = (*path, "") if any(path[: len(one)] == one for one in many) else path
            yield _Piece(table, True, found.start(2), at, at, _next_line(text, at), table)
        elif found[3]:
            value = next(place for place in range(at, len(text)) if text[place] not in " 	")
            end = _end_of_value(text, value)
            after = _next_line(text, end)
            yield _Piece((*table, *split_key(found[3])), False, found.start(3), value, end, after, table)
            at = after


def _end_of_value(text: str, at: int) -> int:
    depth, end = 0, at
    while token := TOKEN.match(text, at):
        if depth == 0 and (token[0] == "\n" or token[0].startswith("#")):
            break
        depth += (token[0] in "[{") - (token[0] in "]}")
        if token[0].strip() and not token[0].startswith("#"):
            end = at + len(token[0].rstrip())
        at = token.end()
    return end


def _next_line(text: str, at: int) -> int:
    return text.find("\n", at) + 1 or len(text)


def _filled(tree: Any) -> Any:
    """A tree without tables that say nothing: one goes with its last key where it has no header."""
    if not isinstance(tree, dict):
        return tree
    found = {key: _filled(one) for key, one in sorted(tree.items())}  # sorted: their order is no part of it
    return {key: one for key, one in found.items() if one != {}}


def _put(table: dict[str, Any], path: Path, value: Any) -> None:
    for key in path[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise CannotRewrite(f"{'.'.join(path)} is below something that is no table", hint="change it by hand")
    if value is None:
        table.pop(path[-1], None)
    else:
        table[path[-1]] = _plainly(value)


def _plainly(value: Any) -> Any:
    """As TOML is read: a copy, so that what is put into it later is not put into the caller's."""
    if isinstance(value, Mapping):
        return {key: _plainly(one) for key, one in value.items()}
    return [_plainly(one) for one in value] if isinstance(value, list | tuple) else value


def _key(path: Path) -> str:
    return ".".join(key if _BARE.match(key) else _plain(key) for key in path)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key((key,))} = {_value(one)}" for key, one in value.items()) + " }" if value else "{}"
        )
    if isinstance(value, list | tuple):
        items = [_value(one) for one in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= _WIDEST else "[\n" + "".join(f"    {item},\n" for item in items) + "]"
    return _plain(value)


def _plain(value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({"x": value}).removeprefix("x = ").removesuffix("\n")
