"""A bucket's listing has an end, and what an engine says steers nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from ropewalk.engines.bucket import Bucket
from ropewalk.engines.errors import as_store, said
from ropewalk.spaces.store import StoreDamaged


class Endless:
    """obstore's store, as far as it lists."""

    def __init__(self, page: list[dict[str, Any]]) -> None:
        self.page, self.pages = page, 0

    def list(self, *_: object, **__: object) -> Iterator[list[dict[str, Any]]]:
        for _page in itertools.count():
            self.pages += 1
            yield self.page


@pytest.mark.parametrize("page", [[], [{"path": "Not/A/Name", "size": 1}], [{"path": "a", "size": 1}] * 1000])
def test_a_listing_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch, page: list[dict[str, Any]]) -> None:
    monkeypatch.setattr("ropewalk.engines.bucket.MOST_LISTED", 5000)
    bucket = Bucket.__new__(Bucket)
    endless = Endless(page)
    bucket.where, bucket._errors, bucket._quick = "s3://fake", (OSError,), endless  # type: ignore[assignment]
    with pytest.raises(StoreDamaged, match="more than 5000 keys"):
        for _ in bucket.names(""):
            pass
    assert endless.pages <= 5001


@pytest.mark.parametrize(
    "body",
    [
        "<Code>\x1b[2J</Code>",
        f"<Code>{'x' * 1000}</Code>",
        "<html><script>alert(1)</script></html>",
        "\x00\x07" * 100_000,
        "<Code>Quota\nExceeded</Code>",
    ],
)
def test_what_an_engine_says_besides_its_status_is_not_shown(body: str) -> None:
    error = Exception(f"Server returned non-2xx status code: 500: {body}")
    assert said(error) == "status 500"
    told = as_store("s3://b", error, writing=True)
    assert str(told).isprintable()
    assert len(str(told)) < 200
