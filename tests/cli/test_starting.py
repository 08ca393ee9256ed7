"""The command line before any command: how fast it starts, what it imports, what its help says."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ropewalk import __version__
from ropewalk.cli import memory
from ropewalk.cli.commands import COMMANDS
from ropewalk.cli.reference import reference
from tests.cli.conftest import Run

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
HEAVY = {"asyncio", "blake3", "cryptography", "cyclopts", "mnemonic", "msgspec", "rich", "sqlite3", "zstandard"}


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def imported(*words: str) -> set[str]:
    """The modules that a command imports."""
    script = "import sys; from ropewalk.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = python("-c", script, *words)
    return set(done.stderr.split())


def test_the_version_imports_nothing_heavy() -> None:
    assert not imported("--version") & HEAVY


def test_the_version_takes_less_than_150_ms() -> None:
    """One run of many is enough: the others were held up by what else goes on here."""
    times: list[float] = []
    while not times or (min(times) >= 0.15 and len(times) < 100):
        started = time.perf_counter()
        done = python("-m", "ropewalk", "--version")
        times.append(time.perf_counter() - started)
        assert (done.returncode, done.stdout) == (0, f"{__version__}\n")
    assert min(times) < 0.15


def test_the_package_alone_imports_nothing_heavy() -> None:
    done = python("-c", "import sys, ropewalk; print(*sys.modules)")
    assert not set(done.stdout.split()) & HEAVY


def test_help_of_one_command_does_not_import_the_others() -> None:
    modules = imported("store", "list", "--help")
    assert "ropewalk.cli.store" in modules
    assert not modules & {"ropewalk.cli.put", "ropewalk.cli.health", "ropewalk.cli.history"}


def test_no_words_show_the_help(run: Run) -> None:
    page = run("--help").out
    assert run().out == page
    for words, *_ in COMMANDS:
        assert words.split()[0] in page


def test_every_command_has_a_page_with_usage_and_summary(run: Run, subtests: pytest.Subtests) -> None:
    for words, *_ in COMMANDS:
        with subtests.test(words):
            page = run(*words.split(), "--help").out
            usage, summary = page.split("\n\n")[:2]
            assert " ".join(usage.split()).startswith(f"Usage: ropewalk {words} ")
            assert summary.endswith(".")
            assert "object at 0x" not in page


def test_the_reference_is_what_the_help_says() -> None:
    assert REFERENCE.read_text() == reference(), "python -m ropewalk.cli.reference >docs/reference/command-line.md"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands(run: Run, user: Path, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(user))
    run("--install-completion", "--shell", shell, "--output", str(user / "completion"))
    script = (user / "completion").read_text()
    assert "restore" in script
    assert "passphrase-file" in script


def test_a_reader_that_goes_away_is_no_fault(photos: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    words = [sys.executable, "-m", "ropewalk", "space", "list"]
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


_THEN = """
import resource, sys
from ropewalk.cli.main import main
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    values = [b"x" * (1 << 20) for _ in range(8)]
status = main(sys.argv[1:])
work()
before = faults()
for _ in range(10):
    work()
print(status, faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another allocator")
@pytest.mark.parametrize("words", [("get", "photos:/2026", "back"), ("put", ".", "photos:/"), ("repair", "photos")])
def test_what_moves_bulk_does_not_pay_for_its_memory_twice(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the command, as in it: 80 MiB are taken and given back, 20,480 pages where nobody asked to keep them."""
    monkeypatch.setenv("ROPEWALK_HOME", str(tmp_path))
    status, paid = python("-c", _THEN, *words).stdout.split()
    assert status != "0"  # there is no space here
    assert int(paid) < 2_000


def test_memory_is_kept_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "keep_freed", lambda _most: False)
    assert not memory.keep_memory()


def test_a_fault_of_ours_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_home: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("ropewalk.spaces.home.Home.load", broken)
    result = run("space", "list", status=1)
    assert result.err.splitlines()[0] == "error: ZeroDivisionError: a fault"
    assert "ROPEWALK_DEBUG" in result.err


def test_interrupted_is_status_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(_home: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ropewalk.spaces.home.Home.load", stopped)
    assert run("space", "list", status=130).err.startswith("error: stopped\n")


def test_garbage_is_collected_as_before_in_a_process_that_is_not_ours(run: Run) -> None:
    frozen = gc.get_freeze_count()
    run("store", "list")
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_a_command_collects_its_garbage(photos: Path) -> None:
    script = (
        "import gc, sys; from ropewalk.cli.main import main;"
        " main(); print(gc.isenabled(), gc.get_freeze_count() > 10_000)"
    )
    assert python("-c", script, "ls", "photos").stdout == "True True\n"
