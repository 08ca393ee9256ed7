"""ISA-L: the processor's vector instructions for GF(2^8), from a shared library that is already installed.

Flow: erasure -> [Isal] -> ec_encode_data of libisal, by ctypes, which lets go of the interpreter's lock
Never: copies a column, imports the package whose wheel carries the library, or holds on to a buffer after the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

__all__ = ["Isal", "candidates", "load"]

TABLE = 32  # bytes that ISA-L expands one element of a matrix to (ec_init_tables in its erasure_code.h)


class Isal:
    """The arithmetic by one shared library of ISA-L.

    Raises:
        OSError: There is no such library, or it cannot be loaded here.
        AttributeError: It is another library.
    """

    name: ClassVar[str] = "isa-l"

    def __init__(self, library: str) -> None:
        loaded = ctypes.CDLL(library)
        self._init_tables = loaded.ec_init_tables
        self._init_tables.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p]
        self._init_tables.restype = None
        self._encode_data = loaded.ec_encode_data
        self._encode_data.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int, *[ctypes.c_void_p] * 3]
        self._encode_data.restype = None

    def prepare(self, rows: Sequence[bytes]) -> _Combination:
        """A combination that gives one output a row; see ``erasure.Arithmetic``."""
        tables = ctypes.create_string_buffer(TABLE * len(rows[0]) * len(rows))
        self._init_tables(len(rows[0]), len(rows), b"".join(rows), tables)
        return _Combination(self._encode_data, tables, len(rows))


def load() -> Isal | None:
    """ISA-L from the first place that has it, or None."""
    for library in candidates():
        try:
            return Isal(library)
        except (OSError, AttributeError):
            continue
    return None


def candidates() -> Iterator[str]:
    """Where the library may be: what PyECLib's wheel carries, then the system's."""
    spec = find_spec("pyeclib")
    for package in (spec.submodule_search_locations or []) if spec else []:
        # The tools that bundle libraries into wheels put them beside the package on Linux, inside it on macOS.
        yield from sorted(map(str, Path(package).parent.glob("pyeclib.libs/libisal*.so*")))
        yield from sorted(map(str, Path(package).glob(".dylibs/libisal*.dylib")))
    from ctypes.util import find_library  # its own imports take 10 ms

    system = find_library("isal")
    if system:
        yield system


class _Combination:
    def __init__(self, encode_data: Callable[..., None], tables: ctypes.Array[ctypes.c_char], height: int) -> None:
        self._encode_data = encode_data
        self._tables = tables
        self._height = height

    def __call__(self, columns: Sequence[memoryview], length: int) -> list[bytearray]:
        outputs = [bytearray(length) for _ in range(self._height)]
        lengths = [len(column) for column in columns]
        # The range is cut where a column ends: from there on the column reads zeros, so none is copied to be padded.
        zeros = bytes(length - min(lengths))
        sources_type = ctypes.c_void_p * len(columns)
        targets_type = ctypes.c_void_p * len(outputs)
        with ExitStack() as pinned:
            padding = pinned.enter_context(_address(zeros))
            sources = [pinned.enter_context(_address(column)) for column in columns]
            targets = [pinned.enter_context(_address(output)) for output in outputs]
            start = 0
            for end in sorted({*lengths, length} - {0}):
                self._encode_data(
                    end - start,
                    len(columns),
                    len(outputs),
                    self._tables,
                    sources_type(*(s + start if n > start else padding for s, n in zip(sources, lengths, strict=True))),
                    targets_type(*(target + start for target in targets)),
                )
                start = end
        return outputs


class _View(ctypes.Structure):
    """CPython's ``Py_buffer``, part of its stable ABI since 3.11."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


# Own function objects: setting argtypes on the shared ones of ctypes.pythonapi would change them for everyone.
_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_View), ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_View))(("PyBuffer_Release", ctypes.pythonapi))


@contextmanager
def _address(buffer: bytes | bytearray | memoryview) -> Iterator[int]:
    """Where a contiguous buffer lies; it can neither move nor go until the block ends."""
    view = _View()
    _get_buffer(buffer, ctypes.byref(view), 0)  # 0 is PyBUF_SIMPLE: read-only buffers too; raises BufferError itself
    try:
        yield view.buf or 0
    finally:
        _release_buffer(ctypes.byref(view))
