"""Errors: what a node or the way to it says, as a store may say it.

Flow: an error of the broker, or one that the node told -> what `Store` documents
Never: makes of what is not known a success, or of what the node refuses a damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ropewalk.errors import Damaged, Misuse, Refused, RopewalkError, Unavailable
from ropewalk.spaces.store import NameTaken, NoSuchObject, StoreDamaged, StoreFull, StoreGone, StoreReadOnly

__all__ = ["answering", "as_store"]

_KINDS: tuple[type[RopewalkError], ...] = (
    NameTaken,
    NoSuchObject,
    StoreDamaged,
    StoreFull,
    StoreGone,
    StoreReadOnly,
)
_TOLD = {kind.code: kind for kind in _KINDS} | {
    "node.quota": StoreFull,
    "node.not-granted": StoreReadOnly,
    "node.vetoed": StoreReadOnly,
}


def as_store(
    where: str, code: str, text: str, error: RopewalkError | None = None, *, reading: bool = False
) -> RopewalkError:
    """What a store would raise.

    Args:
        where: The store, for people.
        code: Of the error.
        text: Its message.
        error: The error itself, where it is at hand.
        reading: Nothing was to be changed; a store whose bytes we may not have is as good as away.
    """
    text = text.splitlines()[0] if text else "it gave no reason"
    if isinstance(error, _KINDS):
        return error  # it is ours, or was told by its code and made of our class
    if (kind := _TOLD.get(code)) is not None:
        kind = StoreGone if reading and kind is StoreReadOnly else kind
        return kind(f"{where}: {text}", hint=error.hint if error is not None else "")
    if isinstance(error, Misuse) and not code.startswith("broker."):
        return error
    if isinstance(error, Damaged):
        return StoreDamaged(f"{where}: {text}")
    hint = error.hint if isinstance(error, (Refused, Unavailable)) else ""
    return StoreGone(f"{where} does not answer: {text}", hint=hint)


@contextmanager
def answering(where: str, *, reading: bool = False) -> Iterator[None]:
    """Turn what a call to a node ends with into what a store may raise."""
    try:
        yield
    except RopewalkError as error:
        said = as_store(where, error.code, str(error.args[0]) if error.args else "", error, reading=reading)
        if said is error:
            raise
        raise said from error
