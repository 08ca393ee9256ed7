"""Names: what is called what in a space, as text in a page and as part of an address.

Flow: bytes of names -> shown, for people; -> quoted, for addresses and fields of forms -> unquoted -> bytes
Never: lets a name turn the text around it about, or makes two names one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from ropewalk.errors import Misuse
from ropewalk.spaces.version import parse_path

__all__ = ["BadAddress", "amount", "moment", "quoted", "shown", "stamp", "unquoted"]

_TILDED = re.compile(rb"~([0-9A-F]{2})")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


class BadAddress(Misuse):
    """The address names nothing that a space could hold."""

    code = "pages.bad-address"


def shown(name: str | bytes) -> str:
    r"""A name as text that stays in its place: what is no printable character, such as one that turns the direction
    of writing, stands there as ``\u202e``."""
    text = os.fsdecode(name)
    if text.isprintable():
        return text
    clean = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in clean)


def quoted(parts: Iterable[bytes]) -> str:
    """A path for an address or a field: ASCII, another for every path, and UTF-8 once it is decoded.

    Servers refuse an address that is not UTF-8, so a byte of a name that is not stands there as ``~FF``, and ``~`` as
    ``~7E``.
    """
    return "/".join(quote(_tilded(part), safe="") for part in parts)


def unquoted(path: str | bytes) -> tuple[bytes, ...]:
    """The names of a quoted path.

    Raises:
        BadAddress: A name that nothing can have.
    """
    raw = path.encode(errors="surrogateescape") if isinstance(path, str) else path
    parts = tuple([_TILDED.sub(_byte, unquote_to_bytes(part)) for part in raw.split(b"/") if part])
    if any(b"/" in part for part in parts):
        raise BadAddress("a name has a slash in it")
    try:
        return parse_path(b"/".join(parts))
    except Misuse as error:
        raise BadAddress(str(error)) from None


def _tilded(name: bytes) -> str:
    text = name.decode(errors="surrogateescape").replace("~", "~7E")
    return "".join(f"~{ord(char) - 0xDC00:02X}" if "\udc80" <= char <= "\udcff" else char for char in text)


def _byte(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode())


def amount(size: float) -> str:
    """Bytes for people: ``4.2 MiB``."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def moment(nanoseconds: int) -> str:
    """A time since 1970 as local date and time; seconds where no calendar has it."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return f"@{nanoseconds // 10**9}"


def stamp(nanoseconds: int) -> str:
    """The same for programs, in UTC; "" where no calendar has it."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""
