"""Every lie on every operation is harmless or detected, and the page that says so is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.testing.liars import (
    DETECTED,
    FAILED,
    HARMLESS,
    LIES,
    NOT_TRIED,
    PAST,
    SCENARIOS,
    STOPPED,
    Lie,
    Verdict,
)
from ropewalk.testing.liars.lies_heads import FloodAndRollBack
from ropewalk.testing.liars.matrix import MARKS, matrix, table

pytestmark = pytest.mark.xdist_group("matrix")  # one worker has it: each would take minutes to make its own

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "liars.md"
D24 = {
    "withhold",
    "delay",
    "roll back one head",
    "roll back all heads",
    "fork per client",
    "replay across spaces",
    "truncate",
    "bit-flip",
    "swap two objects",
    "reorder chunks",
    "drop tail chunks",
    "serve other version",
    "fake ETag/size",
    "accept-then-lose",
    "lose after N days",
    "fake 412 on conditional put",
    "fake 200 on conditional put",
    "stale list",
    "list omission",
    "duplicate keys",
    "case-fold keys",
    "clock jump",
    "slow-loris",
    "partial PUT",
    "resurrect deleted",
    "substitute public key",
    "downgrade feature level",
}
MORE_THAN_A_STORE = {lie.number for lie in LIES if lie.all_alike or lie.tellers or lie.by_device or lie.by_mailbox}
FIT = {  # what the page says -> what may be measured with another seed
    "": {NOT_TRIED, HARMLESS, DETECTED},
    "h": {NOT_TRIED, HARMLESS, DETECTED},
    "d": {NOT_TRIED, HARMLESS, DETECTED},
    "s": {NOT_TRIED, HARMLESS, DETECTED, STOPPED},
    "p": {NOT_TRIED, HARMLESS, DETECTED, STOPPED, PAST},
    "F": set(MARKS),
}


def test_all_lies_of_the_list_can_be_told() -> None:
    assert {lie.name for lie in LIES} >= D24
    assert len({lie.number for lie in LIES}) == len(LIES)
    assert len(LIES) == 60
    assert len(SCENARIOS) == 35
    assert all(lie.__doc__ for lie in LIES)


class Honest(Lie):
    """Tells the truth."""

    number, name = "0", "none"


@pytest.mark.slow
def test_without_a_lie_every_operation_goes_well_and_nobody_is_warned(folder: Path, seed: int) -> None:
    for verdict in matrix(folder / "honest-matrix", seed, [Honest]):
        assert verdict.outcome == NOT_TRIED, verdict  # else it failed, or stopped
        if verdict.operation != "repair":  # there a store did lose what it had
            assert not verdict.why, verdict


@pytest.mark.slow
def test_a_flood_in_one_store_hides_no_roll_back_in_another(folder: Path, seed: int) -> None:
    (warm,) = [scenario for scenario in SCENARIOS if scenario.name == "open warm"]
    (verdict,) = matrix(folder / "flood", seed, [FloodAndRollBack], [warm])
    assert verdict.outcome == DETECTED, verdict
    assert "store d1 no longer shows" in verdict.why


@pytest.mark.slow
def test_no_lie_fails(verdicts: list[Verdict]) -> None:
    assert len(verdicts) == len(LIES) * len(SCENARIOS)
    failed = [str(verdict) for verdict in verdicts if verdict.outcome == FAILED]
    assert not failed, "\n".join(failed)


@pytest.mark.slow
def test_one_liar_stops_nothing(verdicts: list[Verdict]) -> None:
    stopped = [
        verdict for verdict in verdicts if verdict.outcome in (STOPPED, PAST) and verdict.lie not in MORE_THAN_A_STORE
    ]
    assert not stopped, "\n".join(map(str, stopped))


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.number)
def test_each_lie_was_told_and_heard(verdicts: list[Verdict], lie: type[Lie]) -> None:
    tried = [verdict for verdict in verdicts if verdict.lie == lie.number and verdict.consumed]
    assert tried


@pytest.mark.slow
def test_each_operation_heard_lies(verdicts: list[Verdict]) -> None:
    heard = {verdict.operation for verdict in verdicts if verdict.consumed}
    assert heard == {scenario.name for scenario in SCENARIOS}


@pytest.mark.slow
def test_lies_of_groups_were_told_where_they_matter(verdicts: list[Verdict]) -> None:
    tried = {(verdict.lie, verdict.operation) for verdict in verdicts if verdict.consumed}
    records = {(lie, "open cold") for lie in ("26", "27a", "27b", "27c", "38", "41", "42")}
    devices = {(lie, "open warm") for lie in ("34", "34A", "35", "35b", "35c")}
    hints = {(lie, "freshness") for lie in ("31", "31A", "32", "33")}
    mailbox = {(lie, "invite") for lie in ("39a", "39b", "39c", "39d")}
    assert records | devices | hints | mailbox <= tried


@pytest.mark.slow
def test_the_page_is_current(verdicts: list[Verdict]) -> None:
    page = PAGE.read_text()
    marks = _marks(page)
    assert table(marks) == page, "run `python -m ropewalk.testing.liars > docs/reference/liars.md`"
    wrong = [str(one) for one in verdicts if one.outcome not in FIT[marks[one.lie, one.operation]]]
    assert not wrong, "\n".join(wrong)
    assert MARKS[FAILED] not in marks.values()


def _marks(page: str) -> dict[tuple[str, str], str]:
    """The last table of the page."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    at = max(number for number, row in enumerate(rows) if row[0] == "#")
    operations = rows[at][1:]
    return {(row[0], name): mark for row in rows[at + 2 :] for name, mark in zip(operations, row[1:], strict=True)}
