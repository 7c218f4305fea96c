"""The documents of a task, which a contender looks things up in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from inhouse.core import Reporter, counted
from inhouse.core.documents import Passage, passages_of
from inhouse.sources import find_files, read_documents
from inhouse.store import Workspace


def documents_of(workspace: Workspace, task: str, reporter: Reporter) -> Callable[[], Sequence[Passage]]:
    """What reads the passages of all documents at and below `tasks/NAME/documents`, once, when it is first asked.

    What cannot be read is told and left out.
    """

    @cache
    def read() -> Sequence[Passage]:
        folder = workspace.paths.documents(task)
        return _read(folder, reporter) if folder.is_dir() else ()

    return read


def _read(folder: Path, reporter: Reporter) -> Sequence[Passage]:
    walk = find_files([folder])
    if passed := len(walk.files) + walk.passed_over.total():
        reporter.warn(f"{folder}: {counted(passed, 'file')} passed over: no document that is read")
    found: list[Passage] = []
    read = read_documents(one.path for one in walk.documents)
    for one, (_, parts) in zip(walk.documents, read, strict=True):
        for fault in (part.fault for part in parts if part.fault):
            reporter.warn(f"{one.name}: {fault}; nothing is looked up in it")
        text = "\f".join(part.text for part in parts if not part.fault)
        found += passages_of(one.name.partition("/")[2], text)
    return found
