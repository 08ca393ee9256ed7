"""Counts: what a node keeps and does, in the registry of the application.

Flow: puts, deletions, refusals when they happen; all else is read off the offers when metrics are asked for
Never: shows a folder, a key, a space or an object: labels are names of offers, kinds of calls, codes of errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from ropewalk.errors import Refused, RopewalkError
from ropewalk.metrics import Registry
from ropewalk.node.notices import NodeBusy
from ropewalk.spaces.store import NameTaken, StoreFull

__all__ = ["NodeCounts", "OfferCounts", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of an offer, in bytes.

    Attributes:
        used: At somebody's cost, with what is on its way and in the trash.
        trash: Of that, in the trash.
        quota: For all guests; None for as much as there is room.
    """

    used: int
    trash: int
    quota: int | None


class Sized(Protocol):
    """An offer."""

    @property
    def sizes(self) -> Sizes:
        """Now."""


class OfferCounts:
    """What happens at one offer.

    Args:
        counts: Of the node.
        offer: Its name.
    """

    def __init__(self, counts: NodeCounts, offer: str) -> None:
        self._counts, self._offer = counts, offer

    def put(self) -> None:
        """An object was put, or a hint."""
        self._counts.put.of(self._offer).inc()

    def deleted(self) -> None:
        """An object was deleted."""
        self._counts.deleted.of(self._offer).inc()

    def failed(self, error: RopewalkError) -> None:
        """A call ended so; it counts where it was refused."""
        if isinstance(error, Refused | StoreFull | NodeBusy) and not isinstance(error, NameTaken):  # which is no news
            self._counts.refused.of(self._offer, error.code).inc()


class NodeCounts:
    """The counts of a node.

    Args:
        registry: Where it counts.
        offers: Those that are there now, by name.
        wanted: The names of all that the settings have.
        calls: How many are under way, by kind.
    """

    def __init__(
        self,
        registry: Registry,
        offers: Callable[[], Mapping[str, Sized]],
        wanted: Callable[[], Collection[str]],
        calls: Callable[[], Mapping[str, int]],
    ) -> None:
        self._offers, self._wanted, self._calls = offers, wanted, calls
        offer = ("offer",)
        self.put = registry.counter("ropewalk_node_put_total", "objects and hints put", offer)
        self.deleted = registry.counter("ropewalk_node_deleted_total", "objects deleted", offer)
        self.refused = registry.counter("ropewalk_node_refused_total", "calls refused", (*offer, "code"))
        self._up = registry.gauge("ropewalk_node_offer_up", "whether the folder of an offer is there", offer)
        self._used = registry.gauge("ropewalk_node_used_bytes", "bytes kept for others, with their trash", offer)
        self._trash = registry.gauge("ropewalk_node_trash_bytes", "bytes deleted and kept for a while", offer)
        self._quota = registry.gauge(
            "ropewalk_node_quota_bytes", "bytes that all may use, where that is bounded", offer
        )
        self._under_way = registry.gauge("ropewalk_node_calls", "calls under way", ("kind",))
        self._shown: set[str] = set()
        self.stop = registry.before_collect(self._read)

    def of(self, offer: str) -> OfferCounts:
        """Those of one offer."""
        return OfferCounts(self, offer)

    def _read(self) -> None:
        offers, wanted = self._offers(), set(self._wanted())
        for name in wanted:
            there = offers.get(name)
            self._up.of(name).set(there is not None)
            if there is None:
                self._forget(name)
                continue
            sizes = there.sizes
            self._used.of(name).set(sizes.used)
            self._trash.of(name).set(sizes.trash)
            if sizes.quota is None:
                self._quota.drop(name)
            else:
                self._quota.of(name).set(sizes.quota)
        for name in self._shown - wanted:
            self._up.drop(name)
            self._forget(name)
        self._shown = wanted
        for kind, number in self._calls().items():
            self._under_way.of(kind).set(number)

    def _forget(self, name: str) -> None:
        for family in (self._used, self._trash, self._quota):
            family.drop(name)
