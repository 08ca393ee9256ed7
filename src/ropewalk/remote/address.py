"""Address: where a node is, which one it is, and which of its offers is meant (docs/spec/node.md 1).

Flow: text that people pass on -> NodeAddress -> an endpoint that trusts this key and nothing else
Never: lets an address pass that names no key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

from ropewalk.net import BadEndpoint, Endpoint

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
        if endpoint.layers[:1] == ("tls",) and not any(endpoint.has(name) for name in ("pin", "ca", "dev")):
            # The node's certificate holds its own key, which we know: nobody else has to vouch for it.
            options = (*options, ("pin", f"sha256:{hashlib.sha256(_SPKI + key).hexdigest()}"))
        endpoint = replace(endpoint, options=tuple(sorted(options)), fragment=f"ed25519:{key.hex()}")
        return cls(endpoint, key, found[2] or "")
