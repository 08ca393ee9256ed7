"""What the tests of engines share: the engines, started once, and a home with their credentials."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ropewalk.engines.credentials import FILE
from ropewalk.spaces.home import Home
from tests.engines.servers import PROFILE, Rclone, Seaweed

Prefix = Callable[[], str]
Engine = Seaweed | Rclone


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that has the credentials of the test's engines."""
    made = Home(tmp_path / "home", tmp_path / "home" / "state")
    made.config.mkdir()
    file = made.config / FILE
    file.touch(mode=0o600)
    file.write_text(PROFILE)
    return made


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A cluster, started once."""
    with Seaweed(tmp_path_factory.mktemp("seaweed")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """A folder as an object store, started once."""
    with Rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture(params=["seaweed", "rclone"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    found: Engine = request.getfixturevalue(request.param)
    return found


_NUMBERS = itertools.count()


@pytest.fixture
def fresh() -> Prefix:
    """A prefix that nobody used before."""
    return lambda: f"prefix/{next(_NUMBERS)}"
