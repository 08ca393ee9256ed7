"""`ropewalk up --new --page`: from nothing to pages in a browser of this machine, and back to nothing that listens."""

from __future__ import annotations

import stat
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ropewalk.node.settings import NodeFile, NodeSettings
from tests.cli.conftest import As
from tests.cli.noding import up

pytestmark = [pytest.mark.system, pytest.mark.slow]


def asked(address: str) -> tuple[int, str]:
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    try:
        connection.request("GET", "/")
        with connection.getresponse() as answer:
            return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_from_nothing_to_pages_and_a_space(user: Path, machine: As) -> None:
    with up(user, "bob", "--new", "--yes", "--page", "tcp://127.0.0.1:0") as bob:
        assert bob.told["spaces"] == ["files"]
        status, page = asked(bob.told["page"])
        assert status == 403
        assert "/files/" not in page, "a stranger is told of no space"
        assert stat.S_IMODE(Path(bob.told["opens"]).stat().st_mode) == 0o600
        lines = machine("bob", "console", "services", "--json").json
        assert {one["name"]: one["state"] for one in lines}["pages"] == "up"
        machine("bob", "console", "stop", "node")
        again = machine("bob", "up", "--listen", "tls://127.0.0.1:0", status=5)
        assert "is run by another process" in again.err, "also while its node is stopped"
        assert bob.stop() == 0
        assert not Path(bob.told["opens"]).exists()


def test_the_page_is_where_node_toml_says_and_nowhere_without_it(user: Path, machine: As) -> None:
    machine("bob", "init", "--yes")
    with up(user, "bob") as bob:
        assert "page" not in bob.told
        assert bob.stop() == 0
    file = user.parent / "bob" / "node.toml"
    file.write_text('page = "tcp://127.0.0.1:0"\n')
    assert NodeFile(file).load() == NodeSettings(page="tcp://127.0.0.1:0")
    with up(user, "bob") as bob:
        assert asked(bob.told["page"])[0] == 403
        assert bob.stop() == 0
