"""Qt: the loop of a Qt program as a host, by PySide6.

Flow: QtKind.host -> QtHost -> the QCoreApplication that there is, or a new one -> turns of a guest loop
Never: imports PySide6 before a Qt loop is asked for, or decides what kind of application a program has.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any

from ropewalk.loops.guest import GuestLoop
from ropewalk.loops.interface import FEATURES, LoopUnavailable
from ropewalk.loops.private import GUEST, lacking

__all__ = ["QtHost", "QtKind"]

_RINGS = 4096  # bytes read at once; how many there are means nothing


class QtHost:
    """Qt's loop.  Run in the thread of the application, its main thread as a rule.

    A program with windows makes its own ``QApplication`` before; where there is none then, a ``QCoreApplication`` is
    made.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._wake: socket.socket | None = None  # while it runs

    @cached_property
    def application(self) -> Any:
        """Qt's application."""
        from PySide6.QtCore import QCoreApplication

        return QCoreApplication.instance() or QCoreApplication(["ropewalk"])

    def post(self, call: Callable[[], object]) -> None:
        """Have ``call`` called in Qt's thread."""
        # By a socket, not a signal: emitting one loses a reference to True each time where PySide6 was built for
        # Python 3.12 and runs on 3.11 (6.12.0), until the process dies of it.
        self._calls.append(call)
        self._ring()

    def run(self) -> None:
        """Run Qt's loop."""
        from PySide6.QtCore import QSocketNotifier

        application = self.application
        ear, self._wake = socket.socketpair()
        ear.setblocking(False)
        self._wake.setblocking(False)
        notifier = QSocketNotifier(ear.fileno(), QSocketNotifier.Type.Read)

        def heard(*_: object) -> None:
            with suppress(BlockingIOError):  # heard already, by a dialog's loop
                ear.recv(_RINGS)
            call = self._calls.popleft() if self._calls else None
            if self._calls:
                self._ring()  # before the call, which may open a dialog: Qt's loop in there hears it then
            if call is not None:
                call()

        notifier.activated.connect(heard)
        if self._calls:
            self._ring()
        try:
            application.exec()
        finally:
            notifier.setEnabled(False)
            self._wake.close()
            self._wake = None
            ear.close()

    def quit(self) -> None:
        """End it, dialogs' loops inside it too."""
        self.application.quit()

    def _ring(self) -> None:
        if (wake := self._wake) is not None:
            with suppress(OSError):  # full, so it will be heard anyway, or closed just now, by the end of `run`
                wake.send(b"\0")


class QtKind:
    """asyncio as a guest of Qt."""

    name = "qt"
    features = FEATURES

    def why_not(self) -> str | None:
        """Why it cannot run here, or None."""
        try:
            import PySide6.QtCore  # noqa: F401
        except ImportError as error:
            return f"PySide6 cannot be imported ({error}); pip install 'ropewalk[qt]' brings it"
        return lacking(GUEST)

    def new_loop(self) -> GuestLoop:
        """A loop inside Qt's."""
        return GuestLoop(self.host())

    def host(self) -> QtHost:
        """Qt's loop.

        Raises:
            LoopUnavailable: PySide6 is not there.
        """
        if reason := self.why_not():
            raise LoopUnavailable(f"loop qt cannot run here: {reason}")
        return QtHost()
