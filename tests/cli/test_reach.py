"""Which addresses of a node are handed out: all that another machine can use."""

from __future__ import annotations

import pytest

from ropewalk.cli.reach import Reached
from ropewalk.spaces.invites import MOST_PATHS

KEY = "ab" * 32
FAR, WEB = f"tls://anna.example:4433#ed25519:{KEY}", f"wss://anna.example/rope#ed25519:{KEY}"
LOOP, SOCKET = f"tls://127.0.0.1:4433#ed25519:{KEY}", f"unix:/run/rope#ed25519:{KEY}"
MANY = [f"tls://10.0.0.{at}:4433#ed25519:{KEY}" for at in range(9)]


@pytest.mark.parametrize(
    ("addresses", "outside"),
    [
        pytest.param([FAR, WEB], [FAR, WEB], id="all"),
        pytest.param([LOOP, FAR, SOCKET, WEB], [FAR, WEB], id="not what leads nowhere from elsewhere"),
        pytest.param([SOCKET, LOOP], [SOCKET, LOOP], id="those of this machine where there are no others"),
        pytest.param(MANY, MANY[:MOST_PATHS], id="no more than an invite takes"),
        pytest.param([], [], id="none"),
    ],
)
def test_all_that_another_machine_can_use(addresses: list[str], outside: list[str]) -> None:
    assert list(Reached(KEY, True, addresses, "").outside) == outside
