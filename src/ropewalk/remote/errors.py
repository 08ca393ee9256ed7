"""Errors: what a node or the way to it says, as a store may say it.

Flow: an error of the broker, or one that the node told -> what `Store` documents
Never: makes of what is not known a success, or of what the node refuses a damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import (
    NameTaken,
    NoSuchObject,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
    TellsNothing,
)

__all__ = ["answering", "as_store", "quoted"]

_KINDS: tuple[type[RopewalkError], ...] = (
    NameTaken,
    NoSuchObject,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
)
LONGEST_QUOTE = 300  # characters of what a node says
READ: tuple[type[RopewalkError], ...] = (NoSuchObject, StoreDamaged, StoreGone)
WAIT: tuple[type[RopewalkError], ...] = (StoreDamaged, StoreGone, TellsNothing)
LIST: tuple[type[RopewalkError], ...] = (StoreDamaged, StoreGone)
WRITE: tuple[type[RopewalkError], ...] = (NameTaken, StoreFull, StoreReadOnly, StoreDamaged, StoreGone)
DELETE: tuple[type[RopewalkError], ...] = (StoreFull, StoreReadOnly, StoreDamaged, StoreGone)
_OURS = frozenset(_KINDS)
_HINTS = {
    "node.quota": "ask the node's owner for more, or use another store",
    "node.not-granted": "ask the node's owner, or an admin of the space",
    "node.busy": "it is tried again",
}
_TOLD = {kind.code: kind for kind in _KINDS} | {
    "node.quota": StoreFull,
    "node.not-granted": StoreReadOnly,
    "node.vetoed": StoreReadOnly,
}


def as_store(where: str, code: str, text: str, *, allowed: tuple[type[RopewalkError], ...]) -> RopewalkError:
    """What a store would raise.  Hints are ours: a node's might say anything.

    Args:
        where: The store, for people.
        code: Of the error.
        text: Its message.
        allowed: What this call may raise; whatever else a node says, it does not answer as a store does.
    """
    said = quoted(text) or "it gave no reason"
    if code == "node.busy" and TellsNothing in allowed:
        return TellsNothing(f"{where}: {said}")  # it is read every now and then, as where nothing tells
    kind = _TOLD.get(code, StoreGone)
    if kind in allowed and kind is not StoreGone:
        return kind(f"{where}: {said}", hint=_HINTS.get(code, ""))
    if code in _TOLD:
        return StoreGone(f"{where}: {said}", hint=_HINTS.get(code, ""))
    return StoreGone(f"{where} does not answer: {said}", hint=_HINTS.get(code, ""))


def quoted(text: str) -> str:
    """The first line of what others say, so that it can neither fill a screen nor steer a terminal."""
    line = text[: 4 * LONGEST_QUOTE].strip().partition("\n")[0]
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return shown if len(shown) <= LONGEST_QUOTE else f"{shown[:LONGEST_QUOTE]}.."


@contextmanager
def answering(where: str, allowed: tuple[type[RopewalkError], ...]) -> Iterator[None]:
    """Turn what a call to a node ends with into what a store may raise."""
    try:
        yield
    except RopewalkError as error:
        if type(error) in _OURS:
            raise  # made here: what a node tells is of one of the families
        raise as_store(where, error.code, str(error.args[0]) if error.args else "", allowed=allowed) from error
