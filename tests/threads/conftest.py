"""Qt's one application, for the guest loop."""

from __future__ import annotations

from tests.loops.conftest import application

__all__ = ["application"]
