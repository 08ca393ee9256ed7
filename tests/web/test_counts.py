"""What a site counts is in the registry whenever that is read, once, and also after the site's end."""

from __future__ import annotations

from typing import Any

import pytest

from ropewalk.metrics import Registry
from ropewalk.web.counts import Counts


def values(registry: Registry) -> dict[str, Any]:
    return {one.name: dict(one.series) for one in registry.read()}


def test_numbers_are_told_once_and_at_the_end() -> None:
    registry = Registry()
    counts = Counts(registry, "pages", lambda: 0, lambda: 0)
    counts.ended(200, 0.1, 5)
    for _ in range(2):
        assert values(registry)["ropewalk_web_requests_total"]["pages", "2xx"] == 1
        assert values(registry)["ropewalk_web_sent_bytes_total"] == {("pages",): 5}
    counts.ended(700, 0.1, 1)
    counts.forget()
    read = values(registry)
    assert read["ropewalk_web_requests_total"]["pages", "0xx"] == 1
    assert read["ropewalk_web_sent_bytes_total"] == {("pages",): 6}
    counts.ended(200, 0.1, 1)
    assert values(registry)["ropewalk_web_sent_bytes_total"] == {("pages",): 6}, "it is asked no more"


@pytest.mark.parametrize("many", [1, 3])
def test_two_sites_of_one_name_add_up(many: int) -> None:
    registry = Registry()
    for _ in range(many):
        counts = Counts(registry, "pages", lambda: 0, lambda: 0)
        counts.ended(404, 0.1, 2)
        counts.forget()
    assert values(registry)["ropewalk_web_requests_total"]["pages", "4xx"] == many
