"""Amounts: how the messages of a node say how much there is.

Flow: bytes -> amount -> what a guest reads
Never: rounds so that what is missing cannot be seen.
"""

from __future__ import annotations

__all__ = ["amount"]

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def amount(size: int) -> str:
    """``4.0 MiB (4,194,304 bytes)``; below 1 KiB only the bytes."""
    exact, shown = f"{size:,} bytes", size / 1024
    if shown < 1:
        return exact
    for unit in _UNITS:
        if shown < 1024 or unit == _UNITS[-1]:
            return f"{shown:.1f} {unit} ({exact})"
        shown /= 1024
    raise AssertionError
