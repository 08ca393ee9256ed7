"""Listing: what lies in a folder, as a page.

Flow: an open folder -> names that could be asked for -> HTML
Never: shows what would be refused: dotfiles, links, devices; lets a name be more than text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from urllib.parse import quote

from ropewalk.web.static.targets import shown

__all__ = ["HEADERS", "listing"]

_MOST = 1_000  # names on a page; a folder may have millions
_LOOKED_AT = 100_000  # names, in whatever order the system has them
# A page of names needs nothing else.
HEADERS = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
)


def listing(folder: int, title: str, *, top: bool) -> bytes:
    """A page of the folders and files of an open folder, in the order of their names; blocking, for a thread.

    Args:
        folder: A descriptor.
        title: The path, as text.
        top: It is the tree's own folder, which has none above it.

    Raises:
        OSError: It cannot be read.
    """
    names, more = _names(folder)
    lines = [] if top else ['<li><a href="../">../</a></li>']
    # The dot keeps "a:b" from being taken for an address of its own.
    lines += [f'<li><a href="./{quote(name)}">{escape(name)}</a></li>' for name in names]
    left = f"<p>and {more:,} more</p>\n" if more else ""
    heading = escape(title)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{heading}</title>\n<h1>{heading}</h1>\n<ul>\n{chr(10).join(lines)}\n</ul>\n{left}</html>\n"
    ).encode()


def _names(folder: int) -> tuple[list[str], int]:
    found = sorted(_entries(folder), key=lambda name: (not name.endswith("/"), name))
    return found[:_MOST], len(found) - len(found[:_MOST])


@contextmanager
def _readable(folder: int) -> Iterator[int]:
    """A descriptor that can be read: the one we have may be good for passing through alone."""
    at = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield at
    finally:
        os.close(at)


def _entries(folder: int) -> Iterator[str]:
    with _readable(folder) as at, os.scandir(at) as entries:
        for _, entry in zip(range(_LOOKED_AT), entries, strict=False):
            if not shown(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield f"{entry.name}/"
            elif entry.is_file(follow_symlinks=False):
                yield entry.name
