"""The answers to a batch that is under way, one line each, so that one that is broken off goes on where it was."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from inhouse.core.json_schema import compact


class Answers:
    """The answers to a batch so far, by `custom_id`, in a file: each a line of the output, or of the errors.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(exist_ok=True)
        self.completed, self.failed = set[str](), set[str]()
        with locked(path) as file:
            whole = 0
            for line in file:
                try:
                    answer = json.loads(line)
                except ValueError:  # the process was killed while it wrote this one
                    break
                whole += len(line)
                self._count(answer)
            file.truncate(whole)

    @property
    def done(self) -> set[str]:
        """What is answered."""
        return self.completed | self.failed

    def add(self, answer: dict[str, Any]) -> None:
        """Keep an answer."""
        with locked(self._path) as file:
            file.seek(0, os.SEEK_END)
            file.write(compact(answer).encode("utf-8") + b"\n")
        self._count(answer)

    def write(self, output: Path, errors: Path, names: Iterable[str]) -> None:
        """Write the answers, and what failed, in the order of the requests' names."""
        with locked(self._path) as file:
            places: dict[str, int] = {}
            while line := file.readline():
                places[json.loads(line)["custom_id"]] = file.tell() - len(line)
            with output.open("wb") as good, errors.open("wb") as bad:
                for name in names:
                    if name in places:  # else it was forgotten meanwhile
                        file.seek(places[name])
                        (good if name in self.completed else bad).write(file.readline())

    def remove(self) -> None:
        """Let the file go."""
        self._path.unlink(missing_ok=True)

    def _count(self, answer: dict[str, Any]) -> None:
        response = answer["response"]
        (self.completed if response and response["status_code"] == 200 else self.failed).add(answer["custom_id"])


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes]]:
    """A file of answers, made if it is not there. Nobody changes it meanwhile: `forget` takes lines out of it."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def forget_lines(path: Path, holds: Callable[[bytes], bool]) -> int:
    """Take lines out of a file of answers, while another process adds to it; how many."""
    with locked(path) as file:
        lines = file.readlines()
        left = [line for line in lines if not holds(line)]
        if len(left) < len(lines):
            file.seek(0)
            file.truncate()
            file.writelines(left)
    return len(lines) - len(left)
