"""Sharing: objects that show what they share, and bytes that move one way.

Flow: `Desk` -> a pair -> `one_way`
Never: moves more than it is told to.
"""

from __future__ import annotations

from typing import Any

from ropewalk import broker as rope
from tests.broker.pair import End

__all__ = ["Counter", "Desk", "one_way"]


class Desk(rope.Object):
    """Shows what it shares."""

    def __init__(self, *shared: rope.Shared) -> None:
        self.shared = list(shared)
        self.got: Any = None

    @rope.remote
    def watch(self, index: int = 0) -> rope.Shared:
        return self.shared[index]

    @rope.remote
    def watch_with(self, size: int, index: int = 0) -> list[Any]:
        """In a message that has to wait for its bytes."""
        return [self.shared[index], bytes(size)]

    @rope.remote
    def all(self) -> list[rope.Shared]:
        return self.shared

    @rope.remote
    def take(self, view: Any) -> None:
        self.got = view

    @rope.remote
    def is_ours(self, it: rope.Shared) -> bool:
        return it is self.shared[0]


class Counter(rope.Shared):
    """Has remote methods too."""

    @rope.remote
    def add(self, much: int) -> int:
        self.put("sum", value=self.state["sum"] + much)
        return int(self.state["sum"])


def one_way(sender: End, receiver: End, lanes: int = 0) -> None:
    """Move what one end has to say, and so many pieces of blobs."""
    sender.say(lanes)
    data, sender.said = bytes(sender.said), bytearray()
    receiver.hear(data)
