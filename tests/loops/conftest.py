"""One application of Qt's for all tests of this process, as Qt wants it: with widgets, and without a screen."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session", autouse=True)
def application() -> object:
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError:  # Qt's graphical libraries need some of the system's; its core does without
        from PySide6.QtCore import QCoreApplication

        return QCoreApplication.instance() or QCoreApplication([])
    return QApplication.instance() or QApplication([])
