"""The control panel: the process behind the pages, seen and steered from a browser.

Flow: Control, Past -> Panel, a list of routes -> the pages' app, behind the same gate
Never: runs a program for who asks, or shows a secret of a configuration.
"""

from __future__ import annotations

from ropewalk.pages.panel.panel import Panel
from ropewalk.pages.panel.past import Past

__all__ = ["Panel", "Past"]
