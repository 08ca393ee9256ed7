"""Config: how a tree is served.

Flow: TOML or Python -> TreeConfig, checked
Never: looks at the disk.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from ropewalk.errors import Misuse
from ropewalk.web.static.targets import shown

__all__ = ["BadTree", "TreeConfig"]

_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}|\Z")
_LASTING = b"max-age=31536000, immutable"  # a year, which is for ever


class BadTree(Misuse):
    """What is to be served is no folder, or not to be served that way."""

    code = "web.bad-tree"


class TreeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a tree is served.

    Attributes:
        index: What stands for a folder; "" for nothing.
        listing: A folder without an index is answered with the names in it.
        cache: Bytes of small files that are kept in memory; 0 keeps none.
        keep: Bytes of a file up to which it counts as small; never more than a quarter of `cache`.
        recheck: Seconds that a kept file is answered without a look at the disk: a change shows after so many at most.
        max_age: Seconds that browsers and proxies may keep a file without asking; without it they ask each time.
        immutable: A regular expression; a file with a match in its name never changes, and may be kept for ever.
        charset: Of text files; "" for none.
        well_known: `/.well-known/` is served, though it begins with a dot.
    """

    index: str = "index.html"
    listing: bool = False
    cache: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 64 << 20
    keep: Annotated[int, msgspec.Meta(ge=0, le=2**26)] = 256 << 10
    recheck: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1.0
    max_age: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    immutable: str = ""
    charset: str = "utf-8"
    well_known: bool = False

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            BadTree.
        """
        if self.index and ("/" in self.index or not shown(self.index)):
            raise BadTree(f"index: got {self.index!r}, expected the name of a file, without a slash or a dot before it")
        if not _CHARSET.fullmatch(self.charset):
            raise BadTree(f"charset: got {self.charset!r}, expected a name such as utf-8")
        try:
            re.compile(self.immutable)
        except re.error as error:
            raise BadTree(f"immutable: not a regular expression: {error}") from None

    def cached(self, name: str) -> bytes:
        """The value of Cache-Control for a file."""
        if self.immutable and re.search(self.immutable, name):
            return _LASTING
        return b"no-cache" if self.max_age is None else b"max-age=%d" % self.max_age
