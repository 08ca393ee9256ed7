"""Hosts for tests: a loop of calls in a queue, which needs no graphical interface."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue

from ropewalk.loops import FEATURES, GuestLoop

__all__ = ["QueueHost", "ThreadKind"]


class QueueHost:
    """Calls what is posted, in order; `modal` does so inside one of the calls."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def post(self, call: Callable[[], object]) -> None:
        self._calls.put(call)

    def run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    def quit(self) -> None:
        self._calls.put(None)


class ThreadKind:
    """A guest of a `QueueHost`."""

    name = "queue"
    features = FEATURES

    def why_not(self) -> str | None:
        return None

    def new_loop(self) -> GuestLoop:
        return GuestLoop(self.host())

    def host(self) -> QueueHost:
        return QueueHost()
