"""Home: what one user of one machine has set up: device keys, stores by name, spaces by name.

Flow: settings.toml, device.keys, space folders <-> Home <-> command line, ropewalk.open
Never: puts a store's place or credential, or a name that people gave, into a space's records.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ropewalk.errors import Damaged, Missing, Misuse
from ropewalk.spaces.identity import DeviceKeys, KeysAhead, KeysDamaged, PublicKeys, open_keys, seal_keys

__all__ = ["Home", "NotSetUp", "Settings", "SettingsDamaged", "SpaceSetting", "StoreSetting", "UnknownName"]

PAPER_FILE = "paper.public"  # below the settings
_MEND = "mend the file, or restore it from a copy"


class NotSetUp(Missing):
    """This user has no device keys yet."""

    code = "home.not-set-up"


class SettingsDamaged(Damaged):
    """The settings file does not say what it must."""

    code = "home.settings-damaged"


class UnknownName(Missing):
    """No store or space of this name is in the settings."""

    code = "home.unknown-name"


class StoreSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A store, by the user's name for it."""

    path: str
    id: str  # what the folder's marker must say; "" behind a URL that was never reached from here
    domains: dict[str, str] = {}
    others: list[str] = []  # URLs that lead to it too, for when that of its path does not


class SpaceSetting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A space, by the user's name for it."""

    id: str
    stores: list[str]
    draining: list[str] = []  # those of its stores that keep what they have, and get nothing new
    offline: bool = False  # whether a change that too few stores can take is kept on this machine
    queue: int = 4 * 1024**3  # bytes that such changes may fill
    cache: int = 256 * 1024**2  # bytes of chunks that were read or written lately; 0 for none


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of settings.toml."""

    format: int = 1
    stores: dict[str, StoreSetting] = {}
    spaces: dict[str, SpaceSetting] = {}
    paper_shown: str = ""  # the day on which the paper key was written down


class Home:
    """The folders of one user.

    Args:
        config: Settings and device keys; worth a backup.
        state: What can be rebuilt from the stores, but for the journal; must never be restored from a backup.
    """

    def __init__(self, config: Path, state: Path) -> None:
        self.config, self.state = config, state

    @classmethod
    def of_user(cls) -> Home:
        """``$ROPEWALK_HOME`` where it is set, else the platform's folders for settings and state."""
        if home := os.environ.get("ROPEWALK_HOME"):
            return cls(Path(home), Path(home) / "state")
        from platformdirs import user_config_path, user_state_path

        return cls(user_config_path("ropewalk"), user_state_path("ropewalk"))

    # -- settings ------------------------------------------------------------------------------------------------

    @property
    def settings_file(self) -> Path:
        """What is set up."""
        return self.config / "settings.toml"

    def mark(self) -> tuple[int, ...]:
        """Differs once the settings were changed; costs next to nothing."""
        try:
            found = self.settings_file.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def load(self) -> Settings:
        """What is set up; nothing, where nothing is.

        Raises:
            SettingsDamaged: The file is not what it must be.
        """
        import tomllib  # not needed to open the keys, which begins before all else

        try:
            text = self.settings_file.read_text()
        except FileNotFoundError:
            return Settings()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsDamaged(f"{self.settings_file} cannot be read: {error}") from None
        try:
            settings = msgspec.convert(tomllib.loads(text), Settings)
        except RecursionError:
            raise SettingsDamaged(f"{self.settings_file} is nested too deeply", hint=_MEND) from None
        except (ValueError, msgspec.ValidationError) as error:  # no TOML, or a number of thousands of digits
            raise SettingsDamaged(f"{self.settings_file}: {error}", hint=_MEND) from None
        for name, wanted, length in _ids(settings):
            if len(wanted) != length or any(digit not in "0123456789abcdef" for digit in wanted):
                raise SettingsDamaged(f"{self.settings_file}: the id of {name} is not {length} hex digits")
        if settings.format != 1:
            raise SettingsDamaged(
                f"{self.settings_file}: format is {settings.format}, known is 1", hint="upgrade ropewalk"
            )
        return settings

    def update(self, change: Callable[[Settings], Settings]) -> Settings:
        """Change the settings, one process at a time; durable once it returns."""
        import tomli_w

        with self._locked():
            settings = change(self.load())
            write_file(self.settings_file, tomli_w.dumps(msgspec.to_builtins(settings)).encode())
        return settings

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.config.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.config / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    # -- keys ----------------------------------------------------------------------------------------------------

    @property
    def key_file(self) -> Path:
        """The device keys, sealed with the passphrase."""
        return self.config / "device.keys"

    def keep_keys(self, keys: DeviceKeys, passphrase: str) -> None:
        """Seal and keep new device keys.

        Raises:
            Misuse: There are some already.
        """
        with self._locked():
            if self.key_file.exists():
                raise Misuse(
                    f"{self.key_file} is there already",
                    hint="this device has its keys; go on with `ropewalk store add`",
                )
            write_file(self.key_file, seal_keys(keys, passphrase))

    def open_keys(self, passphrase: str, ahead: KeysAhead | None = None) -> DeviceKeys:
        """The device keys.

        Args:
            passphrase: Opens them.
            ahead: Has perhaps begun to open them.

        Raises:
            NotSetUp: There are none.
            WrongPassphrase, KeysDamaged.
        """
        try:
            data = self.key_file.read_bytes()
        except FileNotFoundError:
            raise NotSetUp("this device has no keys yet", hint="run `ropewalk init`") from None
        return open_keys(data, passphrase) if ahead is None else ahead.keys(data, passphrase)

    def keys_ahead(self, passphrase: str) -> KeysAhead | None:
        """Begin to open the device keys; None where there are none that can be read, which `open_keys` tells."""
        try:
            data = self.key_file.read_bytes()
        except OSError:
            return None
        return KeysAhead(data, passphrase)

    @property
    def has_keys(self) -> bool:
        """Whether `init` was run."""
        return self.key_file.exists()

    def paper_key(self) -> PublicKeys:
        """The public half of the paper key, which every new space takes in.

        Raises:
            KeysDamaged: It is not there, or not what it was.
        """
        path = self.config / PAPER_FILE
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=PublicKeys)
        except (OSError, msgspec.DecodeError) as error:
            raise KeysDamaged(f"{path} is missing or damaged: {error}", hint="restore it from a copy") from None

    # -- stores and spaces ---------------------------------------------------------------------------------------

    def store(self, name: str) -> StoreSetting:
        """A store by its name.

        Raises:
            UnknownName.
        """
        return self.stores([name])[0]

    def stores(self, names: Sequence[str]) -> list[StoreSetting]:
        """Stores by their names, in this order.

        Raises:
            UnknownName.
        """
        known = self.load().stores
        for name in names:
            if name not in known:
                raise UnknownName(
                    f"no store is called {name!r}, known are: {', '.join(sorted(known)) or 'none'}",
                    hint="add it with `ropewalk store add`",
                )
        return [known[name] for name in names]

    def space(self, name: str) -> SpaceSetting:
        """A space by its name.

        Raises:
            UnknownName.
        """
        settings = self.load()
        if name not in settings.spaces:
            known = ", ".join(sorted(settings.spaces)) or "none"
            raise UnknownName(
                f"no space is called {name!r}, known are: {known}", hint="`ropewalk space list` shows them"
            )
        return settings.spaces[name]

    def add_store(self, name: str, setting: StoreSetting) -> None:
        """Remember a store under a name.

        Raises:
            Misuse: The name is taken, or the same store has one already.
        """

        def change(settings: Settings) -> Settings:
            if name in settings.stores:
                raise Misuse(f"a store is called {name!r} already", hint="choose another name")
            for other, known in settings.stores.items():
                if known.id == setting.id != "":
                    raise Misuse(
                        f"this is the store that is called {other!r} already", hint="two names for one disk count twice"
                    )
            return replace(settings, stores={**settings.stores, name: setting})

        self.update(change)

    def add_space(self, name: str, setting: SpaceSetting) -> None:
        """Remember a space under a name.

        Raises:
            Misuse: The name is taken.
        """

        def change(settings: Settings) -> Settings:
            if name in settings.spaces:
                raise Misuse(f"a space is called {name!r} already", hint="choose another name")
            return replace(settings, spaces={**settings.spaces, name: setting})

        self.update(change)

    def set_space_stores(self, name: str, stores: Sequence[str]) -> None:
        """Say which stores a space has.

        Raises:
            UnknownName: No such space, or no such store.
        """
        self.stores(stores)
        space = self.space(name)
        draining = [one for one in space.draining if one in stores]
        changed = replace(space, stores=list(stores), draining=draining)
        self.update(lambda settings: replace(settings, spaces={**settings.spaces, name: changed}))

    def space_folder(self, space_id: str) -> Path:
        """Where the local state of a space lies; made if it is not there."""
        folder = self.state / "spaces" / space_id
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder


def _ids(settings: Settings) -> Iterator[tuple[str, str, int]]:
    for name, store in settings.stores.items():
        if store.id or os.path.isabs(store.path):
            yield f"store {name}", store.id, 32
    for name, space in settings.spaces.items():
        yield f"space {name}", space.id, 64


def write_file(path: Path, data: bytes) -> None:
    """Replace a small file so that a power cut leaves the old one or the new one."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        os.fsync(descriptor)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    finally:
        os.close(descriptor)
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
