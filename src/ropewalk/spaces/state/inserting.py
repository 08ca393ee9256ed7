"""Inserting: many rows by few statements.

Flow: rows -> one statement for so many of them -> SQLite
Never: decides when: that is the transaction's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

__all__ = ["insert"]

# Rows of one statement: each statement lets go of the interpreter, and waits for it where other threads are busy.
AT_ONCE = 64


def insert(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]], *, row: str = "", then: str = "") -> None:
    """Insert rows.

    Args:
        db: Where.
        into: The statement up to its values.
        rows: The values, all of one length.
        row: How those of one row stand in the statement; as they are, by default.
        then: What comes after them.
    """
    for at in range(0, len(rows), AT_ONCE):
        some = rows[at : at + AT_ONCE]
        one = row or f"({', '.join('?' * len(some[0]))})"
        db.execute(f"{into} VALUES {', '.join([one] * len(some))} {then}", list(chain.from_iterable(some)))
