"""`ropewalk new protocol` and `new service`: a small program that works, to begin with.

Flow: template files -> the word sample replaced by the new name -> a folder
Never: writes over anything.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ropewalk.cli.options import COMMON, Common
from ropewalk.errors import Misuse

__all__ = ["protocol", "service"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_FILES = ("README.md", "app.toml", "sample.py", "test_sample.py")
Name = Annotated[str, Parameter(help="Its name, and that of the folder: small letters, digits, underscores.")]


class BadName(Misuse):
    """A name that no module can have, or that is taken."""

    code = "new.bad-name"


def protocol(name: Name, /, *, common: Common = COMMON) -> int:
    """Write a protocol with its tests and a configuration that serves it."""
    return _write("protocol", name, common)


def service(name: Name, /, *, common: Common = COMMON) -> int:
    """Write a service with its test and a configuration that runs it."""
    return _write("service", name, common)


def _write(template: str, name: str, common: Common) -> int:
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")[:40].rstrip("_") or "my_chat"
        raise BadName(
            f"got {name!r}, expected a name of small letters, digits and underscores, as in my_chat",
            hint=f"`ropewalk new {template} {near}`",
        )
    if keyword.iskeyword(name) or _is_taken(name):
        # It would hide the module from everything that is started in or beside the folder.
        raise BadName(f"{name} is a word or a module of Python's, or of a package here", hint="choose another name")
    folder = Path(name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise BadName(f"{folder} is there already", hint="choose another name, or another folder to be in") from None
    except OSError as error:
        raise BadName(f"{folder} cannot be made: {(error.strerror or str(error)).lower()}") from None
    capitals = "".join(part.capitalize() for part in name.split("_"))
    source = files("ropewalk.cli.templates").joinpath(template)
    for file in _FILES:
        text = source.joinpath(file).read_text(encoding="utf-8")
        text = text.replace("sample", name).replace("Sample", capitals).replace("SAMPLE", name.upper())
        (folder / file.replace("sample", name)).write_text(text, encoding="utf-8")
    common.voice.done(
        f"{folder} is a {template} that works; its README.md says how to test and run it",
        {"folder": str(folder), "files": [file.replace("sample", name) for file in _FILES]},
    )
    return 0


def _is_taken(name: str) -> bool:
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None  # without an origin it is only a folder
