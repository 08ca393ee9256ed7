"""Counts: what sessions are doing, in the registry of the application.

Flow: `opened`, `closed`, `faults` when they happen; everything else is read off the sessions when metrics are asked for
Never: adds a call of ours to a call of theirs, but the observation of how long a method took.
"""

from __future__ import annotations

import copy
import weakref
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ropewalk.broker.offers import Object, Offer
from ropewalk.metrics import Registry, current_registry

if TYPE_CHECKING:
    from ropewalk.broker.session import Session

__all__ = ["Counts"]

_NOW = {
    "questions": "calls of this end that are not answered",
    "answers": "calls of the other ends that are not finished",
    "shown": "objects that other ends hold",
    "held": "objects of other ends that are held",
    "streams": "streams",
    "watched": "shared objects that other ends watch",
    "window_bytes": "bytes of calls of this end that are not answered",
    "kept_bytes": "bytes of answers that were not finished",
    "stream_in_bytes": "bytes of streams to this end that came and were not granted again",
    "stream_out_bytes": "bytes of streams of this end that were sent and not granted again",
}
_SINCE = {
    "asked": "calls made",
    "served": "messages taken",
    "failed": "calls of other ends that failed",
    "received_bytes": "bytes of frames received",
    "sent_bytes": "bytes of frames sent",
}


class Counts:
    """The counts of all sessions of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._told: dict[Session, dict[str, int]] = {}
        self._lock = Lock()  # metrics may be read in another thread
        self._tables: dict[type[Object], dict[str, Offer]] = {}
        sessions = registry.gauge("ropewalk_broker_open_sessions", "sessions that are open")
        self._now = {name: registry.gauge(f"ropewalk_broker_{name}", told) for name, told in _NOW.items()}
        self._since = {name: registry.counter(f"ropewalk_broker_{name}_total", told) for name, told in _SINCE.items()}
        self._opened = registry.counter("ropewalk_broker_sessions_total", "sessions opened").of()
        self._faults = registry.counter("ropewalk_broker_faults_total", "sessions ended by a rule broken", ("code",))
        self._seconds = registry.histogram("ropewalk_broker_method_seconds", "time that a method took", ("method",))
        self._gauge = sessions.of()
        registry.before_collect(self._read)

    @classmethod
    def current(cls) -> Counts:
        """Those of the current registry."""
        registry = current_registry()
        there = _all.get(registry)
        counts = None if there is None else there()
        if counts is None:
            counts = cls(registry)
            _all[registry] = weakref.ref(counts)
        return counts

    def opened(self, session: Session) -> None:
        """A session has begun."""
        self._told[session] = dict.fromkeys(_SINCE, 0)
        self._opened.inc()

    def closed(self, session: Session) -> None:
        """A session is over."""
        self._add(session)
        self._told.pop(session, None)

    def faults(self, code: str) -> None:
        """A session was ended since the other end broke a rule."""
        self._faults.of(code).inc()

    def offers(self, kind: type[Object]) -> dict[str, Offer]:
        """The remote methods of a class, each with where its time is counted."""
        table = self._tables.get(kind)
        if table is None:
            table = self._tables[kind] = {}
            for name, offer in kind.__offers__.items():
                timed = table[name] = copy.copy(offer)
                timed.seconds = self._seconds.of(f"{kind.__name__}.{name}")
        return table

    def _add(self, session: Session) -> None:
        broker = session.broker
        since = {
            "asked": broker.asking.called,
            "served": broker.calls,
            "failed": broker.answering.replies.failed,
            "received_bytes": broker.reader.received,
            "sent_bytes": broker.outbox.sent,
        }
        with self._lock:
            told = self._told.get(session)
            if told is not None:
                for name, value in since.items():
                    self._since[name].of().inc(value - told[name])
                told.update(since)

    def _read(self) -> None:
        now = dict.fromkeys(_NOW, 0)
        sessions = list(self._told)
        for session in sessions:
            self._add(session)
            broker = session.broker
            now["questions"] += len(broker.asking.questions)
            now["answers"] += len(broker.answering.answers)
            now["shown"] += len(broker.objects.shown) - 1
            now["held"] += len(broker.objects)
            now["streams"] += len(broker.streams)
            now["watched"] += len(broker.shares)
            now["window_bytes"] += broker.asking.used
            now["kept_bytes"] += broker.answering.kept
            now["stream_in_bytes"] += broker.streams.used_in
            now["stream_out_bytes"] += broker.streams.used_out
        for name, value in now.items():
            self._now[name].of().set(value)
        self._gauge.set(len(sessions))


# Who holds a registry holds its counts, which it calls before it is read; from here nothing is held.
_all: WeakKeyDictionary[Registry, weakref.ref[Counts]] = WeakKeyDictionary()
