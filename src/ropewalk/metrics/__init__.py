"""Metrics: what is counted, how it is read, and who it is pushed to.

Flow: current_registry().counter(name, help, labels).of(values) -> inc; page or pusher -> Registry.read
Never: makes those who count wait, or fail.
"""

from __future__ import annotations

from ropewalk.metrics.registry import (
    BadName,
    Family,
    HistogramReading,
    Reading,
    Redefined,
    Registry,
    WrongLabels,
    current_registry,
    using,
)
from ropewalk.metrics.values import BYTES, SECONDS, Counter, Gauge, Histogram, WrongValue

__all__ = [
    "BYTES",
    "SECONDS",
    "BadName",
    "Counter",
    "Family",
    "Gauge",
    "Histogram",
    "HistogramReading",
    "Reading",
    "Redefined",
    "Registry",
    "WrongLabels",
    "WrongValue",
    "current_registry",
    "using",
]
