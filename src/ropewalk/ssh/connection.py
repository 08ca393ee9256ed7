"""Connection: the library's server side of one connection, told who may log in and which channels there may be.

Flow: Wire -> the library: key exchange -> a key that has signed, or a password -> Portal.login -> channels -> Session
Never: asks the portal for a key before its signature is right, or tells which keys and names would do; forwards
       anything: ports, sockets, agents, screens.
Source: RFC 4252, RFC 4254.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

from ropewalk.auth import Anonymous, BadKey, Credentials, Denied, HeldKey, Password
from ropewalk.auth.keys import checked_key
from ropewalk.errors import Missing, Refused, Unavailable
from ropewalk.ssh.channel import SessionChannel
from ropewalk.ssh.errors import TooManyTries
from ropewalk.ssh.session import Session
from ropewalk.ssh.settings import SIGNATURES
from ropewalk.ssh.wire import Wire
from ropewalk.terminal import plain

if TYPE_CHECKING:
    from ropewalk.ssh.server import Server

__all__ = ["Connection", "Owner"]

_KEXINIT, _NEWKEYS, _LAST_OF_EXCHANGE = 20, 21, 49  # RFC 4250 section 4.1.2
_SIGNATURES = frozenset(name.encode() for name in SIGNATURES)


class Connection(asyncssh.SSHServerConnection):
    """The library's connection. Made by `Server.protocol`, once there is a transport."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions, server: Server, wire: Wire
    ) -> None:
        self.server, self.wire = server, wire
        self.offered = b""  # the key whose signature is looked at
        self._tries = 0
        super().__init__(loop, options)

    async def reload_config(self) -> None:
        """There is no configuration of the library's that could differ from user to user."""

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Whether a key may go on: any for the asking, and once it has signed, one that the portal lets in.

        To answer who only asks would tell anybody whose keys are whose: public keys are public.
        """
        try:
            checked_key(key_data)
        except BadKey:
            return False
        if not msg:
            return True
        if _algorithm(signature) not in _SIGNATURES:
            return False
        self.offered = key_data
        try:
            signed = await super().validate_public_key(username, key_data, msg, signature)
        finally:
            self.offered = b""
        return signed and await self.try_login(HeldKey(username, key_data))

    async def try_login(self, credentials: Credentials) -> bool:
        """Ask the portal, as often as one connection may."""
        server, wire = self.server, self.wire
        if wire.over or server.login_of(wire) is not None or server.host.portal is None:
            return False
        self._tries += 1
        if self._tries <= wire.limits.tries:
            try:
                login = await server.host.portal.login(credentials, server.host.wanted, wire.channel)
            except Denied:
                pass
            except (Refused, Missing, Unavailable) as error:
                self._say(f"{error}{f': {error.hint}' if error.hint else ''}")
            else:
                if server.hold(login, wire):
                    return True
                await login.logout()
        if self._tries >= wire.limits.tries:
            why = TooManyTries("too many logins failed on this connection")
            wire.fail(why, asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE)
        return False

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send, and tell the wire what it is; one that finds an old key begins an exchange of keys first."""
        if pkttype == _KEXINIT:
            self.wire.exchange(True)
        super().send_packet(pkttype, *args, handler=handler)
        if pkttype == _NEWKEYS:
            self.wire.exchange(False)
        elif pkttype > _LAST_OF_EXCHANGE:
            self.wire.sent(sum(map(len, args)))

    def _say(self, text: str) -> None:
        if not self.wire.over:
            self.send_auth_banner(f"{plain(text)}\r\n")


class Owner(asyncssh.SSHServer):
    """What the library asks about a connection."""

    _connection: Connection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """It is connected."""
        assert isinstance(conn, Connection)
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._connection.wire.ended(exc)

    async def begin_auth(self, _username: str) -> bool:
        """Whether somebody has to log in: not where no way of it is known but to be nobody."""
        connection = self._connection
        portal = connection.server.host.portal
        if portal is None:
            return False
        if portal.takes & {Password, HeldKey}:
            return True
        return not await connection.try_login(Anonymous())

    def auth_completed(self) -> None:
        """Somebody is in."""
        self._connection.wire.entered()

    def public_key_auth_supported(self) -> bool:
        """Where the portal takes keys; see `options`."""
        return True

    def validate_public_key(self, _username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is the key whose signature the library is to look at now."""
        return bool(self._connection.offered) and key.public_data == self._connection.offered

    def password_auth_supported(self) -> bool:
        """Where the portal takes passwords; see `options`."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Whether the portal lets them in."""
        return await self._connection.try_login(Password(username, password))

    def session_requested(self) -> tuple[SessionChannel, Session]:
        """A channel for a terminal.

        Raises:
            asyncssh.ChannelOpenError: There are as many as may be.
        """
        connection = self._connection
        if len(connection.wire.sessions) >= connection.wire.limits.channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "there are too many channels already")
        session = Session(connection.server, connection.wire)
        connection.wire.opened(session)
        return SessionChannel.of(connection), session


def _algorithm(signature: bytes) -> bytes:
    try:
        return SSHPacket(signature).get_string()
    except PacketDecodeError:
        return b""
