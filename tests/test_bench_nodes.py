"""The bench of nodes: tiny runs have all sides and goals, and figures that were measured."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from figures import QUICK
from report import Report
from run import OVER_NODES

TINY = replace(QUICK, rounds=2, rest=0.05, streamed=4 << 20, small_files=5)
LIMITS = {"stream": [0.5, 0.3, 0.5, 0.5], "rest": [120.0, 0.5], "dead": [0.7], "first": [2.0], "slow": [3.0]}
FIGURES = {"stream": 13, "rest": 2, "dead": 3, "first": 3, "slow": 4}


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.parametrize("part", OVER_NODES)
def test_a_tiny_run_has_its_sides_and_goals(part: str, tmp_path: Path) -> None:
    module, function = OVER_NODES[part]
    report = Report({})
    getattr(import_module(module), function)(report, TINY, tmp_path)
    report.text()
    assert [goal.limit for goal in report.goals] == LIMITS[part]
    assert len(report.figures) == FIGURES[part]
    assert all(value > 0 for figure in report.figures for value in figure.values if part != "rest")
