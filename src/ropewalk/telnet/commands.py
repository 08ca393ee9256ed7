"""Commands: bytes of telnet cut into what is text and what is not, however they come in.

Flow: bytes -> Commands.feed -> text, and whole commands, each in its place
Never: keeps more than one command that has not come whole; knows what an option means.
Source: RFC 854, RFC 855.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ropewalk.errors import PeerFault

__all__ = ["LONGEST_SUBNEGOTIATION", "Command", "Commands", "Negotiation", "Subnegotiation", "SubnegotiationTooLong"]

LONGEST_SUBNEGOTIATION = 4096  # bytes; names of terminals, sizes of windows and some variables need a tenth
IAC, SB, SE = 255, 250, 240
_NEGOTIATION = frozenset({251, 252, 253, 254})  # WILL, WONT, DO, DONT
_TEXT = re.compile(rb"(?:[^\xff]|\xff\xff)+")
_SUBNEGOTIATION = re.compile(rb"\xff\xfa((?:[^\xff]|\xff\xff)*)(?:\xff([^\xff]))?", re.DOTALL)


class SubnegotiationTooLong(PeerFault):
    """The peer began to say something about an option and did not come to an end."""

    code = "telnet.subnegotiation-too-long"

    def __init__(self) -> None:
        super().__init__(f"subnegotiation is longer than {LONGEST_SUBNEGOTIATION} bytes")


@dataclass(frozen=True, slots=True)
class Command:
    """IAC and one byte, such as 244: interrupt."""

    code: int


@dataclass(frozen=True, slots=True)
class Negotiation:
    """WILL, WONT, DO or DONT, and an option; the two bytes as they came."""

    said: bytes


@dataclass(frozen=True, slots=True)
class Subnegotiation:
    """What is said about an option: its number first, then what it makes of it."""

    said: bytes


class Commands:
    """Tells text from commands."""

    def __init__(self) -> None:
        self._held = b""  # a command that has not come whole

    def feed(self, data: bytes) -> Iterator[bytes | Command | Negotiation | Subnegotiation]:
        """All that is whole by now, in order; it must be iterated to its end before more is fed.

        A subnegotiation that another command breaks off says nothing.

        Raises:
            SubnegotiationTooLong: In its place.
        """
        data, self._held = self._held + data, b""
        at = 0
        while at < len(data):
            if data[at] != IAC or data[at : at + 2] == b"\xff\xff":
                found = _TEXT.match(data, at)
                assert found is not None
                at = found.end()
                yield found[0].replace(b"\xff\xff", b"\xff")
                continue
            code = data[at + 1] if at + 1 < len(data) else None
            if code == SB:
                at, said = self._subnegotiation(data, at)
                if said is not None:
                    yield Subnegotiation(said)
            elif code is None or (code in _NEGOTIATION and at + 2 == len(data)):
                self._held = data[at:]
                return
            elif code in _NEGOTIATION:
                yield Negotiation(data[at + 1 : at + 3])
                at += 3
            else:
                yield Command(code)
                at += 2

    def _subnegotiation(self, data: bytes, at: int) -> tuple[int, bytes | None]:
        """Where it ends, and what it says: nothing where it was broken off, None where it is not whole, and held."""
        found = _SUBNEGOTIATION.match(data, at)
        assert found is not None
        if len(found[1]) > LONGEST_SUBNEGOTIATION:
            raise SubnegotiationTooLong
        if found[2] is None:
            self._held = data[at:]
            return len(data), None
        if found[2][0] != SE:
            return found.end() - 2, b""  # what breaks it off counts
        return found.end(), found[1].replace(b"\xff\xff", b"\xff")
