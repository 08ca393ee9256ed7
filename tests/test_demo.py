"""The demonstration, small: it is what the README promises, so it must not rot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "demo.py"
SOURCE = Path(__file__).parent.parent / "docs"

pytestmark = pytest.mark.system


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO), "--size", "9", "--source", str(SOURCE), "--folder", str(tmp_path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_two_of_five_stores_go_and_all_comes_back(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("equal, byte for byte") == 2
    assert "16 acknowledged there, 8 refused not there" in done.stdout
    assert "the debt is paid in full" in done.stdout
    assert list(tmp_path.iterdir()) == [], "the demonstration leaves nothing behind"


def test_a_byte_that_differs_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison itself can fail."""
    monkeypatch.syspath_prepend(str(DEMO.parent))
    import demo  # type: ignore[import-not-found, unused-ignore]

    shutil.copytree(SOURCE, tmp_path / "one")
    shutil.copytree(SOURCE, tmp_path / "other")
    assert demo.compare(tmp_path / "one", tmp_path / "other") > 5
    victim = tmp_path / "other" / "glossary.md"
    victim.write_bytes(victim.read_bytes()[:-1] + b"X")
    with pytest.raises(demo.Failed, match="glossary"):
        demo.compare(tmp_path / "one", tmp_path / "other")
