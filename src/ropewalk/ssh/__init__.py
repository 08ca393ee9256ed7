"""SSH: conversations over SSH, for whom a portal lets in by key or password.

Flow: configuration -> SshService -> a listener of net's -> Wire, the library's connection -> Session -> Terminal
Never: imports the library before a service of this kind starts: it is an extra, under a licence of its own.
"""

from __future__ import annotations

from ropewalk.ssh.commands import Commands, exit_status, is_command
from ropewalk.ssh.errors import BadHostKey, HostKeyUnreadable, NotInstalled
from ropewalk.ssh.host_key import HostKey, host_key
from ropewalk.ssh.limits import SshLimits
from ropewalk.ssh.service import SshConfig, SshService

__all__ = [
    "BadHostKey",
    "Commands",
    "HostKey",
    "HostKeyUnreadable",
    "NotInstalled",
    "SshConfig",
    "SshLimits",
    "SshService",
    "exit_status",
    "host_key",
    "is_command",
]
