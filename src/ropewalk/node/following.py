"""Following: what node.toml says now, as far as it is whole; else what it said last.

A program that writes a file in its place shows half of it to whoever reads just then, and an editor or a crash may
leave none of it.  So a file that says nothing is not believed, and one that was changed in its place is, once it has
been as it is for a second.  What replaces the file is whole, and counts at once; commands of ours do that.

Flow: node.toml -> Following.read, before each call of a guest -> settings, grants
Never: withdraws what was granted because a file is not there, is empty, or cannot be understood.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence

from ropewalk.errors import RopewalkError
from ropewalk.node.grants import Grant
from ropewalk.node.settings import NodeFile, NodeSettings, NodeSettingsDamaged, Stamp

__all__ = ["Following"]

_log = logging.getLogger("ropewalk.node")

SETTLES = 1.0  # seconds for which a file that was changed in its place must stay as it is
SAID_EVERY = 600.0  # seconds after which it is said again that the settings are wrong


class Following:
    """The settings of one node.

    Args:
        file: Where they are.
        clock: Seconds, monotonic.

    Attributes:
        settings: The last that were good.
        taken: Of which file; None where there was none yet.
        wrong: What keeps us from taking those that are there now.
    """

    def __init__(self, file: NodeFile, clock: Callable[[], float]) -> None:
        self._file, self._clock = file, clock
        self.settings = NodeSettings()
        self.grants: Sequence[Grant] = ()
        self.taken: Stamp | None = None
        self.wrong: RopewalkError | None = None
        self._looked: Stamp | None = None  # what was last found
        self._since = self._tried = 0.0  # and when, and when it was last read
        self._said: float | None = None  # when it was said that it is wrong
        self._held: int | None = None  # the file that was taken, open: so that no other gets its number

    def read(self) -> None:
        """Take what the file says: to look costs a microsecond, so no call goes by older grants."""
        stamp = self._file.stamp()
        if stamp == self.taken:
            self._looked, self.wrong = stamp, None
            return
        now = self._clock()
        if stamp != self._looked:
            self._looked, self._since, self._said = stamp, now, None
        elif self.wrong is not None and now - self._tried < SETTLES:
            return
        in_place = stamp is not None and self.taken is not None and stamp[0] == self.taken[0]
        if in_place and now - self._since < SETTLES:
            return
        self._tried = now
        self._take(stamp, now)

    def close(self) -> None:
        """Let go of the file."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _take(self, stamp: Stamp | None, now: float) -> None:
        try:
            if stamp is None and self.taken is not None:
                raise NodeSettingsDamaged(
                    f"{self._file.path} is not there any more",
                    hint="what it offered and granted still is, until this node is started anew",
                )
            settings = self._file.load()
        except RopewalkError as error:
            self.wrong = error
            if self._said is None or now - self._said >= SAID_EVERY:
                self._said = now
                after = f"; {error.hint}" if error.hint else ""
                _log.error("settings, of which the last good ones hold on: %s%s", error, after)
            return
        self.settings, self.grants = settings, [grant.grant() for grant in settings.grants]
        self.taken, self.wrong = stamp, None
        self.close()
        self._held = self._file.held()
