"""Documents parsed in processes of their own: a crash or an endless loop of a parser costs one document."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from inhouse.sources.documents.reading import PLAIN, Part, read_parts

# Without a sign of life; the longest step, a scanned page, ends itself before (see image.PAGE_LIMIT_S).
SILENCE_LIMIT_S = 120.0

# More processes gain nothing where the disk is the limit, and each costs 60 MB.
_MOST_WORKERS = 8

# How many documents are read ahead for each worker.
_AHEAD = 4


def read_documents(
    paths: Iterable[Path], silence_limit_s: float = SILENCE_LIMIT_S
) -> Iterator[tuple[Path, list[Part]]]:
    """The texts of each document, in the order of the paths; what cannot be read is a part with its fault.

    Plain text is read here, all else by as many processes as there are cores. Few documents are held at a time.
    """
    paths = iter(paths)
    count = min(_cores(), _MOST_WORKERS)
    waiting: deque[tuple[Path, Future[list[Part]]]] = deque()
    with _Workers(silence_limit_s) as workers, ThreadPoolExecutor(count) as threads:
        try:
            for path in paths:
                read: Callable[[Path], list[Part]] = _here if path.suffix.lower() in PLAIN else workers.read
                waiting.append((path, threads.submit(read, path)))
                if len(waiting) >= _AHEAD * count:
                    first, parts = waiting.popleft()
                    yield first, parts.result()
            while waiting:
                first, parts = waiting.popleft()
                yield first, parts.result()
        finally:
            for _, parts in waiting:
                parts.cancel()
            if waiting:  # whoever asked stopped listening: what is being read is stopped, not waited for
                workers.stop()


def _here(path: Path) -> list[Part]:
    return list(read_parts(path))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Workers:
    """Processes that wait for a document, started when one is needed and none is free."""

    def __init__(self, silence_limit_s: float) -> None:
        self._free: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._all: list[_Worker] = []
        self._limit = silence_limit_s

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._all:
            worker.close()

    def stop(self) -> None:
        """End every process."""
        for worker in self._all:
            worker.stop()

    def read(self, path: Path) -> list[Part]:
        """The texts of a document, by a process that is free or new."""
        try:
            worker = self._free.get_nowait()
        except queue.Empty:
            worker = _Worker()
            self._all.append(worker)
        parts = worker.read(path, self._limit)
        if worker.lives:
            self._free.put(worker)
        return parts


class _Worker:
    """One process."""

    def __init__(self) -> None:
        package = Path(__file__).resolve().parents[3]
        known = os.environ.get("PYTHONPATH")
        environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{known}" if known else str(package)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inhouse.sources.documents.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="ascii",
            env=environment,
            start_new_session=True,  # so that Tesseract ends with it
        )

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def read(self, path: Path, silence_limit_s: float) -> list[Part]:
        """The texts of a document; a fault where the process ends or falls silent."""
        parts: list[Part] = []
        watch = _Watch(self.stop, silence_limit_s)
        try:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps(str(path.absolute())) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                watch.again()
                message = json.loads(line)
                if message is True:
                    return parts
                if message is not None:
                    parts.append(Part(*message))
        except (OSError, ValueError):  # it ended while it was written to, or in the middle of a line
            pass
        finally:
            watch.stop()
        self.stop()
        if watch.expired:
            fault = (
                f"kept its reader busy for more than {silence_limit_s:.0f} seconds; save it again or as another format"
            )
        else:
            fault = "made its reader crash; save it again or as another format"
        return [*parts, Part("", "", fault)]

    def stop(self) -> None:
        """End the process, and what it started, at once."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                if hasattr(os, "killpg"):
                    os.killpg(self._process.pid, signal.SIGKILL)
                else:
                    self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and free its pipes; nobody may be reading any more."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


class _Watch:
    """Calls a function when nothing was heard for some time."""

    def __init__(self, action: Callable[[], None], limit_s: float) -> None:
        self._action, self._limit = action, limit_s
        self._heard = threading.Event()
        self._over = False
        self.expired = False
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def again(self) -> None:
        """Something was heard."""
        self._heard.set()

    def stop(self) -> None:
        """No longer watch."""
        self._over = True
        self._heard.set()
        self._thread.join()

    def _wait(self) -> None:
        while not self._over:
            if not self._heard.wait(self._limit):
                self.expired = True
                self._action()
                return
            self._heard.clear()
