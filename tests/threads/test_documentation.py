"""The examples of docs/reference/loops-and-threads.md do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "loops-and-threads.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int) -> None:
    exec(compile(EXAMPLES[number], f"{PAGE.name} example {number}", "exec"), {"__name__": "example"})  # noqa: S102


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 5
