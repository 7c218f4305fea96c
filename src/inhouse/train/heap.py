"""Memory for training that is asked of the system once.

A step makes and frees thousands of tensors of megabytes. glibc maps each of them anew, and the system then fills it
with zeros page by page: 2.6 million page faults in three steps, an eighth of the time (docs/log.md).
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# What a small model's step takes at most; nothing of it is used before it is needed.
ROOM = 2 * 2**30
_HUGE_PAGE = 2**21
_IS_GLIBC = platform.libc_ver()[0] == "glibc"
# Numbers of malloc.h and sys/mman.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _HUGE_PAGES = -1, -3, -4, 14
# Where glibc's own thresholds end up in a process that frees large blocks; once set, they no longer move by themselves.
_USUAL_MAPPED, _USUAL_TRIM, _USUAL_MAPS = 32 * 2**20, 64 * 2**20, 65536


def tidy_heap() -> None:
    """Give free memory back to the system: texts of many lengths break the heap into pieces, and it grows.

    In minutes a training of 2.5 GiB took 5.9; what is given back costs its page faults again, so it is done now and
    then. Without effect but on glibc.
    """
    if _IS_GLIBC:
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def roomy_heap(free: int) -> Iterator[None]:
    """Within it, memory that is given back is kept for the next tensor, in huge pages; without effect but on glibc.

    Args:
        free: bytes that the machine has left, of which half are taken at most.
    """
    if not _IS_GLIBC:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, -1)
    size = min(ROOM, free // 2)
    if block := libc.malloc(size):
        begin = -(-block // _HUGE_PAGE) * _HUGE_PAGE
        libc.madvise(begin, max(0, block + size - begin), _HUGE_PAGES)
        libc.free(block)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _USUAL_MAPS)
        libc.mallopt(_MMAP_THRESHOLD, _USUAL_MAPPED)
        libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        tidy_heap()
