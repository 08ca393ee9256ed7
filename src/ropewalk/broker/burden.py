"""Burden: about how much memory the arguments of calls that are not answered take.

Flow: a frame was taken: its weight, and the calls in it that are open -> `add`; a call is answered -> `remove`
Never: counts a frame longer than any of its calls is open.
Source: docs/spec/broker.md section 7.
"""

from __future__ import annotations

from collections.abc import Sequence

from ropewalk.broker.errors import Busy
from ropewalk.broker.held import Open

__all__ = ["Burden"]


class Burden:
    """What the calls of one session weigh.

    Attributes:
        size: Bytes, estimated.
        busy: Why no more calls are taken.
    """

    __slots__ = ("busy", "size")

    def __init__(self) -> None:
        self.size = 0
        self.busy: Busy | None = None

    def add(self, opened: Sequence[Open], weight: int, most: int) -> None:
        """A frame weighs so much, as long as any of these is open."""
        if opened:
            shared = [weight, len(opened)]
            for one in opened:
                one.weight = shared
            self._change(weight, most)

    def remove(self, opened: Open, most: int) -> None:
        """This one is open no more."""
        if opened.weight is not None:
            opened.weight[1] -= 1
            if not opened.weight[1]:
                self._change(-opened.weight[0], most)

    def _change(self, weight: int, most: int) -> None:
        self.size += weight
        over = self.size > most
        self.busy = Busy(f"arguments of calls that run take about {self.size:,} bytes") if over else None
