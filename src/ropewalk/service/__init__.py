"""Service: processes made of services that start, are supervised, reload and stop.

Flow: TOML -> config -> plans -> application -> units -> services; serving ties it to a process
Never: knows what a service does, or on what it listens.
"""

from __future__ import annotations

from ropewalk.service.application import Application
from ropewalk.service.config import BadConfig, Configuration, LogSettings, Settings, load, parse
from ropewalk.service.control import Control, CutsOff, NoConnection, NoService, PeerShown, ServiceShown, StopsNow
from ropewalk.service.interface import Context, NoConfig, Service
from ropewalk.service.kinds import UnknownKind, kind_of, known_kinds
from ropewalk.service.levels import BadLevel, NoLogger
from ropewalk.service.peers import Peer
from ropewalk.service.plan import BadPlan, Plan, Restart
from ropewalk.service.serving import application_of, serve, serve_file, serve_made
from ropewalk.service.standing import Standing, State
from ropewalk.service.unit import ServiceFailed

__all__ = [
    "Application",
    "BadConfig",
    "BadLevel",
    "BadPlan",
    "Configuration",
    "Context",
    "Control",
    "CutsOff",
    "LogSettings",
    "NoConfig",
    "NoConnection",
    "NoLogger",
    "NoService",
    "Peer",
    "PeerShown",
    "Plan",
    "Restart",
    "Service",
    "ServiceFailed",
    "ServiceShown",
    "Settings",
    "Standing",
    "State",
    "StopsNow",
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
