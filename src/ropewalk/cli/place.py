"""Place: how a place in a space is written: SPACE:/PATH, SPACE:/PATH@VERSION.

Flow: an argument -> parse_place, parse_version -> Place
Never: looks whether there is such a place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from ropewalk.errors import Misuse

__all__ = ["BadPlace", "Place", "check_own_name", "local_name", "one_space", "parse_place", "parse_version"]

# Names that people give to stores and spaces: they stand before a colon, between commas, and in TOML.
_OWN_NAME = re.compile(r"\w[\w.-]{0,63}")


class BadPlace(Misuse):
    """The words do not name a place in a space."""

    code = "cli.bad-place"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a space."""

    space: str
    path: str  # "" for the top
    into: bool = False  # a slash at the end: what is put there goes into it
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.space}:/{self.path.strip('/')}"

    @property
    def name(self) -> str:
        """The last name of the path, "" for the top."""
        return self.path.rstrip("/").rpartition("/")[2]

    def below(self, name: str) -> Place:
        """What is called ``name`` in here."""
        return replace(self, path=f"{self.path.rstrip('/')}/{name}", into=False)


def check_own_name(name: str, what: str) -> str:
    """``name``, once it is known to be fit for a store or a space.

    Raises:
        Misuse: It is not.
    """
    if not _OWN_NAME.fullmatch(name):
        raise Misuse(
            f"{name!r} cannot be the name of a {what}",
            hint="1 to 64 letters, digits, dots, dashes or underscores, not beginning with a dot or a dash",
        )
    return name


def parse_place(text: str) -> Place:
    """What ``text`` means; SPACE alone is its top.

    Raises:
        BadPlace: It means nothing.
    """
    space, colon, path = text.partition(":")
    if not _OWN_NAME.fullmatch(space):
        raise BadPlace(f"{text!r} is not a place in a space", hint="write SPACE:/PATH, as in photos:/2026")
    return Place(space, path, into=not colon or path.endswith("/") or not path)


def parse_version(text: str) -> Place:
    """The same, with ``@VERSION`` at its end where there is one.

    Raises:
        BadPlace: It means nothing.
    """
    before, at, version = text.rpartition("@")
    if not at:
        return parse_place(text)
    return replace(parse_place(before), version=version)


def one_space(places: list[Place]) -> str:
    """The space in which all of them are.

    Raises:
        BadPlace: They are in more than one.
    """
    names = sorted({place.space for place in places})
    if len(names) != 1:
        raise BadPlace(
            f"places are in {len(names)} spaces ({', '.join(names)}), expected one", hint="do one after the other"
        )
    return names[0]


def local_name(source: str) -> str:
    """What a local file or folder is called, whichever way it was pointed at."""
    return os.path.basename(os.path.abspath(source))
