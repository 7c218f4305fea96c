"""`run`: all of it in one go, from files to the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import inhouse.sources as sources
from inhouse.clean import summary
from inhouse.core import Evaluation, Reporter, Silent, TrainResult, counted
from inhouse.errors import TooFewExamples
from inhouse.pipeline.adding import Added, Confirm, prepare, store_data, task_there, wishes_of
from inhouse.pipeline.cleaning import Cleaned, clean
from inhouse.pipeline.evaluating import evaluate
from inhouse.pipeline.evaluating.field import encoders_of
from inhouse.pipeline.preparation import wished
from inhouse.pipeline.training import train_to_the_end
from inhouse.store import Workspace, check_name

LEAKAGE = "leakage"


@dataclass(frozen=True)
class Ran:
    """Everything that `run` did; `trainings` by the version that each made."""

    task: str
    added: Added
    cleaned: Cleaned
    trainings: Mapping[str, TrainResult]
    evaluation: Evaluation

    @property
    def model_version(self) -> str:
        """The version that the evaluation speaks of."""
        return self.evaluation.model_version

    @property
    def train(self) -> TrainResult:
        """How that one was trained; where it was trained before, the first of these trainings."""
        return self.trainings.get(self.model_version) or next(iter(self.trainings.values()))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: `task`, `train`, `evaluation`, `model_version`, and what was added and cleaned.

        `trainings` holds all of them, `train` that of `model_version`.
        """
        return {
            "task": self.task,
            "model_version": self.model_version,
            "train": self.train.model_dump(mode="json"),
            "trainings": [one.model_dump(mode="json") for one in self.trainings.values()],
            "evaluation": self.evaluation.model_dump(mode="json"),
            "add": self.added.as_dict(),
            "clean": self.cleaned.as_dict(),
        }


def run(
    workspace: Workspace,
    name: str,
    files: Sequence[Path | str],
    reporter: Reporter | None = None,
    *,
    test: Path | str | None = None,
    kind: str = "",
    inputs: Sequence[str] = (),
    target: str | Sequence[str] = "",
    group: str = "",
    key: str = "",
    drop_rare: bool = False,
    options: sources.ReadOptions | None = None,
    query: str = "",
    confirm: Confirm | None = None,
    epochs: int | None = None,
    model: str = "",
    minutes: float | None = None,
) -> Ran:
    """init (a task of `kind`), add, clean (what is safe, and what is nearly a test example), train, evaluate.

    Of a classify task both the encoder and the causal model are trained, and compared, unless `model` names one of
    them; `epochs` and `model` go into `task.toml`. The better one on the validation examples becomes the candidate. The
    kind of a new task is inferred where none is given. For all else that is about data see `add`.

    Args:
        minutes: that training may take, all of it together.

    Nothing is written before the files were read and found usable. Run again after an interruption, it goes on.

    Raises:
        what `add`, `clean`, `train` and `evaluate` raise.
    """
    reporter = reporter or Silent()
    check_name(name)
    with workspace.changing_data():
        there = task_there(workspace, name, kind)
        wishes = wishes_of(inputs, target, group, options, query, key=key)
        prepared = prepare(workspace, there or name, files, reporter, test=test, wishes=wishes, kind=kind)
        task = wished(prepared.task, model=model)
        if epochs is not None:
            task = task.model_copy(update={"train": task.train.model_copy(update={"epochs": epochs})})
        needed = (task.base_model, *encoders_of(task))
        added = store_data(
            workspace, replace(prepared, task=task), reporter, drop_rare=drop_rare, models=needed, confirm=confirm
        )
    cleaned = clean_safely(workspace, name, reporter)
    _tell_findings(cleaned, name, reporter)
    trained = {one.model_version: one for one in _trained(workspace, name, reporter, model, minutes)}
    evaluation = evaluate(workspace, name, reporter, which=next(iter(trained)).partition("@")[2])
    return Ran(name, added, cleaned, trained, evaluation)


def _trained(
    workspace: Workspace, name: str, reporter: Reporter, model: str, minutes: float | None
) -> Iterator[TrainResult]:
    """The trainings, one after the other.

    The encoder goes first, as it is the quicker one: it may take half of the minutes, and leaves the causal model what
    it does not need.
    """
    task = workspace.load_task(name)
    minutes = task.train.minutes if minutes is None else minutes
    if model or task.kind != "classify":
        yield train_to_the_end(workspace, name, reporter, minutes=minutes)
        return
    reporter.say(
        "a task with labels: an encoder is trained, then the language model, as it is not known which does better "
        "(--model encoder, or causal, trains one of them)"
    )
    first = train_to_the_end(
        workspace, name, reporter, model="encoder", minutes=None if minutes is None else minutes / 2
    )
    yield first
    left = None if minutes is None else round(max(minutes - first.seconds / 60, minutes / 2), 2)
    told = "" if left is None else f", for the {left:g} minutes that are left"
    reporter.say(f"the encoder is {first.model_version}; now the language model is trained{told}")
    yield train_to_the_end(workspace, name, reporter, model="causal", minutes=left)


def clean_safely(workspace: Workspace, name: str, reporter: Reporter) -> Cleaned:
    """What is safe is applied, and what is nearly a test example is dropped: with it nothing could be judged."""
    try:
        cleaned = clean(workspace, name, reporter, apply=["safe", LEAKAGE])
    except TooFewExamples as error:
        reporter.warn(f"examples that are nearly test examples were not dropped, as {error.what}")
        return clean(workspace, name, reporter, apply=["safe"])
    near = [f for f in cleaned.findings if f.check == LEAKAGE and f.id in cleaned.applied and not f.safe]
    if near:
        dropped = counted(len({i for f in near for i in f.drop}), "example")
        reporter.say(f"{dropped} of the train side dropped: nearly test examples, by which nothing could be judged")
    return cleaned


def _tell_findings(cleaned: Cleaned, name: str, reporter: Reporter) -> None:
    """What needs a person's eye is told, as `run` does not apply it."""
    left = summary(f for f in cleaned.findings if not (f.safe or f.id in cleaned.applied))
    if left:
        told = ", ".join(f"{n} {c.replace('_', ' ')}" for c, n in sorted(left.items()))
        reporter.warn(f"left for you to judge: {told} (`inhouse clean {name}` shows them)")
