"""A group to begin with."""

from __future__ import annotations

import pytest

from tests.spaces.members.group import ADMIN, READER, STEWARD, WRITER, Group


@pytest.fixture
def group() -> Group:
    return Group()


@pytest.fixture
def all_of_them(group: Group) -> bytes:
    """B is an admin, W a writer, R a reader, S a steward."""
    last = group.first
    for name, role in (("B", ADMIN), ("W", WRITER), ("R", READER), ("S", STEWARD)):
        last = group.add("a1", last, name=name, role=role)
    return last
