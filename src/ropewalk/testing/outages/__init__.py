"""Outages: nodes as real processes that are killed, cut off, filled and bent while clients work, and what came of it.

Public: whoever runs nodes can put his own changes to the same trouble.

Flow: OUTAGES -> tried, each with nodes and clients of its own -> Row -> table
Never: touches a process, an address or a folder that is not of the run.
"""

from __future__ import annotations

from ropewalk.testing.outages.kinds import OUTAGES
from ropewalk.testing.outages.outage import Outage
from ropewalk.testing.outages.row import Row, lacking, parse, table, tried, tried_apart

__all__ = ["OUTAGES", "Outage", "Row", "lacking", "parse", "table", "tried", "tried_apart"]
