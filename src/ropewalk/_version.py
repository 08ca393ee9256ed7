"""The version: the one place that states it; the build and `ropewalk --version` read it here.

Flow: this line -> the built package's metadata, the command line
Never: imports anything.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
