"""Static: trees of files, served.

Flow: Tree(folder, config) -> any ASGI 3 server, or a mount of the web service
Never: serves a link, a device, a name that begins with a dot, or anything outside its folder.
"""

from __future__ import annotations

from ropewalk.web.static.config import BadTree, TreeConfig
from ropewalk.web.static.files import FileChanged
from ropewalk.web.static.trees import Tree

__all__ = ["BadTree", "FileChanged", "Tree", "TreeConfig"]
