"""The promise of a space: what was asked, what holds now, and the smallest losses that break it.

Flow: pool (where shares lie), heads, keys -> compute -> Promise -> explain, as_dict -> status
Never: does I/O or looks at a clock; what it knows is what it is given.
"""

from __future__ import annotations

from ropewalk.spaces.promise.computed import Computed, Dimension, KeyHolder, PackGroup, Standing, compute
from ropewalk.spaces.promise.kill_sets import WORK, Domain, Kill, Smallest
from ropewalk.spaces.promise.plain import Told, told
from ropewalk.spaces.promise.words import as_dict, explain

__all__ = [
    "WORK",
    "Computed",
    "Dimension",
    "Domain",
    "KeyHolder",
    "Kill",
    "PackGroup",
    "Smallest",
    "Standing",
    "Told",
    "as_dict",
    "compute",
    "explain",
    "told",
]
