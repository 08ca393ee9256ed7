"""Failures of today's code that the matrix found and that are not mended yet, each with its cause.

Flow: matrix -> these are expected, and nothing else; one that does not fail any more is to be taken out
Never: holds a failure whose cause is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["KNOWN", "Known", "known_cells"]


@dataclass(frozen=True)
class Known:
    """One cause, and where it shows."""

    cause: str
    lies: Sequence[str]
    operations: Sequence[str]


KNOWN: tuple[Known, ...] = ()


def known_cells() -> set[tuple[str, str]]:
    """Lie and operation of all of them."""
    return {(lie, operation) for known in KNOWN for lie in known.lies for operation in known.operations}
