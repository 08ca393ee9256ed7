"""Fixtures of tests of pages: the app, and a browser that is in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pages.browser import Client, Served, served


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as one:
        yield one


@pytest.fixture
async def client(pages: Served) -> Client:
    return await pages.client()
