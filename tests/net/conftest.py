"""What tests of the network share: a registry of their own, certificates, a state folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.metrics import Registry, using
from tests.net.peers import certificate


@pytest.fixture
def registry() -> Iterator[Registry]:
    """What is counted in this test."""
    fresh = Registry()
    with using(fresh):
        yield fresh


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's state folder, empty."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Certificate, key and authority for localhost and its addresses."""
    return certificate(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1", "::1")
