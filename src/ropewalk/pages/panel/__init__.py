"""The control panel: the process behind the pages, seen and steered from a browser.

Flow: Control, Past, Collected -> Panel, a list of routes -> the pages' app, behind the same gate
Never: runs a program for who asks, or shows a secret of a configuration.
"""

from __future__ import annotations

from ropewalk.pages.panel.collected import Collected
from ropewalk.pages.panel.console import Desk
from ropewalk.pages.panel.editing import Subject
from ropewalk.pages.panel.panel import Panel
from ropewalk.pages.panel.past import Past

__all__ = ["Collected", "Desk", "Panel", "Past", "Subject"]
