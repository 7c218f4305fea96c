"""What `predict` answers, row by row: a table, a document, or a folder of documents."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import inhouse.sources as sources
from inhouse.core import ModelVersion, Provenance, Record, Rejection
from inhouse.errors import SourceError

COLUMNS = ("prediction", "confidence", "needs_review", "error")

# What a row of documents says of itself: its file, and which message of a mailbox it is.
DOCUMENT_COLUMNS = ("file", "part")


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a key that no other has, its cells, the task's input in it, and why it cannot be answered, if so.

    `place` is how far it is in the batch, as `Batch.total` counts. A row that was answered before has no inputs.
    """

    key: str
    place: int
    cells: tuple[str, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True)
class Batch:
    """What is to be answered: the columns that are carried along, how many rows or documents, and the rows in order.

    `rows` takes the keys that are answered already: their documents are not read again.
    """

    columns: tuple[str, ...]
    total: int
    rows: Callable[[Container[str]], Iterator[Row]]
    notes: tuple[str, ...] = ()


def batch_of(path: Path, version: ModelVersion) -> Batch:
    """The batch that a path means, as this version reads it.

    Raises:
        SourceError: it cannot be read, lacks a column, or the version reads more than a document's text.
    """
    if path.is_dir() or path.suffix.lower() in sources.DOCUMENT_ENDINGS:
        return _of_documents(path, version)
    return _of_table(path, version)


def _of_documents(path: Path, version: ModelVersion) -> Batch:
    if version.chat or len(version.fields) != 1:
        reads = "conversations" if version.chat else f"the columns {', '.join(version.fields)}"
        raise SourceError(
            f"{version.name} reads {reads}, and a document is one text",
            "give a table with these columns; a cell may name a document" if version.fields else "give a chat file",
            file=path,
        )
    folder = sources.document_files(path)
    (name,) = version.fields

    def rows(answered: Container[str]) -> Iterator[Row]:
        keys = [_key(file.name, _state(file.path)) for file in folder.files]
        unread = (file.path for file, key in zip(folder.files, keys, strict=True) if key not in answered)
        texts = sources.read_documents(unread)
        for place, (file, key) in enumerate(zip(folder.files, keys, strict=True), 1):
            if key in answered:
                yield Row(key, place, (file.name, ""))
                continue
            _, parts = next(texts)
            for part in parts:
                fault = f"{file.name}: {part.fault}" if part.fault else ""
                one = f"{key} {part.name}" if part.name else key
                yield Row(one, place, (file.name, part.name), {} if fault else {name: part.text}, fault)
        for refused, reason in folder.refused:
            yield Row(_key(refused, ""), len(folder.files), (refused, ""), {}, f"{refused}: {reason}")

    return Batch(DOCUMENT_COLUMNS, len(folder.files), rows, tuple(filter(None, [folder.left_out])))


def _of_table(path: Path, version: ModelVersion) -> Batch:
    source = sources.read_source(path)
    sources.check_columns(source, version.fields)
    source = sources.with_documents(source, () if version.chat else version.documents)
    columns = tuple(c for c in source.columns if c not in COLUMNS or c in version.fields)
    notes = tuple(source.notes)
    if len(columns) < len(source.columns):
        replaced = ", ".join(sorted(set(source.columns) - set(columns)))
        notes = (*notes, f"the file holds answers already: its {replaced} are replaced")

    def rows(answered: Container[str]) -> Iterator[Row]:
        unread = [r for r in source.records if _key_of(r.provenance) not in answered]
        read = sources.input_reader(source, version.fields, version.documents, chat=version.chat, records=unread)
        in_order: list[Record | Rejection] = [*source.records, *source.rejections]
        in_order.sort(key=lambda row: row.provenance.line)
        for place, row in enumerate(in_order, 1):
            key, line = _key_of(row.provenance), row.provenance.line
            if isinstance(row, Rejection):
                cells = tuple(row.row if name == source.columns[0] else "" for name in columns)
                yield Row(f"{key} rejected", place, cells, {}, f"line {line}: {row.reason}")
                continue
            cells = tuple(row.values.get(name, "") for name in columns)
            inputs, reason = ({}, "") if key in answered else read(row)
            fault = f"line {line}: {reason}" if reason else ""
            yield Row(key, place, cells, {} if reason else inputs, fault)

    return Batch(columns, len(source.records) + len(source.rejections), rows, notes)


def _key_of(place: Provenance) -> str:
    return _key(str(place), place.sha256[:32])


def _key(name: str, state: str) -> str:
    return f"{name} {state}"


def _state(path: Path) -> str:
    """What changes with a file, without reading it: a folder may hold gigabytes."""
    try:
        found = path.stat()
    except OSError:  # reading it tells why
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"
