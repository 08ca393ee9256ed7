"""Help: what the usage line names is what the list below it, and an error, name too."""

from __future__ import annotations

import pytest

from ropewalk.cli.commands import COMMANDS
from tests.cli.conftest import Run


@pytest.mark.parametrize(("name", "usage"), [(name, usage) for name, _, _, usage in COMMANDS])
def test_arguments_are_called_as_in_the_usage(run: Run, name: str, usage: str) -> None:
    page = run(*name.split(), "--help").out
    assert page.startswith(f"Usage: ropewalk {name} ")
    _, _, below = page.partition("\nArguments:\n")
    listed = [line.split()[0] for line in below.partition("\n\n")[0].splitlines() if line[2:3].strip()]
    named = [word.strip("[]").removesuffix("...") for word in usage.split() if not word.startswith(("-", "[OPTIONS"))]
    assert listed == [word for word in named if word in listed], f"{listed} are not among {named}"


def test_what_is_missing_is_called_so_too(run: Run) -> None:
    assert "parameter SPACE:/PATH requires" in run("merge", status=2).err
    assert "parameter SPACE@OLD requires" in run("diff", status=2).err
    assert "parameter NAME requires" in run("device", "revoke", status=2).err
