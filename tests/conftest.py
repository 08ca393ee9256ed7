"""What all tests share: one seed for the whole run, how hard Hypothesis tries, and folders that cost no disk's time.

Flow: --hypothesis-seed, else CI's own, else a fresh one -> Hypothesis, the `seed` fixture, the lines printed first
      what a worker found -> something that can be sent to the process that prints it
      a test -> `tmp_path`, on a disk if the test is about disks, and else in memory
Never: holds fixtures of one part of ropewalk; those stand beside that part's tests.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SUITES_TAKE = 600  # seconds: property tests and liars are run often only while they are quick
ABOUT_DISKS = Path(__file__).parent / "spaces" / "store"
MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes free there, of which workers use a few hundred MB at most
SEED_OF_CI = 0  # the same cases each time: a change is judged by what it changed, not by its luck

# No deadline anywhere: how long one case takes on a busy machine says nothing about the code.
settings.register_profile("desk", deadline=None, print_blob=True)
settings.register_profile(
    "ci",
    deadline=None,
    print_blob=True,
    database=None,  # what an earlier run on this machine left behind decides nothing
    suppress_health_check=[HealthCheck.too_slow],  # a matter of the machine, again
)
settings.register_profile("fuzz", settings.get_profile("desk"), max_examples=5_000)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads the option
def pytest_configure(config: pytest.Config) -> None:
    """Settle the run's seed, and let no launcher's choice of ignored signals reach what is tested."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:  # as a shell does to what it runs in the background
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
    given = config.getoption("hypothesis_seed")
    if given is None:
        given = SEED_OF_CI if os.environ.get("CI") else secrets.randbelow(2**32)
    try:
        config.option.hypothesis_seed = int(given)
    except ValueError:
        raise pytest.UsageError(f"--hypothesis-seed is {given}, expected a whole number") from None


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed, so that any run can be had again."""
    number: int = config.getoption("hypothesis_seed")
    profile = settings.get_current_profile_name()
    return f"seed: {number} (again: make test ARGS=--hypothesis-seed={number}), Hypothesis profile: {profile}"


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """The run's seed, for tests that draw from `random.Random` themselves."""
    number: int = pytestconfig.getoption("hypothesis_seed")
    return number


@pytest.fixture(scope="session")
def memory(pytestconfig: pytest.Config) -> Iterator[Path | None]:
    """A folder in memory, if this machine has such; none where `-n0 --basetemp` says where folders are to be kept."""
    given = pytestconfig.option.basetemp
    kept = given is not None and not Path(given).name.startswith("popen-")  # each worker is given one by xdist
    if kept or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield None
        return
    for left in MEMORY.glob("ropewalk-tests-*"):  # by runs that were killed: nobody else would give the memory back
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"ropewalk-tests-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, memory: Path | None, tmp_path: Path) -> Iterator[Path]:
    """A folder for one test: on a disk if that is marked `system` or about stores on disks, and else in memory.

    A third of the time that tests on folders take goes into waiting until a disk has something.
    """
    if memory is None or request.node.get_closest_marker("system") or ABOUT_DISKS in request.node.path.parents:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print how long property tests and liars took."""
    reports = [one for some in terminalreporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    took = sum(one.duration for one in reports if "hypothesis" in one.keywords or "tests/liars/" in one.nodeid)
    if took < 1:
        return
    workers = config.getoption("numprocesses", None) or 1
    terminalreporter.write_line(
        f"property tests and liars: {took:.0f} s on {workers} workers, so {took / workers:.0f} s (goal: {SUITES_TAKE})"
    )


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Any:
    """Escape what no UTF-8 can hold: one such character in a log, and a worker is lost with all that it found."""
    return _sendable((yield))


def _sendable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, dict):
        return {_sendable(key): _sendable(value) for key, value in data.items()}
    if isinstance(data, tuple):  # which the reason of a skipped test must stay
        return tuple(_sendable(one) for one in data)
    return [_sendable(one) for one in data] if isinstance(data, list) else data
