"""Takes back a stack that OpenVINO leaves behind for signals."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_DISABLED = 2  # SS_DISABLE of signal.h


class _Stack(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def usual_signal_stack() -> Iterator[None]:
    """Around what loads OpenVINO's CPU plugin: the thread's signals stay on the stack that they were on before.

    The plugin gives its thread an alternate stack and puts back the one before it when it is freed. Where two of them
    are not freed in the reverse order (openvino 2026.4), what is put back is freed memory, and the next Ctrl-C ends the
    process with a segmentation fault. Without effect but on Linux.
    """
    if sys.platform != "linux":
        yield
        return
    libc, before = ctypes.CDLL(None), _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        # A whole one is put back; none is told by its flag, and the kernel then asks for nothing else.
        libc.sigaltstack(ctypes.byref(before if before.start else _Stack(None, _DISABLED, 0)), None)
