"""Services that listen."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ropewalk.errors import Missing
from ropewalk.metrics import Registry
from ropewalk.net.certificates import Certificates
from ropewalk.net.echo import EchoService
from ropewalk.net.serving import ServingConfig
from ropewalk.service import Context


async def test_certificates_that_are_wrong_keep_no_others_from_being_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def reload(certificates: Certificates) -> None:
        read.append(certificates.name)  # type: ignore[attr-defined]
        if len(read) == 1:
            raise Missing("no file")

    monkeypatch.setattr(Certificates, "reload", reload)
    echo = EchoService(ServingConfig("tcp://*:0"), Context("echo", "a", Registry()))
    for name in ("left", "right"):
        certificates = Certificates.__new__(Certificates)
        certificates.name = name  # type: ignore[attr-defined]
        echo.listeners.append(SimpleNamespace(certificates=certificates))  # type: ignore[arg-type]
    with pytest.raises(Missing):
        await echo.reload()
    assert read == ["left", "right"]
