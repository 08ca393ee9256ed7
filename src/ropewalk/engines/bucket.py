"""The bucket: the calls of an engine that a store is made of, through obstore.

obstore is called in threads of our own and waits there.  Its coroutines end in threads of its own that reach into
Python: a program that ended soon after a call was given up was seen to abort.

Flow: keeping -> Bucket -> obstore -> an engine
Never: called from the event loop's thread; hands on what obstore says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ropewalk.engines.address import EngineAddress
from ropewalk.engines.credentials import ANONYMOUS, Credentials, CredentialsUnfit
from ropewalk.engines.errors import as_store, ends_before, gives_no_ranges, status_of
from ropewalk.errors import Missing, Misuse
from ropewalk.spaces.store import (
    LARGEST_OBJECT,
    Listed,
    ObjectName,
    StoreDamaged,
    StoreReadOnly,
    object_name,
)
from ropewalk.spaces.store.marker import MARKER

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Engine

__all__ = ["Bucket", "EnginesMissing"]

CONNECT = timedelta(seconds=10)
SMALL = 1024 * 1024  # bytes; a put of no more is given up sooner
QUICK = timedelta(seconds=30)  # for few bytes, or the next ones: a thread hangs no longer on an engine that is silent
SLOW = timedelta(minutes=3)  # for up to 64 MiB, at 0.4 MB a second; the pool has given it up before
RETRIES = 2  # tries besides the first; more are the pool's to make
RETRY_FOR = timedelta(seconds=10)  # no new try begins later
_PAGE = 1000  # names; what S3 gives at once
MOST_LISTED = 1 << 24  # keys in one listing, some 100 TB of packs: an engine that lists more goes round in a circle

_OLD = (400, 405, 501)  # what servers say to a condition that they do not know


class EnginesMissing(Missing):
    """The library for object stores is not installed."""

    code = "engine.not-installed"


class Bucket:
    """One prefix of one bucket.  Safe to call from several threads.

    Attributes:
        where: For people.
        read_only: Whether nothing can be put.
        ordered: Whether names of one folder are listed in order.
    """

    def __init__(self, address: EngineAddress, credentials: Credentials) -> None:
        self.where = str(address)
        self.read_only = address.read_only
        self.ordered = not address.read_only
        try:
            from obstore import exceptions
        except ImportError:
            raise EnginesMissing(
                f"{address.scheme}:// needs a library that is not installed", hint="`pip install 'ropewalk[engines]'`"
            ) from None
        # obstore's own, OSError for what it takes from the system, and ValueError for a path or an option.
        self._errors = (exceptions.BaseError, OSError, ValueError)
        self._taken = (exceptions.AlreadyExistsError, exceptions.PreconditionError)
        self._cannot = (exceptions.NotSupportedError, NotImplementedError)
        try:
            self._quick = _engine(address, credentials, {"timeout": QUICK})
            self._large = _engine(address, credentials, {"timeout": SLOW})
            # Bytes that come show that it is alive; those that go show nothing before all of them are there.
            self._reads = _engine(address, credentials, {"timeout": SLOW, "read_timeout": QUICK})
        except self._errors:
            # Its words may quote what was given.
            raise CredentialsUnfit(
                f"{address} cannot be used with the credentials of {credentials.source}: they are not what it wants"
            ) from None

    def __repr__(self) -> str:
        return f"<Bucket {self.where}>"

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes | None:
        """A range; fewer bytes where the object ends, None where there is no object.

        Raises:
            StoreGone, StoreDamaged.
        """
        if length == 0 or offset >= LARGEST_OBJECT:
            return None if self.size(name) is None else b""
        end = LARGEST_OBJECT if length is None else min(offset + length, LARGEST_OBJECT)
        options: GetOptions = {}
        if length is not None:
            options = {"range": (offset, end)}
        elif offset:
            options = {"range": {"offset": offset}}
        with self._answering(writing=False):
            try:
                return self._collect(self._reads.get(name, options=options), name, 0, end - offset)
            except FileNotFoundError:
                return None
            except self._errors as error:
                if ends_before(error):
                    return b""
                if not gives_no_ranges(error):
                    raise
            return self._collect(self._reads.get(name), name, offset, end)

    def size(self, name: str) -> int | None:
        """Bytes of an object, or None where there is none.

        Raises:
            StoreGone.
        """
        with self._answering(writing=False):
            try:
                return int(self._quick.head(name)["size"])
            except FileNotFoundError:
                return None

    def modified(self, name: str) -> int | None:
        """When an object was put, by the engine's clock, to the second: nanoseconds since 1970; None without one.

        Raises:
            StoreGone.
        """
        with self._answering(writing=False):
            try:
                return int(self._quick.head(name)["last_modified"].timestamp()) * 1_000_000_000
            except FileNotFoundError:
                return None

    def put(self, name: str, body: bytes) -> None:
        """Keep, in the place of whatever was there.

        Raises:
            StoreFull, StoreReadOnly, StoreGone.
        """
        self._check_writable()
        with self._answering(writing=True):
            self._for(body).put(name, body, use_multipart=False, mode="overwrite")

    def create(self, name: str, body: bytes) -> bool | None:
        """Keep, with the condition that there is nothing; whether it was kept, and None where the engine has no such.

        Raises:
            StoreFull, StoreReadOnly, StoreGone.
        """
        self._check_writable()
        with self._answering(writing=True):
            try:
                self._for(body).put(name, body, use_multipart=False, mode="create")
            except self._taken:
                return False
            except self._cannot:
                return None
            except self._errors as error:
                if status_of(error) in _OLD:
                    return None
                raise
            return True

    def delete(self, name: str) -> None:
        """Take away; what is not there is a success.

        Raises:
            StoreReadOnly, StoreGone.
        """
        self._check_writable()
        with self._answering(writing=True):
            try:
                self._quick.delete(name)
            except FileNotFoundError:
                return

    def names(self, folder: str, begin: str = "") -> Iterator[Listed]:
        """Objects below a folder, "" for all, as the engine lists them; keys that name no object are left out.

        Args:
            folder: Without a slash at its end.
            begin: Leave out what the engine takes to come before this or to be it.

        Raises:
            StoreGone.
        """
        for path, size in self.everything(folder, begin):
            if _fit(path):
                yield Listed(ObjectName(path), size)

    def everything(self, folder: str = "", begin: str = "") -> Iterator[tuple[str, int]]:
        """All that lies below a folder, and its bytes, as `names`.

        Raises:
            StoreGone.
            StoreDamaged: There is no end to it.
        """
        with self._answering(writing=False):
            pages = self._quick.list(folder or None, offset=begin or None, chunk_size=_PAGE)
        listed = 0
        while listed <= MOST_LISTED:
            with self._answering(writing=False):
                try:
                    page = next(pages)
                except (StopIteration, FileNotFoundError):
                    # A folder that is not there has nothing in it; whether the store is there, its marker tells.
                    return
                found = [(str(one["path"]), int(one["size"])) for one in page]
            listed += len(found) or _PAGE
            yield from found
        raise StoreDamaged(
            f"store at {self.where} lists more than {MOST_LISTED} keys and goes on",
            hint="this engine's listings cannot be used",
        )

    def _collect(self, answer: GetResult, name: str, offset: int, end: int) -> bytes:
        """The bytes of an answer from ``offset`` on, before ``end``."""
        begins, ends = answer.range
        size = ends - begins
        if min(size, end) - offset <= 0:
            return b""
        if size > LARGEST_OBJECT:
            raise StoreDamaged(f"object {name} is too large: want at most {LARGEST_OBJECT} bytes, got {size}")
        wanted = min(size, end)
        pieces: list[bytes] = []
        got = 0
        for piece in answer.stream(min_chunk_size=wanted):  # one, as a rule
            pieces.append(bytes(piece))
            got += len(piece)
            if got >= wanted:
                break
        if got < wanted or (got > wanted == size):
            raise StoreDamaged(f"object {name} is not {size} bytes in the store at {self.where}, as it says: got {got}")
        whole = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return whole if offset == 0 and got == wanted else whole[offset:wanted]

    def _for(self, body: bytes) -> Engine:
        return self._quick if len(body) <= SMALL else self._large

    def _check_writable(self) -> None:
        if self.read_only:
            raise StoreReadOnly(f"store at {self.where} is only read over {self.where.partition(':')[0]}")

    @contextmanager
    def _answering(self, *, writing: bool) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise as_store(self.where, error, writing=writing) from None


def _engine(address: EngineAddress, credentials: Credentials, times: ClientConfig) -> Engine:
    """obstore's store, whose calls may take so long."""
    from obstore import store

    values: dict[str, Any] = dict(credentials.values)
    client: ClientConfig = {**times, "connect_timeout": CONNECT, "user_agent": "ropewalk"}
    if "http" in (address.scheme, address.endpoint.partition(":")[0]):
        client["allow_http"] = True
    retry: RetryConfig = {
        "max_retries": RETRIES,
        "retry_timeout": RETRY_FOR,
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=1), "base": 2},
    }
    if address.read_only:
        if token := values.get("token"):
            client["default_headers"] = {"authorization": f"Bearer {token}"}
        return store.HTTPStore.from_url(str(address), client_options=client, retry_config=retry)
    if credentials.source == ANONYMOUS:
        values["skip_signature"] = True
    if address.endpoint:
        values["base_url" if address.scheme == "gs" else "endpoint"] = address.endpoint
    if address.region:
        values["region"] = address.region
    if address.account:
        values["account_name"] = address.account
    if address.scheme == "s3":
        values["disable_bulk_delete"] = True  # the bulk call is missing in some, and its errors are harder to tell
    kinds: dict[str, Callable[..., Engine]] = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    return kinds[address.scheme](
        address.bucket,
        prefix=address.prefix or None,
        config=values,
        client_options=client,
        retry_config=retry,
    )


def _fit(path: str) -> bool:
    try:
        object_name(path)
    except Misuse:
        return False
    return path.partition("/")[0] != MARKER
