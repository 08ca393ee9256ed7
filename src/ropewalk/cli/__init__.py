"""The command line: one file a command, or a few that belong together.

Flow: main -> app -> a command's file -> ropewalk.spaces -> words, JSON, an exit status
Never: imports a command, or what it needs, before that command is called.
"""

from __future__ import annotations
