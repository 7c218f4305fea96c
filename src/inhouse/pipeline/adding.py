"""`init` and `add`: from files to a dataset version."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import inhouse.dataset as datasets
import inhouse.sources as sources
from inhouse.clean import CHECKS
from inhouse.core import (
    PRIMARY_METRICS,
    Dataset,
    Example,
    Kind,
    Rejection,
    Reporter,
    Silent,
    Task,
    counted,
    warn_of_first,
)
from inhouse.core.collector import no_collections
from inhouse.core.json_schema import compact, ordered, parse_object
from inhouse.engine import find_spec, require_base
from inhouse.errors import ModelUnavailable, NotFound, RareLabels, UsageError, did_you_mean
from inhouse.pipeline.cards import save_version
from inhouse.pipeline.corrections import store_corrected, waiting_corrections
from inhouse.pipeline.differences import tell_replaced
from inhouse.pipeline.masking import hides_more
from inhouse.pipeline.pooling import Pooled, input_of_unlabelled, set_aside, store_pooled
from inhouse.pipeline.reading import (
    Opening,
    Origin,
    Read,
    Unusable,
    Wishes,
    infer_kind,
    lead,
    merged,
    names_in_source,
    open_sources,
    read_all,
    task_name_of,
    with_input,
)
from inhouse.pipeline.rejected import Rejected, some
from inhouse.pipeline.subject import subject_of
from inhouse.pipeline.task_form import form_lines, tell_not_taken, with_form
from inhouse.store import Workspace, check_name, disk_guard, records

# What `add` takes in place of a path: the Corrections of what was served.
TRACES = "traces"
# Rejected rows and unusable files that the result lists; the files of rejected rows hold all.
LISTED = 1000
# Names so alike differ in one letter of seven at most (difflib's ratio).
_SLIP = 0.85

# Whether a person takes what is shown: lines, and a question.
Confirm = Callable[[str], bool]


@dataclass(frozen=True)
class Added:
    """What `add` did. `dataset` is 0 when nothing new was in the files.

    `dropped` examples were set aside, `leaking` ones are kept and not learned from, as they stand in the test too;
    `replaced` ones stand in for older rows of their key.
    `rejections` are the first of the rejected rows, each with file, line, reason and remedy; `rejected_files` hold all
    of them, to be mended and added again. `unusable` are files that were left out. `form` says in lines what the
    answers look like: fields of the schema, or structure checks. `card` is the data card of a new version. `pooled`
    records without a target joined the pool.
    """

    task: str
    dataset: int
    dataset_fingerprint: str
    counts: dict[str, int]
    labels: tuple[str, ...]
    fields: tuple[str, ...]
    target: str | tuple[str, ...]
    rejected: int = 0
    rejected_files: tuple[str, ...] = ()
    rejections: tuple[Unusable, ...] = ()
    unusable: tuple[Unusable, ...] = ()
    dropped: int = 0
    leaking: int = 0
    replaced: int = 0
    warnings: tuple[str, ...] = ()
    kind: Kind = "classify"
    form: tuple[str, ...] = ()
    card: str | None = None
    pooled: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


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
    kind: str = "",
    inputs: Sequence[str] = (),
    target: str | Sequence[str] = (),
    group: str = "",
    key: str = "",
    drop_rare: bool = False,
    options: sources.ReadOptions | None = None,
    query: str = "",
    confirm: Confirm | None = None,
    unlabelled: bool = False,
) -> Added:
    """Read files into the task's next dataset version.

    Everything is read and checked before anything is written: on an error the workspace is as it was. Of several files
    those that cannot be used are told and left out. A task that is not there is made, its kind inferred.

    Args:
        files: tables or JSON, folders of them, patterns such as `exports/**/*.csv`, URLs of databases as text, and the
            word `traces` for the Corrections of what was served; all of it is training data.
        test: a file whose examples are the test set, whole and unedited.
        kind: of a task that is not there; empty: inferred.
        inputs, target, group: column names, or dotted paths into JSON; what is not given is inferred, or taken from
            `task.toml`. `NAME=COLUMN` where the task calls a column otherwise than the source. Several targets make the
            object of an extract task.
        key: a column that tells rows apart: a row whose key is there already replaces that row, and keeps its group and
            split. Not given: as `task.toml` has it.
        drop_rare: set aside labels that appear once instead of refusing the file.
        options: how files are read, where that is not to be found out.
        query: the SQL for a database.
        confirm: asked once whether what was inferred is right; not of what `task.toml` holds already. Where a label
            appears once, asked whether such rows are set aside.
        unlabelled: rows without a target go to the task's pool, for `label`, in place of being rejected; the task must
            be there. Rows with a target become examples all the same.

    Raises:
        SourceError, TooFewExamples: with file, line, value and remedy.
        NotFound, ConfigError, DiskFull, OutboundForbidden
        UsageError: the answer to `confirm` was no.
    """
    reporter = reporter or Silent()
    wishes = wishes_of(inputs, target, group, options, query, key=key)
    with workspace.changing_data(), no_collections():
        task = _task_to_add_to(workspace, name, kind)
        paths = [f for f in files if not is_traces(f)]
        if not paths and test is None and len(files) > 0:
            return _add_corrections(workspace, workspace.load_task(name), reporter)
        opened, pooled = None, Pooled()
        if unlabelled:
            opened, task, pooled = _unlabelled(workspace, workspace.load_task(name), paths, wishes, reporter)
            if not opened.opened and test is None:
                return _nothing_but_pooled(workspace, task, pooled, reporter)
        prepared = prepare(
            workspace,
            task or name,
            paths if opened is None or opened.opened else [],
            reporter,
            test=test,
            wishes=wishes,
            kind=kind,
            opened=opened,
        )
        prepared.train.rejections.extend(pooled.rejections)
        added = store_data(workspace, prepared, reporter, drop_rare=drop_rare, confirm=confirm)
        if unlabelled:
            added = replace(added, pooled=store_pooled(workspace, workspace.load_task(name), pooled, reporter))
        return added if len(paths) == len(files) else _add_corrections(workspace, workspace.load_task(name), reporter)


def _unlabelled(
    workspace: Workspace, task: Task, files: Sequence[Path | str], wishes: Wishes, reporter: Reporter
) -> tuple[Opening, Task, Pooled]:
    """What was read of the files: what has a target, the task with its columns, what has none. Nothing is stored."""
    opened = open_sources(workspace, files, wishes, task.sources, reporter, targets=False)
    task = task.model_copy(update={"input": input_of_unlabelled(task, opened, wishes)})
    forgotten = records.forgotten_sources(workspace, task.name)
    return opened, task, set_aside(opened, task, names_in_source(wishes, task), forgotten, reporter)


def _nothing_but_pooled(workspace: Workspace, task: Task, pooled: Pooled, reporter: Reporter) -> Added:
    """Store what was read where no row had a target."""
    rejected = Rejected(workspace, task, pooled.rejections)
    with disk_guard(workspace.paths.root), workspace.undoing(workspace.paths.task_file(task.name), *rejected.files):
        if task != workspace.load_task(task.name):
            workspace.save_task(task)
        rejected.write()
        count = store_pooled(workspace, task, pooled, reporter)
    rejected.tell(reporter)
    newest = records.latest_dataset(workspace, task.name)
    previous = records.load_dataset(workspace, task.name, newest) if newest else Dataset(task.name, 0, (), ())
    prepared = Prepared(task, task, Read(), None)
    return replace(_result(task, previous, prepared, rejected), pooled=count)


def wishes_of(
    inputs: Sequence[str],
    target: str | Sequence[str],
    group: str,
    options: sources.ReadOptions | None,
    query: str,
    *,
    key: str = "",
) -> Wishes:
    """What a command says of its sources."""
    targets = (target,) if isinstance(target, str) and target else tuple(target)
    return Wishes(tuple(inputs), targets, group, key, options or sources.ReadOptions(), query)


def is_traces(path: Path | str) -> bool:
    """Whether a path that was given is the word for the Corrections of served answers."""
    return str(path) == TRACES and not Path(TRACES).exists()


def _task_to_add_to(workspace: Workspace, name: str, kind: str) -> Task | None:
    """The task; None where it is to be made. A name that differs from another task's in a letter or two is a slip."""
    check_name(name)
    task = task_there(workspace, name, kind)
    if task is None and workspace.exists and (near := _slip_of(name, workspace.task_names())):
        raise NotFound(
            f"there is no task {name!r}", f"did you mean `{near}`? A new one is made with `inhouse init {name}`"
        )
    return task


def _slip_of(name: str, known: Sequence[str]) -> str:
    """The task that a name was meant to be; empty where none is near. Names that differ in digits are numbered."""
    alike = [one for one in known if re.sub(r"\D", "", one) == re.sub(r"\D", "", name)]
    return next(iter(difflib.get_close_matches(name, alike, n=1, cutoff=_SLIP)), "")


def task_there(workspace: Workspace, name: str, kind: str) -> Task | None:
    """The task where there is one, which must be of `kind`, if one was given.

    Raises:
        UsageError: it is of another kind.
    """
    if not (workspace.exists and workspace.has_task(name)):
        return None
    task = workspace.load_task(name)
    if kind and kind != task.kind:
        raise UsageError(
            f"the task {name!r} is of kind {task.kind}, not {kind}", "leave --kind out, or name another task"
        )
    return task


# ---------------------------------------------------------------------- reading


@dataclass(frozen=True)
class Prepared:
    """Files read and mapped, nothing stored: `store_data` goes on from here. `task` has its columns, and no form yet.

    `before` is the task as it was; None where it was not there.
    """

    task: Task
    before: Task | None
    train: Read
    test: Read | None

    @property
    def reads(self) -> list[Read]:
        """What was read, the training side first."""
        return [self.train] if self.test is None else [self.train, self.test]

    @property
    def rejections(self) -> list[tuple[Origin, Rejection]]:
        """Rows that cannot be used, and where they stand."""
        return [rejected for read in self.reads for rejected in read.rejections]

    @property
    def is_news(self) -> bool:
        """Whether something of the mapping is not yet in `task.toml`."""
        if self.before is None or not self.before.input.fields:
            return True
        return self.task.sources != self.before.sources


def prepare(
    workspace: Workspace,
    task: Task | str,
    files: Sequence[Path | str],
    reporter: Reporter,
    *,
    test: Path | str | None,
    wishes: Wishes,
    kind: str = "",
    opened: Opening | None = None,
) -> Prepared:
    """Read and map the files; the workspace is only looked at.

    Args:
        task: the task, or the name of one to be made.
        kind: of a new task; empty: inferred from what most rows look like.
        opened: what was read of the files already.
    """
    before = None if isinstance(task, str) else task
    name = task if isinstance(task, str) else task.name
    if not files and test is None:
        raise UsageError("no file was given", f"inhouse add {name} FILE")
    kept = before.sources if before else ()
    if opened is None:
        opened = open_sources(workspace, files, wishes, kept, reporter) if files else Opening()
    asked = open_sources(workspace, [test], replace(wishes, query=""), kept, reporter) if test is not None else None
    sources.require_used(wishes.options, [file for each in (opened, asked) if each for file in each.files])
    source = lead(opened if opened.opened or asked is None else asked, wishes)
    task = before or new_task(name, kind or _kind_of(source, wishes, reporter))
    if before is None or not records.latest_dataset(workspace, name):
        task = with_input(source, task, wishes, reporter)
    elif wishes.key and not task.input.key:
        task = task.model_copy(update={"input": task.input.model_copy(update={"key": task_name_of(wishes.key)})})
    named = names_in_source(wishes, task)
    with_keys = bool(wishes.key)  # a file that was added before may bring its rows their keys
    known = records.known_sources(workspace, name) if workspace.exists else {}
    forgotten = records.forgotten_sources(workspace, name) if workspace.exists else {}
    train, tested = Read(), None
    if files:
        train = read_all(opened, task, named, "train", known, forgotten, reporter, again=with_keys)
    if asked is not None:
        tested = read_all(asked, task, named, "test", known, forgotten, reporter, again=with_keys)
    reads = [read for read in (train, tested) if read]
    for read in reads:
        _leave_out_known_rows(workspace, task, read, reporter, of_test=read is tested, with_keys=with_keys)
    documents = tuple(dict.fromkeys(name for read in reads for name in read.documents))
    task = task.model_copy(
        update={
            "input": task.input.model_copy(update={"documents": documents}),
            "sources": merged([s for read in reads for s in read.sections], task.sources),
        }
    )
    return Prepared(task, before, train, tested)


def _kind_of(source: sources.Source, wishes: Wishes, reporter: Reporter) -> Kind:
    kind, why = infer_kind(source, wishes)
    reporter.say(f"kind of task: {kind}, as {why} (--kind KIND overrules this)")
    return kind


def _leave_out_known_rows(
    workspace: Workspace, task: Task, read: Read, reporter: Reporter, *, of_test: bool, with_keys: bool
) -> None:
    """Leave out rows that a source of the same name brought before: a file that was saved again is no news.

    What an older version held counts too: a row that `clean` dropped or mended does not come back. A row whose key is
    there is never left out: it may take a correction back. Nor is one that is there, where it may bring its key.
    """
    if not workspace.exists or not read.examples:
        return
    files = {e.provenance.file for e in read.examples}
    known = records.known_rows(workspace, task.name, files, of_test=of_test)
    if known and with_keys:
        known -= records.known_rows(workspace, task.name, files, of_test=of_test, newest=True)
    if not known:
        return
    keys = records.newest_keys(workspace, task.name) if task.input.key else set()
    fresh = [e for e in read.examples if e.key in keys or not known & {(e.id, e.provenance.file), _as_stored(task, e)}]
    if again := len(read.examples) - len(fresh):
        told = ", ".join(sorted(files)[:3]) + (", ..." if len(files) > 3 else "")
        reporter.say(f"{again:,} rows of {told} were added before: nothing new in them")
    read.examples = fresh


def _as_stored(task: Task, example: Example) -> tuple[str, str]:
    """Id and file of an example as the train side holds it: objects are written in the schema's order."""
    found = parse_object(example.target) if task.kind == "extract" and task.json_schema else None
    if found is None:
        return example.id, example.provenance.file
    target = compact(ordered(task.json_schema, datasets.fitted(task.json_schema, found)))
    return replace(example, target=target, id="").id, example.provenance.file


# ---------------------------------------------------------------------- storing


def store_data(
    workspace: Workspace,
    prepared: Prepared,
    reporter: Reporter,
    *,
    drop_rare: bool,
    models: Sequence[str] = (),
    confirm: Confirm | None = None,
) -> Added:
    """Make and store the next dataset version out of what was read.

    Args:
        models: base models that the next steps need: one that cannot be had is told before anything is written.
        confirm: asked whether a new mapping is right, and whether rows of labels that appear once are set aside.

    Raises:
        UsageError: the mapping is not right.
        TooFewExamples
    """
    task, train, test = prepared.task, prepared.train, prepared.test
    previous = None
    if workspace.exists and (newest := records.latest_dataset(workspace, task.name)):
        previous = records.load_dataset(workspace, task.name, newest)
    number = (previous.number if previous else 0) + 1
    if previous is not None and not any(read.examples or read.reread for read in prepared.reads):
        return _unchanged(workspace, prepared, previous, reporter)
    added = [source for read in prepared.reads for source in read.added]
    build = partial(
        datasets.build_dataset,
        task.name,
        number,
        train.examples,
        None if test is None else test.examples,
        kind=task.kind,
        previous=previous,
        reason=f"added {some([source['file'] for source in added])}",
        reread={place: lines for read in prepared.reads for place, lines in read.reread.items()},
        protected=hides_more,
    )
    try:
        built = build(drop_rare=drop_rare)
    except RareLabels as error:
        if confirm is None or not confirm(f"{error}\nset such rows aside?"):
            raise
        built = build(drop_rare=True)
    for model in models:
        require_base(model, workspace.settings)
    if built.protected:
        reporter.warn(
            f"{counted(len(built.protected), 'masked row')} stayed as read before: this reading of the file would "
            "bring back what they hide"
        )
    changed = with_form(task, built.dataset)
    if changed.kind == "extract":
        built = replace(built, dataset=datasets.in_schema_order(built.dataset, changed.json_schema))
    if previous is not None and _says_the_same(previous, built.dataset):
        reporter.say(f"every row of {some([source['file'] for source in added])} is there already: nothing changed")
        return _unchanged(workspace, prepared, previous, reporter)
    if prepared.is_news:
        _show(changed, prepared, reporter)
        if confirm and not confirm("use this?"):
            raise UsageError("nothing was added", "name what is otherwise: --input, --target, --group, --kind")
    rejected = Rejected(workspace, changed, prepared.rejections)
    _keep_all(workspace, changed, built.dataset, added, rejected, previous)
    _tell(built, rejected, prepared.before or task, changed, reporter)
    if built.replaced and previous is not None:
        tell_replaced(datasets.difference(previous, built.dataset), reporter)
    _tell_overlong(workspace, changed, built.dataset, reporter)
    return replace(
        _result(changed, built.dataset, prepared, rejected),
        dropped=len(built.dropped),
        leaking=len(built.leaks),
        replaced=len(built.replaced),
        warnings=tuple(built.warnings),
        card=str(workspace.paths.card(task.name, number)),
    )


def _tell_overlong(workspace: Workspace, task: Task, dataset: Dataset, reporter: Reporter) -> None:
    """What no model of the task would read to its end, before anything is trained; a base that is not here tells it
    when it is used."""
    with suppress(ModelUnavailable):
        for found in CHECKS["overlong"](subject_of(workspace, task, dataset)):
            reporter.warn(f"{found.reason}; {found.cost}. {found.action}")


def _says_the_same(previous: Dataset, dataset: Dataset) -> bool:
    """Whether a version would hold the rows of the one before, under the same keys."""
    keys = ({e.key for e in d.examples} for d in (previous, dataset))
    return previous.fingerprint == dataset.fingerprint and next(keys) == next(keys)


def _show(task: Task, prepared: Prepared, reporter: Reporter) -> None:
    """What was inferred, to be looked at before it is used."""
    reporter.say(f"kind: {task.kind}")
    reporter.say(f"input: {', '.join(task.input.fields)}")
    target = ", ".join(task.input.targets) or "the last answer of each conversation"
    labels = f", {len(task.labels)} labels: {some(task.labels, 10)}" if task.kind == "classify" else ""
    reporter.say(f"target: {target}{labels}")
    before = prepared.before.sources if prepared.before else ()
    for section in (s for s in task.sources if s not in before and s.columns):
        called = ", ".join(f"{its} is {mine}" for mine, its in section.columns.items())
        reporter.say(f"{section.pattern}: {called}")


def _unchanged(workspace: Workspace, prepared: Prepared, previous: Dataset, reporter: Reporter) -> Added:
    """What is told where no example is new; rejected rows and mappings are kept all the same."""
    task, rejected = prepared.task, Rejected(workspace, prepared.task, prepared.rejections)
    with disk_guard(workspace.paths.root), workspace.undoing(workspace.paths.task_file(task.name), *rejected.files):
        rejected.write()
        if task != workspace.load_task(task.name):
            workspace.save_task(task)
    rejected.tell(reporter)
    return _result(task, previous, prepared, rejected)


def _result(task: Task, dataset: Dataset, prepared: Prepared, rejected: Rejected | None) -> Added:
    added = Added(
        task=task.name,
        dataset=dataset.number,
        dataset_fingerprint=dataset.fingerprint,
        counts=dataset.counts(),
        labels=task.labels,
        fields=task.input.fields,
        target=task.input.target,
        unusable=tuple([bad for read in prepared.reads for bad in read.unusable][:LISTED]),
        kind=task.kind,
        form=form_lines(task),
    )
    if rejected is None:
        return added
    files = tuple(str(file) for file in rejected.files)
    return replace(added, rejected=rejected.count, rejected_files=files, rejections=tuple(rejected.first(LISTED)))


def _add_corrections(workspace: Workspace, task: Task, reporter: Reporter) -> Added:
    """The version with the Corrections of what was served, as `retrain` makes it."""
    dataset = records.load_dataset(workspace, task.name)
    waiting = waiting_corrections(workspace, task, dataset)
    if waiting.of_test:
        reporter.warn(f"{waiting.of_test} corrections are of test examples: left out, or the test would be learned")
    if waiting.usable:
        dataset = store_corrected(workspace, task, waiting, reporter)
    else:
        reporter.say("no correction of a served answer waits: nothing new in the traces")
    task = workspace.load_task(task.name)
    return _result(task, dataset, Prepared(task, task, Read(), None), None)


def _keep_all(
    workspace: Workspace,
    task: Task,
    dataset: Dataset,
    added: list[dict[str, Any]],
    rejected: Rejected,
    previous: Dataset | None,
) -> None:
    """Write rejects files, task and dataset, in this order: the database row makes the version real."""
    files = (workspace.paths.task_file(task.name), *rejected.files)
    with disk_guard(workspace.paths.root), workspace.undoing(*files):
        workspace.create()
        rejected.write()
        workspace.save_task(task)
        save_version(workspace, task.kind, dataset, previous, added)


def _tell(built: datasets.Built, rejected: Rejected, before: Task, after: Task, reporter: Reporter) -> None:
    counts = built.dataset.counts()
    labels = f", {len(after.labels)} labels" if after.kind == "classify" else ""
    reporter.say(
        f"dataset version {built.dataset.number}: {counts['train']} training, {counts['validation']} validation and "
        f"{counts['test']} test examples{labels} (fingerprint {built.dataset.fingerprint})"
    )
    _tell_form(built.dataset, before, after, reporter)
    rejected.tell(reporter)
    for _, why in built.leaks[:5]:
        reporter.warn(why)
    if built.leaks:
        reporter.warn(
            f"in the test too: {counted(len(built.leaks), 'example')} that nothing learns from, and that "
            f"`inhouse clean {after.name} --apply safe` drops"
        )
    if built.misread:
        count = len(built.misread)
        reporter.warn(f"left out, as no row in this reading of the file: {counted(count, 'row')} of the version before")
    dropped = [f"{example.provenance}: {why}" for example, why in built.dropped]
    warn_of_first(reporter, dropped, "examples were left out in all, for such reasons")
    for warning in built.warnings:
        reporter.warn(warning)


def _tell_form(dataset: Dataset, before: Task, after: Task, reporter: Reporter) -> None:
    """What the answers look like, where that is new."""
    if (lines := form_lines(after)) and form_lines(before) != lines:
        told = "answers meet this schema" if after.kind == "extract" else "answers are checked for this structure"
        reporter.say(f"{told}, kept in task.toml and yours to edit:")
        for line in lines:
            reporter.say(f"  {line}")
    if before.json_schema and before.json_schema != after.json_schema:
        objects = [parse_object(e.target) or {} for e in dataset.learned]
        for change in datasets.widened(before.json_schema, objects)[1][:10]:
            reporter.warn(f"the schema was widened for the new examples: {change}")
        reporter.warn("models trained before answer in the old schema: train again")
    tell_not_taken(before, after, reporter)
    new = sorted(set(after.labels) - set(before.labels)) if before.labels else []
    if new:
        reporter.warn(f"new labels: {', '.join(new[:10])}; models trained before do not know them")
