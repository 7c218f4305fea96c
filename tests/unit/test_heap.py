"""The heap of a training: memory that was given back is used again, and goes back to the system at the end."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import contextlib, resource, sys
import psutil, torch
from inhouse.train import roomy_heap

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(48 * 2**20 // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with roomy_heap(2**30) if sys.argv[1] == "roomy" else contextlib.nullcontext():
    torch.ones(48 * 2**20 // 4)
    print(faults())
print(psutil.Process().memory_info().rss // 2**20)
"""


def _tells() -> bool:
    """Whether glibc is there to be told, and does not get huge pages anyway."""
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return platform.libc_ver()[0] == "glibc" and setting.is_file() and "[always]" not in setting.read_text("utf-8")


@pytest.mark.skipif(not _tells(), reason="no page faults to be saved here")
def test_memory_that_was_given_back_is_used_again_without_page_faults() -> None:
    plain, usual = _run("plain")
    roomy, left = _run("roomy")
    assert plain > 20 * 10_000  # 48 MB in pages of 4 KB, twenty times
    assert roomy < plain / 20
    assert left < usual + 100  # megabytes: nothing of the heap is kept


def _run(how: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    faults, left = map(int, done.stdout.split())
    return faults, left
