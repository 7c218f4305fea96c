"""What `predict` answers, row by row: tables, databases, documents, and folders of all of these."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import inhouse.sources as sources
from inhouse.core import ModelVersion, Provenance, Record, Rejection, Reporter, Task
from inhouse.errors import SourceError
from inhouse.pipeline.answers_kept import KeptAnswers
from inhouse.pipeline.reading import (
    Opened,
    Opening,
    Wishes,
    look_at,
    names_of_inputs,
    open_databases,
    open_tables,
    tell_passed_over,
)
from inhouse.store import Workspace

COLUMNS = ("prediction", "confidence", "needs_review", "error")
# Of objects, the confidence in each field as JSON, the least sure first.
FIELDS_COLUMN = "confidence_by_field"

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

    `rows` takes the keys that are answered already: their documents are not read again. `name` is of a table, `unread`
    says of files that nothing was read from why.
    """

    columns: tuple[str, ...]
    total: int
    rows: Callable[[Container[str]], Iterator[Row]]
    notes: tuple[str, ...] = ()
    name: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command says of what is to be answered: paths, patterns and URLs, and how they are read.

    `wishes` are as of `add`, its inputs `NAME=COLUMN` where a source calls a field otherwise.
    """

    paths: tuple[Path | str, ...]
    wishes: Wishes = field(default_factory=Wishes)
    out: Path | None = None


def batch_of(workspace: Workspace, task: Task, version: ModelVersion, asked: Asked, reporter: Reporter) -> Batch:
    """The batch that paths mean, read as `add` reads them, and as this version wants its inputs.

    Tables and databases give their rows; documents are rows of their own where the version reads one text, and are read
    where a cell names them otherwise. What cannot be read is told and left out, unless it is all there is.

    Raises:
        SourceError: nothing can be read, or what is there lacks a column, or the version reads more than a document.
        OutboundForbidden: a database elsewhere, and INHOUSE_OFFLINE is set.
        UsageError: `--query` without a database.
    """
    urls, walk, folders = look_at(workspace, asked.paths, asked.wishes, documents=_reads_texts(version))
    mine = {asked.out.resolve(), KeptAnswers.beside(asked.out).resolve()} if asked.out else set()
    files = [one for one in walk.files if one.path.resolve() not in mine]
    loose = [one for one in files if one.path.suffix.lower() in sources.DOCUMENT_ENDINGS]
    tables = [one for one in files if one not in loose]
    if _reads_texts(version):
        below = {one.path for folder in folders for one in folder.files}
        loose += [one for one in walk.documents if one.path.resolve() not in below]
    elif loose and len(loose) == len(files) and not urls:
        raise _no_document(version, loose[0].path)
    opening = Opening(count=len(urls) + len(tables) + len(loose) + len(folders))
    if not opening.count:
        _nothing_there(version, asked.paths)
    open_tables(opening, tables, asked.wishes, task.sources)
    open_databases(opening, urls, asked.wishes, task.sources, workspace.settings)
    named = names_of_inputs(asked.wishes, version.fields)
    parts, beside = list[Batch](), list[str]()
    for one in opening.opened:
        try:
            parts.append(_of_table(version, _theirs(version, named, one), one))
        except SourceError as error:
            if any(folder.path.resolve() in one.source.path.resolve().parents for folder in folders):
                beside.append(f"{one.name} is left out: {error.what}")  # targets, say, beside documents
            else:
                opening.failed(error, one.name)
    parts += _of_documents(version, folders, loose, with_tables=bool(tables)) if _reads_texts(version) else ()
    if not parts and opening.errors:
        raise opening.errors[0]
    if not parts:
        _nothing_there(version, asked.paths)
    if not folders:
        tell_passed_over(walk, reporter)
    unread = tuple(f"{one.file}: {one.reason}" for one in opening.unusable)
    batch = _together(parts)
    return replace(batch, notes=(*batch.notes, *beside), unread=unread)


def answer_columns(version: ModelVersion) -> tuple[str, ...]:
    """What `predict` writes behind the columns of a source."""
    return (*COLUMNS, FIELDS_COLUMN) if version.kind == "extract" else COLUMNS


def _reads_texts(version: ModelVersion) -> bool:
    """Whether a document is an input by itself."""
    return not version.chat and len(version.fields) == 1 and not version.documents


def _theirs(version: ModelVersion, named: Mapping[str, str], opened: Opened) -> tuple[str, ...]:
    """What a source calls the fields: as the command says, as was kept of it, or as the task does."""
    kept = opened.how.columns
    there = opened.source.columns
    return tuple(named.get(f) or (f if f in there else kept.get(f, f)) for f in version.fields)


def _no_document(version: ModelVersion, path: Path) -> SourceError:
    reads = "conversations" if version.chat else f"the columns {', '.join(version.fields)}"
    return SourceError(
        f"{version.name} reads {reads}, and a document is one text",
        "give a table with these columns; a cell may name a document" if version.fields else "give a chat file",
        file=path,
    )


def _nothing_there(version: ModelVersion, paths: Sequence[Path | str]) -> None:
    """Raise what says why nothing is to be read."""
    folder = sources.document_files(Path(paths[0]))
    raise _no_document(version, folder.path)


def _together(parts: Sequence[Batch]) -> Batch:
    """Several sources as one table: the columns of all, and before them the file that a row is of."""
    if len(parts) == 1:
        return parts[0]
    own = dict.fromkeys(name for part in parts for name in part.columns if part.columns != DOCUMENT_COLUMNS)
    of_documents = [name for name in DOCUMENT_COLUMNS[1:] if any(p.columns == DOCUMENT_COLUMNS for p in parts)]
    source = DOCUMENT_COLUMNS[0] if DOCUMENT_COLUMNS[0] not in own else "source_file"
    columns = (source, *(name for name in of_documents if name not in own), *own)

    def rows(answered: Container[str]) -> Iterator[Row]:
        before = 0
        for part in parts:
            for row in part.rows(answered):
                cells = dict(zip(part.columns, row.cells, strict=True))
                if part.columns == DOCUMENT_COLUMNS:
                    cells[source] = row.cells[0]
                    fault = row.fault
                else:
                    cells[source] = part.name
                    fault = row.fault and f"{part.name}: {row.fault}"
                in_order = tuple(cells.get(name, "") for name in columns)
                yield Row(row.key, before + row.place, in_order, row.inputs, fault)
            before += part.total

    return Batch(columns, sum(p.total for p in parts), rows, tuple(dict.fromkeys(n for p in parts for n in p.notes)))


def _of_documents(
    version: ModelVersion,
    folders: Sequence[sources.DocumentFolder],
    loose: Sequence[sources.Found],
    *,
    with_tables: bool,
) -> Iterator[Batch]:
    """Documents of folders and those that are named, each a row, read as they are asked for."""
    several = len(folders) + bool(loose) > 1

    def called(folder: sources.DocumentFolder, name: str) -> str:
        return f"{folder.name}/{name}" if several else name

    files = [(called(folder, one.name), one.path) for folder in folders for one in folder.files]
    files += [(one.path.name if len(loose) == 1 and not folders else one.name, one.path) for one in loose]
    refused = [(called(folder, name), reason) for folder in folders for name, reason in folder.refused]
    if not files and not refused:
        return
    (field_name,) = version.fields

    def rows(answered: Container[str]) -> Iterator[Row]:
        keys = [_key(name, _state(path)) for name, path in files]
        unread = (path for (_, path), key in zip(files, keys, strict=True) if key not in answered)
        texts = sources.read_documents(unread)
        for place, ((name, _), key) in enumerate(zip(files, keys, strict=True), 1):
            if key in answered:
                yield Row(key, place, (name, ""))
                continue
            _, parts = next(texts)
            for part in parts:
                fault = f"{name}: {part.fault}" if part.fault else ""
                one = f"{key} {part.name}" if part.name else key
                yield Row(one, place, (name, part.name), {} if fault else {field_name: part.text}, fault)
        for name, reason in refused:
            yield Row(_key(name, ""), len(files), (name, ""), {}, f"{name}: {reason}")

    notes = tuple(folder.left_out for folder in folders if folder.left_out and not with_tables)
    yield Batch(DOCUMENT_COLUMNS, len(files), rows, notes)


def _of_table(version: ModelVersion, fields: Sequence[str], opened: Opened) -> Batch:
    """The rows of a table, whose columns `fields` are the version's fields.

    Raises:
        SourceError: a column is missing.
    """
    source = opened.source
    sources.check_columns(source, fields)
    pairs = zip(version.fields, fields, strict=True)
    naming = [theirs for ours, theirs in pairs if opened.documents and ours in version.documents and not version.chat]
    source = sources.with_documents(source, naming)
    written = answer_columns(version)
    columns = tuple(c for c in source.columns if c not in written or c in fields)
    notes = tuple(source.notes)
    if len(columns) < len(source.columns):
        replaced = ", ".join(sorted(set(source.columns) - set(columns)))
        notes = (*notes, f"the file holds answers already: its {replaced} are replaced")

    def rows(answered: Container[str]) -> Iterator[Row]:
        unread = [r for r in source.records if _key_of(r.provenance) not in answered]
        read = sources.input_reader(source, fields, naming, chat=version.chat, records=unread, names=version.fields)
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

    return Batch(columns, len(source.records) + len(source.rejections), rows, notes, opened.name)


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
