"""Failure: what ended a command, as a line, a hint, a code and an exit status.

Flow: an exception -> Failure -> main
Never: hides which file, store or space it was.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ropewalk.errors import Misuse, RopewalkError

if TYPE_CHECKING:
    from cyclopts.exceptions import CycloptsError

__all__ = ["BadArguments", "Failure", "bad_arguments"]

_MISSING = (errno.ENOENT, errno.ENOTDIR)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class BadArguments(Misuse):
    """The command was not given as it must be."""

    code = "cli.bad-arguments"


def bad_arguments(error: CycloptsError) -> BadArguments:
    """What cyclopts says, in our form."""
    error.verbose = False
    chain = " ".join(("ropewalk", *(error.command_chain or ())))
    extra = getattr(error, "unused_tokens", None)
    if chain == "ropewalk console":
        hint = "options of the console's commands come after `--`: `ropewalk console -- log --level debug`"
        said = " ".join(str(error).split()).removesuffix(".")
        return BadArguments(said[:1].lower() + said[1:], hint=hint)
    if extra and type(error).__name__ == "UnusedCliTokensError":  # an unknown command has such, too
        words = ", ".join(map(repr, extra))
        many = "which is one argument" if len(extra) == 1 else f"which are {len(extra)} arguments"
        return BadArguments(f"got {words}, {many} too many", hint=f"`{chain} --help` shows how it goes")
    said = " ".join(str(error).split()).removesuffix(".")
    return BadArguments(said[:1].lower() + said[1:], hint=f"`{chain} --help` shows how it goes")


@dataclass(frozen=True, slots=True)
class Failure:
    """What to say of an exception."""

    message: str
    code: str
    hint: str
    status: int
    unexpected: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The same for every exception of a kind."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]  # the first; the others are mostly its echoes
        if isinstance(error, RopewalkError):
            return cls(str(error), error.code, error.hint, error.status)
        if isinstance(error, OSError):
            return _of_system(error)
        sqlite = sys.modules.get("sqlite3")
        if sqlite is not None and isinstance(error, sqlite.Error):
            return cls(
                f"the local state does not work: {error}", "state.failed", "is the disk of the settings full?", 5
            )
        return cls(
            f"{type(error).__name__}: {error}",
            "unexpected",
            "this is a fault of ropewalk; set ROPEWALK_DEBUG=1 to see where, and report it",
            1,
            unexpected=True,
        )


def _of_system(error: OSError) -> Failure:
    said = (error.strerror or str(error)).lower()
    message = f"{error.filename}: {said}" if isinstance(error.filename, str) else said
    if isinstance(error.filename, bytes):
        message = f"{error.filename.decode(errors='surrogateescape')}: {said}"
    if error.errno in _MISSING:
        return Failure(message, "system.missing", "", 3)
    if error.errno in _REFUSED:
        return Failure(message, "system.refused", "", 4)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(message, "system.full", "make room, then try again", 5)
    return Failure(message, "system.failed", "", 5)
