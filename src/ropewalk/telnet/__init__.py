"""Telnet: conversations in text with people and programs, over any endpoint.

Flow: a listener -> Telnet for each connection -> Terminal -> Host -> the talk
Never: hides anything by itself: it is as secret as its endpoint.
"""

from __future__ import annotations

from ropewalk.telnet.commands import SubnegotiationTooLong
from ropewalk.telnet.negotiation import NoTelnet
from ropewalk.telnet.protocol import Telnet, TooManyCommands
from ropewalk.telnet.service import BadEncoding, TelnetConfig, TelnetService

__all__ = [
    "BadEncoding",
    "NoTelnet",
    "SubnegotiationTooLong",
    "Telnet",
    "TelnetConfig",
    "TelnetService",
    "TooManyCommands",
]
