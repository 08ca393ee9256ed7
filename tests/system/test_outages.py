"""Real nodes are killed, cut off, filled and bent while clients work: nothing is lost or wrong, each lie is named."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ropewalk.testing.outages import OUTAGES, Outage, lacking, parse, tried, tried_apart

pytestmark = [pytest.mark.system, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
MEMORY = Path("/dev/shm")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where nodes keep things; what a disk costs is not the matter here."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as made:
        yield Path(made)


@pytest.mark.parametrize("kind", OUTAGES, ids=lambda kind: kind.name.replace(" ", "-"))
async def test_nothing_is_lost_and_nothing_wrong(kind: type[Outage], folder: Path, seed: int) -> None:
    if why := lacking(kind):
        pytest.skip(why)
    row = await (tried_apart(kind, seed) if kind.apart else tried(kind, folder, seed))
    sys.stdout.write(f"seed {seed}: {' | '.join(row.cells)}\n")
    assert row.good, f"seed {seed}: {row}"
    assert row.times, "nothing befell"
    assert row.under_way, "nobody did anything just then"
    assert row.acknowledged >= 5
    assert row.read >= 1


def test_the_page_has_all_that_is_tried_and_no_loss() -> None:
    rows = parse(PAGE.read_text())
    assert [row.outage for row in rows] == [kind.name for kind in OUTAGES]
    for row in rows:
        assert row.good
        assert row.times
        assert row.under_way
        assert row.acknowledged
