"""Kinds: which event loops there are, and a coroutine run on one of them.

Flow: name -> kind -> LoopKind -> run -> asyncio.Runner -> the coroutine's result
Never: sets an event loop policy, keeps a loop, or looks for plug-ins before a name that is not built in is asked for.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Coroutine
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NoReturn, TypeVar

from ropewalk.loops.interface import FEATURES, LoopInLoop, LoopKind, LoopUnavailable, NoSuchLoop
from ropewalk.loops.qt import QtKind
from ropewalk.loops.simulated import Simulated

__all__ = ["GROUP", "kind", "kinds", "run"]

T = TypeVar("T")

GROUP = "ropewalk.loops"  # entry points: a LoopKind, or something that gives one when called without arguments

_NOT_ON_WINDOWS = frozenset({"unix", "signals"})


class _Asyncio:
    name = "asyncio"
    features = FEATURES - _NOT_ON_WINDOWS if sys.platform == "win32" else FEATURES

    def why_not(self) -> str | None:
        return None

    def new_loop(self) -> asyncio.AbstractEventLoop:
        if sys.platform == "win32":
            return asyncio.ProactorEventLoop()
        return asyncio.SelectorEventLoop()

    def host(self) -> None:
        return


class _Uvloop:
    name = "uvloop"
    features = FEATURES

    def why_not(self) -> str | None:
        if sys.platform == "win32":
            return "uvloop does not run on Windows"
        return None if importlib.util.find_spec("uvloop") else "uvloop is not installed"

    def new_loop(self) -> asyncio.AbstractEventLoop:
        if reason := self.why_not():
            raise LoopUnavailable(f"loop uvloop cannot run here: {reason}")
        import uvloop

        return uvloop.new_event_loop()

    def host(self) -> None:
        return


class _Broken:
    """A plug-in that could not be loaded: it is listed, and says why."""

    features: frozenset[str] = frozenset()

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason

    def why_not(self) -> str:
        return self._reason

    def new_loop(self) -> NoReturn:
        raise LoopUnavailable(f"loop {self.name} cannot run here: {self._reason}")

    def host(self) -> None:
        return


_BUILT_IN: dict[str, LoopKind] = {built.name: built for built in (_Asyncio(), _Uvloop(), QtKind(), Simulated())}


def kinds() -> dict[str, LoopKind]:
    """All kinds by name, those of plug-ins and those that cannot run here too (`why_not` says why)."""
    found = {entry.name: _load(entry) for entry in entry_points(group=GROUP)}
    return {**found, **_BUILT_IN}


def kind(name: str = "auto") -> LoopKind:
    """The kind called ``name``; "auto" is uvloop where it runs, else asyncio's own.

    Raises:
        NoSuchLoop: No kind is called so.
    """
    if name == "auto":
        fast = _BUILT_IN["uvloop"]
        return _BUILT_IN["asyncio"] if fast.why_not() else fast
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for entry in entry_points(group=GROUP, name=name):
        return _load(entry)
    known = ", ".join(sorted(["auto", *kinds()]))
    raise NoSuchLoop(f"no kind of loop is called {name!r}; there are: {known}")


def run(main: Coroutine[Any, Any, T], *, loop: str | LoopKind = "auto", debug: bool | None = None) -> T:
    """Run ``main`` on a new loop, in this thread, to its end; then the loop is shut down and closed.

    All is as `asyncio.run` has it: tasks that are left are cancelled, asynchronous generators and the default executor
    are shut down, and in the main thread the first Ctrl-C cancels ``main`` and then raises KeyboardInterrupt here.

    Args:
        main: The coroutine.
        loop: A kind or its name.
        debug: asyncio's debug mode; by default as ``$PYTHONASYNCIODEBUG`` says.

    Raises:
        NoSuchLoop: No kind is called so.
        LoopUnavailable: It cannot run here.
        LoopInLoop: A loop runs in this thread already.
    """
    try:
        _none_runs()
        chosen = _that_runs(kind(loop) if isinstance(loop, str) else loop)
        runner = asyncio.Runner(debug=debug, loop_factory=chosen.new_loop)
        runner.get_loop()
    except BaseException:
        main.close()  # which nobody else will
        raise
    with runner:
        return runner.run(main)


def _none_runs() -> None:
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return
    raise LoopInLoop(f"this thread runs a loop already: {running!r}", hint="await it, or run it in another thread")


def _that_runs(chosen: LoopKind) -> LoopKind:
    if reason := chosen.why_not():
        raise LoopUnavailable(f"loop {chosen.name} cannot run here: {reason}")
    return chosen


def _load(entry: EntryPoint) -> LoopKind:
    """A plug-in's kind."""
    try:
        loaded = entry.load()
        made = loaded if isinstance(loaded, LoopKind) and not isinstance(loaded, type) else loaded()
    except Exception as error:  # noqa: BLE001 - whatever a plug-in does wrong is its own failure alone
        return _Broken(entry.name, f"the plug-in {entry.value} failed to load: {type(error).__name__}: {error}")
    if not isinstance(made, LoopKind):
        return _Broken(entry.name, f"the plug-in {entry.value} is no LoopKind, got {type(made).__name__}")
    return made
