"""Endpoints, listeners and connections: a protocol is written once and served over whatever a URL says.

Flow: URL -> listen, connect -> asyncio's own transports and protocols
Never: asks a protocol to know what carries it.
"""

from __future__ import annotations

from ropewalk.net.certificates import Certificates, FixedContext, GivesContext
from ropewalk.net.connect import connect
from ropewalk.net.connection import fault
from ropewalk.net.endpoint import Endpoint
from ropewalk.net.errors import (
    AddressInUse,
    BadCertificate,
    BadEndpoint,
    BadProxyHeader,
    ConnectionRefused,
    ConnectTimeout,
    HandshakeFailed,
    NameNotFound,
    NoSuchSocket,
    NotCarried,
    NotPermitted,
    NotVerified,
    Overloaded,
    Unreachable,
    WebSocketFault,
)
from ropewalk.net.guard import start_tls
from ropewalk.net.limits import BadLimit, Limits
from ropewalk.net.lines import LONGEST_LINE, LineProtocol, LineReader, LineTooLong
from ropewalk.net.listen import listen
from ropewalk.net.listener import Listener
from ropewalk.net.pins import pin_of, pin_of_file, shown_pin
from ropewalk.net.proxy import Proxied
from ropewalk.net.serve import serve

__all__ = [
    "LONGEST_LINE",
    "AddressInUse",
    "BadCertificate",
    "BadEndpoint",
    "BadLimit",
    "BadProxyHeader",
    "Certificates",
    "ConnectTimeout",
    "ConnectionRefused",
    "Endpoint",
    "FixedContext",
    "GivesContext",
    "HandshakeFailed",
    "Limits",
    "LineProtocol",
    "LineReader",
    "LineTooLong",
    "Listener",
    "NameNotFound",
    "NoSuchSocket",
    "NotCarried",
    "NotPermitted",
    "NotVerified",
    "Overloaded",
    "Proxied",
    "Unreachable",
    "WebSocketFault",
    "connect",
    "fault",
    "listen",
    "pin_of",
    "pin_of_file",
    "serve",
    "shown_pin",
    "start_tls",
]
