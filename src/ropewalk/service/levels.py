"""Levels: from which level on loggers speak, changed while the process runs, and put back.

Flow: `set` a logger's level -> what it was before is remembered -> `put_back`
Never: makes a logger: the process would keep it for ever.
"""

from __future__ import annotations

import logging

from ropewalk.errors import Missing, Misuse
from ropewalk.service.near import hint_of

__all__ = ["LEVELS", "BadLevel", "Levels", "NoLogger"]

LEVELS = ("debug", "info", "warning", "error", "critical")
ROOT = "root"
_FIXED = ".audit"


class NoLogger(Missing):
    """Nothing in this process logs by this name."""

    code = "service.no-logger"


class BadLevel(Misuse):
    """No level of the log is called so, or this logger's is not to be changed."""

    code = "service.bad-level"


class Levels:
    """What an operator has changed."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}

    @property
    def changed(self) -> dict[str, str]:
        """Levels that are now others than they were, by logger."""
        return {name: _word(_logger(name).level) for name in sorted(self._before)}

    def names(self) -> list[str]:
        """All loggers there are."""
        return [ROOT, *sorted(logging.root.manager.loggerDict)]  # those that only others are below of, too

    def level(self, name: str) -> str:
        """From which level on a logger speaks now.

        Raises:
            NoLogger.
        """
        self._check(name)
        return _word(_logger(name).getEffectiveLevel())

    def set(self, name: str, level: str) -> None:
        """Let a logger, and those below it that have no level of their own, speak from this level on.

        One whose name ends in ``.audit`` is left alone: what operators do is written down whether they want it or not.

        Raises:
            NoLogger, BadLevel.
        """
        self._check(name)
        if name.endswith(_FIXED):
            raise BadLevel(f"the level of {name} is not changed from here")
        if level not in LEVELS:
            raise BadLevel(f"no log level {level!r}, known are: {', '.join(LEVELS)}", hint=hint_of(level, LEVELS))
        logger = _logger(name)
        self._before.setdefault(name, logger.level)
        logger.setLevel(level.upper())

    def put_back(self, name: str) -> None:
        """Let a logger speak as it did before it was changed.

        Raises:
            NoLogger.
        """
        self._check(name)
        if name in self._before:
            _logger(name).setLevel(self._before.pop(name))

    def put_all_back(self) -> None:
        """Those that are gone meanwhile are nobody's any more."""
        for name in list(self._before):
            _logger(name).setLevel(self._before.pop(name))

    def _check(self, name: str) -> None:
        names = self.names()
        if name not in names:
            raise NoLogger(f"no logger {name[:64]!r}", hint=hint_of(name, names))


def _logger(name: str) -> logging.Logger:
    return logging.getLogger() if name == ROOT else logging.getLogger(name)


def _word(level: int) -> str:
    return "as its parent" if level == logging.NOTSET else logging.getLevelName(level).lower()
