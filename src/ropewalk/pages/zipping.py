"""Zipping: a folder as one zip archive, made while it is sent.

Flow: Version.walk -> zipfile, writing to where nobody can go back -> pieces
Never: holds more than a few blocks; puts a link into the archive, or a name that leads out of where it is unpacked.
Source: APPNOTE.TXT 6.3.10: data descriptors, ZIP64, names in UTF-8.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ropewalk.errors import RopewalkError
from ropewalk.pages.names import shown
from ropewalk.pages.sending import blocks
from ropewalk.spaces.tree.entry import Entry, Kind
from ropewalk.spaces.tree.view import Shown
from ropewalk.spaces.version import Version

__all__ = ["LEFT_OUT", "zipped"]

LEFT_OUT = "left out by ropewalk.txt"  # names what is not in the archive, where there is such
MOST_NAMED = 1000  # of those
FLUSH = 256 * 1024  # bytes gathered before they are sent
_EARLIEST, _LATEST = (1980, 1, 1, 0, 0, 0), (2107, 12, 31, 23, 59, 58)  # what the format can say


class _Sink:
    """Takes what zipfile writes, and cannot go back."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        """Take some more."""
        self._held.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def taken(self) -> bytes:
        """All since the last time."""
        held, self._held, self.size = b"".join(self._held), [], 0
        return held


async def zipped(version: Version, path: bytes, top: str) -> AsyncGenerator[bytes, None]:
    """The archive of a folder, uncompressed: its files mostly are compressed, and stores have compressed the others.

    A file that cannot be read at all is named in a text at the end; one that breaks off breaks the archive off.

    Args:
        version: Of the space.
        path: The folder's.
        top: The folder in the archive that holds all.

    Raises:
        NoSuchPath, NotAFolder.
    """
    sink = _Sink()
    left: list[str] = []
    taken: set[str] = set()

    def unreadable(names: tuple[bytes, ...], error: RopewalkError) -> None:
        _leave(left, names, str(error))

    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:  # type: ignore[call-overload]
        async for names, found in version.walk(path, unreadable):
            name = "/".join([top, *(_safe(part) for part in names)])
            if name in taken or found.kind not in (Kind.FILE, Kind.FOLDER):
                _leave(left, names, "a link" if found.kind == Kind.SYMLINK else "its name is in the archive already")
                continue
            taken.add(name)
            if found.kind == Kind.FOLDER:
                archive.writestr(_about(name + "/", found.entry), b"")
            else:
                async with aclosing(_file(archive, version, names, name, found, left, sink)) as pieces:
                    async for piece in pieces:
                        yield piece
            if sink.size > FLUSH:
                yield sink.taken()
        if left:
            archive.writestr(LEFT_OUT, "\n".join(left) + "\n")
    yield sink.taken()


async def _file(
    archive: zipfile.ZipFile, version: Version, names: tuple[bytes, ...], name: str, found: Shown, left: list[str],
    sink: _Sink,
) -> AsyncGenerator[bytes, None]:  # fmt: skip
    entry = found.entry
    source = blocks(version, entry, 0, entry.size) if entry.size else None
    try:
        first = await anext(source) if source is not None else b""
    except RopewalkError as error:
        _leave(left, names, str(error))
        return
    with archive.open(_about(name, entry), "w", force_zip64=entry.size >= zipfile.ZIP64_LIMIT // 2) as out:
        out.write(first)
        if source is not None:
            async with aclosing(source):
                async for block in source:
                    yield sink.taken()
                    out.write(block)
    if sink.size > FLUSH:
        yield sink.taken()


def _about(name: str, entry: Entry) -> zipfile.ZipInfo:
    try:
        when = time.localtime(entry.mtime // 10**9)[:6]
    except (ValueError, OverflowError, OSError):
        when = _EARLIEST
    about = zipfile.ZipInfo(name, min(max(when, _EARLIEST), _LATEST))
    about.external_attr = ((0o040755 if name.endswith("/") else 0o100644 | (entry.mode & 0o111)) << 16) | (
        0x10 if name.endswith("/") else 0
    )
    return about


def _safe(part: bytes) -> str:
    r"""A name for any system: where a backslash is a slash, ``..\x`` would lead out."""
    return shown(part).replace("\\", "_").replace(":", "_")


def _leave(left: list[str], names: tuple[bytes, ...], why: str) -> None:
    if len(left) < MOST_NAMED:
        left.append(f"/{'/'.join(shown(part) for part in names)}: {why}")
