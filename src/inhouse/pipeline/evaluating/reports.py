"""The report of an evaluation, written beside the task."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from inhouse.core import Dataset, Evaluation, ModelVersion, Task, TrainResult, answer_metric
from inhouse.engine import get_base
from inhouse.pipeline.evaluating.curve import curve_shown
from inhouse.pipeline.evaluating.review import Reviewed, target_errors_of
from inhouse.pipeline.packaging import package_versions
from inhouse.scoring import Judged
from inhouse.store import Workspace, records, write_bytes
from inhouse.store.database import now

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers, Field
    from inhouse.evaluate.wrong import WrongGroup


def write_report(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    evaluation: Evaluation,
    answers: Sequence[Answers],
    judged: Mapping[str, Judged],
    confidence: Reviewed,
    suspects: Mapping[int, str],
    given: Field,
) -> str:
    """Write the HTML report and the files beside it; keep the report, and return the SHA-256 of what is kept.

    Args:
        judged: by contender name, what its answers to the test examples are worth.
        confidence: how sure each is, and of which answers sure enough.
        suspects: by place in the test, why the expected answer is probably wrong.
        given: what the contenders had.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
        DiskFull
    """
    from inhouse.evaluate.card import CardData, card_html, card_markdown
    from inhouse.evaluate.report import ReportData, render_report, report_markdown
    from inhouse.evaluate.wrong import wrong_groups

    trained = _training_of(workspace, version)
    model = version.lineage["recipe"]["base_model"] if version.fine_tuned else version.lineage["base"]
    base = get_base(model, workspace.settings, sha256=version.lineage["base_sha256"]).spec
    curve, curve_of = curve_shown(workspace, given)
    told = answer_metric(task.metrics.primary)
    ours = next(a for a in answers if a.name == version.contender)
    wrong = wrong_groups(
        task,
        dataset.of("test"),
        [p.target for p in ours.test],
        confidence.sure(ours.name, ours.test),
        judged[ours.name],
        dataset.of("train"),
        suspects,
    )
    html = render_report(
        ReportData(
            evaluation=evaluation,
            task=task,
            train=trained,
            base_description=base.title,
            base_limits=base.limits,
            base_sha256=version.lineage["base_sha256"],
            examples=dataset.of("test"),
            predictions={a.name: [p.target for p in a.test] for a in answers},
            asked={a.name: [p.asked for p in a.test] for a in answers if a.tested < len(a.test)},
            scores={name: j.scores[told] for name, j in judged.items()},
            history=_history(trained) if trained else [],
            steps=_steps(workspace, trained) if trained else [],
            dataset_number=dataset.number,
            counts=dataset.counts(),
            packages=package_versions(),
            created_at=now(),
            learning_curve=curve,
            learning_curve_of=curve_of,
            wrong=wrong,
            suspects=suspects,
            to_a_person={a.name: confidence.to_a_person(a.name, target_errors_of(task), a.test) for a in answers},
            sources={a.name: [p.sources for p in a.test] for a in answers if any(p.sources for p in a.test)},
        )
    ).encode("utf-8")
    write_bytes(workspace.paths.report(task.name, version.number), html)
    behind = base if version.fine_tuned else next((b for b in evaluation.bases if version.contender in b.used_by), None)
    title, limits = (behind.title, behind.limits) if behind else ("", "")
    card = CardData(evaluation, task, title, limits, dataset.counts(), _again(task.name), now())
    beside = {
        "json": _as_json(evaluation, wrong),
        "markdown": report_markdown(evaluation, wrong),
        "card": card_html(card),
        "card_markdown": card_markdown(card),
    }
    for what, path in workspace.paths.beside_report(task.name, version.number).items():
        write_bytes(path, beside[what].encode("utf-8", "replace"))
    return workspace.blobs.put(html, ".html")


def _as_json(evaluation: Evaluation, wrong: Sequence[WrongGroup]) -> str:
    """The evaluation, and what it does not hold as it is kept where nobody looks for texts to forget."""
    told = evaluation.model_dump(mode="json") | {"wrong_answers": [asdict(group) for group in wrong]}
    return json.dumps(told, indent=1, ensure_ascii=False)


def _again(task: str) -> tuple[str, ...]:
    """When a model is to be looked at again, by the rules of `monitor`."""
    from inhouse.monitor import ENOUGH_CORRECTIONS, MIN_REQUESTS

    return (
        f"Once {MIN_REQUESTS} requests were served, and every month from then on: `inhouse monitor {task}` tells "
        "whether inputs or answers have drifted.",
        f"Once {ENOUGH_CORRECTIONS} answers were corrected: `inhouse retrain {task}` learns from them.",
        "As soon as what comes in, or what a right answer is, changes: a new product, form, language or rule.",
    )


def _training_of(workspace: Workspace, version: ModelVersion) -> TrainResult | None:
    """What came with the version; None of one that was not fine-tuned."""
    if not version.fine_tuned:
        return None
    return TrainResult.model_validate(version.training or records.run_result(workspace, version.run))


def _steps(workspace: Workspace, trained: TrainResult) -> list[dict[str, float]]:
    return [row for row in records.metrics_of(workspace, trained.run) if row["step"] <= trained.steps]


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
