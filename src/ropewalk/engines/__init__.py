"""Engines: stores in the buckets of object stores that others run: S3 and what speaks like it, Azure, GCS, HTTP.

Flow: places -> open_engine -> ObjectStore -> obstore -> an engine
Never: puts a credential anywhere but into a request.
"""

from __future__ import annotations

from ropewalk.engines.address import SCHEMES, BadEngineAddress, EngineAddress
from ropewalk.engines.bucket import EnginesMissing
from ropewalk.engines.credentials import CredentialsUnfit, NoCredentials
from ropewalk.engines.objects import ObjectStore
from ropewalk.engines.opening import create_engine, open_engine, open_place

__all__ = [
    "SCHEMES",
    "BadEngineAddress",
    "CredentialsUnfit",
    "EngineAddress",
    "EnginesMissing",
    "NoCredentials",
    "ObjectStore",
    "create_engine",
    "open_engine",
    "open_place",
]
