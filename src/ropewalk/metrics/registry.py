"""Registry: names and labels for what is counted, found by whoever counts without being told.

Flow: current_registry() -> counter, gauge, histogram -> Family -> of(label values) -> a value, kept and counted on
      page, pusher, agent -> read() -> before_collect callbacks -> readings of all families
Never: grows with what peers send: sets of labels are bounded for each family, label values in length.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from threading import RLock
from typing import Any, Generic, Literal, TypeVar

from ropewalk.errors import Misuse
from ropewalk.metrics.values import COUNTER, GAUGE, HISTOGRAM, SECONDS, Counter, Gauge, Histogram

__all__ = [
    "MOST_LABEL_CHARACTERS",
    "MOST_SETS",
    "BadName",
    "Family",
    "HistogramReading",
    "Kind",
    "Reading",
    "Redefined",
    "Registry",
    "WrongLabels",
    "current_registry",
    "using",
]

_log = logging.getLogger("ropewalk.metrics")

Kind = Literal["counter", "gauge", "histogram"]
_V = TypeVar("_V", Counter, Gauge, Histogram)

MOST_SETS = 1_000  # sets of labels of one family: what a page still shows and a person still reads
MOST_LABEL_CHARACTERS = 128  # a longer value is cut; it is there to tell series apart, not to carry text

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*\Z")
_TOTAL = "_total"
# What one family puts into the text formats beside its own name; another family must not be called so.
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "counter": ("", _TOTAL, "_created"),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_count", "_sum", "_created"),
}


class BadName(Misuse):
    """A name that the text formats do not allow."""

    code = "metrics.name"


class Redefined(Misuse):
    """A name that already stands for something else."""

    code = "metrics.redefined"


class WrongLabels(Misuse):
    """Not as many label values as there are labels, or not text."""

    code = "metrics.labels"


@dataclass(frozen=True, slots=True)
class HistogramReading:
    """A histogram at one moment.  `counts` has one more than `bounds`, and is not cumulated."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A family at one moment: its series by label values."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...]
    series: dict[tuple[str, ...], float | HistogramReading]


class Family(Generic[_V]):
    """All series of one name."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        help: str,  # noqa: A002 - the word of the text formats
        labels: tuple[str, ...],
        make: Callable[[], _V],
        most: int,
        refused: Callable[[str], None],
    ) -> None:
        self.name, self.kind, self.help, self.labels = name, kind, help, labels
        self.dropped: _V = make()  # counts for all sets of labels over the limit, and is shown nowhere
        self._make: Callable[[], _V] = make
        self._most, self._refused = most, refused
        self._series: dict[tuple[str, ...], _V] = {}
        self._lock = RLock()  # re-entrant, since a finalizer that counts may run inside

    def of(self, *values: str) -> _V:
        """The series with these label values: made once, the same object each time.

        Past the bound of sets a new one is not made: what is counted there goes to `dropped`.

        Raises:
            WrongLabels: There are more or fewer values than labels.
        """
        found = self._series.get(values)
        return found if found is not None else self._add(values)

    def _add(self, given: tuple[str, ...]) -> _V:
        if len(given) != len(self.labels) or not all(isinstance(value, str) for value in given):
            raise WrongLabels(f"label values of {self.name} are {given}, expected text for each of {self.labels}")
        values = tuple(_clean(value) for value in given)
        with self._lock:
            found = self._series.get(values)
            if found is not None:
                return found
            if len(self._series) < self._most:
                return self._series.setdefault(values, self._make())
        self._refused(self.name)
        return self.dropped

    def drop(self, *values: str) -> None:
        """Forget one set of labels.  Who still holds the value counts into nothing."""
        with self._lock:
            self._series.pop(tuple(_clean(value) for value in values), None)

    def read(self) -> Reading:
        """All series at this moment."""
        # A copy, since other threads add series; dict.copy runs no Python code.
        series = {values: _reading(value) for values, value in self._series.copy().items()}
        return Reading(self.name, self.kind, self.help, self.labels, series)


class Registry:
    """The families of one application.

    Args:
        most_sets: How many sets of labels one family may have.
    """

    def __init__(self, *, most_sets: int = MOST_SETS) -> None:
        self._most = most_sets
        self._families: dict[str, tuple[Family[Any], tuple[float, ...]]] = {}
        self._taken: dict[str, str] = {}  # names in the text formats -> the family that shows them
        self._before: dict[object, Callable[[], None]] = {}
        self._lock = RLock()
        self._failures = self.counter(
            "ropewalk_metrics_callback_failures_total", "callbacks that failed while metrics were read"
        ).of()
        self._dropped = self.counter(
            "ropewalk_metrics_dropped_total", "requests for a set of labels past the bound of its family", ("family",)
        )

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Family[Counter]:  # noqa: A002
        """A family of counters; the one that is there, if it is there.

        Raises:
            BadName: The name does not end in ``_total``, or it or a label is not a name.
            Redefined: The name stands for another kind or other labels.
        """
        if not name.endswith(_TOTAL):
            raise BadName(f"name of a counter is {name!r}, expected it to end in {_TOTAL}")
        return self._family(name, "counter", help, labels, COUNTER)

    def gauge(self, name: str, help: str, labels: Sequence[str] = ()) -> Family[Gauge]:  # noqa: A002
        """A family of gauges; the one that is there, if it is there.

        Raises:
            BadName: The name or a label is not a name.
            Redefined: The name stands for another kind or other labels.
        """
        return self._family(name, "gauge", help, labels, GAUGE)

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = SECONDS,
    ) -> Family[Histogram]:
        """A family of histograms; the one that is there, if it is there.

        Raises:
            BadName: The name or a label is not a name, or the buckets do not grow.
            Redefined: The name stands for another kind, other labels or other buckets.
        """
        bounds = tuple(float(bound) for bound in buckets)
        if not bounds or not all(map(math.isfinite, bounds)) or any(b <= a for a, b in pairwise(bounds)):
            raise BadName(f"buckets of {name} are {bounds}, expected finite numbers that grow")
        if "le" in labels:
            raise BadName(f"labels of {name} are {tuple(labels)}, expected none called le, which names the buckets")
        return self._family(name, "histogram", help, labels, lambda: HISTOGRAM(bounds), bounds)

    def _family(
        self,
        name: str,
        kind: Kind,
        text: str,
        labels: Sequence[str],
        make: Callable[[], Any],
        bounds: tuple[float, ...] = (),
    ) -> Family[Any]:
        wanted = tuple(labels)
        with self._lock:
            if found := self._families.get(name):
                family, had = found
                if (family.kind, family.labels, had) != (kind, wanted, bounds):
                    raise Redefined(
                        f"{name} is asked for as a {kind} with labels {wanted} and buckets {bounds},"
                        f" but is a {family.kind} with labels {family.labels} and buckets {had}"
                    )
                return family
            _check_names(name, wanted)
            shown = [name.removesuffix(_TOTAL) + suffix for suffix in _SUFFIXES[kind]]
            for each in shown:
                if each in self._taken:
                    raise Redefined(f"{name} would show {each}, which already belongs to {self._taken[each]}")
            made: Family[Any] = Family(name, kind, text, wanted, make, self._most, self._tell)
            self._families[name] = (made, bounds)
            self._taken.update(dict.fromkeys(shown, name))
            return made

    def _tell(self, family: str) -> None:
        if family != self._dropped.name:  # which names only families, and so is bounded by the program's own text
            self._dropped.of(family).inc()

    def before_collect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call this each time before metrics are read, to bring gauges up to date.

        Returns:
            What takes it back.  Doing so twice does no harm.
        """
        token = object()  # so that the same callback may be there twice
        with self._lock:
            self._before[token] = callback

        def take_back() -> None:
            with self._lock:
                self._before.pop(token, None)

        return take_back

    def read(self) -> list[Reading]:
        """All families at this moment, by name, after the callbacks were called."""
        for callback in list(self._before.copy().values()):
            try:
                callback()
            except Exception:  # noqa: BLE001 - whatever it is, the other callbacks and the page go on
                self._failures.inc()
                _log.exception("callback failed while metrics were read", extra={"code": "metrics.callback"})
        families = self._families.copy()
        return [families[name][0].read() for name in sorted(families)]


def _reading(value: Counter | Gauge | Histogram) -> float | HistogramReading:
    if isinstance(value, Histogram):
        counts, total = value.reading()
        return HistogramReading(value.bounds, tuple(counts), total)
    return value.value


def _clean(value: str) -> str:
    """A label's value as UTF-8 can carry it, and not too long."""
    return value[:MOST_LABEL_CHARACTERS].encode("utf-8", "backslashreplace").decode()[:MOST_LABEL_CHARACTERS]


def _check_names(name: str, labels: tuple[str, ...]) -> None:
    if not _NAME.match(name):
        raise BadName(f"name of a metric is {name!r}, expected letters, digits, _ and :, not a digit first")
    for label in labels:
        if not _LABEL.match(label):
            raise BadName(f"label of {name} is {label!r}, expected letters, digits and _, not a digit or __ first")
    if len(set(labels)) < len(labels):
        raise BadName(f"labels of {name} are {labels}, expected each once")


_of_process = Registry()
_current: ContextVar[Registry | None] = ContextVar("ropewalk_registry", default=None)


def current_registry() -> Registry:
    """The registry of this context; one of the whole process where none was set."""
    found = _current.get()
    return _of_process if found is None else found


@contextmanager
def using(registry: Registry) -> Iterator[Registry]:
    """Make this the registry of all that is started inside, tasks included."""
    token = _current.set(registry)
    try:
        yield registry
    finally:
        _current.reset(token)
