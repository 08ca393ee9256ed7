"""Addresses: what is understood, and that no secret is taken into one."""

from __future__ import annotations

import pytest

from ropewalk.engines import BadEngineAddress, EngineAddress


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/a/b",
        "s3://bucket/a?endpoint=http://10.0.0.1:8333&region=eu-1&profile=b2",
        "gs://my_bucket/x?profile=g",
        "az://container/x?account=acc&profile=a",
        "https://host.example:8443/folder",
        "http://127.0.0.1:80/folder",
    ],
)
def test_an_address_comes_back_as_it_was(url: str) -> None:
    found = EngineAddress.parse(url)
    assert found.format() == url
    assert EngineAddress.parse(found.format()) == found


def test_an_address_says_its_parts() -> None:
    found = EngineAddress.parse("s3://bucket/a/b/?profile=p", endpoint="https://s3.example", region="r")
    assert found == EngineAddress("s3", "bucket", "a/b", "https://s3.example", "r", "", "p")
    assert str(found) == "s3://bucket/a/b"
    assert not found.read_only
    assert EngineAddress.parse("https://host/x").read_only


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://bucket/x", "want s3://"),
        ("s3://", "want s3://"),
        ("/a/folder", "want s3://"),
        ("s3://[", "not a URL"),
        ("s3://bucket:99999", "not a URL"),
        ("s3://bucket:80/x", "bucket is"),
        ("s3://Bucket!/x", "bucket is"),
        ("s3://bucket/a//b", "prefix"),
        ("s3://bucket/../b", "prefix"),
        ("s3://bucket/.hidden", "prefix"),
        ("s3://bucket/a%2Fb", "prefix"),
        ("s3://bucket/" + "a" * 513, "prefix"),
        ("s3://bucket#x", "after #"),
        ("s3://bucket?secret_access_key=x", "no option"),
        ("s3://bucket?region", "NAME=VALUE"),
        ("s3://bucket?region=a&region=b", "twice"),
        ("s3://bucket?region=", "NAME=VALUE|empty"),
        ("s3://bucket?region=a%20b", "option region"),
        ("s3://bucket?" + "&".join(f"a{n}=1" for n in range(9)), "NAME=VALUE"),
        ("s3://bucket?endpoint=ftp://x", "endpoint"),
        ("s3://bucket?endpoint=https://", "endpoint"),
        ("s3://bucket?endpoint=https://[", "endpoint"),
        ("s3://bucket?endpoint=https://x?a=b", "endpoint"),
        ("gs://bucket?endpoint=http://10.0.0.1", "shows its credentials"),
        ("http://example.com/x", "on this machine alone"),
        ("https://host/x?region=a", "no option"),
    ],
)
def test_what_is_no_address_is_refused(url: str, why: str) -> None:
    with pytest.raises(BadEngineAddress, match=why):
        EngineAddress.parse(url)


@pytest.mark.parametrize(
    "url", ["https://me:SECRET@host/x", "s3://bucket?endpoint=https://me:SECRET@host", "s3://k:SECRET@bucket"]
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadEngineAddress, match="want none") as refused:
        EngineAddress.parse(url)
    assert "SECRET" not in f"{refused.value} {refused.value.hint}"


def test_an_endpoint_beside_the_address_must_fit_it() -> None:
    with pytest.raises(BadEngineAddress, match="beside it"):
        EngineAddress.parse("s3://bucket?endpoint=https://a", endpoint="https://c")
    with pytest.raises(BadEngineAddress, match="no option endpoint"):
        EngineAddress.parse("https://b", endpoint="https://c")
    assert EngineAddress.parse("gs://bucket", endpoint="http://localhost:1").endpoint == "http://localhost:1"
