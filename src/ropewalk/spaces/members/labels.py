"""Labels: the names of people and devices, as they stand sealed in records (docs/spec/groups.md 3.6).

Flow: a name, the id that bears it -> box -> record; box -> name
Never: lets a store read a name, or how long it is.
"""

from __future__ import annotations

from ropewalk.errors import Misuse, RopewalkError
from ropewalk.spaces.keys import KeyRing

__all__ = ["LONGEST_NAME", "BadName", "check_person", "open_label", "seal_label"]

LONGEST_NAME = 100  # bytes of UTF-8
_SIZE = 112  # bytes that are sealed, whatever the name


class BadName(Misuse):
    """Nobody can be called this."""

    code = "members.bad-name"


def check_person(name: str) -> str:
    """The name of a person or device, if it can be one.

    Raises:
        BadName: Empty, over 100 bytes, not printable, or with space around it.
    """
    size = len(name.encode(errors="replace"))
    if not 0 < size <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise BadName(f"name {name[:40]!r} is not fit: want 1 to {LONGEST_NAME} bytes of printable text")
    return name


def seal_label(keys: KeyRing, bearer: bytes, name: str) -> bytes:
    """The box of a name.

    Args:
        keys: The space's.
        bearer: The id of the member or device.
        name: Checked by `check_person`.
    """
    text = check_person(name).encode()
    return keys.seal("label", _context(keys, bearer), bytes((len(text),)) + text + bytes(_SIZE - 1 - len(text)))


def open_label(keys: KeyRing, bearer: bytes, box: bytes) -> str | None:
    """The name in a box; None where it does not open here, or is none."""
    if not box:
        return None
    try:
        plain = keys.open("label", _context(keys, bearer), box)
        if len(plain) != _SIZE or any(plain[1 + plain[0] :]):
            return None
        return check_person(plain[1 : 1 + plain[0]].decode())
    except (RopewalkError, UnicodeDecodeError):
        return None


def _context(keys: KeyRing, bearer: bytes) -> bytes:
    return b"label" + keys.space_id + bearer
