"""`evaluate`: every contender on the same examples, the verdict, the report; and the candidate that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from inhouse.clean import leaked_tests
from inhouse.core import Comparison, Dataset, Evaluation, ModelVersion, Reporter, Silent, Task, TrainResult, Verdict
from inhouse.engine import require_base
from inhouse.errors import NotFound
from inhouse.pipeline.evaluating.answers import keep_answers, keep_changed
from inhouse.pipeline.evaluating.bases import bases_of
from inhouse.pipeline.evaluating.beyond import asked_beyond, slices_of
from inhouse.pipeline.evaluating.champion import CHAMPION, against_champion, beside, champion_of
from inhouse.pipeline.evaluating.compared import compared_with
from inhouse.pipeline.evaluating.curve import curve_seen
from inhouse.pipeline.evaluating.field import encoders_of, make_field, open_remote_model
from inhouse.pipeline.evaluating.fields import fields_reviewed
from inhouse.pipeline.evaluating.forgotten import forgotten
from inhouse.pipeline.evaluating.judged import metrics_of, prompts_of, require_primary, result_of, top_k
from inhouse.pipeline.evaluating.model_judge import judged_by_model, require_judge
from inhouse.pipeline.evaluating.reports import write_report
from inhouse.pipeline.evaluating.review import Reviewed, reviewed, target_errors_of
from inhouse.pipeline.evaluating.similar import similarities
from inhouse.pipeline.evaluating.suspects import suspects_of, without
from inhouse.pipeline.evaluating.warnings import warnings_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.preparation import require_minutes
from inhouse.scoring import Judged, confusions, label_results, units_of
from inhouse.store import Workspace, disk_guard, records, registry

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers, Field

__all__ = ["evaluate"]

# What is kept in the database of a task with many labels; the report has all of them.
WORST_LABELS, MOST_CONFUSIONS = 20, 1000


def evaluate(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    which: str = "latest",
    minutes: float | None = None,
    contenders: Sequence[str] = (),
    grades: Path | str | None = None,
) -> Evaluation:
    """Compare what was fine-tuned with what the user would do instead, and decide.

    The version under test is compared together with the newest of the other kind, causal model or encoder, that learned
    from the same data. Every answer is kept; the report is written beside the task. The best of the fine-tuned ones on
    the validation examples is what the verdict speaks of, and becomes the candidate.

    Args:
        which: a version number, an alias, or `latest`.
        minutes: that asking may take; contenders that there is no time for are left out, the least telling ones first.
        contenders: to ask beside the fine-tuned ones and the floor; all where none is named.
        grades: a file with grades of people, which the task's model as judge is compared with.

    Raises:
        NotFound: no such task or version, or it has no test examples.
        UsageError: no time at all, a contender that the task has not, or grades and no judge.
        ConfigError, InputError: the scorers of the task, or the file of grades, cannot be used.
        ModelUnavailable, DiskFull
    """
    from inhouse.evaluate.contenders import require_contenders

    reporter = reporter or Silent()
    task = workspace.load_task(name)
    require_minutes(minutes)
    require_contenders(task, contenders)
    version = _under_test(workspace, name, which)
    dataset = to_learn_from(workspace, name, version.lineage["dataset"])
    if not dataset.of("test"):
        raise NotFound(f"task {name!r} has no test examples", f"add a test file: `inhouse add {name} --test FILE`")
    for model in encoders_of(task):
        require_base(model, workspace.settings)
    for remote in task.remotes:  # a missing key is told before hours of work
        open_remote_model(remote, workspace.settings).close()
    graded = None if grades is None else Path(grades)
    require_judge(workspace, task, dataset, graded)
    with workspace.lock(f"train-{name}", f"training or evaluating {name!r}"), disk_guard(workspace.paths.root):
        return _evaluate(workspace, task, version, dataset, reporter, minutes, contenders, graded)


def _under_test(workspace: Workspace, name: str, which: str) -> ModelVersion:
    """The version that is evaluated: of one that was not fine-tuned, that whose evaluation it took part in."""
    version = registry.find_version(workspace, name, which)
    if beside := version.lineage.get("compared_with"):
        return registry.find_version(workspace, name, str(beside).rpartition("@")[2])
    return version


def _evaluate(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    reporter: Reporter,
    minutes: float | None,
    names: Sequence[str],
    grades: Path | None,
) -> Evaluation:
    from inhouse.evaluate.contenders import TimeBudget, ask_all

    task = version.answers_as(task)
    versions, untrained = compared_with(workspace, version)
    models = {v.contender: v for v in versions}
    budget = TimeBudget(minutes)
    given = make_field(workspace, task, dataset, reporter, versions)
    judging = given.judging
    require_primary(task, judging, dataset.of("validation"), "validation")
    require_primary(task, judging, dataset.of("test"), "test")
    try:
        answers = ask_all(given, names, budget)
    finally:
        given.close()
    test, validation = dataset.of("test"), dataset.of("validation")
    expected = [e.target for e in test]
    groups = units_of([e.group for e in test], len(test))
    judged = {a.name: judging(test, a.test) for a in answers}
    on_validation = {a.name: judging(validation, a.validation) for a in answers}
    primary = task.metrics.primary
    verdict, comparisons = _decided(workspace, dataset, given, answers, on_validation, judged)
    version = models[comparisons[0].ours]
    keep_answers(workspace, version, versions, dataset, answers, given)
    confidence = reviewed(task, dataset, answers, on_validation, judged)
    beyond = asked_beyond(given, answers, judged, version.contender, verdict, judging, budget)
    keep_changed(workspace, version, dataset, beyond.kept)
    on_test = {models[a.name].name: a.test for a in answers if a.name in models}
    champion = champion_of(workspace, version, dataset, reporter, on_test)
    asked = [*answers, *beside(champion, test)]
    judged |= {a.name: judging(test, a.test) for a in asked if a.name not in judged}
    near, read_by = similarities(workspace, version, dataset, given, asked)
    by_model = judged_by_model(workspace, task, version, dataset, given, asked, grades)
    more = {what: found for what, found in (("similarity", near), ("judge", by_model.scores)) if found}
    judged = {
        a.name: judged[a.name].with_scores(
            {**top_k(task, test, a.test), **{what: found[a.name] for what, found in more.items()}}
        )
        for a in asked
    }
    models |= {CHAMPION: champion.version} if champion else {}
    forgetting, not_measured = forgotten(workspace, version, reporter, budget.left)
    suspects = suspects_of(workspace, task, dataset, reporter)
    ours = next(a for a in answers if a.name == version.contender)
    labels = judged[ours.name].answers if task.kind == "classify" else None
    by_field = fields_reviewed(dataset, ours, on_validation[ours.name], judged[ours.name])
    results = tuple(
        result_of(
            a,
            models,
            metrics_of(task, judged[a.name], expected, groups),
            workspace.settings.remotes,
            given.fits.get(a.name, 0.0),
        )
        for a in asked
    )
    evaluation = Evaluation(
        task=task.name,
        report=str(workspace.paths.report(task.name, version.number)),
        files={what: str(p) for what, p in workspace.paths.beside_report(task.name, version.number).items()},
        dataset_fingerprint=dataset.fingerprint,
        base_model=version.lineage["base"],
        model_version=version.name,
        test_examples=len(test),
        validation_examples=len(validation),
        primary_metric=primary,
        contenders=results,
        bases=(*bases_of(task, versions, results, workspace.settings), *read_by),
        currency=workspace.settings.cost.currency,
        verdict=verdict,
        comparisons=comparisons,
        against_champion=against_champion(champion, task, dataset, on_test[version.name], judging),
        left_out=(*untrained, *given.left_out),
        prompts=prompts_of(given),
        labels=label_results(labels, expected, groups)[:WORST_LABELS] if labels else (),
        confusions=confusions(labels, expected)[:MOST_CONFUSIONS] if labels else (),
        judge=by_model.result,
        consistency=beyond.consistency,
        robustness=beyond.robustness,
        gap=beyond.gap,
        forgetting=forgetting,
        field_review=by_field.review,
        suspect_tests=len(suspects),
        without_suspects=without(judged, test, primary, suspects),
        slices=slices_of(task, dataset, judged[version.contender]),
        warnings=(
            *warnings_of(workspace.load_task(task.name), versions, dataset, answers),
            *given.notes,
            *beyond.notes,
            *not_measured,
        ),
        reviews=confidence.reviews,
        calibrations=confidence.calibrations,
    )
    trained = TrainResult.model_validate(version.training or records.run_result(workspace, version.run))
    report = write_report(workspace, task, version, trained, dataset, evaluation, asked, judged, confidence, suspects)
    registered = version.model_copy(update={"report": report, "field_calibrators": dict(by_field.calibrators)})
    _register(workspace, task, [registered if v is version else v for v in versions], evaluation, confidence)
    return evaluation


def _decided(
    workspace: Workspace,
    dataset: Dataset,
    given: Field,
    answers: Sequence[Answers],
    on_validation: Mapping[str, Judged],
    on_test: Mapping[str, Judged],
) -> tuple[Verdict, tuple[Comparison, ...]]:
    """The verdict, and every comparison; what it asks beside the answers is found only when it is asked.

    Args:
        on_validation, on_test: by the contender's name, what its answers are worth.
    """
    from inhouse.evaluate.contenders import SHOWN_EXAMPLES
    from inhouse.evaluate.signal import lift_of
    from inhouse.evaluate.verdict import ContenderAnswers, decide

    task, test = given.task, dataset.of("test")
    primary = task.metrics.primary
    return decide(
        [
            ContenderAnswers(
                name=a.name,
                fine_tuned=a.fine_tuned,
                validation=[p.target for p in a.validation],
                test=[p.target for p in a.test],
                validation_scores=on_validation[a.name].scores.get(primary),
                test_scores=on_test[a.name].scores.get(primary),
                version=a.name != SHOWN_EXAMPLES,
                asked=on_test[a.name].asked,
            )
            for a in answers
        ],
        expected_test=[e.target for e in test],
        expected_validation=[e.target for e in dataset.of("validation")],
        metrics=task.metrics,
        test_groups=units_of([e.group for e in test], len(test)),
        leaked=len(leaked_tests(dataset)),
        mend=f"inhouse clean {task.name} --apply leakage",
        curve=cache(lambda: curve_seen(workspace, given)),
        train_examples=len(dataset.of("train")),
        lift=lambda: lift_of(given),
    )


def _register(
    workspace: Workspace,
    task: Task,
    versions: Sequence[ModelVersion],
    evaluation: Evaluation,
    confidence: Reviewed,
) -> None:
    """Keep with each version the evaluation, and what marks its answers; the one it speaks of becomes the candidate,
    unless it is an epoch's."""
    for one in versions:
        told = {
            "evaluation": evaluation.model_dump(mode="json"),
            "calibrator": confidence.calibrators.get(one.contender),
            "threshold": confidence.threshold_of(one.contender, target_errors_of(task)),
        }
        registry.update_version(workspace, one.model_copy(update=told))
    (best,) = (v for v in versions if v.name == evaluation.model_version)
    champion = registry.alias_number(workspace, task.name, registry.CHAMPION)
    if best.parity.passed and best.epoch is None and champion != best.number:
        registry.move_alias(workspace, task.name, registry.CANDIDATE, best.number, action="evaluate")
