"""The page of the commands says what they say."""

from __future__ import annotations

from pathlib import Path

from ropewalk.console.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "console.md"


def test_the_page_of_the_commands_is_made_from_them() -> None:
    assert PAGE.read_text() == reference(), "python -m ropewalk.console.reference >docs/reference/console.md"
