"""What tests of the console share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from ropewalk.console.audit import LOGGER
from tests.console.stage import Audit


@pytest.fixture
def audit() -> Iterator[list[dict[str, str]]]:
    """What is audited, in order."""
    logger = logging.getLogger(LOGGER)
    handler = Audit()
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
