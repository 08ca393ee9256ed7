"""Which addresses of a node are handed out: all that another machine can use."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.cli.reach import Reached, meeting_near
from ropewalk.node import node_key
from ropewalk.node.node import KEY_FILE, SETTINGS_FILE
from ropewalk.node.running import Claim
from ropewalk.spaces.home import Home
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


def test_an_invite_meets_at_the_node_that_runs_whether_it_has_settings_or_not(tmp_path: Path) -> None:
    home = Home(tmp_path / "config", tmp_path / "state")
    home.config.mkdir()
    assert meeting_near(home, []) is None
    assert not (home.config / KEY_FILE).exists(), "to look makes no node"
    key = node_key(home.config / KEY_FILE).public_key().public_bytes_raw().hex()
    assert meeting_near(home, []) is None, "it does not run"
    claim = Claim(home.state)
    claim.take()
    try:
        claim.tell(["tls://198.51.100.7:4433"])
        near = meeting_near(home, [])
        assert near is not None
        assert near[0].startswith("tls://198.51.100.7:4433")
        assert near[0].endswith(f"#ed25519:{key}")
        claim.tell(["tls://127.0.0.1:4433"])
        assert meeting_near(home, []) is None, "nobody from elsewhere would reach it"
        (home.config / SETTINGS_FILE).write_text("format = 1\n")
        near = meeting_near(home, [])
        assert near is not None, "who runs it has said where"
        assert near[0].startswith("tls://127.0.0.1:4433")
    finally:
        claim.leave()
    assert meeting_near(home, []) is None
