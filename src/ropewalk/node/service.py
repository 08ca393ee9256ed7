"""Service: a node as one service of an application.

Flow: configuration -> Node, listeners -> sessions; stop: asked to end, then closed
Never: makes settings; `ropewalk node` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from ropewalk import broker
from ropewalk.net import Endpoint, Listener, pin_of_file
from ropewalk.net.serving import Serving, ServingConfig, listening, of_key
from ropewalk.node.node import KEY_FILE, Node
from ropewalk.service import Context
from ropewalk.spaces.home import Home

__all__ = ["LISTEN", "NodeConfig", "NodeService", "way_in"]

LISTEN = "tls://*:4433"
_REST = 0.1  # of the seconds of a stop: for calls that wait


class NodeConfig(ServingConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The keys of kind ``node``.

    Attributes:
        listen: Endpoints; those with TLS that name no certificate show the node's own.
        home: The folder of its user's settings; the user's own by default.
    """

    listen: str | tuple[str, ...] = LISTEN
    home: str = ""

    def __post_init__(self) -> None:
        """Find here what can be found without listening: a check and a reload then find it too."""
        for url in self.urls:
            with of_key("listen"):
                listening(url)

    @property
    def user(self) -> Home:
        """Whose node it is."""
        return Home(Path(self.home), Path(self.home) / "state") if self.home else Home.of_user()

    @property
    def urls(self) -> tuple[str, ...]:
        """Where to listen, with the certificate."""
        given = (self.listen,) if isinstance(self.listen, str) else self.listen
        return tuple(_shown(url, self.user.config / KEY_FILE) for url in given)


def _shown(url: str, certificate: Path) -> str:
    endpoint = Endpoint.parse(url)
    if "tls" not in endpoint.layers or endpoint.has("cert") or endpoint.has("dev"):
        return url
    return str(replace(endpoint, options=(*endpoint.options, ("cert", str(certificate)))))


def _absolute(endpoint: Endpoint) -> Endpoint:
    """For commands that run in another folder."""
    return endpoint.within(cert=str(Path(endpoint.option("cert")).absolute())) if endpoint.has("cert") else endpoint


def way_in(endpoint: Endpoint, own: Path) -> Endpoint:
    """What others need to come to an endpoint that is listened on, with the pin of a certificate besides the node's.

    Args:
        endpoint: Of a listener.
        own: The file with the node's key: whoever has the address knows that.

    Raises:
        BadEndpoint: It has no URL, such as a socket of systemd's.
        BadCertificate: The certificate cannot be read.
    """
    shown = endpoint.option("cert")
    vouched = not shown or Path(shown).absolute() == own.absolute() or any(endpoint.has(name) for name in ("pin", "ca"))
    return endpoint.peer(pin=None if vouched else pin_of_file(shown))


class NodeService(Serving):
    """Kind ``node``.

    Attributes:
        node: What it serves.
    """

    Config = NodeConfig
    config: NodeConfig

    node: Node

    def __init__(self, config: NodeConfig, context: Context) -> None:
        super().__init__(config, context)

    async def start(self) -> None:
        """Open what is offered, then listen."""
        user = self.config.user
        self.node = Node(user.config, user.state)
        self.owned.push_async_callback(self.node.aclose)
        await self.node.open()
        self.tasks.create_task(self.node.work())
        await super().start()
        self.node.claim.tell([str(_absolute(listener.endpoint)) for listener in self.listeners])

    @property
    def addresses(self) -> list[Endpoint]:
        """Where it is reached, with its key."""
        own = self.config.user.config / KEY_FILE
        return [self.node.host.address(way_in(listener.endpoint, own)) for listener in self.listeners]

    def protocol(self) -> broker.Session:
        """A session."""
        return self.node.host.protocol()

    async def stop(self, seconds: float) -> None:
        """Take no more sessions, and let what was asked be answered."""
        self.node.stop_waits()
        await super().stop(seconds)
        await self.node.host.close(seconds * _REST)

    async def ask_to_end(self, listener: Listener, seconds: float) -> int:
        """Say GOAWAY to each session of a listener."""
        return await listener.drain(seconds, lambda _, protocol: cast("broker.Session", protocol).close("it stops"))

    async def reload(self) -> None:
        """Look at the settings and the certificates now."""
        await self.node.look()
        await super().reload()

    def statistics(self) -> Mapping[str, float]:
        """How many are connected, and what is offered."""
        return {"sessions": len(self.node.host.sessions), "offers": len(self.node.offers)}
