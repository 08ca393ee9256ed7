"""Merging: one text of two, for somebody to edit in a field of a form, and its bytes when it comes back.

A field turns every line end into another, and shows nothing of characters that cannot be printed; so a text is offered
only where neither would change it.

Flow: two sides, what both began with -> textmerge -> Offered -> a field -> text -> bytes
Never: puts a text into a space.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ropewalk.errors import Misuse
from ropewalk.pages.names import amount
from ropewalk.pages.space.comparing import LARGEST, NotCompared, check_text
from ropewalk.spaces.conflicts import HistoryOf, Side, common_base
from ropewalk.spaces.core import Core
from ropewalk.spaces.textmerge import Merged, merge_texts
from ropewalk.spaces.tree.entry import Kind

__all__ = ["BadText", "Offered", "bytes_of", "merge_of"]

LARGEST_OFFERED = 384 * 1024  # bytes of a text with both sides of each place in question: a form carries it three times
_ENDS = {"lf": "\n", "crlf": "\r\n"}
_COMMAND = "`ropewalk merge` writes it to a file, which any editor can open."


class BadText(Misuse):
    """A text that came back from a form is not one that could be offered."""

    code = "pages.bad-text"


@dataclass(frozen=True, slots=True)
class Offered:
    """One text of two.

    Attributes:
        text: With `\\n` at the end of each line.
        ends: Which line ends the files have: lf or crlf.
        questions: How many places both changed, each something else.
        based: Whether it is known what both began with.
    """

    text: str
    ends: str
    questions: int
    based: bool


async def merge_of(core: Core, one: Side, other: Side, called: tuple[str, str]) -> Offered:
    """One text of two sides.

    Args:
        core: Of the space.
        one: A file.
        other: Another.
        called: What to call each, where both changed the same lines.

    Raises:
        NotCompared: It cannot be offered in a form; the text says why.
        ChunkUnreachable, ChunkLost.
    """
    history = HistoryOf(core)
    begun = await common_base(history, one, other)
    if begun is not None and (begun.kind != Kind.FILE or begun.size > LARGEST):
        begun = None
    if max(one.entry.size, other.entry.size) > LARGEST:
        raise NotCompared(f"Too long to be merged here: at most {amount(LARGEST)} are. {_COMMAND}")
    texts = [await history.read(entry) for entry in (one.entry, other.entry)]
    base = None if begun is None else await history.read(begun)
    for text in texts:
        check_text(text)
    try:
        check_text(base or b"")
    except NotCompared:
        base = None
    merged = await asyncio.to_thread(merge_texts, base, *texts)
    return _offered(merged, called, based=base is not None)


def _offered(merged: Merged, called: tuple[str, str], *, based: bool) -> Offered:
    text = merged.text(f"side 1, {called[0]}", "before both", f"the other side, {called[1]}").decode()
    if len(text.encode()) > LARGEST_OFFERED:
        raise NotCompared(f"Too long to be merged here: at most {amount(LARGEST_OFFERED)} are. {_COMMAND}")
    # Lines between the sides are ours, and end as ours do; what a file has decides for all of it.
    plain = text.replace("\r\n", "\n")
    ends = "crlf" if plain != text and "\n" not in _between(merged).replace("\r\n", "") else "lf"
    if ends == "lf" and plain != text:
        raise NotCompared(f"These texts have line ends of several kinds, and a form would make them one. {_COMMAND}")
    if not plain.replace("\n", "").replace("\t", "").isprintable():
        raise NotCompared(f"These texts have characters that cannot be seen in a form. {_COMMAND}")
    return Offered(plain, ends, merged.clashes, based)


def _between(merged: Merged) -> str:
    parts = [part if isinstance(part, bytes) else part.ours + (part.base or b"") + part.theirs for part in merged.parts]
    return b"".join(parts).decode()


def bytes_of(text: str, ends: str) -> bytes:
    """What a form sent back, as the bytes of a file; a browser has made each line end ``\\r\\n``.

    Raises:
        BadText: It is longer than what could be offered, has a NUL, or ``ends`` is none that was.
    """
    if ends not in _ENDS:
        raise BadText(f"ends is {ends[:20]!r}, expected one of {', '.join(_ENDS)}")
    plain = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        data = plain.replace("\n", _ENDS[ends]).encode()
    except UnicodeEncodeError:
        raise BadText("the text is not UTF-8") from None
    if len(data) > 2 * LARGEST_OFFERED or b"\0" in data:
        raise BadText(f"the text has {amount(len(data))}, expected {amount(2 * LARGEST_OFFERED)} at most, and no NUL")
    return data
