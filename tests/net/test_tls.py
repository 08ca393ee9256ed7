"""TLS: who is verified how, what is refused, and certificates that change while all runs on."""

from __future__ import annotations

import asyncio
import os
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from ropewalk import net
from ropewalk.metrics import Registry, using
from ropewalk.net.certificates import Certificates
from ropewalk.net.development import DevelopmentAuthority
from ropewalk.testing.recorder import Recorder
from tests.net.loops import each_loop
from tests.net.peers import Echo, answer, certificate, counted, echoed, until

FAILED = "ropewalk_net_handshake_failures_total"


def url(files: dict[str, str], *names: str, host: str = "127.0.0.1") -> str:
    return f"tls://{host}:0?" + "&".join(f"{name}={files[name]}" for name in names)


@each_loop
async def test_authority_is_trusted_and_no_other(files: dict[str, str]) -> None:
    async with await net.listen(url(files, "cert", "key"), Echo) as listener:
        peer = listener.endpoint.peer()
        assert await echoed(peer.within(ca=files["ca"])) == b"hello"
        with pytest.raises(net.NotVerified) as caught:
            await net.connect(peer, Recorder)
        assert caught.value.code == "net.not-verified"
        assert "ca=FILE" in caught.value.hint


@each_loop
async def test_name_must_fit(files: dict[str, str]) -> None:
    async with await net.listen(url(files, "cert", "key", "ca"), Echo) as listener:
        with pytest.raises(net.NotVerified, match="mismatch"):
            await net.connect(listener.endpoint.peer().within(server_name="other.example"), Recorder)


@each_loop
async def test_pinned_key_is_trusted_and_no_other(files: dict[str, str]) -> None:
    pin = net.pin_of_file(Path(files["cert"]))
    other = "sha256:" + "0" * 64
    async with await net.listen(url(files, "cert", "key"), Echo) as listener:
        assert await echoed(listener.endpoint.peer(pin=pin)) == b"hello"
        assert await echoed(listener.endpoint.peer(pin=f"{other},{pin}")) == b"hello"
        told: list[Recorder] = []

        def factory() -> Recorder:
            told.append(Recorder())
            return told[-1]

        with pytest.raises(net.NotVerified, match="expected sha256:0000"):
            await net.connect(listener.endpoint.peer(pin=other), factory)
        assert told[0].calls == []  # it never knew of the connection
        with pytest.raises(net.NotVerified):  # both are asked for
            await net.connect(listener.endpoint.peer(pin=other).within(ca=files["ca"]), factory)


@each_loop
async def test_clients_show_certificates_where_they_must(files: dict[str, str], tmp_path: Path) -> None:
    client = certificate(tmp_path, "client.example")
    async with await net.listen(
        url(files, "cert", "key", "ca") + f"&client_ca={client['ca']}", Echo, name="m"
    ) as listener:
        peer = listener.endpoint.peer()
        assert await echoed(peer.within(cert=client["cert"], key=client["key"])) == b"hello"
        transport, protocol = await _until_lost(peer)
        assert transport.is_closing()
        assert not protocol.received


async def _until_lost(peer: net.Endpoint) -> tuple[asyncio.Transport, Recorder]:
    """Under TLS 1.3 a client learns after its own handshake that the server does not want it."""
    transport, protocol = await net.connect(peer, Recorder)
    transport.write(b"hello")
    await protocol.until_lost()
    return transport, protocol


@each_loop
async def test_development_authority_is_made_once_and_trusted_by_who_says_so(state: Path) -> None:
    for _ in range(2):
        async with await net.listen("tls://localhost:0?dev", Echo) as listener:
            assert await echoed(listener.endpoint.peer()) == b"hello"
            with pytest.raises(net.NotVerified):
                await net.connect(f"tls://localhost:{listener.endpoint.port}", Recorder)
    secret = state / "ropewalk" / "development-ca.pem"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert DevelopmentAuthority.of_user().certificate().read_bytes() in secret.read_bytes()
    assert sorted(os.listdir(secret.parent)) == ["development-ca.crt", "development-ca.pem"]


def test_broken_development_authority_is_told(state: Path) -> None:
    folder = state / "ropewalk"
    folder.mkdir(parents=True)
    (folder / "development-ca.pem").write_text("junk")
    with pytest.raises(net.BadCertificate) as caught:
        DevelopmentAuthority(folder).certificate()
    assert "remove" in caught.value.hint


async def test_listener_without_a_certificate_is_refused() -> None:
    with pytest.raises(net.BadEndpoint, match="no certificate"):
        await net.listen("tls://127.0.0.1:0", Echo)


async def test_context_of_the_users_own_is_taken(files: dict[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["cert"], files["key"])
    async with await net.listen("tls://127.0.0.1:0", Echo, certificates=context) as listener:
        assert await echoed(listener.endpoint.peer().within(ca=files["ca"])) == b"hello"


async def test_protocols_are_agreed_on(files: dict[str, str]) -> None:
    async with await net.listen(url(files, "cert", "key", "ca") + "&alpn=a,http/1.1", Echo) as listener:
        peer = listener.endpoint.peer()
        transport, _ = await net.connect(peer.within(alpn="http/1.1"), Recorder)
        assert transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        assert transport.get_extra_info("ropewalk.private") is True
        transport.abort()


async def test_old_versions_are_not_spoken(files: dict[str, str]) -> None:
    context = Certificates(Path(files["cert"]), Path(files["key"])).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@each_loop
async def test_what_is_not_tls_is_refused_with_a_reason(files: dict[str, str]) -> None:
    registry = Registry()
    with using(registry):
        async with await net.listen(url(files, "cert", "key", "ca"), Echo, name="t") as listener:
            await answer(listener.endpoint, b"GET / HTTP/1.1\r\n\r\n")
            await answer(listener.endpoint, b"hello, is anybody there?\r\n")
            assert counted(registry, FAILED, listener="t", reason="not-tls") == 2
            await answer(listener.endpoint, b"\x16\x03\x01\x00\x05hello")
            await until(lambda: counted(registry, FAILED, listener="t", reason="tls"))
            await answer(listener.endpoint, b"\x16\x03\x01", end=True)
            await until(lambda: counted(registry, FAILED, listener="t", reason="lost"))
            assert counted(registry, "ropewalk_net_connections_total", listener="t") == 0
            assert await echoed(listener.endpoint.peer()) == b"hello"


@each_loop
async def test_tls_to_who_does_not_speak_it_is_told(files: dict[str, str]) -> None:
    class Rude(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.write(b"220 mail.example ESMTP\r\n")

    async with await net.listen("tcp://127.0.0.1:0", Rude) as listener:
        with pytest.raises(net.HandshakeFailed) as caught:
            await net.connect(f"tls://127.0.0.1:{listener.endpoint.port}?ca={files['ca']}", Recorder)
        assert caught.value.code == "net.handshake-failed"


async def test_tls_on_a_plain_port_is_the_protocols_to_judge(files: dict[str, str]) -> None:
    async with await net.listen("tcp://127.0.0.1:0", Echo) as listener:
        with pytest.raises(net.HandshakeFailed):  # an echo of one's own greeting is no greeting
            await net.connect(f"tls://127.0.0.1:{listener.endpoint.port}?ca={files['ca']}", Recorder)
        assert await echoed(listener.endpoint) == b"hello"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestReload:
    def made(self, tmp_path: Path, told: Callable[[str], None] | None = None) -> tuple[Certificates, Clock]:
        files, clock = certificate(tmp_path, "localhost"), Clock()
        return Certificates(Path(files["cert"]), Path(files["key"]), clock=clock, told=told), clock

    def test_changed_files_are_read_when_a_second_has_passed(self, tmp_path: Path) -> None:
        outcomes: list[str] = []
        certificates, clock = self.made(tmp_path, outcomes.append)
        first = certificates.context()
        certificate(tmp_path, "localhost")
        clock.now = 0.9
        assert certificates.context() is first
        clock.now = 1.0
        second = certificates.context()
        assert second is not first
        clock.now = 5.0
        assert certificates.context() is second
        assert outcomes == ["read"]

    def test_broken_files_keep_what_was_read(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        outcomes: list[str] = []
        certificates, clock = self.made(tmp_path, outcomes.append)
        first = certificates.context()
        (tmp_path / "cert.pem").write_text("junk")
        for moment in (2.0, 4.0, 6.0):
            clock.now = moment
            assert certificates.context() is first
        assert outcomes == ["kept"]  # looked at again, and not read again
        assert "the former one stays" in caplog.text
        assert not certificates.reload()
        (tmp_path / "cert.pem").unlink()
        clock.now = 8.0
        assert certificates.context() is first
        certificate(tmp_path, "localhost")
        clock.now = 10.0
        assert certificates.context() is not first

    def test_key_of_another_certificate_is_refused(self, tmp_path: Path, files: dict[str, str]) -> None:
        own = certificate(tmp_path, "localhost")
        with pytest.raises(net.BadCertificate, match="mismatch"):
            Certificates(Path(own["cert"]), Path(files["key"]))
        with pytest.raises(net.BadCertificate, match="no such file"):
            Certificates(tmp_path / "none")

    async def test_open_connections_keep_theirs(self, tmp_path: Path, registry: Registry) -> None:
        authority = trustme.CA()
        files, clock = certificate(tmp_path, "localhost", ca=authority), Clock()
        certificates = Certificates(Path(files["cert"]), Path(files["key"]), clock=clock)
        async with await net.listen("tls://localhost:0", Echo, name="r", certificates=certificates) as listener:
            peer = listener.endpoint.peer().within(ca=files["ca"])
            transport, protocol = await net.connect(peer, Recorder)
            pins = [net.pin_of(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))]
            certificate(tmp_path, "localhost", ca=authority)
            clock.now = 1.0
            other, _ = await net.connect(peer, Recorder)
            pins.append(net.pin_of(other.get_extra_info("ssl_object").getpeercert(binary_form=True)))
            assert pins[0] != pins[1]
            transport.write(b"still")
            assert await protocol.until_received(5) == b"still"
            assert counted(registry, "ropewalk_net_certificate_reloads_total", listener="r", outcome="read") == 1
            transport.abort()
            other.abort()


@each_loop
async def test_tls_can_start_in_the_middle(files: dict[str, str]) -> None:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files["cert"], files["key"])
    client_context = ssl.create_default_context(cafile=files["ca"])
    upgraded: list[asyncio.Task[asyncio.Transport]] = []

    class Starting(Recorder):
        def take(self, data: bytes | memoryview) -> None:
            super().take(data)
            if self.received == b"STARTTLS":
                self.transport.write(b"GO")
                upgraded.append(
                    asyncio.get_running_loop().create_task(
                        net.start_tls(self.transport, echo, server_context, server_side=True)
                    )
                )

    echo, starting = Echo(), Starting()
    async with await net.listen("tcp://127.0.0.1:0", lambda: starting) as listener:
        transport, protocol = await net.connect(listener.endpoint, Recorder)
        transport.write(b"STARTTLS")
        await protocol.until_received(2)
        secure = await net.start_tls(transport, protocol, client_context, server_hostname="localhost")
        echo.transport = await upgraded[0]
        assert secure.get_extra_info("ssl_object") is not None
        assert secure.get_extra_info("ropewalk.private") is True
        assert secure.get_extra_info("endpoint") == transport.get_extra_info("endpoint")
        secure.write(b"secret")
        assert await protocol.until_received(8) == b"GOsecret"
        assert listener.connections == 1
        secure.close()
        await protocol.until_lost()
        await until(lambda: listener.connections == 0)
        assert not starting.lost  # the other protocol was told
