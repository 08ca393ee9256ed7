"""One process runs the node of a home; others see where it listens for as long as it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ropewalk.node import Node, NodeRunning, listening
from ropewalk.node.running import LOCK_FILE, Claim
from tests.node.making import a_node


def test_what_is_told_is_seen_while_the_claim_is_held(folder: Path) -> None:
    assert listening(folder) is None
    claim = Claim(folder / "state")
    claim.tell(["tls://a:1"])  # without the claim, nothing
    assert listening(folder / "state") is None
    claim.take()
    assert listening(folder / "state") == []
    claim.tell(["tls://a:1", "tls://b:2"])
    claim.tell(["tls://b:2"])
    assert listening(folder / "state") == ["tls://b:2"]
    claim.leave()
    claim.leave()
    assert listening(folder / "state") is None


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b"7", b'{"listen": 7}', b'{"listen": [7]}', b"\xff"])
def test_what_is_half_written_is_no_address(folder: Path, junk: bytes) -> None:
    claim = Claim(folder)
    claim.take()
    (folder / LOCK_FILE).write_bytes(junk)
    assert listening(folder) == []
    claim.leave()


async def test_a_second_node_of_a_home_is_refused_and_disturbs_nothing(folder: Path) -> None:
    async with a_node(folder / "home"):
        second = Node(folder / "home", folder / "home" / "state")
        with pytest.raises(NodeRunning, match="another process"):
            await second.open()
        await second.aclose()
        assert listening(folder / "home" / "state") == []
    async with a_node(folder / "home"):
        pass
