"""`run`: all of it in one go, from files to the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inhouse.clean import AUTOMATIC, summary
from inhouse.core import Evaluation, Reporter, Silent, Task, TrainResult
from inhouse.engine import ENCODER
from inhouse.pipeline.compile import Added, Cleaned, clean, prepare, store_data
from inhouse.pipeline.evaluation import evaluate
from inhouse.pipeline.training import train
from inhouse.store import Workspace, check_name


@dataclass(frozen=True)
class Ran:
    """Everything that `run` did."""

    task: str
    added: Added
    cleaned: Cleaned
    train: TrainResult
    evaluation: Evaluation
    model_version: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: `task`, `train`, `evaluation`, `model_version`, and what was added and cleaned."""
        return {
            "task": self.task,
            "model_version": self.model_version,
            "train": self.train.model_dump(mode="json"),
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
    inputs: Sequence[str] = (),
    target: str = "",
    group: str = "",
    drop_rare: bool = False,
    epochs: int | None = None,
) -> Ran:
    """init, add, clean (exact duplicates and leakage only), train, evaluate; the new version becomes the candidate.

    Nothing is written before the files were read and found usable. Run again after an interruption, it goes on.

    Raises:
        what `add`, `clean`, `train` and `evaluate` raise.
    """
    reporter = reporter or Silent()
    check_name(name)
    with workspace.changing_data():
        task = workspace.load_task(name) if workspace.exists and workspace.has_task(name) else Task(name=name)
        if epochs is not None:
            task = task.model_copy(update={"train": task.train.model_copy(update={"epochs": epochs})})
        prepared = prepare(workspace, task, files, reporter, test=test, inputs=inputs, target=target, group=group)
        needed = (task.base_model, ENCODER)
        added = store_data(workspace, task, prepared, reporter, drop_rare=drop_rare, models=needed)
    cleaned = clean(workspace, name, reporter, accept=["automatic"])
    _tell_findings(cleaned, name, reporter)
    trained = train(workspace, name, reporter)
    evaluation = evaluate(workspace, name, reporter, which=trained.model_version.partition("@")[2])
    return Ran(name, added, cleaned, trained, evaluation, trained.model_version)


def _tell_findings(cleaned: Cleaned, name: str, reporter: Reporter) -> None:
    """`run` removes only what is certain; what needs a person's eye is told."""
    left = {c: n for c, n in summary(cleaned.findings).items() if n and c not in AUTOMATIC}
    if left:
        told = ", ".join(f"{n} {c.replace('_', ' ')}" for c, n in sorted(left.items()))
        reporter.warn(f"left for you to judge: {told} (`inhouse clean {name}` shows them)")
