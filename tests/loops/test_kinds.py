"""Kinds by name, from plug-ins too, and how a coroutine is run on them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from ropewalk.loops import GuestLoop, LoopInLoop, LoopKind, LoopUnavailable, NoSuchLoop, Simulated, kind, kinds, run
from tests.loops.hosts import ThreadKind

not_a_kind = 7


def fails() -> LoopKind:
    raise OSError("no licence")


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        EntryPoint("queue", "tests.loops.hosts:ThreadKind", "ropewalk.loops"),
        EntryPoint("gone", "tests.loops.nowhere:Kind", "ropewalk.loops"),
        EntryPoint("failing", f"{__name__}:fails", "ropewalk.loops"),
        EntryPoint("seven", f"{__name__}:not_a_kind", "ropewalk.loops"),
        EntryPoint("asyncio", f"{__name__}:fails", "ropewalk.loops"),
    ]

    def entry_points(**wanted: Any) -> Sequence[EntryPoint]:
        return EntryPoints(entries).select(**wanted)

    monkeypatch.setattr(sys.modules["ropewalk.loops.kinds"], "entry_points", entry_points)


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_auto_is_the_fastest_that_is_here() -> None:
    assert kind().name == kind("auto").name == "uvloop"
    assert type(run(_loop())).__module__.startswith("uvloop")


def test_each_name_gives_its_loop() -> None:
    assert type(run(_loop(), loop="asyncio")).__module__.startswith("asyncio")
    assert isinstance(run(_loop(), loop="qt"), GuestLoop)
    assert run(_loop(), loop=Simulated(9)).seed == 9  # type: ignore[attr-defined]


def test_without_uvloop_auto_is_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert kind().name == "asyncio"
    assert kind("uvloop").why_not() == "uvloop is not installed"
    with pytest.raises(LoopUnavailable, match="loop uvloop cannot run here: uvloop is not installed"):
        run(_loop(), loop="uvloop")
    with pytest.raises(LoopUnavailable):
        kind("uvloop").new_loop()


def test_without_qt_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PySide6.QtCore", None)
    with pytest.raises(LoopUnavailable, match=r"pip install 'ropewalk\[qt\]'"):
        run(_loop(), loop="qt")
    with pytest.raises(LoopUnavailable):
        kind("qt").host()


def test_all_are_listed_and_broken_plugins_say_why(plugins: None) -> None:
    found = kinds()
    assert sorted(found) == ["asyncio", "failing", "gone", "qt", "queue", "seven", "simulated", "uvloop"]
    assert {name: found[name].why_not() for name in ("queue", "asyncio")} == {"queue": None, "asyncio": None}
    assert "No module named 'tests.loops.nowhere'" in str(found["gone"].why_not())
    assert "OSError: no licence" in str(found["failing"].why_not())
    assert "TypeError" in str(found["seven"].why_not())
    with pytest.raises(LoopUnavailable, match="loop gone cannot run here: the plug-in"):
        run(_loop(), loop="gone")


def test_a_plugin_runs_by_its_name(plugins: None) -> None:
    assert isinstance(kind("queue"), ThreadKind)
    assert isinstance(run(_loop(), loop="queue"), GuestLoop)


def test_an_unknown_name_is_told_with_those_that_are_known(plugins: None) -> None:
    with pytest.raises(NoSuchLoop, match="called 'uv'; there are: asyncio, auto, failing, gone, qt, queue") as failure:
        run(_loop(), loop="uv")
    assert failure.value.code == "loops.unknown"


@pytest.mark.parametrize("name", ["asyncio", "uvloop", "simulated"])
def test_a_loop_inside_a_loop_is_refused_and_leaves_nothing_behind(name: str) -> None:
    async def outer() -> None:
        with pytest.raises(LoopInLoop, match="this thread runs a loop already"):
            run(_loop(), loop=name)

    run(outer(), loop=name)


def test_debug_is_passed_on() -> None:
    async def debugged() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(debugged(), loop="asyncio", debug=True)
    assert not run(debugged(), loop="asyncio", debug=False)


def test_qt_and_uvloop_are_not_imported_before_they_are_asked_for() -> None:
    code = "import sys, ropewalk.loops as l; l.kind(); sys.exit(bool({'uvloop', 'PySide6'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
