"""Errors: what an engine or its library says, as a store may say it.

Flow: an exception of obstore -> what `Store` documents
Never: repeats the library's words: they may hold the address as it was signed.
"""

from __future__ import annotations

import re

from ropewalk.errors import RopewalkError
from ropewalk.spaces.store import StoreFull, StoreGone, StoreReadOnly

__all__ = ["as_store", "ends_before", "gives_no_ranges", "said", "status_of"]

_STATUS = re.compile(r"status code: ([1-5][0-9]{2})\b")
_CODE = re.compile(r"<Code>([A-Za-z]{1,40})</Code>")
_REFUSED = (401, 403)
_CANNOT = (405,)  # a method that this place has not
_FULL = (413, 507)
_FULL_CODES = ("QuotaExceeded", "ServiceQuotaExceeded", "InsufficientStorage", "XMinioStorageFull")
_WORDS = (  # what the library's text has in it, and what that means
    ("Connection refused", "nobody listens there"),
    ("dns error", "no machine has its name"),
    ("ertificate", "its certificate is not trusted"),
    ("TimedOut", "no answer in time"),
    ("timed out", "no answer in time"),
)


def status_of(error: Exception) -> int:
    """The HTTP status of an answer, or 0."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else 0


def gives_no_ranges(error: Exception) -> bool:
    """Whether the whole object came where a range was asked for."""
    return "non-partial response" in str(error) or type(error).__name__ == "NotSupportedError"


def ends_before(error: Exception) -> bool:
    """Whether a range begins where the object has ended, as the engine or the library says it."""
    return status_of(error) == 416 or "StartTooLarge" in str(error)


def said(error: Exception) -> str:
    """What happened, in words of our own and those of its answer that can hold no secret."""
    text = str(error)
    if status := status_of(error):
        code = _CODE.search(text)
        return f"status {status}{f', {code[1]}' if code else ''}"
    return next((words for mark, words in _WORDS if mark in text), "no answer that can be understood")


def as_store(where: str, error: Exception, *, writing: bool) -> RopewalkError:
    """What a store would raise.

    Args:
        where: The store, for people.
        error: Of the library.
        writing: Whether something was to be changed.
    """
    status, words = status_of(error), said(error)
    if "token request" in str(error):  # the provider of credentials said so, and not the store
        return StoreGone(
            f"store at {where} cannot be asked: no token for it could be had: {words}",
            hint="name a profile that has credentials",
        )
    refused = status in _REFUSED or type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError")
    if writing and (refused or status in _CANNOT):
        return StoreReadOnly(
            f"store at {where} cannot be written: {words}", hint="may these credentials put and delete there?"
        )
    if status in _FULL or any(code in words for code in _FULL_CODES):
        return StoreFull(f"store at {where} is full: {words}", hint="free some room or add a store")
    if refused:
        return StoreGone(
            f"store at {where} does not take these credentials: {words}",
            hint="are they those of this store, and valid?",
        )
    if "NoSuchBucket" in words or "ContainerNotFound" in words:
        return StoreGone(f"store at {where} is not there: {words}", hint="make the bucket first, by the engine's tools")
    return StoreGone(f"store at {where} does not answer: {words}", hint="is its address right, and is it running?")
