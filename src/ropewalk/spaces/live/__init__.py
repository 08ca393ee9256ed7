"""Live: a space hears of the changes of others, and tells them of its own (docs/spec/hints.md)."""

from __future__ import annotations

from ropewalk.spaces.live.hearing import Learn, LearnNamed
from ropewalk.spaces.live.live import Change, Live

__all__ = ["Change", "Learn", "LearnNamed", "Live"]
