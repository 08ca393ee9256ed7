"""Peers: connections of services, as people who operate them see them.

Flow: a listener's connections -> Service.peers -> Control
Never: shows what passes by a connection.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Peer"]


class Peer(Protocol):
    """One connection that a service has accepted."""

    @property
    def number(self) -> int:
        """Unique in the process; later ones have higher numbers."""

    @property
    def listener(self) -> str:
        """The name of the listener that accepted it."""

    @property
    def began(self) -> float:
        """When it was opened, in the loop's seconds."""

    def moved(self) -> tuple[int, int]:
        """Bytes received and sent so far."""

    def peer_text(self) -> str:
        """Who is at the other side."""

    def end(self, *, now: bool = False) -> None:
        """Close it once all that is written is sent, or now."""
