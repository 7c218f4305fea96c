"""From paths to examples: files, folders, patterns and databases, each read as the task's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import inhouse.sources as sources
from inhouse.core import Example, InputSection, Kind, Rejection, Reporter, SourceSection, Task, warn_of_first
from inhouse.errors import InputError, SourceError, UsageError
from inhouse.store import Workspace
from inhouse.store.settings import Settings, is_loopback, require_outbound

# Files from which on a bar shows how far the reading is.
_MANY_FILES = 50
# Rows from which kind and columns of a new task are inferred.
_LOOKED_AT = 20_000
# Folders of a workspace in which inhouse keeps its own files.
_OWN = ("blobs", "tasks", "runs", "locks", "mlruns")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a command says of its sources; what is empty is found out, or was kept.

    Items of `inputs`, `targets`, `group` and `key` are columns of the source, or `NAME=COLUMN` where the task calls a
    column otherwise. `query` is for databases.
    """

    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    group: str = ""
    key: str = ""
    options: sources.ReadOptions = field(default_factory=sources.ReadOptions)
    query: str = ""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that nothing was read from, why, and what to do about it."""

    file: str
    line: int | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that was read, and how: its name, and the options or the query under which that is kept.

    `documents`: cells may name documents; `folder`: it is a folder of documents itself.
    """

    source: sources.Source
    name: str
    how: SourceSection
    documents: bool = True
    folder: bool = False


@dataclass
class Opening:
    """All sources that paths mean, read and not yet understood."""

    opened: list[Opened] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    errors: list[InputError] = field(default_factory=list)
    count: int = 0

    @property
    def files(self) -> list[str]:
        """All that was to be read, what cannot be used too."""
        return [*(str(one.source.path) for one in self.opened), *(bad.file for bad in self.unusable)]

    def failed(self, error: InputError, name: str) -> None:
        """Note a source that cannot be used; raises the error where it is the only one."""
        error.file = error.file or name
        if self.count < 2:
            raise error
        self.errors.append(error)
        self.unusable.append(Unusable(error.file, error.line, error.what, error.remedy))


@dataclass(frozen=True, slots=True)
class Origin:
    """The source that a rejected row stands in: its name, checksum and columns, and whether its rows are documents."""

    name: str
    sha256: str
    columns: tuple[str, ...]
    folder: bool = False


@dataclass
class Read:
    """Sources as examples, before anything is stored. Each rejection comes with where it stands.

    `reread` are files whose rows may be others than before (another reading of the file, another target of a document),
    by checksum and part, with the lines of their examples.
    """

    examples: list[Example] = field(default_factory=list)
    rejections: list[tuple[Origin, Rejection]] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    documents: tuple[str, ...] = ()
    sections: tuple[SourceSection, ...] = ()
    unusable: list[Unusable] = field(default_factory=list)
    reread: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)


# ---------------------------------------------------------------------- opening


def open_sources(
    workspace: Workspace,
    paths: Sequence[Path | str],
    wishes: Wishes,
    kept: Sequence[SourceSection],
    reporter: Reporter,
    *,
    targets: bool = True,
) -> Opening:
    """Read every file, folder, pattern and database that is named.

    One that cannot be read is told and left out, unless it is the only one.

    Args:
        targets: whether documents need one beside them, or a folder named as their label.

    Raises:
        SourceError: nothing can be read.
        OutboundForbidden: a database elsewhere, and INHOUSE_OFFLINE is set.
    """
    urls, walk, folders = look_at(workspace, paths, wishes)
    tell_passed_over(walk, reporter)
    opening = Opening(count=len(urls) + len(walk.files) + len(folders))
    if not opening.count:
        raise _nothing_there(paths, walk)
    open_tables(opening, walk.files, wishes, kept, reporter)
    for folder in folders:
        try:
            source, how = sources.read_document_folder(folder, targets=targets), SourceSection(pattern=folder.name)
            opening.opened.append(Opened(source, folder.name, how, documents=False, folder=True))
        except InputError as error:
            opening.failed(error, folder.name)
    open_databases(opening, urls, wishes, kept, workspace.settings)
    _require_any(opening)
    return opening


def look_at(
    workspace: Workspace, paths: Sequence[Path | str], wishes: Wishes, *, documents: bool = False
) -> tuple[list[str], sources.Walk, list[sources.DocumentFolder]]:
    """What paths mean, nothing read yet: URLs of databases, files, and folders of documents, whose files are no others.

    Args:
        documents: all folders that hold documents are such, whatever else is in them.

    Raises:
        SourceError: a pattern that matches nothing.
        UsageError: a query, and no database.
    """
    urls = [path for path in paths if isinstance(path, str) and sources.is_url(path)]
    if wishes.query and not urls:
        raise UsageError("--query is for a database", "name it, such as postgresql://USER@HOST/DATABASE")
    own = [workspace.paths.root / name for name in _OWN]
    walk = sources.find_files([p for p in paths if p not in urls], own)
    return urls, walk, _document_folders(walk, [Path(p) for p in paths if p not in urls], own, always=documents)


def open_tables(
    opening: Opening,
    files: Sequence[sources.Found],
    wishes: Wishes,
    kept: Sequence[SourceSection],
    reporter: Reporter | None = None,
) -> None:
    """Read tables, as the command says or as was kept of their likes."""
    bar = reporter.bar("reading", opening.count) if reporter and opening.count >= _MANY_FILES else None
    for number, found in enumerate(files, start=1):
        how = _how(found, wishes.options, kept)
        try:
            opening.opened.append(Opened(sources.read_source(found.path, _options(how), found.name), found.name, how))
        except InputError as error:
            opening.failed(error, str(found.path))
        if bar:
            bar.update(number)


def open_databases(
    opening: Opening, urls: Sequence[str], wishes: Wishes, kept: Sequence[SourceSection], settings: Settings
) -> None:
    """Read databases by the query that is given, or that was kept.

    Raises:
        OutboundForbidden: one elsewhere, and INHOUSE_OFFLINE is set.
    """
    for url in urls:
        name = sources.without_password(url)
        try:
            opening.opened.append(_open_database(url, name, wishes, kept, settings))
        except InputError as error:
            opening.failed(error, name)


def _document_folders(
    walk: sources.Walk, paths: Sequence[Path], own: Sequence[Path], *, always: bool
) -> list[sources.DocumentFolder]:
    """The folders whose documents have their targets beside them, or which hold no table that could name documents.

    Their documents, and the files with their targets, are taken out of the walk.
    """
    found = []
    for path in paths:
        if not path.is_dir():
            continue
        try:
            folder = sources.document_files(path, own)
        except SourceError:  # no document in it
            continue
        if always or folder.join == "sidecar" or not any(path in one.path.parents for one in walk.files):
            found.append(folder)
    if not found:
        return []
    taken = {file for folder in found for one in folder.files for file in (one.path, one.sidecar)}
    walk.files = [one for one in walk.files if one.path.resolve() not in taken]
    walk.documents = [one for one in walk.documents if one.path.resolve() not in taken]
    return found


def _open_database(url: str, name: str, wishes: Wishes, kept: Sequence[SourceSection], settings: Settings) -> Opened:
    for host in sources.hosts_of(url):
        if not is_loopback(host):
            require_outbound(settings, "reading the database", host)
    query = wishes.query or next((s.query for s in kept if s.pattern == name and s.query), "")
    how = SourceSection(pattern=name, query=query)
    return Opened(sources.read_database(url, query), name, how, documents=False)


def _how(found: sources.Found, options: sources.ReadOptions, kept: Sequence[SourceSection]) -> SourceSection:
    """How a file is read: as the command says, or as was kept of its likes."""
    if options == sources.ReadOptions():
        options = next((o for s in kept if sources.fits(s, found.name) and (o := _options(s)) != options), options)
    return SourceSection(
        pattern=found.pattern,
        sheet=options.sheet,
        header=options.header,
        encoding=options.encoding,
        delimiter=options.delimiter,
    )


def _options(how: SourceSection) -> sources.ReadOptions:
    return sources.ReadOptions(how.sheet, how.header, how.encoding, how.delimiter)


def tell_passed_over(walk: sources.Walk, reporter: Reporter) -> None:
    """Say how many files are left out, and why."""
    if walk.passed_over:
        told = ", ".join(f"{count:,} {reason}" for reason, count in walk.passed_over.most_common())
        reporter.say(f"files passed over: {told}")
    if walk.documents:
        reporter.say(f"{len(walk.documents):,} documents are read where a column of a table names them")


def _nothing_there(paths: Sequence[Path | str], walk: sources.Walk) -> SourceError:
    passed = sum(walk.passed_over.values())
    what = f"no table and no JSON file is there ({passed:,} other files, {len(walk.documents):,} documents)"
    known = ", ".join(f".{name}" for name in sources.READERS)
    return SourceError(what, f"known are {known}; a column of a table can name documents", file=str(paths[0]))


def _require_any(opening: Opening) -> None:
    if not opening.opened:
        first = opening.errors[0]
        if len(opening.errors) > 1:
            first.what += f" (and {len(opening.errors) - 1} more files cannot be used)"
        raise first


# ---------------------------------------------------------------------- what a task calls its columns


def lead(opening: Opening, wishes: Wishes) -> sources.Source:
    """The rows of the most frequent shape, as one source: what a new task is inferred from.

    Where columns are named, shapes that have them go first. Of more than `_LOOKED_AT` rows every second, third, ... is
    taken: what a column holds shows in these.
    """
    shapes: Counter[tuple[str, ...]] = Counter()
    for one in opening.opened:
        shapes[one.source.columns] += len(one.source.records)
    named = [_split(item)[1] for item in (*wishes.inputs, *wishes.targets, wishes.group, wishes.key) if item]
    missing = {shape: sum(name.split(".")[0] not in shape and name not in shape for name in named) for shape in shapes}
    best = min(shapes, key=lambda shape: (missing[shape], -shapes[shape]))
    alike = [one.source for one in opening.opened if one.source.columns == best]
    records = [record for source in alike for record in source.records]
    return replace(
        alike[0],
        records=records[:: -(-len(records) // _LOOKED_AT) or 1],
        nested=frozenset[str]().union(*(source.nested for source in alike)),
    )


def infer_kind(source: sources.Source, wishes: Wishes) -> tuple[Kind, str]:
    """The kind of task that a source does for, and the reason."""
    its = _theirs(wishes)
    return sources.infer_kind(source, fields=its.inputs, target=its.targets, group=its.group)


def with_input(source: sources.Source, task: Task, wishes: Wishes, reporter: Reporter) -> Task:
    """A new task with what it calls its columns: as the user says, else as its first source does.

    An instruction that all rows of the source share becomes the task's, unless it has one.
    """
    its = _theirs(wishes)
    mapping = sources.infer_mapping(
        source,
        kind=task.kind,
        fields=its.inputs or task.input.fields,
        target=its.targets or task.input.targets,
        group=its.group or task.input.group,
        rejected=task.input.rejected,
        key=its.key or task.input.key,
    )
    for sentence in mapping.why:
        if sentence not in source.notes:  # what is found out of a file is told as it is read
            reporter.say(sentence)
    if mapping.instruction and not task.instruction:
        reporter.say(f"instruction of the task: {mapping.instruction!r}, which is the same in all rows")
        task = task.model_copy(update={"instruction": mapping.instruction})
    elif mapping.instruction:
        reporter.say("left out: the rows' instruction, as the task has its own")
    mine = {its: mine for mine, its in map(_split, (*wishes.inputs, *wishes.targets, wishes.group, wishes.key))}
    targets = tuple(mine.get(name, name) for name in mapping.targets)
    section = InputSection(
        fields=tuple(mine.get(name, name) for name in mapping.fields),
        target=targets if len(targets) > 1 else "".join(targets),
        group=mine.get(mapping.group, mapping.group),
        chat=mapping.chat,
        documents=task.input.documents,
        rejected=mapping.rejected or task.input.rejected,
        key=mine.get(mapping.key, mapping.key),
    )
    return task.model_copy(update={"input": section})


def names_in_source(wishes: Wishes, task: Task) -> dict[str, str]:
    """What the user calls the task's columns in these sources: by name (`text=body`), else by their order.

    Raises:
        InputError: other columns than the task has: its models and traces rest on those.
    """
    mine, named = task.input, dict[str, str]()
    for option, given, known in (
        ("--input", wishes.inputs, mine.fields),
        ("--target", wishes.targets, mine.targets),
        ("--group", (wishes.group,) if wishes.group else (), (mine.group,) if mine.group else ()),
        ("--key", (wishes.key,) if wishes.key else (), (mine.key,) if mine.key else ()),
    ):
        pairs = [_split(item) for item in given]
        if given and all(name in known for name, _ in pairs):
            named |= dict(pairs)
        elif given and len(given) == len(known) and not any("=" in item for item in given):
            named |= dict(zip(known, given, strict=True))
        elif given:
            raise InputError(
                f"{option} {', '.join(given)}: the data that the task {task.name!r} has is of "
                f"{', '.join(known) or 'none'}",
                f"say which column is which ({option} NAME=COLUMN), leave the option out, or begin another task",
            )
    return named


def names_of_inputs(wishes: Wishes, fields: Sequence[str]) -> dict[str, str]:
    """By field what the sources of a command call it: `NAME=COLUMN` of its inputs, or one column for one field.

    Raises:
        InputError: there is no such field.
    """
    pairs = dict(map(_split, wishes.inputs))
    if len(pairs) == len(fields) == 1 and "=" not in wishes.inputs[0]:
        return {fields[0]: wishes.inputs[0]}
    if odd := sorted(pairs.keys() - set(fields)):
        raise InputError(
            f"--input {odd[0]}: the model reads {', '.join(fields) or 'conversations'}",
            "say which column is which: --input NAME=COLUMN",
        )
    return pairs


def _split(item: str) -> tuple[str, str]:
    """`text=body` as the task's name and the source's; a name alone is both."""
    mine, equals, its = item.partition("=")
    return (mine, its) if equals and mine and its else (item, item)


def _theirs(wishes: Wishes) -> Wishes:
    """The wishes with the columns as the source calls them."""
    return replace(
        wishes,
        inputs=tuple(_split(item)[1] for item in wishes.inputs),
        targets=tuple(_split(item)[1] for item in wishes.targets),
        group=_split(wishes.group)[1],
        key=_split(wishes.key)[1],
    )


def task_name_of(column: str) -> str:
    """What the task calls a column that the user named."""
    return _split(column)[0]


# ---------------------------------------------------------------------- reading


def read_all(
    opening: Opening,
    task: Task,
    named: Mapping[str, str],
    role: str,
    known: Mapping[tuple[str, str, str], str],
    forgotten: Mapping[str, str],
    reporter: Reporter,
    *,
    again: bool = False,
) -> Read:
    """The examples of all sources, in their order. A source that cannot be mapped is told and left out, unless it is
    the only one.

    Args:
        named: what the user calls the task's columns here.
        role: `train` or `test`.
        known: by checksum, role and part of the sources that the task has, how they were read: they add nothing, unless
            they are read otherwise now.
        forgotten: checksum of the sources that were forgotten, and when; they stay so.
        again: sources that the task has are read all the same: they may bring its rows their keys.

    Raises:
        SourceError: no source can be used.
    """
    read = Read(documents=task.input.documents)
    wanted = sources.Columns(task.kind, task.input, frozenset(task.labels), task.sources, dict(named))
    known, said, used = dict(known), set[str](), 0
    for one in opening.opened:
        if (source := without_forgotten(one, forgotten, reporter)) is None:
            used += 1
            continue
        one = replace(one, source=source)
        try:
            mapping, its = sources.map_onto(one.source, one.name, wanted, guess=not named or opening.count > 1)
            part = _examples(one, mapping, read.documents)
        except InputError as error:
            if error.file == str(one.source.path) and not one.documents:
                error.file = one.name
            opening.failed(error, one.name)
            continue
        used += 1
        key, reading = (part.sha256, role, one.source.part), one.source.reading
        called = f"the sheet {one.source.part!r} of {one.name}" if one.source.part else one.name
        before = known.get(key)
        if before in ("", reading) and not again:
            reporter.say(f"{called} was added before: nothing new in it")
            continue
        if before not in (None, "", reading):
            reporter.say(f"{called} was added before as {before}, and is read as {reading} now: its rows replace those")
            lines = frozenset(example.provenance.line for example in part.examples)
            read.reread[part.sha256, one.source.part] = lines
        if one.folder and role == "train":
            read.reread |= _held_once(part.examples)
        known[key] = reading
        _tell_once(mapping, one, its, said, reporter)
        read.documents = part.documents
        read.examples += part.examples
        origin = Origin(one.name, part.sha256, one.source.columns, one.folder)
        read.rejections += [(origin, rejection) for rejection in part.rejections]
        read.added.append(
            {
                "sha256": part.sha256,
                "role": role,
                "part": one.source.part,
                "reading": reading,
                "file": one.name,
                "rows": len(part.examples),
                "rejected": len(part.rejections),
            }
        )
        if (section := one.how.model_copy(update={"columns": its})) != SourceSection(pattern=one.how.pattern):
            read.sections = merged([section], read.sections)
    if not used:
        opening.opened = []
        _require_any(opening)
    read.unusable = opening.unusable
    told = [
        f"{bad.file if bad.line is None else f'{bad.file}:{bad.line}'}: left out: {bad.reason}\n  -> {bad.remedy}"
        for bad in read.unusable
    ]
    warn_of_first(reporter, told, "files were left out in all")
    return read


def _held_once(examples: Sequence[Example]) -> dict[tuple[str, str], frozenset[int]]:
    """As `Read.reread`, the documents of a folder that are there once: the same document may have another target now,
    by the file beside it or as it lies in another folder."""
    times = Counter((e.provenance.sha256, e.provenance.part) for e in examples)
    return {document: frozenset({0}) for document, count in times.items() if count == 1}


def without_forgotten(one: Opened, forgotten: Mapping[str, str], reporter: Reporter) -> sources.Source | None:
    """A source without rows of files that were forgotten (of a file of rejected rows); None where it was itself.

    Args:
        forgotten: checksum of the files that were forgotten, and when.
    """
    source = one.source
    if when := forgotten.get(source.sha256):
        reporter.warn(f"{one.name} was forgotten on {when[:10]} and stays so: nothing of it is read")
        return None
    kept = [record for record in source.records if record.provenance.sha256 not in forgotten]
    if len(kept) == len(source.records):
        return source
    gone = len(source.records) - len(kept)
    reporter.warn(f"{gone:,} rows of {one.name} are of a file that was forgotten, and are not read")
    return replace(source, records=kept) if kept or source.rejections else None


def merged(new: Iterable[SourceSection], old: Sequence[SourceSection]) -> tuple[SourceSection, ...]:
    """Kept sections with new ones before them; a new one replaces what was kept of the same files and columns."""
    sections = {(s.pattern, tuple(sorted(s.columns.items()))): s for s in [*new, *old][::-1]}
    return tuple(reversed(sections.values()))


@dataclass(frozen=True, slots=True)
class _Part:
    """What one source gives."""

    sha256: str
    examples: list[Example]
    rejections: list[Rejection]
    documents: tuple[str, ...]


def _examples(one: Opened, mapping: sources.Mapping, documents: tuple[str, ...]) -> _Part:
    """The examples of a source; `documents` are the fields that are known to name documents, by the task's names."""
    source, mine = one.source, dict(zip(mapping.fields, mapping.field_names, strict=True))
    if one.documents and not mapping.chat:
        its = sources.document_columns(source, mapping.fields)
        source = sources.with_documents(source, its)
        documents = tuple(dict.fromkeys((*documents, *(mine[name] for name in its))))
    examples, rejections = sources.to_examples(source, mapping, [its for its in mine if mine[its] in documents])
    return _Part(source.sha256, examples, [*source.rejections, *rejections], documents)


def _tell_once(
    mapping: sources.Mapping, one: Opened, its: Mapping[str, str], said: set[str], reporter: Reporter
) -> None:
    """What was found out of a source; of many of one shape once."""
    for sentence in mapping.why:
        if sentence not in said:
            said.add(sentence)
            reporter.say(f"{one.name}: {sentence}" if its else sentence)
