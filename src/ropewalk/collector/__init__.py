"""Collector: the metrics of many processes in one place, with history and alerts.

Flow: Agent in each process -> any connection -> Collector -> History; Queries -> JSON pages
Never: listens or connects itself: protocol factories go to whatever carries bytes.
"""

from __future__ import annotations

from ropewalk.collector.agent import Agent
from ropewalk.collector.alerts import Event, Rule
from ropewalk.collector.collector import Collector
from ropewalk.collector.history import History, Retention
from ropewalk.collector.queries import Queries

__all__ = ["Agent", "Collector", "Event", "History", "Queries", "Retention", "Rule"]
