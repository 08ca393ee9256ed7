"""Pages: the spaces of a node in a browser: files, their versions, uploads, downloads, previews.

Flow: PagesService, or any ASGI server -> SpacePages -> gate -> pages; open spaces come from whoever keeps them open
Never: opens a space by itself.
"""

from __future__ import annotations

from ropewalk.pages.app import NoSuchPage, SpacePages
from ropewalk.pages.entrance import Entrance, FolderOpen
from ropewalk.pages.gate import Gate, Visitor
from ropewalk.pages.hosts import ForeignHost, Hosts
from ropewalk.pages.opened import HeldSpaces, NoSuchSpace, NotOpen, Spaces
from ropewalk.pages.service import LISTEN, PagesConfig, PagesService
from ropewalk.pages.sessions import Session, Sessions

__all__ = [
    "LISTEN",
    "Entrance",
    "FolderOpen",
    "ForeignHost",
    "Gate",
    "HeldSpaces",
    "Hosts",
    "NoSuchPage",
    "NoSuchSpace",
    "NotOpen",
    "PagesConfig",
    "PagesService",
    "Session",
    "Sessions",
    "SpacePages",
    "Spaces",
    "Visitor",
]
