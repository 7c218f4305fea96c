"""The answers of an unfinished `predict`, kept beside its `--out` as they come: the same command goes on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from inhouse.store import disk_guard


@dataclass(frozen=True, slots=True)
class Answer:
    """What is written of a row behind its own cells, and what could not be read of it, if so."""

    cells: tuple[str, ...]
    unreadable: str = ""


class KeptAnswers:
    """A file of JSON lines: what it belongs to, then a row's key with its answer.

    A line that a kill cut off is left out. Answers of another model or of other columns are none.
    """

    def __init__(self, out: Path, belongs_to: dict[str, object]) -> None:
        self.path = self.beside(out)
        self.answers: dict[str, Answer] = {}
        self._head = json.dumps(belongs_to, sort_keys=True)
        whole = self._load()
        self._file: IO[str] | None = None
        with disk_guard(self.path.parent):
            with self.path.open("r+b" if whole else "wb") as file:
                file.truncate(whole)
            self._file = self.path.open("a", encoding="utf-8")
            if not whole:
                self._write([self._head])

    @staticmethod
    def beside(out: Path) -> Path:
        """Where the answers lie that are to be written to `out`."""
        return out.with_name(f"{out.name}.part")

    def add(self, answers: Iterable[tuple[str, Answer]]) -> None:
        """Keep answers, safe from a kill and a power cut once this returns."""
        answers = list(answers)
        self._write([json.dumps([key, answer.cells, answer.unreadable]) for key, answer in answers])
        self.answers.update(answers)

    def close(self) -> None:
        """Free the file; it stays for the next command."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """All is answered: the file is no longer needed."""
        self.close()
        self.path.unlink(missing_ok=True)

    def _write(self, lines: Iterable[str]) -> None:
        assert self._file is not None
        with disk_guard(self.path.parent):
            self._file.writelines(f"{line}\n" for line in lines)
            self._file.flush()
            os.fsync(self._file.fileno())

    def _load(self) -> int:
        """Read what is there; returns how many bytes of it are whole lines that count."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
        if not lines or lines[0] != f"{self._head}\n".encode():
            return 0
        whole = len(lines[0])
        for line in lines[1:]:
            try:
                key, cells, unreadable = json.loads(line)
            except ValueError:  # a power cut may leave zeros in a file
                break
            self.answers[key] = Answer(tuple(cells), unreadable)
            whole += len(line)
        return whole
