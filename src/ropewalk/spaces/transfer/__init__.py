"""Transfer: trees of local files into a space, and out of it.

Flow: local folder -> scan -> put -> Change; Version -> get -> local folder
Never: follows a symbolic link, or leaves out a file without naming it.
"""

from __future__ import annotations

from ropewalk.spaces.transfer.get import get_tree
from ropewalk.spaces.transfer.put import put_tree
from ropewalk.spaces.transfer.report import Progress, Report, Skipped

__all__ = ["Progress", "Report", "Skipped", "get_tree", "put_tree"]
