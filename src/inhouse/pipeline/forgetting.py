"""`forget`: rows out of a task's data for good, wherever something of them is kept."""

from __future__ import annotations

import html
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from inhouse.core import Dataset, Example, ModelVersion, Reporter, Silent, counted, folded, input_key, render_input
from inhouse.core.trimming import words_of
from inhouse.dataset.forget import Remains, Wanted
from inhouse.errors import UsageError
from inhouse.pipeline.cards import write_card
from inhouse.pipeline.differences import TEST_CHANGED
from inhouse.pipeline.masking import forget_originals, kept_originals, placeholders_in, stands_for
from inhouse.pipeline.versions import FORGOT, form_follows
from inhouse.sources import SOURCE_NOTES, name_of
from inhouse.store import Workspace, audit, disk_guard, erase, pool, records, registry, sha256_of, write_bytes
from inhouse.store.database import now
from inhouse.store.pool import PoolRecord

# A shorter text stands in too much that has nothing to do with what is meant.
LEAST_TEXT = 3
# Places and files that are listed; the counts are of all.
LISTED = 20
# A tag, and what a browser shows nothing of.
_TAG = re.compile(r"<(style|script)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)
_NOTICE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Report of {name}</title>
<p>The report of {name} was erased on {day}: it quoted examples that were forgotten. Its figures are kept:
<code>inhouse status</code>. <code>inhouse evaluate {task} --version {number}</code> writes a new one.</p></html>
"""


@dataclass(frozen=True)
class Forgotten:
    """What `forget` erased, or (not `done`) would erase.

    Attributes:
        rows: different rows, of all dataset versions; `test_rows` of the newest one's test.
        places: where they come from, `LISTED` of them; `sources` says how many of which source.
        versions: the dataset versions that held them; `new_dataset` is the one without them, where one was made.
        pooled: records without a target, and answers to them, that were (or would be) removed from the pool.
        predictions, findings, traces, rejected, file_lines, runs, strays: kept answers, findings, served requests,
            rejected rows, lines of uploaded and answered files, unfinished trainings and left-over files that were
            removed.
        reports: the model versions whose report was erased.
        classifiers: the model versions whose file, of a classifier or a prompt, had kept something in clear or under a
            hash.
        trimmings: the model versions whose choice of an input's parts went by words that only these rows had.
        masks: placeholders whose originals were erased from the encrypted map: of the text, or of rows that go. Rows
            in which only the placeholder stands stay.
        models: the model versions whose training saw what was forgotten: their weights cannot be mended.
        elsewhere: other tasks whose data hold it too.
        remaining: files and tables that hold it still, and are not inhouse's to change; `unread`: Parquet files that
            cannot be read.
        sections: `[[sources]]` of `task.toml` that were of forgotten sources alone, and are gone.
    """

    task: str
    done: bool
    rows: int
    test_rows: int
    places: tuple[str, ...]
    sources: dict[str, int]
    versions: tuple[int, ...]
    new_dataset: int | None = None
    new_fingerprint: str | None = None
    pooled: int = 0
    predictions: int = 0
    findings: int = 0
    traces: int = 0
    rejected: int = 0
    file_lines: int = 0
    runs: int = 0
    strays: int = 0
    reports: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    trimmings: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    sections: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class _Found:
    """The rows that are to go, in every version: by version how many of which split; and what may remain of them.

    `pooled` is how many of the pool are to go, `masked` what goes of the map of masks: placeholders by original.
    """

    remains: Remains
    newest: Dataset
    held: dict[int, Counter[str]]
    places: tuple[str, ...]
    sources: dict[str, int]
    pooled: int
    masked: dict[str, str]

    @property
    def learned(self) -> set[int]:
        """The versions that held some where models learn from."""
        return {number for number, splits in self.held.items() if splits["train"] or splits["validation"]}


def forget(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    source: Path | str | None = None,
    match: str = "",
    yes: bool = False,
) -> Forgotten:
    """Erase rows: a new dataset version without them, and nothing left of them in older versions or anywhere else.

    Out of older versions, kept answers, findings, reports, rejected rows, served requests and classifiers' files; the
    checkpoints of unfinished trainings on them go. Version numbers, fingerprints and lineage stay. What models learned
    stays in their weights: these models are named. Killed at any moment, it can be called again, to the same end: the
    dataset versions, from which everything else is recognised, are rewritten last.

    Args:
        source: a file or folder, a name that rows have it under, or a checksum: the rows that came from it.
        match: a text: the rows that hold it, in whatever case, white space and Unicode form.
        yes: erase; without it, only say what would be.

    Raises:
        UsageError: not exactly one of `source` and `match`, or a text of less than `LEAST_TEXT` characters.
        NotFound: there is no such task, or it has no data.
        Busy: the task is being trained, or another process reads the database.
        ConfigError, InputError: there is a map of masks, and no key that reads it.
        DiskFull
    """
    reporter = reporter or Silent()
    wanted = _wanted(name, source, match)
    if not yes:
        return _told(workspace, name, _look(workspace, name, wanted, reporter))
    with (
        disk_guard(workspace.paths.root),
        _untrained(workspace, name),
        workspace.changing_data(),
    ):
        found = _look(workspace, name, wanted, reporter)
        # Before anything goes, so that nothing is erased without it; never what was named, as that is to be forgotten.
        audit.note(workspace, "forget", name, {"rows": len(found.remains.places), "pooled": found.pooled})
        return _erase(workspace, name, found, reporter)


def _wanted(name: str, source: Path | str | None, match: str) -> Wanted:
    if bool(source) == bool(match):
        raise UsageError(
            "name what to forget: a source or a text, one of them",
            f"inhouse forget {name} --source FILE, or inhouse forget {name} --match TEXT",
        )
    if match:
        if len(text := folded(match)) < LEAST_TEXT:
            raise UsageError(f"{match!r} is too short to look for", f"give at least {LEAST_TEXT} characters")
        return Wanted(text=text)
    path = Path(str(source))
    if path.is_file():
        return Wanted(source=path.absolute().as_posix(), sha256=sha256_of(path))
    if path.is_dir():
        return Wanted(source=name_of(path), folder=path.absolute().as_posix())
    return Wanted(source=str(source), sha256=str(source))


@contextmanager
def _untrained(workspace: Workspace, name: str) -> Iterator[None]:
    """While nothing trains on the task's data."""
    workspace.load_task(name)
    with workspace.lock(f"train-{name}", f"training {name!r}"):
        yield


def _look(workspace: Workspace, name: str, wanted: Wanted, reporter: Reporter) -> _Found:
    """Every version's rows that are to go."""
    task = workspace.load_task(name)
    number = records.latest_dataset(workspace, name)
    pooled = [_as_example(one) for one in pool.everything(workspace, name)]
    if not number and pooled:
        newest = Dataset(name, 0, (), ())
    else:
        newest = records.load_dataset(workspace, name)
    remains, originals = Remains(wanted), kept_originals(workspace, name)
    standing: dict[bool, set[str]] = {True: set(), False: set()}
    held: dict[int, Counter[str]] = {}
    sources: Counter[str] = Counter()
    known = records.versions(workspace, name)
    bar = reporter.bar("versions", len(known))
    for number in known:
        dataset = newest if number == newest.number else records.load_dataset(workspace, name, number)
        for example, split in zip(dataset.examples, dataset.splits, strict=True):
            goes = wanted.is_of(example)
            if originals:
                standing[goes] |= placeholders_in(example)
            if goes:
                held.setdefault(number, Counter())[split] += 1
                if str(example.provenance) not in remains.places:
                    sources[example.provenance.file] += 1
                remains.take(example, labelled=task.kind == "classify")
        bar.update(number)
    gone = [e for e in pooled if wanted.is_of(e)]
    for example in gone:
        if str(example.provenance) not in remains.places:
            sources[example.provenance.file] += 1
        remains.take(example, labelled=task.kind == "classify")
    remains.keep(e for e in (*newest.examples, *pooled) if not wanted.is_of(e))
    places = tuple(sorted(remains.places)[:LISTED])
    last = standing[True] - standing[False]
    masked = {
        original: mask
        for original, mask in originals.items()
        if mask in last or (wanted.text and stands_for(original, wanted.text))
    }
    return _Found(remains, newest, held, places, dict(sources.most_common(LISTED)), len(gone), masked)


def _as_example(one: PoolRecord) -> Example:
    """A record of the pool, with the answer that it may have, as rows are looked at."""
    return Example(one.inputs, one.answer or "", one.group, one.provenance)


def _told(workspace: Workspace, name: str, found: _Found) -> Forgotten:
    """What would be erased, and what has been before."""
    models = registry.versions(workspace, name)
    saw = [m.name for m in models if m.lineage["dataset"] in found.learned or m.lineage.get("forgotten_at")]
    return Forgotten(
        task=name,
        done=False,
        rows=len(found.remains.places),
        test_rows=found.held.get(found.newest.number, Counter())["test"],
        places=found.places,
        sources=found.sources,
        versions=tuple(found.held),
        pooled=found.pooled,
        masks=tuple(sorted(set(found.masked.values()))),
        models=tuple(saw),
        reports=tuple(m.name for m in models if _quotes(workspace, m, found)),
        elsewhere=tuple(_elsewhere(workspace, name, found.remains.wanted)),
    )


def _erase(workspace: Workspace, name: str, found: _Found, reporter: Reporter) -> Forgotten:
    """Erase; the order is what makes it safe to be killed (see `forget`)."""
    remains, wanted, at = found.remains, found.remains.wanted, now()

    def holds(text: str) -> bool:
        return remains.in_text(text, cut=False)

    def quotes(text: str) -> bool:
        return remains.in_text(text, cut=True)

    newer = _new_version(workspace, name, found)
    _mark_models(workspace, name, found, at)
    told = _told(workspace, name, found)
    forget_originals(workspace, name, found.masked)
    reports = _erase_reports(workspace, name, found, at)
    classifiers = [*_mend_classifiers(workspace, name, remains), *_mend_prompts(workspace, name, remains)]
    trimmings = _mend_trimmings(workspace, name, remains)
    erase.forget_results(workspace, name, quotes)
    predictions = erase.remove_predictions(workspace, name, remains.ids, holds)
    findings = erase.remove_findings(workspace, name, found.held, quotes)
    traces = erase.remove_traces(workspace, name, partial(_is_of, remains), holds)
    rejected = erase.remove_rejects(workspace, name, wanted.is_source, quotes, SOURCE_NOTES)
    file_lines = erase.forget_files(workspace, wanted.is_source, quotes)
    erase.forget_jobs(workspace, quotes)
    runs = erase.end_runs(workspace, name, found.held)
    sections = _drop_sections(workspace, name, wanted)
    names = erase.forget_sources(workspace, name, wanted.is_source, wanted.holds)
    erase.forget_reasons(workspace, name, wanted.holds, names)
    _regroup(workspace, name, remains)
    bar = reporter.bar("erasing from versions", len(found.held))
    for done, (number, splits) in enumerate(found.held.items(), 1):
        left = remains.without(records.load_dataset(workspace, name, number))
        erase.rewrite_version(workspace, left, {"at": at, "rows": splits.total()})
        bar.update(done)
    pool.forget(workspace, name, lambda one: wanted.is_of(_as_example(one)))
    strays = erase.remove_strays(workspace, partial(_stray_holds, found=found))
    _renew_cards(workspace, name)
    workspace.database.scrub()
    remaining, unread = _remaining(workspace, remains)
    result = replace(
        told,
        done=True,
        new_dataset=newer.number if newer else None,
        new_fingerprint=newer.fingerprint if newer else None,
        predictions=predictions,
        findings=findings,
        traces=traces,
        rejected=rejected,
        file_lines=file_lines,
        runs=runs,
        strays=strays,
        reports=tuple(reports),
        classifiers=tuple(classifiers),
        trimmings=tuple(trimmings),
        remaining=tuple(remaining),
        unread=tuple(unread),
        sections=sections,
    )
    _tell(result, reporter)
    return result


def _new_version(workspace: Workspace, name: str, found: _Found) -> Dataset | None:
    """The next version, without the rows; None where the newest holds none (any more)."""
    newest = found.newest
    if newest.number not in found.held:
        return None
    count = found.held[newest.number].total()
    left = found.remains.without(newest)
    newer = replace(
        left, number=newest.number + 1, parent=newest.number, reason=f"{FORGOT}{counted(count, 'row')}", fingerprint=""
    )
    with workspace.undoing(workspace.paths.task_file(name)):
        workspace.save_task(form_follows(workspace.load_task(name), newest, newer))
        records.save_dataset(workspace, newer)
    return newer


def _renew_cards(workspace: Workspace, name: str) -> None:
    """Take away the cards of all versions, which name labels, sources and reasons; the newest one gets a new one."""
    newest = records.latest_dataset(workspace, name)
    if not newest:
        return
    for number in records.versions(workspace, name):
        page = workspace.paths.card(name, number)
        page.unlink(missing_ok=True)
        page.with_suffix(".md").unlink(missing_ok=True)
    write_card(workspace, workspace.load_task(name).kind, records.load_dataset(workspace, name, newest))


def _drop_sections(workspace: Workspace, name: str, wanted: Wanted) -> int:
    """Take out of `task.toml` how forgotten sources are read, where a section is of one alone; how many."""
    names = erase.names_of_sources(workspace, name, wanted.is_source, wanted.holds)
    task = workspace.load_task(name)
    kept = tuple(s for s in task.sources if s.pattern not in names and not wanted.is_source(s.pattern))
    if kept != task.sources:
        with workspace.undoing(workspace.paths.task_file(name)):
            workspace.save_task(task.model_copy(update={"sources": kept}))
    return len(task.sources) - len(kept)


def _regroup(workspace: Workspace, name: str, remains: Remains) -> None:
    """Take the hashes of forgotten inputs out of the groups of other rows, as long as these inputs are known."""
    for number in records.versions(workspace, name) if remains.input_keys else ():
        if (changed := remains.regrouped(records.load_dataset(workspace, name, number))) is not None:
            erase.rewrite_version(workspace, changed)


def _mark_models(workspace: Workspace, name: str, found: _Found, at: str) -> None:
    """Note with the model versions that learned from the rows that they did: when all is erased, nothing else tells."""
    for version in registry.versions(workspace, name):
        if version.lineage["dataset"] in found.learned:
            lineage = {**version.lineage, "forgotten_at": at}
            registry.update_version(workspace, version.model_copy(update={"lineage": lineage}))


def _quotes(workspace: Workspace, version: ModelVersion, found: _Found) -> bool:
    """Whether the report of a model version shows something of the rows: it quotes test examples."""
    if found.held.get(version.lineage["dataset"], Counter())["test"] and _reports_of(workspace, version):
        return True
    return any(found.remains.in_text(_text_of(path), cut=True) for path in _reports_of(workspace, version))


def _reports_of(workspace: Workspace, version: ModelVersion) -> list[Path]:
    paths = [workspace.paths.report(version.task, version.number)]
    if version.report:
        paths.append(workspace.blobs.location(version.report, erase.HTML))
    return [path for path in paths if path.is_file() and "was erased on" not in path.read_text("utf-8")[:300]]


def _text_of(path: Path) -> str:
    """A page as a browser shows it."""
    return html.unescape(_TAG.sub("", path.read_text("utf-8")))


def _erase_reports(workspace: Workspace, name: str, found: _Found, at: str) -> list[str]:
    """Put a notice in the place of reports that show something of the rows."""
    erased = []
    for version in registry.versions(workspace, name):
        if not _quotes(workspace, version, found):
            continue
        notice = _NOTICE.format(name=version.name, task=name, number=version.number, day=at[:10])
        write_bytes(workspace.paths.report(name, version.number), notice.encode("utf-8"))
        for path in workspace.paths.beside_report(name, version.number).values():
            path.unlink(missing_ok=True)
        registry.update_version(workspace, version.model_copy(update={"report": None}))
        erase.remove_unreferenced(workspace, version.report or "", erase.HTML)
        erased.append(version.name)
    return erased


def _mend_classifiers(workspace: Workspace, name: str, remains: Remains) -> list[str]:
    """Take out of classifiers' files what they keep of the rows beside their weights."""
    from inhouse.deploy.version_files import CLASSIFIER

    mended = []
    for version in registry.versions(workspace, name):
        file = workspace.blobs.location(version.file_sha256, CLASSIFIER)
        if not file.is_file():
            continue
        with tempfile.TemporaryDirectory(dir=workspace.paths.blobs, prefix=".part-") as folder:
            to = Path(folder) / "model"
            if not _without_rows(file, to, remains, records.load_dataset(workspace, name, version.lineage["dataset"])):
                continue
            blob = workspace.blobs.put_file(to, CLASSIFIER)
        registry.update_version(workspace, version.model_copy(update={"file_sha256": blob}))
        erase.remove_unreferenced(workspace, version.file_sha256, CLASSIFIER)
        mended.append(version.name)
    return mended


def _mend_prompts(workspace: Workspace, name: str, remains: Remains) -> list[str]:
    """Take the solved examples that hold something of the rows out of the prompts that are served."""
    from inhouse.deploy.version_files import PROMPT

    mended = []
    for version in registry.versions(workspace, name):
        file = workspace.blobs.location(version.file_sha256, PROMPT)
        if not file.is_file() or (left := _prompt_without(file, remains)) is None:
            continue
        blob = workspace.blobs.put(left.encode("utf-8"), PROMPT)
        registry.update_version(workspace, version.model_copy(update={"file_sha256": blob}))
        erase.remove_unreferenced(workspace, version.file_sha256, PROMPT)
        mended.append(version.name)
    return mended


def _prompt_without(file: Path, remains: Remains) -> str | None:
    """A prompt's file without the rows; None where it has none of them."""
    from inhouse.engine.prompt_file import read_frame

    frame = read_frame(file)
    left = frame.without(lambda text: text in remains.questions or remains.in_text(text, cut=False))
    return None if left == frame else left.model_dump_json()


def _mend_trimmings(workspace: Workspace, name: str, remains: Remains) -> list[str]:
    """Take the words that only the rows had out of what model versions choose an input's parts by."""
    from inhouse.train import task_words

    said = task_words(workspace.load_task(name))
    mended = []
    for version in registry.versions(workspace, name):
        if version.trimming is None:
            continue
        words = version.trimming.words - said
        gone = {
            word for text in (*remains.questions, remains.wanted.text) for word in words.intersection(words_of(text))
        }
        if gone:
            dataset = records.load_dataset(workspace, name, version.lineage["dataset"])
            for example in dataset.learned:
                if not remains.wanted.is_of(example):
                    gone.difference_update(words_of(render_input(example.inputs)))
        if gone:
            left = version.trimming.without(gone)
            registry.update_version(workspace, version.model_copy(update={"trimming": left}))
            mended.append(version.name)
    return mended


def _is_of(remains: Remains, trace: str, inputs: Mapping[str, str]) -> bool:
    """Whether a served request is one that a row came from, or asks what a row does."""
    return trace in remains.traces or input_key(inputs) in remains.input_keys


def _stray_holds(path: Path, found: _Found) -> bool:
    """Whether a file that nothing names holds rows that are to go, or something of them."""
    from inhouse.deploy.version_files import CLASSIFIER, PROMPT

    remains = found.remains
    if path.suffix == erase.HTML:  # a report that no version has any more
        return True
    if path.suffix == CLASSIFIER:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
            return _without_rows(path, Path(folder) / "model", remains, found.newest)
    if path.suffix == PROMPT:
        return _prompt_without(path, remains) is not None
    held = erase.file_holds(
        path,
        lambda text: text in remains.ids or remains.wanted.is_source(text, text) or remains.in_text(text, cut=True),
    )
    return held is not False  # what nothing names and nobody can read is no loss


def _without_rows(file: Path, to: Path, remains: Remains, dataset: Dataset) -> bool:
    """Write a classifier that learned from a version without what its file has of the rows; whether it had anything."""
    from inhouse.engine.classifier import forget_in_classifier

    kept = (render_input(e.inputs) for e in dataset.learned if not remains.wanted.is_of(e))
    return forget_in_classifier(file, to, remains.questions, kept)


def _elsewhere(workspace: Workspace, name: str, wanted: Wanted) -> Iterator[str]:
    """Other tasks that hold such rows, in their data or in their pool."""
    for other in (task for task in workspace.task_names() if task != name):
        held = (records.load_dataset(workspace, other, number) for number in records.versions(workspace, other))
        rows = chain.from_iterable(dataset.examples for dataset in held)
        pooled = (_as_example(one) for one in pool.everything(workspace, other))
        if any(map(wanted.is_of, chain(rows, pooled))):
            yield other


def _remaining(workspace: Workspace, remains: Remains) -> tuple[list[str], list[str]]:
    """Files and tables that hold something of the rows still, and files that cannot be read."""
    root, quotes = workspace.paths.root, partial(remains.in_text, cut=True)
    holding, unread = list[str](), list[str]()
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        found = erase.file_holds(path, remains.is_text if path.suffix == records.PARQUET else quotes)
        if found is not False:
            (unread if found is None else holding).append(str(path.relative_to(root)))
    tables = [f"the table {table} of the database" for table in erase.tables_that_hold(workspace, quotes)]
    return [*holding, *tables], unread


def _tell(result: Forgotten, reporter: Reporter) -> None:
    if result.new_dataset:
        reporter.say(f"dataset version {result.new_dataset} is without them; {len(result.versions)} versions rewritten")
    if result.sections:
        reporter.say(f"[[sources]] of task.toml that named it alone: {result.sections}, taken out")
    if result.test_rows:
        reporter.warn(TEST_CHANGED)
    for name in result.models:
        reporter.warn(f"{name} learned from what was forgotten: its weights cannot be mended; train again")
