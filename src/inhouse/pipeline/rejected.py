"""Rows that `add` rejects: files of them, to be mended and added again, and what is said of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import inhouse.sources as sources
from inhouse.core import Rejection, Reporter, Task, counted
from inhouse.pipeline.reading import Origin, Unusable
from inhouse.store import Workspace, write_bytes

_TOLD = 5


@dataclass(frozen=True)
class _List:
    """Rejected rows of sources with the same columns; documents of folders stand apart from rows of tables."""

    columns: tuple[str, ...]
    documents: bool
    rows: list[Rejection]


class Rejected:
    """The rejected rows of one `add`, in a file for each set of columns that sources have."""

    def __init__(self, workspace: Workspace, task: Task, rejections: Sequence[tuple[Origin, Rejection]]) -> None:
        self._rejections = [rejection for _, rejection in rejections]
        self._lists: dict[Path, _List] = {}
        lists: dict[tuple[tuple[str, ...], bool], _List] = {}
        for origin, rejection in rejections:
            alike = (origin.columns, origin.folder)
            if alike not in lists:
                lists[alike] = _List(*alike, [])
                self._lists[self._file(workspace, task, origin)] = lists[alike]
            lists[alike].rows.append(rejection)

    def _file(self, workspace: Workspace, task: Task, first: Origin) -> Path:
        """Named after the first source, and the first digits of its checksum: two folders may hold a data.csv.

        Two folders of documents may have the same name and no checksum, and a number then tells them apart.
        """
        name = re.sub(r"[^\w.-]", "_", first.name.rpartition("/")[2])[-100:] + f".{first.sha256[:8]}"
        file, number = workspace.paths.rejects(task.name, name), 2
        while file in self._lists:
            file, number = workspace.paths.rejects(task.name, f"{name}-{number}"), number + 1
        return file

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self._rejections)

    @property
    def files(self) -> list[Path]:
        """The files that hold them, written or not."""
        return list(self._lists)

    def write(self) -> None:
        """Write the files."""
        for file, its in self._lists.items():
            write_bytes(file, sources.rejects_csv(its.columns, its.rows))

    def first(self, most: int) -> Iterator[Unusable]:
        """The first of them, each with file, line, reason and remedy."""
        for rejection in islice(self._rejections, most):
            place = rejection.provenance
            yield Unusable(place.file, place.line or None, rejection.reason, sources.remedy_of(rejection.reason))

    def tell(self, reporter: Reporter) -> None:
        """Say which rows were rejected and why, and what is to be done."""
        for rejection in self._rejections[:_TOLD]:
            remedy = sources.remedy_of(rejection.reason)
            reporter.warn(f"{rejection.provenance}: row rejected: {rejection.reason}\n  -> {remedy}")
        rows, documents = (
            {str(file): len(its.rows) for file, its in self._lists.items() if its.documents is wanted}
            for wanted in (False, True)
        )
        if rows:
            reporter.warn(
                f"{counted(sum(rows.values()), 'row')} rejected; mend what is wrong in {some(list(rows))} and add that "
                "file: it has each row with its reason and remedy"
            )
        if documents:
            reporter.warn(
                f"{counted(sum(documents.values()), 'document')} rejected; mend these files and add the folder again: "
                f"they are listed in {some(list(documents))}"
            )


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of the names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
