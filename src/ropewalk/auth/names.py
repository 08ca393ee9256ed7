"""Names: one spelling for each, and none that passes for another.

Flow: what was typed -> plain -> limits, checkers; a new name -> checked_name -> a file
Never: lets two accounts differ by what people do not see.
Source: RFC 8264 and RFC 8265, of which this is a simpler and narrower form.
"""

from __future__ import annotations

import re
import unicodedata

from ropewalk.errors import Misuse

__all__ = ["BadAccount", "checked_name", "plain"]

_NAME = re.compile(r"[\w.@+-]{1,64}")
_LONGEST = 256  # characters, of any name that a checker may know
_JAPANESE = frozenset({"HIRAGANA", "KATAKANA", "CJK"})  # three scripts that are written as one


class BadAccount(Misuse):
    """A name, a group, a password or a key that cannot be one."""

    code = "auth.bad-account"


def plain(name: str) -> str | None:
    """The one spelling of a name that was typed, however its accents and widths came; None: nobody is called so."""
    if len(name) > _LONGEST:
        return None
    name = unicodedata.normalize("NFKC", name)
    return name if name.isprintable() and len(name) <= _LONGEST else None


def checked_name(name: str, what: str = "name") -> str:
    """``name``, once it is known to be one that may be given.

    Raises:
        BadAccount: It has what a name has not, or could be taken for another.
    """
    shown = ascii(name[:80])
    if not _NAME.fullmatch(name):
        raise BadAccount(f"got {shown}, expected a {what} of 1 to 64 letters, digits, or any of _ . @ + -")
    if plain(name) != name:
        raise BadAccount(f"the {what} {shown} has characters that stand for others", hint="use the usual letters")
    scripts = {_script(letter) for letter in name if letter.isalpha() or not letter.isascii()}
    if len(scripts) > 1 and not scripts <= _JAPANESE:
        raise BadAccount(f"the {what} {shown} mixes scripts: {', '.join(sorted(scripts))}", hint="some look alike")
    return name


def _script(letter: str) -> str:
    return re.split("[ -]", unicodedata.name(letter, "UNKNOWN"))[0]
