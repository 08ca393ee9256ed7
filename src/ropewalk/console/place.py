"""Place: where the console of a home's node listens, for who starts it and who talks to it.

Flow: the home's folder for state -> a path that a Unix socket can have
Never: makes anything.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["socket_of"]

_LONGEST = 107  # bytes; sun_path of Linux without the zero at its end


def socket_of(state: Path) -> Path:
    """The socket below a folder for state; where that path is too long, one in the machine's folder for such things."""
    path = (state / "run" / "console.sock").absolute()
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"ropewalk-{os.geteuid()}-{mark}" / "console.sock"
