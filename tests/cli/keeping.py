"""Keeping: what many tests begin with is set up by commands once, and copied from then on.

Flow: kept -> the commands, in the folder of the first test -> a copy beside it -> the folders of later tests
Never: gives two tests one folder, or keeps what a test has changed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

__all__ = ["kept"]

T = TypeVar("T")

_KEPT: dict[str, tuple[Path, Path, Any]] = {}  # by what it is: a copy, where it was made, what making it gave


def kept(what: str, work: Path, make: Callable[[], T]) -> T:
    """Have something made in a user's folders, or put there what was made before, in the place of what they hold.

    Args:
        what: The same for the same, in this process.
        work: The user's folder to work in, beside which the homes are.
        make: Makes it, by commands.

    Returns:
        What making it gave.
    """
    user = work.parent
    if what not in _KEPT:
        made = make()
        copy = user.parent / f"kept {what}"
        shutil.copytree(user, copy, symlinks=True)
        _KEPT[what] = copy, user, made
        return made
    copy, before, made = _KEPT[what]
    for old in [*work.iterdir(), *(one for one in user.iterdir() if one != work)]:  # work itself may be where we are
        shutil.rmtree(old)
    shutil.copytree(copy, user, symlinks=True, dirs_exist_ok=True)
    for settings in user.glob("*/settings.toml"):  # they alone say where everything is
        settings.write_text(settings.read_text().replace(f"{before}/", f"{user}/"))
    return made
