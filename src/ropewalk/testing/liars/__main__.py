"""Prints the table of lies: ``python -m ropewalk.testing.liars > docs/reference/liars.md``.

Flow: a few seeds -> matrix -> the worst of each pair -> standard output
Never: writes a file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ropewalk.testing.liars.matrix import matrix, table, worst

SEEDS = (0, 1)


def main() -> None:
    """Run the matrix with each seed."""
    runs = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            runs.append(matrix(Path(folder), seed))
    sys.stdout.write(table(worst(runs)))


if __name__ == "__main__":
    main()
