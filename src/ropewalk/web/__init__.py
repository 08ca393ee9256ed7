"""The web: any ASGI app on any endpoint, many of them under one roof, WebSockets, static trees.

Flow: listener -> Site.protocol -> HTTP/1 -> the app of the path -> answers in order
Never: trusts what comes in, or lets one peer's slowness be another's.
"""

from __future__ import annotations

from ropewalk.web.body_limit import BodyLimit
from ropewalk.web.by_host import ByHost
from ropewalk.web.errors import BadApp, BadRequest, BrokenAnswer, Disconnected, NotStarted
from ropewalk.web.events import Event, EventStream
from ropewalk.web.headers import SecurityHeaders
from ropewalk.web.hosts import BadHostName
from ropewalk.web.limits import BadWebLimit, WebLimits
from ropewalk.web.mounts import Mounts
from ropewalk.web.quick import Answer, Asked
from ropewalk.web.site import Site
from ropewalk.web.static import BadTree, FileChanged, Tree, TreeConfig

__all__ = [
    "Answer",
    "Asked",
    "BadApp",
    "BadHostName",
    "BadRequest",
    "BadTree",
    "BadWebLimit",
    "BodyLimit",
    "BrokenAnswer",
    "ByHost",
    "Disconnected",
    "Event",
    "EventStream",
    "FileChanged",
    "Mounts",
    "NotStarted",
    "SecurityHeaders",
    "Site",
    "Tree",
    "TreeConfig",
    "WebLimits",
]
