"""Editing: one table of a settings file: read, changed and written, with all else in the file kept.

Flow: file -> Opened: its mark, a form -> what was typed -> text -> checked as the program does it -> the file, replaced
Never: writes over what somebody else wrote meanwhile, or a file that the program would refuse.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tomllib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ropewalk.errors import Misuse, RopewalkError, Unavailable
from ropewalk.pages.panel.forms import PREFIX, Form, changed
from ropewalk.service.hiding import shown_of
from ropewalk.service.rewriting import rewritten

__all__ = [
    "BadFields", "BadFile", "FileChanged", "NotWritten", "Opened", "Subject", "read_text", "wrong_in",
]  # fmt: skip

MOST = 1024 * 1024  # bytes of a file
_BOM = "\ufeff"  # some editors put it before a text


class BadFile(Misuse):
    """The settings file cannot be shown as a form: it cannot be read, or is wrong somewhere."""

    code = "pages.bad-file"


class FileChanged(Unavailable):
    """The settings file was changed after the form was made."""

    code = "pages.file-changed"


class NotWritten(Unavailable):
    """The settings file cannot be written; it is as it was."""

    code = "pages.file-not-written"


class BadFields(Misuse):
    """What was typed into a form of settings is not right.

    Attributes:
        faults: By path; of no field at ().
    """

    code = "pages.bad-fields"
    faults: Mapping[tuple[str, ...], str] = {}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is edited.

    Attributes:
        name: What the audit calls it.
        path: Of the file.
        base: Where in the file the table is.
        kind: What the table is; of a text, as a file may say it.
        check: Reads a whole text as the program does, or raises.
        without: Keys that are not for people.
        empty: The text of a file that is not there yet; None where there must be one.
        guard: Held while the file is changed.
    """

    name: str
    path: Path
    base: tuple[str, ...]
    kind: Callable[[str], type[msgspec.Struct]]
    check: Callable[[str], object]
    without: tuple[str, ...] = ()
    empty: str | None = None
    guard: Callable[[], AbstractContextManager[object]] = nullcontext

    def open(self) -> Opened:
        """As the file is now.

        Raises:
            BadFile.
        """
        text, mark = self._read()
        try:
            form = Form(self.kind(text), self._table(text), without=self.without)
        except Exception as error:
            hint = error.hint if isinstance(error, RopewalkError) else ""
            raise BadFile(wrong_in(text, error), hint=hint) from error
        return Opened(self, text, mark, form)

    def _read(self) -> tuple[str, str]:
        return read_text(self.path, self.empty)

    def mark(self) -> str:
        """Another for other bytes.

        Raises:
            BadFile.
        """
        return self._read()[1]

    def _table(self, text: str) -> Mapping[str, Any]:
        table: Any = tomllib.loads(text.removeprefix(_BOM))
        for key in self.base:
            table = table.get(key, {})
        if not isinstance(table, Mapping):
            raise BadFile(f"{'.'.join(self.base)} is no table in {self.path}")
        return table


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as it was when a form was made of it.

    Attributes:
        mark: Another for other bytes.
    """

    subject: Subject
    text: str
    mark: str
    form: Form

    def save(self, mark: str, typed: Mapping[str, str], told: list[str]) -> bool:
        """Write down what was typed, durably; whether there was anything.

        Args:
            mark: Of the form.
            typed: Its fields.
            told: To which the keys are added that change.

        Raises:
            FileChanged, BadFields, NotWritten.
            CannotRewrite: The file is written in a way that it has to be changed by hand.
        """
        self._check_same(mark)
        table = self.form.read(typed)
        steps = dict(changed(self.form.table, table))
        told += [".".join(path) for path in steps]
        if faults := self.form.faults(table, {key: one for key, one in typed.items() if key.startswith(PREFIX)}):
            error = BadFields(f"{len(faults)} of the values cannot be taken")
            error.faults = faults
            raise error
        if not steps:
            return False
        bom, body = (_BOM, self.text[1:]) if self.text.startswith(_BOM) else ("", self.text)
        text = bom + rewritten(body, {(*self.subject.base, *path): value for path, value in steps.items()})
        self.subject.check(text.removeprefix(_BOM))
        # It takes a while to get here: what an editor has saved meanwhile is not to be lost.
        _replace(
            self.subject.path, text.encode(), new=not self.mark, last=lambda: self._check_same(self.subject.mark())
        )
        return True

    def _check_same(self, mark: str) -> None:
        if mark != self.mark:
            raise FileChanged(
                f"{self.subject.path.name} was changed after this form was made",
                hint="look at what it says now, and save again",
            )


def read_text(path: Path, empty: str | None = None) -> tuple[str, str]:
    """The text of a settings file, and a mark that is another for other bytes.

    Args:
        path: Of the file.
        empty: The text of one that is not there, whose mark is ""; None where there must be one.

    Raises:
        BadFile.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadFile(f"{path} is no file that keeps what is written")
            data = file.read(MOST + 1)
    except FileNotFoundError:
        if empty is None:
            raise BadFile(f"{path} is not there any more") from None
        return empty, ""
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if len(data) > MOST:
        raise BadFile(f"{path} has more than {MOST:,} bytes")
    try:
        return data.decode(), hashlib.sha256(data).hexdigest()
    except UnicodeDecodeError as error:
        raise BadFile(f"{path} is not UTF-8 at byte {error.start}") from None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe without a writer would be waited for


def wrong_in(text: str, error: Exception) -> str:
    """What is wrong with a settings file, in words that have no secret of it; whoever found it."""
    said = str(error) if isinstance(error, RopewalkError) else f"{type(error).__name__}: {error}"
    return shown_of(text, said)


def _replace(path: Path, data: bytes, *, new: bool, last: Callable[[], None]) -> None:
    """Put another file in a file's place, with its rights and its owner, so that a power cut leaves one of them whole.

    Args:
        last: Called just before; where it raises, the old one stays.

    Raises:
        NotWritten.
    """
    hint = "nothing was changed; what you typed is kept"
    try:
        target = path.resolve()  # a link stays one
        if new:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _not_written(path, error, hint) from None
    try:
        beside = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                if not new:
                    found = target.stat()
                    if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(descriptor, found.st_uid, found.st_gid)
                    os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            last()
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        hint = "the file says it now, but a power cut may bring the old one back"
        os.fsync(folder)
    except OSError as error:
        raise _not_written(path, error, hint) from None
    finally:
        os.close(folder)


def _not_written(path: Path, error: OSError, hint: str) -> NotWritten:
    return NotWritten(f"{path} cannot be written: {(error.strerror or str(error)).lower()}", hint=hint)
