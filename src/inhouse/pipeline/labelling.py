"""`label`: the records of the pool one by one, the one first that teaches most, until they are examples."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

import inhouse.dataset as datasets
from inhouse.core import Dataset, Example, Reporter, Silent, Task, labels_of
from inhouse.core.json_schema import compact, ordered, parse_object, validate
from inhouse.errors import NotFound, TooFewExamples
from inhouse.pipeline.cards import save_version
from inhouse.pipeline.suggesting import Advisor, Suggested
from inhouse.pipeline.task_form import tell_not_taken, with_form
from inhouse.store import Workspace, disk_guard, pool, records
from inhouse.store.pool import PoolRecord

# Records that are chosen together; after them what was answered is learned from.
TOGETHER = 20
# Records that a listing holds.
LISTED = 100
# Names of people in the reason of a version.
_NAMED = 3
_MAX_LABEL = 200


class Move(Enum):
    """What a person says of a record in place of an answer."""

    SKIP = "skip"
    BACK = "back"
    QUIT = "quit"


@dataclass(frozen=True, slots=True)
class Shown:
    """A record as it is asked about.

    Attributes:
        id: its own in the pool.
        inputs: by field; `place` is where they come from.
        suggestion: what is taken where a person just agrees, by whom it is, and how sure that is.
        likely: labels, the likeliest first; `draft` is what an editor begins with.
        answered, left: how many were answered in this session, and how many have no answer.
        labels: all that there are.
        fault: why the answer before was not taken.
    """

    id: str
    inputs: dict[str, str]
    place: str
    suggestion: str | None
    confidence: float | None
    suggested_by: str
    likely: tuple[str, ...]
    draft: str
    answered: int = 0
    left: int = 0
    labels: tuple[str, ...] = ()
    fault: str = ""


Ask = Callable[[Shown], "str | Move"]


@dataclass(frozen=True)
class Labelled:
    """What a session did.

    `answered` records got an answer in it, `agreed` of them as was suggested; `left` have none. `dataset` is the newest
    dataset version (0: none yet), in which `used` answers became examples; `waiting` answers could not be used yet.
    `order` is the listing of records to label where nobody was asked, `LISTED` of them at most.
    """

    task: str
    dataset: int
    answered: int = 0
    agreed: int = 0
    left: int = 0
    used: int = 0
    waiting: int = 0
    labels: tuple[str, ...] = ()
    order: tuple[Shown, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def label(
    workspace: Workspace, name: str, reporter: Reporter | None = None, *, ask: Ask | None = None, by: str = ""
) -> Labelled:
    """Ask a person about the unlabelled records of a task, and make the answers a dataset version.

    Every answer is kept at once: one that a kill came after is used by the next session.

    Args:
        ask: what shows a record and gives the answer back, or a `Move`; where there is none, the records are listed
            in their order.
        by: who answers; the user of this machine where it is empty.

    Raises:
        NotFound: no such task, or it has no unlabelled records.
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    session = _Session(workspace, task, reporter, by or getpass.getuser())
    try:
        if ask is None:
            session.require_some()
            return session.listing()
        earlier = len(pool.answered(workspace, name))
        if earlier:
            reporter.say(f"{earlier} answers of an earlier session are kept, and are used at the end of this one")
        else:
            session.require_some()
        session.run(ask)
    finally:
        session.close()
    dataset, used = use_answers(workspace, name, reporter)
    return replace(session.result(), dataset=dataset, used=used, waiting=len(pool.answered(workspace, name)), order=())


class _Session:
    """One sitting of one person."""

    def __init__(self, workspace: Workspace, task: Task, reporter: Reporter, by: str) -> None:
        self._workspace, self._task, self._by = workspace, task, by
        self._advisor = Advisor(workspace, task, reporter)
        newest = records.latest_dataset(workspace, task.name)
        dataset = records.load_dataset(workspace, task.name, newest) if newest else None
        self._newest = newest
        known = {e.input_key for e in dataset.examples} if dataset else set()
        self._examples = list(datasets.without_leaks(dataset)[0].learned) if dataset else []
        self._examples += [one.example() for one in pool.answered(workspace, task.name)]
        self._left = {one.id: one for one in pool.unlabelled(workspace, task.name) if one.id not in known}
        self._done: list[tuple[PoolRecord, Suggested, bool | None]] = []

    def require_some(self) -> None:
        """Raise `NotFound` where there is nothing to label."""
        if not self._left:
            name = self._task.name
            raise NotFound(
                f"task {name!r} has no unlabelled records", f"add some: `inhouse add {name} FILE --unlabelled`"
            )

    def listing(self) -> Labelled:
        """The records in their order."""
        chosen = self._advisor.next_records(list(self._left.values()), self._examples, LISTED)
        return replace(self.result(), order=tuple(self._shown(one, told) for one, told in chosen))

    def run(self, ask: Ask) -> None:
        """Ask until the person ends it, or nothing is left."""
        queue: list[tuple[PoolRecord, Suggested]] = []
        skipped = set[str]()
        while True:
            if not queue:
                open_ones = [one for name, one in self._left.items() if name not in skipped]
                queue = self._advisor.next_records(open_ones, self._examples, TOGETHER)
                if not queue:
                    return
            record, told = queue.pop(0)
            reply = self._reply(ask, record, told)
            if reply is Move.QUIT:
                return
            if reply is Move.SKIP:
                skipped.add(record.id)
                self._done.append((record, told, None))
            elif reply is Move.BACK:
                queue.insert(0, (record, told))
                if self._done:
                    queue.insert(0, self._taken_back(skipped))
            elif isinstance(reply, str):
                self._keep(record, told, reply)

    def _reply(self, ask: Ask, record: PoolRecord, told: Suggested) -> str | Move:
        """A move, or an answer that can be used."""
        shown = self._shown(record, told)
        while True:
            reply = ask(shown)
            if isinstance(reply, Move):
                return reply
            answer, fault = usable(self._task, reply)
            if not fault:
                return answer
            shown = replace(shown, fault=fault)

    def _keep(self, record: PoolRecord, told: Suggested, answer: str) -> None:
        pool.keep_answer(self._workspace, self._task.name, record.id, answer, self._by)
        self._left.pop(record.id, None)
        self._examples.append(replace(record, answer=answer).example())
        self._done.append((record, told, answer == told.answer))

    def _taken_back(self, skipped: set[str]) -> tuple[PoolRecord, Suggested]:
        record, told, agreed = self._done.pop()
        if agreed is None:
            skipped.discard(record.id)
        else:
            pool.keep_answer(self._workspace, self._task.name, record.id, None, self._by)
            self._left[record.id] = record
            self._examples.pop()
        return record, told

    def _shown(self, record: PoolRecord, told: Suggested) -> Shown:
        return Shown(
            id=record.id,
            inputs=dict(record.inputs),
            place=str(record.provenance),
            suggestion=told.answer,
            confidence=told.confidence,
            suggested_by=told.by,
            likely=told.likely,
            draft=told.draft,
            answered=sum(agreed is not None for _, _, agreed in self._done),
            left=len(self._left),
            labels=self._labels,
        )

    @property
    def _labels(self) -> tuple[str, ...]:
        if self._task.kind != "classify":
            return ()
        return tuple(sorted({*self._task.labels, *labels_of(self._examples)}))

    def result(self) -> Labelled:
        """What was done so far."""
        return Labelled(
            task=self._task.name,
            dataset=self._newest,
            answered=sum(agreed is not None for _, _, agreed in self._done),
            agreed=sum(bool(agreed) for _, _, agreed in self._done),
            left=len(self._left),
            labels=self._labels,
        )

    def close(self) -> None:
        """Free the models."""
        self._advisor.close()


def usable(task: Task, text: str) -> tuple[str, str]:
    """An answer as a target is written, and why it cannot be one, if so."""
    text = text.strip()
    if not text:
        return "", "the answer is empty"
    if task.kind == "classify":
        if len(text) > _MAX_LABEL:
            return "", f"a label may have {_MAX_LABEL} characters, and this has {len(text)}"
        return text, ""
    if task.kind == "generate":
        return text, ""
    found = parse_object(text)
    if found is None:
        return "", "the answer is not a JSON object"
    if task.json_schema:
        found = ordered(task.json_schema, datasets.fitted(task.json_schema, found))
        if fault := validate(task.json_schema, found):
            return "", f"the answer does not meet the task's schema: {fault}"
    return compact(found), ""


def use_answers(
    workspace: Workspace, name: str, reporter: Reporter, corrections: Sequence[Example] = (), reason: str = ""
) -> tuple[int, int]:
    """Make the answers that wait a dataset version; the newest version's number, and how many were used.

    They join the train side, as they were chosen for being hard: a test of them would say little of the requests. Only
    of a task that has no data yet they are split. Answers that are too few for a dataset go on waiting.

    Args:
        corrections: examples of the newest version, with another target.
    """
    with disk_guard(workspace.paths.root), workspace.changing_data():
        task = workspace.load_task(name)
        newest = records.latest_dataset(workspace, name)
        waiting = pool.answered(workspace, name)
        given = [*(one.example() for one in waiting), *corrections]
        if not given:
            return newest, 0
        previous = records.load_dataset(workspace, name, newest) if newest else None
        try:
            built = _built(task, previous, given, reason or _reason(waiting))
        except TooFewExamples as error:
            reporter.warn(f"the answers are kept, and are too few for a dataset yet: {error.what}; label more")
            return newest, 0
        changed = with_form(task, built.dataset)
        if changed.kind == "extract":
            built = replace(built, dataset=datasets.in_schema_order(built.dataset, changed.json_schema))
        for _, why in built.dropped[:5]:
            reporter.say(why)
        for warning in built.warnings:
            reporter.warn(warning)
        number = built.dataset.number
        if previous is not None and built.dataset.fingerprint == previous.fingerprint:
            number = previous.number
            reporter.say("the data says all of that already: no new version")
        else:
            with workspace.undoing(workspace.paths.task_file(name)):
                workspace.save_task(changed)
                save_version(workspace, task.kind, built.dataset, previous)
            tell_not_taken(task, changed, reporter)
            reporter.say(f"dataset version {number}: {built.dataset.reason}")
        pool.mark_used(workspace, name, [one.id for one in waiting], number)
    return number, len(given)


def _built(task: Task, previous: Dataset | None, given: Sequence[Example], reason: str) -> datasets.Built:
    if previous is not None:
        return datasets.next_version(previous, given, previous.number + 1, reason, kind=task.kind)
    return datasets.build_dataset(
        task.name, 1, given, None, kind=task.kind, previous=None, drop_rare=False, reason=reason
    )


def _reason(waiting: Sequence[PoolRecord]) -> str:
    people = sorted({one.by for one in waiting if one.by})
    told = ", ".join(people[:_NAMED]) + (f" and {len(people) - _NAMED} more" if len(people) > _NAMED else "")
    what = "1 record labelled" if len(waiting) == 1 else f"{len(waiting)} records labelled"
    return f"{what} by {told}" if told else what
