"""Options: what many commands take.

Flow: cyclopts -> Common, Keyed, At, Note -> a command
Never: holds a passphrase, or an option of one command alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from ropewalk.cli.output import Voice

__all__ = ["COMMON", "KEYED", "At", "Common", "Keyed", "Note"]

_EVERYWHERE = Group("Options of all commands", sort_key=9)

At = Annotated[
    str | None,
    Parameter(
        name="--at",
        metavar="VERSION",
        help="Look at an older version, by the first digits that `ropewalk log` shows.",
    ),
]
Note = Annotated[
    str | None, Parameter(name="--note", metavar="WORDS", help="What the log says; by default, what was done.")
]


@Parameter(name="*", group=_EVERYWHERE)
@dataclass(frozen=True, slots=True)
class Common:
    """What every command takes."""

    json: Annotated[bool, Parameter(name="--json", help="Answer in JSON, for programs.")] = False
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), help="No progress bar; no word of what went well.")] = (
        False
    )

    @property
    def voice(self) -> Voice:
        """Speaks as these options say."""
        return Voice(json=self.json, quiet=self.quiet)


@Parameter(name="*", group=_EVERYWHERE)
@dataclass(frozen=True, slots=True)
class Keyed(Common):
    """What every command takes that needs the device keys."""

    passphrase_file: Annotated[
        Path | None,
        Parameter(
            name="--passphrase-file",
            metavar="FILE",
            help="The passphrase is the first line of FILE; without this, it comes from $ROPEWALK_PASSPHRASE, from the"
            " system's keyring if `init --keyring` put it there, or it is asked for.",
        ),
    ] = None


COMMON = Common()
KEYED = Keyed()
