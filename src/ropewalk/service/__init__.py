"""Service: processes made of services that start, are supervised, reload and stop.

Flow: TOML -> config -> plans -> application -> units -> services; serving ties it to a process
Never: knows what a service does, or on what it listens.
"""

from __future__ import annotations

from ropewalk.service.application import Application
from ropewalk.service.config import BadConfig, Configuration, LogSettings, Settings, load, parse
from ropewalk.service.interface import Context, NoConfig, Service
from ropewalk.service.kinds import UnknownKind, kind_of, known_kinds
from ropewalk.service.plan import BadPlan, Plan, Restart
from ropewalk.service.serving import application_of, serve, serve_file, serve_made
from ropewalk.service.unit import ServiceFailed, Standing, State

__all__ = [
    "Application",
    "BadConfig",
    "BadPlan",
    "Configuration",
    "Context",
    "LogSettings",
    "NoConfig",
    "Plan",
    "Restart",
    "Service",
    "ServiceFailed",
    "Settings",
    "Standing",
    "State",
    "UnknownKind",
    "application_of",
    "kind_of",
    "known_kinds",
    "load",
    "parse",
    "serve",
    "serve_file",
    "serve_made",
]
