"""The report of an evaluation, written beside the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from inhouse.core import Dataset, Evaluation, ModelVersion, Task, TrainResult
from inhouse.engine import get_base
from inhouse.pipeline.curve import kept_curve
from inhouse.pipeline.packaging import package_versions
from inhouse.scoring import Judged
from inhouse.store import Workspace, records, write_bytes
from inhouse.store.database import now

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers


def write_report(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    trained: TrainResult,
    dataset: Dataset,
    evaluation: Evaluation,
    answers: Sequence[Answers],
    judged: Mapping[str, Judged],
) -> str:
    """Write the HTML report and the files beside it; keep the report, and return the SHA-256 of what is kept.

    Args:
        judged: by contender name, what its answers to the test examples are worth.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
        DiskFull
    """
    from inhouse.evaluate.card import CardData, card_html, card_markdown
    from inhouse.evaluate.report import ReportData, render_report, report_markdown

    recipe = version.lineage["recipe"]
    base = get_base(recipe["base_model"], workspace.settings, sha256=version.lineage["base_sha256"]).spec
    primary = task.metrics.primary
    html = render_report(
        ReportData(
            evaluation=evaluation,
            task=task,
            train=trained,
            base_description=base.title,
            base_limits=base.limits,
            examples=dataset.of("test"),
            predictions={a.name: [p.target for p in a.test] for a in answers},
            scores={name: j.scores["accuracy" if primary == "macro_f1" else primary] for name, j in judged.items()},
            history=_history(trained),
            steps=[row for row in records.metrics_of(workspace, version.run) if row["step"] <= trained.steps],
            dataset_number=dataset.number,
            counts=dataset.counts(),
            packages=package_versions(),
            created_at=now(),
            learning_curve=kept_curve(workspace, task.name),
            sources={a.name: [p.sources for p in a.test] for a in answers if any(p.sources for p in a.test)},
        )
    ).encode("utf-8")
    write_bytes(workspace.paths.report(task.name, version.number), html)
    card = CardData(evaluation, task, base.title, base.limits, dataset.counts(), _again(task.name), now())
    beside = {
        "json": evaluation.model_dump_json(indent=1),
        "markdown": report_markdown(evaluation),
        "card": card_html(card),
        "card_markdown": card_markdown(card),
    }
    for what, path in workspace.paths.beside_report(task.name, version.number).items():
        write_bytes(path, beside[what].encode("utf-8", "replace"))
    return workspace.blobs.put(html, ".html")


def _again(task: str) -> tuple[str, ...]:
    """When a model is to be looked at again, by the rules of `monitor`."""
    from inhouse.monitor import ENOUGH_CORRECTIONS, MIN_REQUESTS

    return (
        f"Once {MIN_REQUESTS} requests were served, and every month from then on: `inhouse monitor {task}` tells "
        "whether inputs or answers have drifted.",
        f"Once {ENOUGH_CORRECTIONS} answers were corrected: `inhouse retrain {task}` learns from them.",
        "As soon as what comes in, or what a right answer is, changes: a new product, form, language or rule.",
    )


def _history(trained: TrainResult) -> list[dict[str, float]]:
    return [
        {
            "step": r["step"],
            "train_loss": r["train_loss"],
            "validation_loss": r["validation_loss"],
            "validation_score": r.get("validation_score", r["validation_right"]),
        }
        for r in trained.history
    ]
