"""Prints the table of outages: ``python -m ropewalk.testing.outages > docs/reference/faults.md``.

Flow: each outage tried -> what came of it, said as it comes -> the page on standard output
Never: writes a file, or a page from a run in which not all was tried.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

import msgspec

from ropewalk.testing.outages.kinds import OUTAGES
from ropewalk.testing.outages.outage import Outage
from ropewalk.testing.outages.row import Row, lacking, table, tried, tried_apart

_WORDS = """# Outages, and what comes of them

Five nodes, each a process with a home and a disk of its own, keep a space of which any two may be lost.
Three clients write and read files of known content all the while, and this befalls the nodes, the way to them, or a
client. `ropewalk.testing.outages` has it all.

Before the next nodes are struck, each client has all nodes in use again and owes them nothing: what is acknowledged
while a node is away lies in no more stores than the floor asks for, and outlasts fewer losses until that is paid.

Afterwards all nodes are back. Each client writes again, pays what it owes, and repairs; a check of every byte finds
nothing. Then two nodes are killed, and a client without memory reads all that was ever acknowledged.

- *operations under way*: writes and reads that had begun and not ended at the moments when it befell.
- *acknowledged*: writes; of offline work also those that waited on the client's machine, and were published later.
- *refused*: ended with a documented error: fewer nodes were there than the write floor, or than a read needs.
- *lost*: files that were acknowledged, and were not there afterwards. *wrong*: bytes that nobody wrote.
- *told of*: nodes that lied or went back, and of which the user was told by name.

Moments and nodes are drawn by a seed, but operations take the time that they take: no run has the numbers of another.
This is one of them, printed by `python -m ropewalk.testing.outages`; a test tries all of it again.
"""


def main() -> int:
    """Try all of them, or one, of which the outcome is printed as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", default="", help="the name of one outage")
    given = parser.parse_args()
    if given.one:
        kind = next(kind for kind in OUTAGES if kind.name == given.one)
        sys.stdout.write(msgspec.json.encode(_tried(kind, given.seed, here=True)).decode() + "\n")
        return 0
    rows = []
    for kind in OUTAGES:
        if why := lacking(kind):
            sys.stderr.write(f"{kind.name}: {why}\n")
            return 1
        row = _tried(kind, given.seed)
        sys.stderr.write(f"{' | '.join(row.cells)}{''.join(f'; {fault}' for fault in row.faults)}\n")
        rows.append(row)
    sys.stdout.write(table(rows, OUTAGES, _WORDS))
    return 0 if all(row.good for row in rows) else 1


def _tried(kind: type[Outage], seed: int, *, here: bool = False) -> Row:
    memory = Path("/dev/shm")  # noqa: S108 - what a disk costs is not the matter here
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        if kind.apart and not here:
            return asyncio.run(tried_apart(kind, seed))
        return asyncio.run(tried(kind, Path(folder), seed))


if __name__ == "__main__":
    sys.exit(main())
