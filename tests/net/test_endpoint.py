"""Endpoints: every URL that can be is parsed, and told why it cannot be otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropewalk.net import BadEndpoint, Endpoint

words = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?", fullmatch=True)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20)
addresses = st.ip_addresses(v=6).map(lambda address: f"[{address}]") | st.ip_addresses(v=4).map(str)
ports = st.integers(0, 65535)
pins = st.binary(min_size=32, max_size=32).map(lambda key: f"sha256:{key.hex()}")


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    """Any endpoint, made without its parser."""
    carrier = draw(st.sampled_from(["tcp", "unix", "memory", "fd", "systemd", "stdio"]))
    over_socket = carrier in {"tcp", "unix", "fd", "systemd"}
    layers = tuple(layer for layer in ("ws", "tls", "proxy") if (layer == "ws" or over_socket) and draw(st.booleans()))
    host, port, path = "", 0, ""
    options: dict[str, str] = {}
    if carrier == "tcp":
        host, port = draw(words | addresses | st.just("*")).strip("[]"), draw(ports)
        if "ws" in layers and draw(st.booleans()):
            path = "/" + draw(texts)
    elif carrier == "unix":
        path = draw(st.sampled_from(["/", "@", ""])) + draw(texts).strip("/@ ") + "x"
        if draw(st.booleans()):
            options["mode"] = "660"
    elif carrier in {"memory", "systemd"}:
        host = draw(words)
    elif carrier == "fd":
        host = str(draw(st.integers(0, 1000)))
    if "tls" in layers:
        options |= draw(
            st.fixed_dictionaries({}, optional={"cert": texts, "key": texts, "pin": pins, "dev": st.just("")})
        )
    if "ws" in layers and carrier != "tcp" and draw(st.booleans()):
        options["path"] = "/" + draw(texts)
    fragment = draw(st.just("") | texts)
    return Endpoint(layers, carrier, host, port, path, tuple(sorted(options.items())), fragment)


@given(endpoints())
def test_url_of_an_endpoint_gives_the_endpoint_again(endpoint: Endpoint) -> None:
    url = str(endpoint)
    assert Endpoint.parse(url) == endpoint
    assert str(Endpoint.parse(url)) == url


@given(st.text(max_size=60) | st.text(":/?#[]@!&=+%*.,0123456789abtcplswuniximeory", max_size=60))
def test_fuzz_any_text_is_an_endpoint_or_refused(text: str) -> None:
    try:
        endpoint = Endpoint.parse(text)
    except BadEndpoint:
        return
    assert Endpoint.parse(str(endpoint)) == endpoint


@given(
    st.sampled_from(["tcp://", "ws://", "unix://", "tls+unix:", "fd://", "systemd:", "stdio:"]), st.text(max_size=40)
)
def test_fuzz_any_text_after_a_scheme_is_an_endpoint_or_refused(scheme: str, text: str) -> None:
    test_fuzz_any_text_is_an_endpoint_or_refused.hypothesis.inner_test(scheme + text)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("tcp://localhost:80", "tcp://localhost:80"),
        ("tcp://localhost:80/", "tcp://localhost:80"),
        ("tls+tcp://h:1?dev", "tls://h:1?dev"),
        ("wss://h", "wss://h:443"),
        ("ws://h/", "ws://h:80"),
        ("ws+tls+proxy+tcp://h:1/a%20b?dev=", "wss+proxy://h:1/a%20b?dev"),
        ("tcp://[::0001]:7", "tcp://[::1]:7"),
        ("tcp://[fe80::1%25eth0]:7", "tcp://[fe80::1%25eth0]:7"),
        ("tcp://HOST:7", "tcp://host:7"),
        ("unix:/run/x", "unix:///run/x"),
        ("unix:////run/x", "unix:///run/x"),
        ("unix:x.sock", "unix:x.sock"),
        ("unix://@name", "unix:@name"),
        ("unix:///a%20b%3Fc", "unix:///a%20b%3Fc"),
        ("systemd://web", "systemd:web"),
        ("systemd:", "systemd:"),
        ("stdio://", "stdio:"),
        ("memory://a#part", "memory://a#part"),
        ("tls://h:1?key=b&cert=a", "tls://h:1?cert=a&key=b"),
        ("proxy://h:1?from=10.0.0.0/8,::1/128", "proxy://h:1?from=10.0.0.0/8,::1/128"),
    ],
)
def test_forms_of_one_endpoint_are_one(url: str, canonical: str) -> None:
    assert str(Endpoint.parse(url)) == canonical


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("", "no scheme"),
        ("localhost:80", "localhost"),
        ("http://h:80", "expected names among"),
        ("TCP://h:80", "lower case"),
        ("tcp:h:80", "no //"),
        ("tcp://h", "no port"),
        ("tcp://h:", "no port"),
        ("tcp://:80", "has the host"),
        ("tcp://h:99999", "99999"),
        ("tcp://h:8o", "8o"),
        ("tcp://::1:80", "in brackets"),
        ("tcp://[::1:80", "IPv6 address"),
        ("tcp://[127.0.0.1]:80", "IPv6 address in the brackets"),
        ("tcp://user@h:80", "user's name"),
        ("tcp://h:80/path", "only ws has one"),
        ("tcp://h:80?nodelay", "family, reuse_port"),
        ("tcp://h:80?family=5", "4 or 6"),
        ("tls://h:80?pin=sha256:12", "64 hexadecimal"),
        ("tls://h:80?dev=no", "presence"),
        ("tls://h:80?cert=", "something"),
        ("tls://h:80?dev&dev", "twice"),
        ("tls://h:80?=x", "name in lower case"),
        ("tls+ws://h:80", "order ws"),
        ("tls+tls://h:80", "each once"),
        ("tcp+tls://h:80", "before its end"),
        ("tls+memory://x", "over a socket"),
        ("proxy+stdio:", "over a socket"),
        ("unix://run/x", "three slashes"),
        ("unix://", "that of a socket"),
        ("unix:///run/", "that of a socket"),
        ("unix:///x?mode=999", "octal"),
        ("ws+unix:///x?path=y", "begins with /"),
        ("ws://h/x?path=/y", "option 'path'"),
        ("fd://x", "file descriptor"),
        ("fd://-1", "file descriptor"),
        ("memory://", "the name ''"),
        ("memory://a/b", "expected none"),
        ("stdio:x", "stdio: alone"),
        ("tcp://h:80?a=%zz", "hexadecimal"),
        ("unix:///%ff", "UTF-8"),
        ("unix:///%00", "zero byte"),
        ("unix:///a b", "spaces"),
        ("proxy://h:1?from=300.0.0.0/8", "networks"),
        ("tcp://" + "h" * 5000, "characters"),
    ],
)
def test_what_cannot_be_is_refused_by_name(url: str, names: str) -> None:
    with pytest.raises(BadEndpoint) as caught:
        Endpoint.parse(url)
    assert names in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "peer"),
    [
        ("tls://*:443?cert=c&key=k&client_ca=a&ca=x&alpn=h2", "tls://localhost:443?alpn=h2&ca=x"),
        ("tcp://0.0.0.0:80?reuse_port", "tcp://127.0.0.1:80"),
        ("tcp://[::]:80", "tcp://[::1]:80"),
        ("unix:///x?mode=660", "unix:///x"),
        ("wss://h:1/p?dev&origin=https://a", "wss://h:1/p?dev"),
        ("proxy://h:1?from=10.0.0.0/8", "proxy://h:1"),
        ("memory://x#who", "memory://x#who"),
    ],
)
def test_peer_is_what_a_client_needs(url: str, peer: str) -> None:
    assert str(Endpoint.parse(url).peer()) == peer


def test_peer_takes_the_host_and_port_that_clients_see() -> None:
    endpoint = Endpoint.parse("tls://*:4433?cert=c")
    pin = "sha256:" + "0" * 64
    assert str(endpoint.peer("example.org", port=443, pin=pin)) == f"tls://example.org:443?pin={pin}"


@pytest.mark.parametrize("url", ["fd://3", "systemd:x", "stdio:"])
def test_what_was_inherited_has_no_peer(url: str) -> None:
    with pytest.raises(BadEndpoint, match="no URL"):
        Endpoint.parse(url).peer()
