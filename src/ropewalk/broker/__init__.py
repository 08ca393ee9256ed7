"""Broker: remote objects. Perspective Broker for Python, and by its spec for any language.

Flow: class with `@remote` methods -> Host -> sessions; `connect` -> a reference -> calls, promises, streams
Never: reaches anything that was not shown to this session and marked as remote.
"""

from __future__ import annotations

from ropewalk.broker.about import deadline, remaining, trace, tracing
from ropewalk.broker.blocking import connect_sync, describe
from ropewalk.broker.client import connect, login, opened
from ropewalk.broker.copyables import copyable
from ropewalk.broker.errors import (
    BadArguments,
    Busy,
    Cancelled,
    CannotSend,
    Ended,
    Failed,
    Late,
    Lost,
    NoMethod,
    NoPath,
    NoReference,
    NoSturdy,
    UnknownType,
    WrongNode,
)
from ropewalk.broker.host import BadKind, Host, LoginRequired
from ropewalk.broker.limits import Limits
from ropewalk.broker.logins import Key
from ropewalk.broker.objects import Remote
from ropewalk.broker.offers import Object, Perspective, Reference, remote
from ropewalk.broker.promise import Promise, gather
from ropewalk.broker.reconnect import Backoff, Link, reconnecting
from ropewalk.broker.session import Session
from ropewalk.broker.shared import Shared, View
from ropewalk.broker.standing import Followed
from ropewalk.broker.streams import Stream
from ropewalk.broker.sturdy import Sturdies

__all__ = [
    "Backoff",
    "BadArguments",
    "BadKind",
    "Busy",
    "Cancelled",
    "CannotSend",
    "Ended",
    "Failed",
    "Followed",
    "Host",
    "Key",
    "Late",
    "Limits",
    "Link",
    "LoginRequired",
    "Lost",
    "NoMethod",
    "NoPath",
    "NoReference",
    "NoSturdy",
    "Object",
    "Perspective",
    "Promise",
    "Reference",
    "Remote",
    "Session",
    "Shared",
    "Stream",
    "Sturdies",
    "UnknownType",
    "View",
    "WrongNode",
    "connect",
    "connect_sync",
    "copyable",
    "deadline",
    "describe",
    "gather",
    "login",
    "opened",
    "reconnecting",
    "remaining",
    "remote",
    "trace",
    "tracing",
]
