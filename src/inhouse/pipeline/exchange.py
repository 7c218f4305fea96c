"""Records out to the tools that people label in, and their answers back."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import inhouse.dataset as datasets
from inhouse.core import Example, Provenance, Reporter, Silent, Task, input_key, target_key, warn_of_first
from inhouse.errors import NotFound, UsageError
from inhouse.pipeline.labelling import LISTED, usable, use_answers
from inhouse.pipeline.suggesting import Advisor
from inhouse.sources.label_tools import Exchanged, Form, labelstudio_config, read_project, write_project
from inhouse.store import Workspace, disk_guard, pool, records, sha256_of, write_bytes
from inhouse.store.pool import PoolRecord

# Who gave the answers that the data has.
DATA = "data"


@dataclass(frozen=True)
class Exchange:
    """What was exchanged: `records` in all, `labelled` of them with an answer.

    `disagreements` tell, of records that people answer differently, place and answers. `files` were written; `dataset`
    is the newest version.
    """

    task: str
    records: int
    labelled: int
    dataset: int
    disagreements: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def to_tool(
    workspace: Workspace, name: str, file: Path | str, reporter: Reporter | None = None, *, tool: str
) -> Exchange:
    """Write the unlabelled records of a task, with suggestions, and its learned examples as a project of a tool.

    Args:
        tool: `labelstudio` (the labelling interface is written beside it, as XML) or `argilla`.

    Raises:
        NotFound: no such task, or nothing to write.
    """
    task, file = workspace.load_task(name), Path(file)
    known = _learned(workspace, name)
    bare = [one for one in pool.unlabelled(workspace, name) if one.id not in known]
    if not bare and not known:
        raise NotFound(f"task {name!r} has no records", f"add some: `inhouse add {name} FILE --unlabelled`")
    advisor = Advisor(workspace, task, reporter or Silent())
    try:
        first = advisor.next_records(bare, list(known.values()), LISTED)
    finally:
        advisor.close()
    suggested = {one.id: told.answer for one, told in first}
    in_order = [*(one for one, _ in first), *(one for one in bare if one.id not in suggested)]
    out = [
        Exchanged(one.id, one.inputs, suggestion=suggested.get(one.id), place=str(one.provenance)) for one in in_order
    ]
    out += [Exchanged(key, e.inputs, ((DATA, e.target),), place=str(e.provenance)) for key, e in known.items()]
    form = _form(task)
    contents = {file: write_project(out, form, tool)}
    if tool == "labelstudio":
        contents[file.with_suffix(".xml")] = labelstudio_config(form)
    with disk_guard(file.parent):
        for path, content in contents.items():
            write_bytes(path, content.encode("utf-8"))
    return Exchange(
        name, len(out), len(known), records.latest_dataset(workspace, name), files=tuple(map(str, contents))
    )


def from_tool(
    workspace: Workspace, name: str, file: Path | str, reporter: Reporter | None = None, *, tool: str
) -> Exchange:
    """Take the answers of a project of a tool; they become examples of a new dataset version.

    A record is known by our id, else by its input; one that is not known joins the pool. Answers in which people differ
    are told, and not taken.

    Raises:
        NotFound, SourceError, UsageError
    """
    reporter, file = reporter or Silent(), Path(file)
    task = workspace.load_task(name)
    if not task.input.fields:
        raise UsageError(f"the task {name!r} has no input columns yet", f"inhouse add {name} FILE --unlabelled")
    read = read_project(file, _form(task), tool)
    known, pooled = _learned(workspace, name), {one.id for one in pool.everything(workspace, name)}
    corrections: list[Example] = []
    new: list[PoolRecord] = []
    answers: dict[str, tuple[str, str]] = {}
    faults, differing, labelled = [], [], 0
    sha256 = sha256_of(file)
    for one in read:
        place = f"{file.name}:{one.line}"
        key = one.id if one.id in known or one.id in pooled else input_key(one.inputs)
        if key not in known and key not in pooled:
            if not any(one.inputs.values()):
                faults.append(f"{place}: the input is empty")
                continue
            new.append(PoolRecord(one.inputs, key, Provenance(file.name, one.line, sha256)))
        if one.fault:
            faults.append(f"{place}: {one.fault}")
            continue
        if len({target_key(target, task.kind) for _, target in one.answers}) > 1:
            differing.append(f"{place}: " + "; ".join(f"{who or 'somebody'}: {target}" for who, target in one.answers))
            continue
        if not one.answers:
            continue
        who, target = one.answers[0]
        target, fault = usable(task, target)
        if fault:
            faults.append(f"{place}: {fault}")
            continue
        labelled += 1
        if key not in known:
            answers[key] = (target, f"{tool} {who}".strip())
        elif target_key(target, task.kind) != target_key(known[key].target, task.kind):
            corrections.append(replace(known[key], target=target, id="", rejected=""))
    with disk_guard(workspace.paths.root):
        pool.add_records(workspace, name, new)
        for key, (target, by) in answers.items():
            pool.keep_answer(workspace, name, key, target, by)
    warn_of_first(reporter, faults, "answers cannot be used in all")
    warn_of_first(reporter, [f"people disagree: {one}" for one in differing], "records have answers that differ")
    reason = f"{len(answers) + len(corrections)} answers of {file.name} ({tool})"
    dataset, _ = use_answers(workspace, name, reporter, corrections, reason)
    return Exchange(name, len(read), labelled, dataset, tuple(differing))


def _learned(workspace: Workspace, name: str) -> dict[str, Example]:
    """The examples that are learned from, by their input; of twins the last."""
    if not records.latest_dataset(workspace, name):
        return {}
    return {e.input_key: e for e in datasets.without_leaks(records.load_dataset(workspace, name))[0].learned}


def _form(task: Task) -> Form:
    return Form(task.kind, task.input.fields, task.labels, task.json_schema)
