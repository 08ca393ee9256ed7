"""Terminals: a conversation in text with one person, whatever carries it.

Flow: a carrier (telnet, SSH, a socket, a page) -> Terminal -> Host, which lets its visitor in -> the talk
Never: knows a protocol, or what the talk is about.
"""

from __future__ import annotations

from ropewalk.terminal.host import Host, can_edit
from ropewalk.terminal.interface import (
    BadTerminal,
    Carrier,
    Complete,
    Ended,
    Interrupted,
    Limits,
    LineTooLong,
    Talk,
)
from ropewalk.terminal.login import NoLogin
from ropewalk.terminal.plain import plain
from ropewalk.terminal.talks import BadTalk, check_talk, hosted
from ropewalk.terminal.terminal import Terminal

__all__ = [
    "BadTalk",
    "BadTerminal",
    "Carrier",
    "Complete",
    "Ended",
    "Host",
    "Interrupted",
    "Limits",
    "LineTooLong",
    "NoLogin",
    "Talk",
    "Terminal",
    "can_edit",
    "check_talk",
    "hosted",
    "plain",
]
