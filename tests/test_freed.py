"""Memory that was freed stays in the process where that was asked for, and is not paid for again page by page."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ropewalk.freed import keep_freed

_FAULTS = """
import resource, sys
from ropewalk.freed import keep_freed
kept = keep_freed(int(sys.argv[1]))
def fault():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    values = [b"x" * (1 << 20) for _ in range(8)]
work()
before = fault()
for _ in range(10):
    work()
print(int(kept), fault() - before)
"""


def faults(most: int) -> tuple[bool, int]:
    """Whether memory was kept, and for how many pages was paid while 80 MiB were taken and given back."""
    ran = subprocess.run([sys.executable, "-c", _FAULTS, str(most)], capture_output=True, text=True, check=True)
    kept, count = ran.stdout.split()
    return kept == "1", int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of glibc")
def test_memory_that_is_kept_is_not_paid_for_again() -> None:
    kept, few = faults(32 << 20)
    if not kept:
        pytest.skip("the allocator cannot be told")
    _, many = faults(0)
    assert many > 5_000  # of 20,480
    assert few < many / 10


def test_nothing_is_asked_of_the_allocator_for_no_memory() -> None:
    assert not keep_freed(0)
