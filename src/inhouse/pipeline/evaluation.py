"""`evaluate`: every contender on the same examples, the verdict, the report; and the candidate that comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from inhouse.clean import find
from inhouse.core import (
    ContenderResult,
    Dataset,
    Evaluation,
    ModelVersion,
    Prediction,
    Reporter,
    Silent,
    Task,
    TrainResult,
)
from inhouse.engine import ENCODER, get_base, require_base
from inhouse.errors import NotFound
from inhouse.pipeline.training import package_versions
from inhouse.scoring import accuracy, macro_f1, mcnemar_exact, paired_difference
from inhouse.store import Workspace, disk_guard, records, registry, write_bytes
from inhouse.store.database import now


def evaluate(workspace: Workspace, name: str, reporter: Reporter | None = None, *, which: str = "latest") -> Evaluation:
    """Compare a model version with what the user would do instead, and decide.

    Every answer is kept; the report is written beside the task; the version becomes the candidate.

    Args:
        which: a version number, an alias, or `latest`.

    Raises:
        NotFound: no such task or version, or it has no test examples.
        ModelUnavailable, DiskFull
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    version = registry.find_version(workspace, name, which)
    dataset = records.load_dataset(workspace, name, version.lineage["dataset"])
    if not dataset.of("test"):
        raise NotFound(f"task {name!r} has no test examples", f"add a test file: `inhouse add {name} --test FILE`")
    require_base(ENCODER, workspace.settings)
    with workspace.lock(f"train-{name}", f"training or evaluating {name!r}"), disk_guard(workspace.paths.root):
        return _evaluate(workspace, task, version, dataset, reporter)


def _evaluate(
    workspace: Workspace, task: Task, version: ModelVersion, dataset: Dataset, reporter: Reporter
) -> Evaluation:
    from inhouse.evaluate.contenders import ask_all, curve_rises
    from inhouse.evaluate.report import ReportData, render_report
    from inhouse.evaluate.verdict import ContenderAnswers, decide

    trained = TrainResult.model_validate(records.run_result(workspace, version.run))
    given = make_field(workspace, task, version, dataset, reporter)
    try:
        answers = ask_all(given)
        rises = curve_rises(given) if task.metrics.minimum is not None else None
    finally:
        given.close()
    test, validation = dataset.of("test"), dataset.of("validation")
    expected = [e.target for e in test]
    groups = [e.group for e in test]
    for one in answers:
        records.save_predictions(
            workspace,
            task=task.name,
            model_version=version.name,
            contender=one.name,
            dataset=dataset,
            examples=[*validation, *test],
            splits=["validation"] * len(validation) + ["test"] * len(test),
            answers=[*one.validation, *one.test],
        )
    verdict = decide(
        [
            ContenderAnswers(
                name=a.name,
                fine_tuned=a.fine_tuned,
                validation=[p.target for p in a.validation],
                test=[p.target for p in a.test],
            )
            for a in answers
        ],
        expected_test=expected,
        expected_validation=[e.target for e in validation],
        metrics=task.metrics,
        test_groups=groups,
        leaked=leaked(dataset),
        curve_rises=rises,
        train_examples=len(dataset.of("train")),
    )
    path = workspace.paths.report(task.name, version.number)
    evaluation = Evaluation(
        task=task.name,
        report=str(path),
        dataset_fingerprint=dataset.fingerprint,
        base_model=version.lineage["base"],
        model_version=version.name,
        test_examples=len(test),
        validation_examples=len(validation),
        primary_metric=task.metrics.primary,
        contenders=tuple(
            _result(a.name, version, a.test, expected, groups, a.seconds, a.requests_per_second) for a in answers
        ),
        verdict=verdict,
        against_champion=_against_champion(workspace, task, version, dataset, answers[0].test, reporter),
        warnings=_warnings(task, version, dataset),
    )
    base = get_base(
        version.lineage["recipe"]["base_model"], workspace.settings, sha256=version.lineage["base_sha256"]
    ).spec
    html = render_report(
        ReportData(
            evaluation=evaluation,
            task=task,
            train=trained,
            base_description=base.title,
            base_limits=base.limits,
            examples=test,
            predictions={a.name: [p.target for p in a.test] for a in answers},
            history=_history(trained),
            dataset_number=dataset.number,
            counts=dataset.counts(),
            packages=package_versions(),
            created_at=now(),
        )
    )
    write_bytes(path, html.encode("utf-8"))
    report = workspace.blobs.put(html.encode("utf-8"), ".html")
    registry.update_version(
        workspace,
        version.model_copy(update={"report": report, "evaluation": evaluation.model_dump(mode="json")}),
    )
    if version.parity.passed and registry.alias_number(workspace, task.name, registry.CHAMPION) != version.number:
        registry.move_alias(workspace, task.name, registry.CANDIDATE, version.number, action="evaluate")
    return evaluation


def make_field(workspace: Workspace, task: Task, version: ModelVersion, dataset: Dataset, reporter: Reporter) -> Any:  # noqa: ANN401 - the type would import the models
    """What the contenders may use; models are loaded when a contender first asks."""
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.engine.openvino_engine import OpenVinoEngine
    from inhouse.evaluate.contenders import Field

    settings = workspace.settings
    recipe = version.lineage["recipe"]
    base = get_base(recipe["base_model"], settings, reporter.say, sha256=recipe["base_sha256"])
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    file = workspace.blobs.path(version.file_sha256, ".gguf")
    return Field(
        task=task.model_copy(update={"labels": version.labels}),
        labels=version.labels,
        train=dataset.of("train"),
        validation=dataset.of("validation"),
        test=dataset.of("test"),
        system=recipe["system"],
        max_tokens=recipe["max_tokens"],
        make_tuned=lambda: OpenVinoEngine(file, template.end_of_turn, threads=settings.threads, exact=version.exact),
        make_base=lambda: OpenVinoEngine(base.gguf, template.end_of_turn, threads=settings.threads),
        make_encoder=lambda: SentenceEncoder(get_base(ENCODER, settings, reporter.say).folder),
        template=template,
        reporter=reporter,
    )


def _result(
    name: str,
    version: ModelVersion,
    test: Sequence[Prediction],
    expected: Sequence[str],
    groups: Sequence[str],
    seconds: float,
    rate: float,
) -> ContenderResult:
    targets = [p.target for p in test]
    generated = any(p.prompt_tokens for p in test)
    return ContenderResult(
        name=name,
        model=version.name if name == version.contender else None,
        metrics={
            "accuracy": accuracy(targets, expected, groups=groups),
            "macro_f1": macro_f1(targets, expected, groups=groups),
        },
        seconds=seconds,
        requests_per_second=rate,
        prompt_tokens=sum(p.prompt_tokens for p in test) / len(test) if generated else None,
        answer_tokens=sum(p.answer_tokens for p in test) / len(test) if generated else None,
        unanswered=sum(p.target is None for p in test),
    )


def leaked(dataset: Dataset) -> int:
    """How many examples that were trained or chosen on stand in the test set too, as the `leakage` check sees it."""
    return len(
        {place for f in find(dataset, count_tokens=None, max_tokens=None) if f.check == "leakage" for place in f.drop}
    )


def _against_champion(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    candidate: Sequence[Prediction],
    reporter: Reporter,
) -> dict[str, Any] | None:
    """The version against the one that serves now, on the same test examples; None when nothing else serves."""
    from inhouse.deploy import ServedModel

    number = registry.alias_number(workspace, task.name, registry.CHAMPION)
    if number is None or number == version.number:
        return None
    champion = registry.find_version(workspace, task.name, number)
    unseen = _unseen_by(workspace, champion, dataset)
    test = dataset.of("test")
    if not unseen:
        reporter.warn(f"every test example was learned by the champion {champion.name}: the two are not compared")
        return None
    if len(unseen) < len(test):
        reporter.warn(
            f"{len(test) - len(unseen)} test examples were learned by the champion {champion.name}; they are left out "
            "of its comparison with the candidate"
        )
    asked = [test[i] for i in unseen]
    served = ServedModel(workspace, champion)
    bar = reporter.bar(f"champion {champion.name}", len(asked))
    try:
        theirs = [a.prediction.target for a in served.answer([e.inputs for e in asked], bar.update)]
    finally:
        served.close()
    ours = [candidate[i].target for i in unseen]
    expected = [e.target for e in asked]
    groups = [e.group for e in asked]
    ours_right = np.array([p == e for p, e in zip(ours, expected, strict=True)])
    theirs_right = np.array([p == e for p, e in zip(theirs, expected, strict=True)])
    gain, low, high = paired_difference(ours_right, theirs_right, groups=groups)
    return {
        "champion": champion.name,
        "champion_accuracy": accuracy(theirs, expected, groups=groups).model_dump(),
        "candidate_accuracy": accuracy(ours, expected, groups=groups).model_dump(),
        "gain": gain,
        "low": low,
        "high": high,
        "p_value": mcnemar_exact(ours_right, theirs_right, groups=groups),
    }


def _unseen_by(workspace: Workspace, champion: ModelVersion, dataset: Dataset) -> list[int]:
    """Positions of the test examples that the champion neither learned from nor was chosen on."""
    learned = records.load_dataset(workspace, champion.task, champion.lineage["dataset"])
    known = [e for split in ("train", "validation") for e in learned.of(split)]
    keys, groups = {e.input_key for e in known}, {e.group for e in known}
    return [i for i, e in enumerate(dataset.of("test")) if e.input_key not in keys and e.group not in groups]


def _warnings(task: Task, version: ModelVersion, dataset: Dataset) -> tuple[str, ...]:
    warnings = []
    unknown = Counter(e.target for e in dataset.of("test") if e.target not in version.labels)
    if unknown:
        warnings.append(
            f"{sum(unknown.values())} test examples carry labels that no training example has "
            f"({', '.join(sorted(unknown)[:5])}): they can only be answered wrongly"
        )
    if set(task.labels) != set(version.labels):
        warnings.append("the task's labels have changed since this version was trained: train again")
    if not version.parity.passed:
        warnings.append(f"the parity gate failed: {version.parity.reason}")
    return tuple(warnings)


def _history(trained: TrainResult) -> list[dict[str, float]]:
    return [
        {
            "step": r["step"],
            "train_loss": r["train_loss"],
            "validation_loss": r["validation_loss"],
            "validation_accuracy": r["validation_right"],
        }
        for r in trained.history
    ]
