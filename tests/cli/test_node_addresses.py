"""`ropewalk up`: what it prints works when it is pasted, and its page of metrics shows what it keeps."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

from ropewalk.cli.reach import node_file, reached
from ropewalk.net import pin_of_file
from ropewalk.spaces.home import Home
from tests.cli.conftest import As, Run
from tests.cli.noding import up
from tests.net.peers import certificate

PATIENCE = 300  # looks at a page until something in the background was counted


def numbers(page: Path) -> dict[str, float]:
    """What a page shows, without the families that every program has."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(page))
        peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: peer.recv(1 << 16), b"")).decode()
    assert text.startswith("HTTP/1.1 200 ")
    lines = re.findall(r"^ropewalk_((?:node|space)_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in lines}


@pytest.mark.system
@pytest.mark.slow
def test_addresses_work_as_printed_and_the_page_counts(user: Path, machine: As) -> None:
    for home in ("anna", "bob"):
        machine(home, "init", "--yes")
    for name in ("disk1", "disk2"):
        machine("anna", "node", "offer", name, str(user / name), "--quota", "2G")
        machine("anna", "node", "allow", machine("bob", "node", "key", "-q").out.strip(), "--offer", name)
    for name in ("own1", "own2"):
        machine("anna", "store", "add", name, str(user / name), "--domain", f"machine=anna,disk={name}")
    words = "--stores own1,own2 --survive 1 --across store"
    machine("anna", "space", "create", "letters", *words.split())
    with up(user, "anna", "--listen", "wss://127.0.0.1:0", "--metrics", "unix:page") as anna:
        addresses = anna.told["addresses"]
        assert [one.partition(":")[0] for one in addresses] == ["tls", "wss"]
        for name, address in zip(("disk1", "disk2"), addresses, strict=True):
            added = machine("bob", "store", "add", name, f"{address}/{name}", "--domain", "machine=anna", "--json")
            assert added.json["granted"], "by its key alone, over either"
            assert added.json["place"] == f"{address}/{name}"
        shown: dict[str, float] = {}
        for _ in range(PATIENCE):  # the space is opened in the background
            shown = numbers(user / "page")
            if 'space_stores{space="letters",state="up"}' in shown:
                break
            machine("anna", "status", "letters")
        assert shown['space_stores{space="letters",state="up"}'] == 2
        assert shown['space_owed{kind="shares",space="letters"}'] == 0
        for name in ("disk1", "disk2"):
            assert shown[f'node_offer_up{{offer="{name}"}}'] == 1
            assert shown[f'node_quota_bytes{{offer="{name}"}}'] == 2 << 30
            assert shown[f'node_put_total{{offer="{name}"}}'] > 0, "Bob's look at the store put something"
        assert anna.stop() == 0


def test_a_certificate_of_somebody_else_s_is_pinned_in_the_address(run: Run, user: Path) -> None:
    run("init", "--yes")
    home, shown = Home.of_user(), certificate(user, "localhost")
    urls = [f"{scheme}://anna.example:4433?cert={shown['cert']}&key={shown['key']}" for scheme in ("tls", "wss")]
    node_file(home).update(lambda old: replace(old, listen=(*urls, "wss://anna.example:8443")))
    key = f"ed25519:{reached(home).key}"
    pin = pin_of_file(shown["cert"])
    assert list(reached(home).addresses) == [
        f"tls://anna.example:4433?pin={pin}#{key}",
        f"wss://anna.example:4433?pin={pin}#{key}",
        f"wss://anna.example:8443#{key}",
    ]
    (user / "cert.pem").unlink()
    assert list(reached(home).addresses) == [f"wss://anna.example:8443#{key}"], "the others cannot be listened on"
