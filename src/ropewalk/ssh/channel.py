"""Channel: the library's channel of a session, without what is not offered: environment, screens, agents.

Flow: the library -> requests on a channel -> Session; LANG is kept, any other variable is not
Never: keeps what a peer may send without end.
Source: RFC 4254 sections 5 and 6.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import SSHPacket

from ropewalk.ssh.errors import BadPacket

if TYPE_CHECKING:
    from ropewalk.ssh.connection import Connection

__all__ = ["SessionChannel"]

_KEPT = frozenset({b"LANG", b"TERM"})
_LONGEST = 64  # bytes of a variable
_LEAST_PACKET = 256  # bytes; who wants less makes each byte that we send dear


class SessionChannel(asyncssh.SSHServerChannel[bytes]):
    """A channel for a terminal."""

    @classmethod
    def of(cls, connection: Connection) -> SessionChannel:
        """A new one, that is not open yet."""
        told = connection.server.options
        loop = asyncio.get_running_loop()
        return cls(connection, loop, True, False, False, 0, 0, None, "strict", told.window, told.max_pktsize)

    def variable(self, name: bytes) -> str:
        """A variable of the environment, if it is one of those that are kept; else ""."""
        return self._env.get(name, b"").decode("ascii", "replace")

    def process_open(self, send_chan: int, send_window: int, send_pktsize: int, session: Any) -> None:
        """Open it, unless each byte is to come in a packet of its own."""
        if send_pktsize < _LEAST_PACKET:
            connection = self.get_connection()
            connection.wire.fail(BadPacket(f"a channel takes {send_pktsize} bytes a packet"))  # type: ignore[attr-defined]
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, "packets are too small")
        super().process_open(send_chan, send_window, send_pktsize, session)

    # The library finds these by their names.

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        if name not in _KEPT or len(value) > _LONGEST:
            return False
        self._env[name] = value
        return True

    def _process_x11_req_request(self, _packet: SSHPacket) -> bool:
        return False

    def _process_auth_agent_req_at_openssh_dot_com_request(self, _packet: SSHPacket) -> bool:  # type: ignore[override]
        return False
