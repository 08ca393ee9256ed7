"""ISA-L: its matrices are those of the format, it is found where it may be, and nothing else is taken for it."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from ropewalk.spaces.pack import isal
from ropewalk.spaces.pack.erasure import generator_row
from ropewalk.spaces.pack.gf256 import invert

needs_isal = pytest.mark.skipif(isal.load() is None, reason="no ISA-L on this machine")


@needs_isal
@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 4), (3, 5), (10, 14), (32, 64), (63, 64)])
def test_matrices_and_inverses_are_those_of_isa_l(k: int, n: int) -> None:
    library = ctypes.CDLL(next(isal.candidates()))
    theirs = ctypes.create_string_buffer(n * k)
    library.gf_gen_cauchy1_matrix(theirs, n, k)
    ours = [generator_row(k, index) for index in range(n)]
    assert theirs.raw == b"".join(ours)
    square = b"".join(ours[n - k :])
    result = ctypes.create_string_buffer(k * k)
    assert library.gf_invert_matrix(ctypes.create_string_buffer(square, k * k), result, k) == 0
    assert result.raw == b"".join(invert(ours[n - k :]))


def wheel(monkeypatch: pytest.MonkeyPatch, package: Path | None, system: str | None) -> None:
    spec = None if package is None else SimpleNamespace(submodule_search_locations=[str(package)])
    monkeypatch.setattr(isal, "find_spec", lambda name: spec)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: system)


def test_the_library_is_looked_for_in_the_wheel_and_then_in_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "pyeclib"
    linux = tmp_path / "pyeclib.libs" / "libisal-0f3a.so.2"
    macos = package / ".dylibs" / "libisal.2.dylib"
    for path in (linux, macos, linux.with_name("liberasurecode.so.1")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    wheel(monkeypatch, package, "libisal.so.2")
    assert list(isal.candidates()) == [str(linux), str(macos), "libisal.so.2"]


def test_where_no_library_can_be_used_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheel(monkeypatch, None, None)
    assert isal.load() is None
    broken = tmp_path / "pyeclib.libs" / "libisal.so.2"
    broken.parent.mkdir()
    broken.write_bytes(b"not a library")
    wheel(monkeypatch, tmp_path / "pyeclib", None)
    assert isal.load() is None


@needs_isal
def test_another_library_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    right = next(isal.candidates())
    another = find_spec("_ctypes")
    assert another is not None
    monkeypatch.setattr(isal, "candidates", lambda: [another.origin, right])
    assert isal.load() is not None
