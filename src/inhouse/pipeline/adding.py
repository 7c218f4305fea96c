"""`init` and `add`: from files to a dataset version."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import inhouse.dataset as datasets
import inhouse.sources as sources
from inhouse.clean import CHECKS
from inhouse.core import (
    PRIMARY_METRICS,
    Dataset,
    Example,
    InputSection,
    Kind,
    Outline,
    Rejection,
    Reporter,
    Silent,
    Task,
    labels_of,
    render_input,
)
from inhouse.core.json_schema import parse_object
from inhouse.engine import find_spec, require_base
from inhouse.errors import InputError, UsageError, did_you_mean
from inhouse.pipeline.cards import save_version
from inhouse.pipeline.differences import tell_replaced
from inhouse.pipeline.reading import subject_of
from inhouse.store import Workspace, check_name, disk_guard, records, write_bytes


@dataclass(frozen=True)
class Added:
    """What `add` did. `dataset` is 0 when nothing new was in the files.

    `dropped` examples were set aside, `leaking` ones are kept and not learned from, as they stand in the test too;
    `replaced` ones stand in for older rows of their key.
    `form` says in lines what the answers look like: fields of the schema, or structure checks. `card` is the data card
    of a new version.
    """

    task: str
    dataset: int
    dataset_fingerprint: str
    counts: dict[str, int]
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    target: str | tuple[str, ...]
    rejected: int
    rejected_file: str | None
    dropped: int
    leaking: int = 0
    replaced: int = 0
    warnings: tuple[str, ...] = ()
    kind: Kind = "classify"
    form: tuple[str, ...] = ()
    card: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass
class _Read:
    """Source files as examples, before anything is stored."""

    examples: list[Example] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    mapping: sources.Mapping | None = None
    documents: tuple[str, ...] = ()


def init(
    workspace: Workspace, name: str, *, kind: str = "classify", instruction: str = "", base_model: str = ""
) -> Task:
    """Make the folder a workspace, if it is none, and the task in it.

    Raises:
        UsageError: the name or kind cannot be used, or the task exists.
        ModelUnavailable: the base model is not known.
    """
    check_name(name)
    if workspace.has_task(name):
        raise UsageError(f"the task {name!r} exists already", f"add data to it: `inhouse add {name} FILE`")
    task = new_task(name, kind).model_copy(update={"instruction": instruction})
    if base_model:
        find_spec(base_model)
        task = task.model_copy(update={"base_model": base_model})
    with disk_guard(workspace.paths.root), workspace.undoing(workspace.paths.task_file(name)):
        workspace.create()
        workspace.save_task(task)
    return task


def new_task(name: str, kind: str) -> Task:
    """A task of that kind without data.

    Raises:
        UsageError: the kind is not known.
    """
    if kind not in PRIMARY_METRICS:
        remedy = f"{did_you_mean(kind, PRIMARY_METRICS)}there are {', '.join(PRIMARY_METRICS)}"
        raise UsageError(f"kind {kind!r} is not known", remedy)
    return Task.model_validate({"name": name, "kind": kind})


def add(
    workspace: Workspace,
    name: str,
    files: Sequence[Path | str],
    reporter: Reporter | None = None,
    *,
    test: Path | str | None = None,
    inputs: Sequence[str] = (),
    target: str | Sequence[str] = "",
    group: str = "",
    key: str = "",
    drop_rare: bool = False,
) -> Added:
    """Read files into the task's next dataset version.

    Everything is read and checked before anything is written: on an error the workspace is as it was.

    Args:
        files: tables or JSON; each added as training data.
        test: a file whose examples are the test set, whole and unedited.
        inputs, target, group: column names, or dotted paths into JSON; what is not given is inferred, or taken from
            `task.toml`. Several targets make the object of an extract task.
        key: a column that tells rows apart: a row whose key is there already replaces that row, and keeps its group and
            split. Not given: as `task.toml` has it.
        drop_rare: set aside labels that appear once instead of refusing the file.

    Raises:
        SourceError, TooFewExamples: with file, line, value and remedy.
        NotFound, ConfigError, DiskFull
    """
    reporter = reporter or Silent()
    with workspace.changing_data():
        task = workspace.load_task(name)
        prepared = prepare(
            workspace, task, files, reporter, test=test, inputs=inputs, target=target, group=group, key=key
        )
        return store_data(workspace, task, prepared, reporter, drop_rare=drop_rare)


@dataclass(frozen=True)
class Prepared:
    """Files read and mapped, nothing stored: `store_data` goes on from here."""

    train: _Read
    test: _Read | None


def prepare(
    workspace: Workspace,
    task: Task,
    files: Sequence[Path | str],
    reporter: Reporter,
    *,
    test: Path | str | None,
    inputs: Sequence[str],
    target: str | Sequence[str],
    group: str,
    key: str = "",
) -> Prepared:
    """Read and map the files; the workspace is only looked at."""
    if not files and test is None:
        raise UsageError("no file was given", f"inhouse add {task.name} FILE")
    known = records.known_sources(workspace, task.name) if workspace.exists else {}
    names = _Columns(
        fields=tuple(inputs) or task.input.fields,
        targets=((target,) if isinstance(target, str) else tuple(target)) if target else task.input.targets,
        group=group or task.input.group,
        rejected=task.input.rejected,
        key=key or task.input.key,
    )
    forgotten = records.forgotten_sources(workspace, task.name) if workspace.exists else {}
    train = _read(task, files, "train", names, known, forgotten, reporter)
    if test is None:
        return Prepared(train, None)
    if train.mapping is not None:
        names = _columns_of(train.mapping)
    return Prepared(train, _read(task, [test], "test", names, known, forgotten, reporter))


def _refuse_other_columns(task: Task, mapping: sources.Mapping, file: Path | str) -> None:
    """A task reads and answers the same columns for ever: its models and traces rest on them."""
    mine = task.input
    for option, asked, has in (
        ("--input", ", ".join(mapping.fields), ", ".join(mine.fields)),
        ("--target", ", ".join(mapping.targets), ", ".join(mine.targets)),
        ("--group", mapping.group, mine.group),
    ):
        if asked != has:
            raise InputError(
                f"{option} {asked or 'none'}: the data that the task {task.name!r} has is of {has or 'none'}",
                "leave the option out, rename the file's columns, or begin another task",
                file=file,
            )


@dataclass(frozen=True)
class _Columns:
    fields: tuple[str, ...]
    targets: tuple[str, ...]
    group: str
    rejected: str
    key: str


def _columns_of(mapping: sources.Mapping) -> _Columns:
    return _Columns(mapping.fields, mapping.targets, mapping.group, mapping.rejected, mapping.key)


def _read(
    task: Task,
    files: Sequence[Path | str],
    role: str,
    names: _Columns,
    known: dict[tuple[str, str], str],
    forgotten: dict[str, str],
    reporter: Reporter,
) -> _Read:
    read = _Read(documents=task.input.documents)
    known_before = bool(known)
    known = dict(known)
    for file in files:
        source = sources.read_source(file)
        mapping = sources.infer_mapping(
            source,
            kind=task.kind,
            fields=names.fields,
            target=names.targets,
            group=names.group,
            rejected=names.rejected,
            key=names.key,
        )
        if known_before:
            _refuse_other_columns(task, mapping, file)
        documents = () if mapping.chat else sources.document_columns(source, mapping.fields)
        read.documents = tuple(dict.fromkeys((*read.documents, *documents)))
        source = sources.with_documents(source, documents)
        if when := forgotten.get(source.sha256):
            reporter.warn(f"{file} was forgotten on {when[:10]} and stays so: nothing of it is read")
            continue
        if (source.sha256, role) in known and not (mapping.key and not task.input.key):  # it may bring rows their key
            reporter.say(f"{file} was added before: nothing new in it")
            continue
        known[source.sha256, role] = str(file)
        for sentence in mapping.why:
            reporter.say(sentence)
        examples, rejections = sources.to_examples(source, mapping, read.documents)
        read.mapping = mapping
        read.examples += examples
        read.rejections += [*source.rejections, *rejections]
        read.added.append(
            {
                "sha256": source.sha256,
                "role": role,
                "file": str(file),
                "rows": len(examples),
                "rejected": len(source.rejections) + len(rejections),
            }
        )
        names = _columns_of(mapping)
    return read


def store_data(
    workspace: Workspace,
    task: Task,
    prepared: Prepared,
    reporter: Reporter,
    *,
    drop_rare: bool,
    models: Sequence[str] = (),
) -> Added:
    """Make and store the next dataset version out of what was read.

    Args:
        models: base models that the next steps need: one that cannot be had is told before anything is written.
    """
    previous = None
    if workspace.exists and (newest := records.latest_dataset(workspace, task.name)):
        previous = records.load_dataset(workspace, task.name, newest)
    number = (previous.number if previous else 0) + 1
    train, test = prepared.train, prepared.test
    if previous is not None and not train.examples and (test is None or not test.examples):
        if task != workspace.load_task(task.name):
            workspace.save_task(task)
        return _unchanged(task, previous)
    files = [a["file"] for a in (*train.added, *(test.added if test else []))]
    built = datasets.build_dataset(
        task.name,
        number,
        train.examples,
        None if test is None else test.examples,
        kind=task.kind,
        previous=previous,
        drop_rare=drop_rare,
        reason=f"added {', '.join(files)}",
    )
    for model in models:
        require_base(model, workspace.settings)
    mapping = train.mapping or (test.mapping if test else None)
    documents = tuple(dict.fromkeys((*train.documents, *(test.documents if test else ()))))
    changed = with_form(task.model_copy(update={"input": _input_section(task, mapping, documents)}), built.dataset)
    if changed.kind == "extract":
        built = replace(built, dataset=datasets.in_schema_order(built.dataset, changed.json_schema))
    rejections = [*train.rejections, *(test.rejections if test else [])]
    if previous is not None and _says_the_same(previous, built.dataset):
        for rejection in rejections[:5]:
            reporter.warn(f"{rejection.provenance}: row rejected: {rejection.reason}")
        reporter.say(f"every other row of {', '.join(files)} is there already: nothing changed")
        return replace(_unchanged(task, previous), rejected=len(rejections))
    rejected_file = _keep_all(
        workspace, changed, built.dataset, [*train.added, *(test.added if test else [])], rejections, previous
    )
    _tell(built, rejections, rejected_file, task, changed, reporter)
    for found in CHECKS["overlong"](subject_of(workspace, changed, built.dataset)):
        reporter.warn(f"{found.reason}; {found.cost}. {found.action}")
    if built.replaced and previous is not None:
        tell_replaced(datasets.difference(previous, built.dataset), reporter)
    return Added(
        task=task.name,
        dataset=number,
        dataset_fingerprint=built.dataset.fingerprint,
        counts=built.dataset.counts(),
        labels=changed.labels,
        fields=changed.input.fields,
        target=changed.input.target,
        rejected=len(rejections),
        rejected_file=rejected_file,
        dropped=len(built.dropped),
        leaking=len(built.leaks),
        replaced=len(built.replaced),
        warnings=tuple(built.warnings),
        kind=task.kind,
        form=form_lines(changed),
        card=str(workspace.paths.card(task.name, number)),
    )


def with_form(task: Task, dataset: Dataset) -> Task:
    """The task with what its answers look like: labels, JSON Schema or outline, as the train side shows them.

    A schema that is there gains what new examples hold beyond it; an outline that is there is the user's and stays.
    """
    side = dataset.learned
    if task.kind == "classify":
        return task.model_copy(update={"labels": labels_of(side)})
    if task.kind == "extract":
        return task.model_copy(update=_object_form(task, side))
    if task.outline == Outline() and not task.input.chat:
        return task.model_copy(update={"outline": datasets.infer_outline([e.target for e in side])})
    return task


def _object_form(task: Task, side: Sequence[Example]) -> dict[str, Any]:
    """The JSON Schema of the targets, and which of its fields are taken from the input."""
    objects, groups = [parse_object(e.target) or {} for e in side], [e.group for e in side]
    texts = [render_input(e.inputs) for e in side]
    schema = (
        datasets.widened(task.json_schema, objects, groups)[0]
        if task.json_schema
        else datasets.infer_schema(objects, groups)
    )
    fitted = [datasets.fitted(schema, one) for one in objects]
    if task.from_input is None:  # an empty table would be a user's no
        taken = datasets.infer_from_input(schema, fitted, texts) or None
    else:
        taken = datasets.still_from_input(task.from_input, schema, fitted, texts)
    return {"json_schema": schema, "from_input": taken}


def tell_not_taken(before: Task, after: Task, reporter: Reporter) -> None:
    """Warn of fields that the examples no longer show to be taken from the input."""
    forms = before.from_input or {}
    for path in sorted(set(forms) - set(after.from_input or {})):
        share = datasets.stray_share(forms[path])
        what = "is no passage of their input" if forms[path] == "text" else "their input does not mention"
        reporter.warn(
            f"{path} is no longer taken from the input: its type is another now, or over {share:.0%} of its values "
            f"are such as {what}"
        )


def form_lines(task: Task) -> tuple[str, ...]:
    """What the task's answers look like, for a person."""
    if task.kind == "extract":
        return tuple(datasets.describe_schema(task.json_schema, task.from_input))
    return tuple(datasets.describe_outline(task.outline)) if task.kind == "generate" else ()


def _says_the_same(previous: Dataset, dataset: Dataset) -> bool:
    """Whether a version would hold the rows of the one before, under the same keys."""
    keys = ({e.key for e in d.examples} for d in (previous, dataset))
    return previous.fingerprint == dataset.fingerprint and next(keys) == next(keys)


def _unchanged(task: Task, previous: Dataset) -> Added:
    return Added(
        task=task.name,
        dataset=previous.number,
        dataset_fingerprint=previous.fingerprint,
        counts=previous.counts(),
        labels=task.labels,
        fields=task.input.fields,
        target=task.input.target,
        rejected=0,
        rejected_file=None,
        dropped=0,
        kind=task.kind,
        form=form_lines(task),
    )


def _input_section(task: Task, mapping: sources.Mapping | None, documents: tuple[str, ...]) -> InputSection:
    if mapping is None:
        return task.input
    return InputSection(
        fields=mapping.fields,
        target=mapping.target,
        group=mapping.group,
        chat=mapping.chat,
        documents=documents,
        rejected=mapping.rejected or task.input.rejected,
        key=mapping.key or task.input.key,
    )


def _keep_all(
    workspace: Workspace,
    task: Task,
    dataset: Dataset,
    added: list[dict[str, Any]],
    rejections: list[Rejection],
    previous: Dataset | None,
) -> str | None:
    """Write rejects file, task and dataset, in this order: the database row makes the version real."""
    rejects = workspace.paths.rejects(task.name, _file_name(added))
    files = (workspace.paths.task_file(task.name), rejects)
    with disk_guard(workspace.paths.root), workspace.undoing(*files):
        workspace.create()
        if rejections:
            write_bytes(rejects, sources.rejections_csv(rejections))
        workspace.save_task(task)
        save_version(workspace, task.kind, dataset, previous, added)
    return str(rejects) if rejections else None


def _file_name(added: list[dict[str, Any]]) -> str:
    """Of the first file added: its name and the first digits of its checksum, as two folders may hold a data.csv."""
    name = re.sub(r"[^\w.-]", "_", Path(added[0]["file"]).name)
    return f"{name}.{added[0]['sha256'][:8]}"


def _tell(
    built: datasets.Built,
    rejections: Sequence[Rejection],
    rejected_file: str | None,
    before: Task,
    after: Task,
    reporter: Reporter,
) -> None:
    counts = built.dataset.counts()
    labels = f", {len(after.labels)} labels" if after.kind == "classify" else ""
    reporter.say(
        f"dataset version {built.dataset.number}: {counts['train']} training, {counts['validation']} validation and "
        f"{counts['test']} test examples{labels} (fingerprint {built.dataset.fingerprint})"
    )
    if (lines := form_lines(after)) and form_lines(before) != lines:
        told = "answers meet this schema" if after.kind == "extract" else "answers are checked for this structure"
        reporter.say(f"{told}, kept in task.toml and yours to edit:")
        for line in lines:
            reporter.say(f"  {line}")
    if before.json_schema and before.json_schema != after.json_schema:
        objects = [parse_object(e.target) or {} for e in built.dataset.learned]
        for change in datasets.widened(before.json_schema, objects)[1][:10]:
            reporter.warn(f"the schema was widened for the new examples: {change}")
        reporter.warn("models trained before answer in the old schema: train again")
    tell_not_taken(before, after, reporter)
    new = sorted(set(after.labels) - set(before.labels)) if before.labels else []
    if new:
        reporter.warn(f"new labels: {', '.join(new[:10])}; models trained before do not know them")
    for rejection in rejections[:5]:
        reporter.warn(f"{rejection.provenance}: row rejected: {rejection.reason}")
    if rejections:
        reporter.warn(f"{len(rejections)} rows were rejected; they are kept with their reasons in {rejected_file}")
    for _, why in built.leaks[:5]:
        reporter.warn(why)
    if built.leaks:
        reporter.warn(
            f"{len(built.leaks)} examples stand in the test too: nothing learns from them, and "
            f"`inhouse clean {after.name} --apply safe` drops them"
        )
    for example, why in built.dropped[:5]:
        reporter.warn(f"{example.provenance}: {why}")
    if len(built.dropped) > 5:
        reporter.warn(f"... {len(built.dropped)} examples were left out in all, for such reasons")
    for warning in built.warnings:
        reporter.warn(warning)
