"""Settings: what a node's owner offers, and to whom, as a file that people can read.

Flow: command line -> NodeFile.update -> node.toml -> NodeFile.load, by the node that runs
Never: holds a secret, or what was used; that is in the register.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec

from ropewalk.errors import Damaged
from ropewalk.node.grants import Act, Grant
from ropewalk.spaces.home import write_file

__all__ = [
    "KEEP",
    "LEAST_KEEP",
    "MOST_KEEP",
    "GrantSetting",
    "NodeFile",
    "NodeSettings",
    "NodeSettingsDamaged",
    "OfferSetting",
    "Stamp",
]

KEEP = 7 * 24 * 3600  # seconds that what is deleted stays in the trash
LEAST_KEEP, MOST_KEEP = 3600, 10 * 365 * 24 * 3600
LONGEST = 16 << 20  # bytes of the file; some 50,000 grants

Stamp = tuple[int, int, int]
_Hex32 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Hex16 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
_Id = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
_MEND = "mend the file, or restore a copy"


class NodeSettingsDamaged(Damaged):
    """The file does not say what it must."""

    code = "node.settings-damaged"


class OfferSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A store that is offered."""

    path: str
    id: _Hex16  # what the folder's marker must say
    quota: _Bytes | None = None  # bytes for all guests together
    keep: Annotated[int, msgspec.Meta(ge=LEAST_KEEP, le=MOST_KEEP)] = KEEP


class GrantSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`Grant`, as it is written."""

    id: _Id
    offer: str
    keys: tuple[_Hex32, ...] = ()
    space: _Hex32 | None = None
    may: tuple[Act, ...] = tuple(Act)
    spaces: tuple[_Hex32, ...] | None = None
    alone: bool = False
    quota: _Bytes | None = None
    until: _Bytes | None = None
    label: str = ""

    def grant(self) -> Grant:
        """What it means."""
        return Grant(
            self.id,
            self.offer,
            frozenset(bytes.fromhex(key) for key in self.keys),
            bytes.fromhex(self.space) if self.space is not None else None,
            frozenset(self.may),
            frozenset(bytes.fromhex(space) for space in self.spaces) if self.spaces is not None else None,
            self.alone,
            self.quota,
            self.until,
            self.label,
        )


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of node.toml.

    Attributes:
        listen: Endpoints at which others reach this node, such as tls://0.0.0.0:7086.
        reached: Endpoints by which others come here, where those of `listen` do not say it.
        metrics: An endpoint for a page of metrics.
        page: An endpoint for these pages, in a browser of this machine, such as tcp://127.0.0.1:8990.
        collector: The endpoint of a collector's page, whose numbers are shown here, too.
        offers: The stores that are offered to others: `ropewalk node offer` changes them.
        grants: Who may use what is offered: `ropewalk node allow` changes it.
    """

    format: int = 1
    listen: tuple[str, ...] = ()  # endpoints; where there are none, the service's own
    reached: tuple[str, ...] = ()  # endpoints by which others come here, where those of `listen` do not say it
    metrics: str = ""  # an endpoint for a page of metrics
    page: str = ""  # an endpoint for pages in a browser of this machine
    collector: str = ""  # the endpoint of a collector's page, for these pages
    offers: dict[str, OfferSetting] = {}
    grants: tuple[GrantSetting, ...] = ()  # the oldest first


class NodeFile:
    """The file.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> NodeSettings:
        """What it says; nothing, where there is none.

        Raises:
            NodeSettingsDamaged.
        """
        try:
            with self.path.open("rb") as file:
                text = file.read(LONGEST + 1)
        except FileNotFoundError:
            return NodeSettings()
        except OSError as error:
            raise NodeSettingsDamaged(f"{self.path} cannot be read: {error}") from None
        if len(text) > LONGEST:
            raise NodeSettingsDamaged(f"{self.path} has more than {LONGEST} bytes")
        return self.read(text)

    def read(self, text: bytes) -> NodeSettings:
        """What a text says that is, or is to be, in it.

        Raises:
            NodeSettingsDamaged.
        """
        try:
            told = tomllib.loads(text.decode())
            settings = msgspec.convert(told, NodeSettings)
        except RecursionError:
            raise NodeSettingsDamaged(f"{self.path} is nested too deeply", hint=_MEND) from None
        except (ValueError, msgspec.ValidationError) as error:  # no UTF-8, no TOML, a number of thousands of digits
            raise NodeSettingsDamaged(f"{self.path}: {error}", hint=_MEND) from None
        if not told:
            raise NodeSettingsDamaged(
                f"{self.path} says nothing, not even its format",
                hint=f"{_MEND}; to offer nothing at all, write `format = 1` into it",
            )
        if settings.format != 1:
            raise NodeSettingsDamaged(f"{self.path}: format is {settings.format}, known is 1", hint="upgrade ropewalk")
        folders = [offer.id for offer in settings.offers.values()]
        if len(set(folders)) != len(folders):
            raise NodeSettingsDamaged(f"{self.path}: one store is offered under two names", hint="withdraw one")
        for grant in settings.grants:
            if grant.offer not in settings.offers:
                raise NodeSettingsDamaged(f"{self.path}: grant {grant.id} is for {grant.offer!r}, which is not offered")
            if bool(grant.keys) == (grant.space is not None):
                raise NodeSettingsDamaged(f"{self.path}: grant {grant.id} needs keys or a space, and not both")
        return settings

    def held(self) -> int | None:
        """A descriptor of it, where it can be had."""
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None

    def stamp(self) -> Stamp | None:
        """Another whenever it was changed, its first number whenever it was replaced; None where there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def update(self, change: Callable[[NodeSettings], NodeSettings]) -> NodeSettings:
        """Change it, one process at a time; durable once this returns.

        Raises:
            NodeSettingsDamaged.
        """
        import tomli_w

        with self.locked():
            settings = change(self.load())
            told = {"format": settings.format, **msgspec.to_builtins(settings)}  # an empty file would say nothing
            write_file(self.path, tomli_w.dumps(told).encode())
        return settings

    @contextmanager
    def locked(self, within: float = math.inf) -> Iterator[None]:
        """While it is held, no other process changes the file.

        Args:
            within: Seconds to wait for who holds it.

        Raises:
            TimeoutError: It was held for all of them.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.path.with_name(".node.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if math.isinf(within):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            else:
                _take(descriptor, within)
            yield
        finally:
            os.close(descriptor)


def _take(descriptor: int, within: float) -> None:
    until = time.monotonic() + within
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise TimeoutError from None
            time.sleep(0.02)
