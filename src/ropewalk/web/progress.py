"""Progress: whether a peer takes what is written for it.

Flow: a look at a connection -> Progress.stuck, with what waits and what went -> how long none of it was taken
Never: asks a transport itself.
"""

from __future__ import annotations

__all__ = ["Progress"]


class Progress:
    """What was seen at the last looks."""

    __slots__ = ("_mark", "_since")

    def __init__(self, now: float) -> None:
        self._mark, self._since = 0, now

    def stuck(self, now: float, waits: int, mark: int) -> float:
        """For how many seconds nothing was taken.

        Args:
            waits: Bytes that wait to be taken; where none do, nobody is stuck.
            mark: A number that is another one whenever some were taken.
        """
        if not waits or mark != self._mark:
            self._mark, self._since = mark, now
        return now - self._since
