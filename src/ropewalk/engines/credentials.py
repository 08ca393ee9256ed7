"""Credentials of engines: from the home's own file, a profile of the provider's tools, or the environment.

`credentials.toml` in the home's folder for settings, mode 0600, has a table for each profile:

    [b2]
    access_key_id = "..."
    secret_access_key = "..."

Flow: `profile` in an address, the environment -> Credentials -> bucket
Never: comes into a space, the settings, an error text, a log or a `repr`.
"""

from __future__ import annotations

import configparser
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ropewalk.engines.address import EngineAddress
from ropewalk.errors import Missing, Refused

__all__ = ["ANONYMOUS", "FILE", "INSTANCE", "Credentials", "CredentialsUnfit", "NoCredentials", "find_credentials"]

FILE = "credentials.toml"
ANONYMOUS = "anonymous"  # the profile of one who signs nothing
INSTANCE = "instance"  # the profile of a rented machine, which asks its provider who it is
_MOST = 64 * 1024  # bytes of a file of credentials

KEYS: Mapping[str, tuple[str, ...]] = {
    "s3": ("access_key_id", "secret_access_key", "session_token"),
    "gs": ("service_account", "service_account_key"),
    "az": ("account_name", "account_key", "sas_key", "client_id", "client_secret", "tenant_id"),
    "https": ("token",),
    "http": ("token",),
}
# What says in the environment that there are credentials in it; the engine's library reads them itself.
_TOLD: Mapping[str, tuple[str, ...]] = {
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": (
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
    ),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY", "AZURE_STORAGE_CLIENT_ID", "AZURE_CLIENT_ID"),
}
_TOKENS = ("AWS_SESSION_TOKEN", "AWS_TOKEN")


class NoCredentials(Missing):
    """Nothing says with what an engine lets us in."""

    code = "engine.no-credentials"


class CredentialsUnfit(Refused):
    """The credentials cannot be used as they are: others could read them, or they are not what they must be."""

    code = "engine.credentials-unfit"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an engine lets us in with.

    Attributes:
        source: Where it comes from, for people.
        values: By the library's names; empty where it finds them itself.
    """

    source: str
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


def find_credentials(address: EngineAddress, folder: Path, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Those of the profile that the address names, else those of the environment, else of the profile `default`.

    Args:
        address: Whose they are.
        folder: The home's, for settings.
        environment: Of the process.

    Raises:
        NoCredentials: There are none.
        CredentialsUnfit: Others may read them, or they cannot be understood.
    """
    name, scheme = address.profile, address.scheme
    if name in (ANONYMOUS, INSTANCE):
        return Credentials(name)
    if not name:
        if address.read_only:
            return Credentials(ANONYMOUS)
        if any(environment.get(told) for told in _TOLD[scheme]):
            return Credentials("the environment")
    wanted = name or "default"
    file = folder / FILE
    found = _own(file, wanted, scheme)
    if found is None and scheme == "s3":
        found = _of_aws(_aws_file(environment), wanted)
    if found is not None:
        if scheme == "s3" and any(environment.get(token) for token in _TOKENS):
            # The library would add the environment's to a key that it does not belong to.
            return Credentials(found.source, {"session_token": "", **found.values})
        return found
    if name:
        raise NoCredentials(
            f"no credentials for profile {name}", hint=f"write a table [{name}] into {file}, and `chmod 600` it"
        )
    raise NoCredentials(
        f"no credentials for {address}",
        hint=f"set {_TOLD[scheme][0]} and what belongs to it, or write a table [default] into {file}",
    )


def _own(file: Path, name: str, scheme: str) -> Credentials | None:
    if (text := _read(file)) is None:
        return None
    try:
        table = tomllib.loads(text).get(name)
    except RecursionError:
        raise CredentialsUnfit(f"{file} is nested too deeply") from None
    except ValueError:  # no TOML, or a number of thousands of digits
        # Whatever the parser says may quote the line, and so the secret.
        raise CredentialsUnfit(f"{file} is not TOML") from None
    if table is None:
        return None
    known = KEYS[scheme]
    if not isinstance(table, dict) or not table or not all(isinstance(value, str) for value in table.values()):
        raise CredentialsUnfit(f"{file}: [{name}] is no table of texts")
    if unknown := sorted(set(table).difference(known)):
        raise CredentialsUnfit(
            f"{file}: [{name}] has {unknown[0][:40]!r}: known for {scheme}:// are {', '.join(known)}"
        )
    return Credentials(f"[{name}] in {file}", table)


def _read(file: Path) -> str | None:
    """What our own file says; None where there is none."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsUnfit(f"{file} cannot be read: {error.strerror}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            raise CredentialsUnfit(
                f"{file} has mode {stat.S_IMODE(facts.st_mode):04o} and owner {facts.st_uid}: "
                f"want 0600 and {os.geteuid()}",
                hint=f"`chmod 600 {file}`",
            )
        with open(descriptor, "rb", closefd=False) as opened:
            return opened.read(_MOST).decode()
    except UnicodeDecodeError:
        raise CredentialsUnfit(f"{file} is not TOML") from None
    finally:
        os.close(descriptor)


def _aws_file(environment: Mapping[str, str]) -> Path:
    if named := environment.get("AWS_SHARED_CREDENTIALS_FILE"):
        return Path(named)
    return Path(environment.get("HOME") or Path.home()) / ".aws" / "credentials"


def _of_aws(file: Path, name: str) -> Credentials | None:
    """A profile as the provider's own tools keep it; they do not ask for a mode, and so we do not."""
    parser = configparser.RawConfigParser()
    try:
        with file.open(encoding="utf-8") as opened:
            parser.read_string(opened.read(_MOST))
    except OSError:
        return None
    except (configparser.Error, UnicodeDecodeError):
        raise CredentialsUnfit(f"{file} cannot be understood") from None
    if not parser.has_section(name):
        return None
    values = {key: parser.get(name, f"aws_{key}", fallback="") for key in KEYS["s3"]}
    if not (values["access_key_id"] and values["secret_access_key"]):
        raise CredentialsUnfit(f"{file}: [{name}] has no aws_access_key_id and aws_secret_access_key")
    return Credentials(f"[{name}] in {file}", {key: value for key, value in values.items() if value})
