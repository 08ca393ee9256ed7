"""Address: where a node is, which one it is, and which of its offers is meant (docs/spec/node.md 1).

Flow: text that people pass on -> NodeAddress -> an endpoint that trusts this key and nothing else
Never: lets an address pass that names no key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from ropewalk.net import BadEndpoint, Endpoint, NotVerified
from ropewalk.spaces.store import StoreGone

__all__ = ["NodeAddress"]

_FRAGMENT = re.compile(r"(?:ed25519:)?([0-9a-f]{64})(?:/([a-z0-9][a-z0-9._-]{0,63}))?\Z")
_SPKI = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: what stands before an Ed25519 key of 32 bytes


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A store of a node.

    Attributes:
        endpoint: How to get there; after its ``#`` stands the key of the node.
        key: That key.
        offer: The name of the offer, or "".
    """

    endpoint: Endpoint
    key: bytes
    offer: str

    @classmethod
    def parse(cls, text: str) -> NodeAddress:
        """The address in a text.

        Raises:
            BadEndpoint: It is none, or names no key.
        """
        endpoint = Endpoint.parse(text)
        found = _FRAGMENT.match(endpoint.fragment)
        if found is None:
            raise BadEndpoint(
                f"address {endpoint.place} has {endpoint.fragment!r:.100} after #, expected the node's key in 64"
                " hexadecimal digits in lower case, and maybe / and the name of an offer",
                hint="ask the node's owner for it: `ropewalk node show` prints it",
            )
        key = bytes.fromhex(found[1])
        options = endpoint.options
        if "tls" in endpoint.layers and not any(endpoint.has(name) for name in ("pin", "ca", "dev")):
            # The node's certificate holds its own key, which we know: nobody else has to vouch for it.
            options = (*options, ("pin", _pin(key)))
        endpoint = replace(endpoint, options=tuple(sorted(options)), fragment=f"ed25519:{key.hex()}")
        return cls(endpoint, key, found[2] or "")

    def __str__(self) -> str:
        """The one text of this address, however it was typed."""
        options = tuple(one for one in self.endpoint.options if one != ("pin", _pin(self.key)))
        return str(replace(self.endpoint, options=options)) + (f"/{self.offer}" if self.offer else "")

    def another(self, error: NotVerified) -> StoreGone:
        """That who answers there is not this node, in words of the address.

        Args:
            error: What was found instead.
        """
        expected, place = f"ed25519:{self.key.hex()}", self.endpoint.place
        if self.endpoint.option("pin") != _pin(self.key) or not error.shown:
            return StoreGone(f"node at {place} is not known by its certificate: {error}", hint=error.hint)
        if error.shown[:-32] != _SPKI:
            return StoreGone(
                f"certificate of {place} has a key that no node has, expected {expected}",
                hint="another machine may answer there; a node with a certificate of somebody else's has a pin in the"
                " address, as its owner's `ropewalk node show` prints it",
            )
        return StoreGone(
            f"node at {place} has key ed25519:{error.shown[-32:].hex()}, expected {expected}",
            hint="another machine may answer there, or somebody between: ask its owner what `ropewalk node show` says",
        )


def _pin(key: bytes) -> str:
    return f"sha256:{hashlib.sha256(_SPKI + key).hexdigest()}"
