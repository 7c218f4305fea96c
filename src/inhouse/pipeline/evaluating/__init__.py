"""`evaluate`: every contender on the same examples, the verdict, the report; and the candidate that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from inhouse.clean import leaked_tests
from inhouse.core import (
    BaseFacts,
    Comparison,
    Dataset,
    Evaluation,
    JudgeResult,
    ModelVersion,
    Reporter,
    Silent,
    Task,
    Verdict,
)
from inhouse.engine import require_base
from inhouse.errors import NotFound, Refused
from inhouse.pipeline.evaluating.answers import keep_answers, keep_changed
from inhouse.pipeline.evaluating.bases import bases_of
from inhouse.pipeline.evaluating.beyond import asked_beyond, slices_of
from inhouse.pipeline.evaluating.champion import CHAMPION, against_champion, beside, champion_of
from inhouse.pipeline.evaluating.compared import compared_with
from inhouse.pipeline.evaluating.curve import curve_seen
from inhouse.pipeline.evaluating.field import encoders_of, make_field, open_remote_model
from inhouse.pipeline.evaluating.fields import fields_reviewed
from inhouse.pipeline.evaluating.forgotten import forgotten
from inhouse.pipeline.evaluating.judged import SERVABLE, metrics_of, prompts_of, require_primary, result_of, top_k
from inhouse.pipeline.evaluating.model_judge import judged_by_model, require_judge
from inhouse.pipeline.evaluating.reports import write_report
from inhouse.pipeline.evaluating.review import Reviewed, reviewed, target_errors_of
from inhouse.pipeline.evaluating.similar import similarities
from inhouse.pipeline.evaluating.suspects import suspects_of, without
from inhouse.pipeline.evaluating.warnings import warnings_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.preparation import require_minutes
from inhouse.scoring import Judged, confusions, label_results, units_of
from inhouse.store import Workspace, disk_guard, registry

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers, Field

__all__ = ["evaluate"]

# What is kept in the database of a task with many labels; the report has all of them.
WORST_LABELS, MOST_CONFUSIONS = 20, 1000
# Test examples that a sentence names.
NAMED = 3


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
    the validation examples is what the verdict speaks of, and becomes the candidate. Before anything is trained, all
    that needs no training is compared, and the best of it that can be served is made the candidate.

    Where test examples stand in the training data nothing can be judged: of the others none is asked, and the verdict
    says so.

    Args:
        which: a version number, an alias, or `latest`.
        minutes: that asking may take; contenders that there is no time for are left out, the least telling ones first.
        contenders: to ask the whole test; of the others those alone that train in seconds or were asked before.
        grades: a file with grades of people, which the task's model as judge is compared with.

    Raises:
        NotFound: no such task or version, or it has no test examples.
        UsageError: no time at all, a contender that the task has not, or grades and no judge.
        ConfigError, InputError: the scorers of the task, or the file of grades, cannot be used.
        Refused: nothing is trained yet, and test examples stand in the training data.
        ModelUnavailable, DiskFull
    """
    from inhouse.evaluate.contenders import require_contenders

    reporter = reporter or Silent()
    task = workspace.load_task(name)
    require_minutes(minutes)
    require_contenders(task, contenders)
    version = _under_test(workspace, name, which)
    dataset = to_learn_from(workspace, name, version.lineage["dataset"] if version else None)
    if not dataset.of("test"):
        raise NotFound(f"task {name!r} has no test examples", f"add a test file: `inhouse add {name} --test FILE`")
    for model in encoders_of(task):
        require_base(model, workspace.settings)
    for remote in task.remotes:  # a missing key is told before hours of work
        open_remote_model(remote, workspace.settings).close()
    graded = None if grades is None else Path(grades)
    require_judge(workspace, task, dataset, graded)
    leaked = sorted(leaked_tests(dataset))
    if version is None:
        if leaked:
            told = _leaks_told(dataset, leaked)
            raise Refused(f"nothing can be judged: {told}", f"inhouse clean {name} --apply leakage")
        reporter.say(f"nothing is trained yet: what needs no training is compared (`inhouse train {name}` trains)")
    with workspace.lock(f"train-{name}", f"training or evaluating {name!r}"), disk_guard(workspace.paths.root):
        return _evaluate(workspace, task, version, dataset, reporter, minutes, contenders, graded, leaked)


def _under_test(workspace: Workspace, name: str, which: str) -> ModelVersion | None:
    """The version that is evaluated: of one that was not fine-tuned, that whose evaluation it took part in.

    None where nothing was fine-tuned yet: then the newest data decide.
    """
    if which == "latest" and not any(v.fine_tuned for v in registry.versions(workspace, name)):
        return None
    version = registry.find_version(workspace, name, which)
    if beside := version.lineage.get("compared_with"):
        return registry.find_version(workspace, name, str(beside).rpartition("@")[2])
    return version


def _leaks_told(dataset: Dataset, leaked: Sequence[int]) -> str:
    """Which test examples stand in the training data, or nearly so; empty where none does."""
    if not leaked:
        return ""
    places = ", ".join(str(dataset.examples[i].provenance) for i in leaked[:NAMED])
    more = f" and {len(leaked) - NAMED:,} more" if len(leaked) > NAMED else ""
    stand = "test example stands" if len(leaked) == 1 else "test examples stand"
    return f"{len(leaked):,} {stand} in the training data too, or nearly so: {places}{more}"


def _evaluate(
    workspace: Workspace,
    task: Task,
    version: ModelVersion | None,
    dataset: Dataset,
    reporter: Reporter,
    minutes: float | None,
    names: Sequence[str],
    grades: Path | None,
    leaked: Sequence[int],
) -> Evaluation:
    """Ask, decide, look beyond the averages, and keep all of it."""
    from inhouse.evaluate.beyond import Beyond
    from inhouse.evaluate.contenders import TimeBudget, ask_all

    tuned, untrained = compared_with(workspace, task, version)
    budget, pointless = TimeBudget(minutes), _leaks_told(dataset, leaked)
    given = make_field(workspace, task, dataset, reporter, tuned)
    task = given.task
    for split in ("validation", "test"):
        require_primary(task, given.judging, dataset.of(split), split)
    try:
        answers = ask_all(given, names, budget, pointless=pointless)
    finally:
        given.close()
    asked = _Asked.of(dataset, given, answers)
    verdict, comparisons = _decided(workspace, dataset, given, answers, asked.validation, asked.test, len(leaked))
    if tuned:
        versions = tuned
        version = next(v for v in tuned if v.contender == comparisons[0].ours)
    else:
        version = _best_untrained(workspace, dataset, given, answers, verdict, reporter)
        versions = [version]
    keep_answers(workspace, version, versions, dataset, answers, given)
    confidence = reviewed(task, dataset, answers, asked.validation, asked.test)
    beyond = (
        Beyond()
        if leaked
        else asked_beyond(given, answers, asked.test, version.contender, verdict, given.judging, budget)
    )
    keep_changed(workspace, version, dataset, beyond.kept)
    own = {v.contender: v for v in versions}
    on_test = {own[a.name].name: a.test for a in answers if a.name in own}
    champion = champion_of(workspace, version, dataset, reporter, on_test)
    everybody = [*answers, *beside(champion, dataset.of("test"))]
    judged, near, judge = _judged_all(workspace, task, version, dataset, given, everybody, asked.test, grades)
    forgetting, not_measured = forgotten(workspace, version, reporter, 0.0 if leaked else budget.left)
    suspects = suspects_of(workspace, task, dataset, reporter)
    expected = [e.target for e in dataset.of("test")]
    groups = units_of([e.group for e in dataset.of("test")], len(expected))
    labels = judged[version.contender].answers if task.kind == "classify" else None
    ours = next(a for a in answers if a.name == version.contender)
    by_field = fields_reviewed(dataset, ours, asked.validation[ours.name], judged[ours.name])
    models = own | ({CHAMPION: champion.version} if champion else {})
    results = tuple(
        result_of(
            a,
            models,
            metrics_of(task, judged[a.name], expected, groups),
            workspace.settings.remotes,
            given.fits.get(a.name, 0.0),
        )
        for a in everybody
    )
    evaluation = Evaluation(
        task=task.name,
        report=str(workspace.paths.report(task.name, version.number)),
        files={what: str(p) for what, p in workspace.paths.beside_report(task.name, version.number).items()},
        dataset_fingerprint=dataset.fingerprint,
        base_model=version.lineage["base"],
        model_version=version.name,
        test_examples=len(expected),
        validation_examples=len(dataset.of("validation")),
        primary_metric=task.metrics.primary,
        contenders=results,
        bases=(*bases_of(task, tuned, results, workspace.settings), *near),
        currency=workspace.settings.cost.currency,
        verdict=verdict,
        comparisons=comparisons,
        against_champion=against_champion(champion, task, dataset, on_test[version.name], given.judging),
        left_out=(*untrained, *given.left_out),
        prompts=prompts_of(given),
        labels=label_results(labels, expected, groups)[:WORST_LABELS] if labels else (),
        confusions=confusions(labels, expected)[:MOST_CONFUSIONS] if labels else (),
        judge=judge,
        consistency=beyond.consistency,
        robustness=beyond.robustness,
        gap=beyond.gap,
        forgetting=forgetting,
        field_review=by_field.review,
        suspect_tests=len(suspects),
        without_suspects=without(judged, dataset.of("test"), task.metrics.primary, suspects),
        slices=slices_of(task, dataset, judged[version.contender]),
        warnings=(
            *([pointless] if leaked else []),
            *warnings_of(workspace.load_task(task.name), versions, dataset, answers),
            *given.notes,
            *beyond.notes,
            *not_measured,
        ),
        reviews=confidence.reviews,
        calibrations=confidence.calibrations,
    )
    report = write_report(workspace, task, version, dataset, evaluation, everybody, judged, confidence, suspects, given)
    registered = version.model_copy(update={"report": report, "field_calibrators": dict(by_field.calibrators)})
    _register(workspace, task, [registered if v is version else v for v in versions], evaluation, confidence)
    return evaluation


@dataclass(frozen=True)
class _Asked:
    """What the answers to the validation and to the test examples are worth, by the contender's name."""

    validation: dict[str, Judged]
    test: dict[str, Judged]

    @classmethod
    def of(cls, dataset: Dataset, given: Field, answers: Sequence[Answers]) -> _Asked:
        """Judge all answers."""
        validation, test = dataset.of("validation"), dataset.of("test")
        return cls(
            {a.name: given.judging(validation, a.validation) for a in answers},
            {a.name: given.judging(test, a.test) for a in answers},
        )


def _best_untrained(
    workspace: Workspace,
    dataset: Dataset,
    given: Field,
    answers: Sequence[Answers],
    verdict: Verdict,
    reporter: Reporter,
) -> ModelVersion:
    """Of all that needs no training the best on validation that can be served, as a version: the winner, if it can."""
    from inhouse.evaluate.contenders import value_on_validation
    from inhouse.pipeline.contender_packaging import register_untrained

    there = [a for a in answers if a.name in SERVABLE]
    if not there:
        why = "; ".join(f"{one.contender}: {one.reason}" for one in given.left_out)
        raise Refused("none of what can be served was asked", f"give it more time; {why}")
    best = max(there, key=lambda a: (a.name == verdict.winner, value_on_validation(given, a)))
    reporter.say(f"making {best.name} as it was compared")
    return register_untrained(workspace, given.task, dataset, best, given, reporter)


def _judged_all(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    given: Field,
    answers: Sequence[Answers],
    judged: Mapping[str, Judged],
    grades: Path | None,
) -> tuple[dict[str, Judged], tuple[BaseFacts, ...], JudgeResult | None]:
    """What all answers to the test are worth, by all that can tell.

    Args:
        judged: by the contender's name, what is known already.

    Returns:
        it by the contender's name, the encoder that read texts for it, and how good the model as judge is.
    """
    test = dataset.of("test")
    found = dict(judged) | {a.name: given.judging(test, a.test) for a in answers if a.name not in judged}
    near, read_by = similarities(workspace, version, dataset, given, answers)
    by_model = judged_by_model(workspace, task, version, dataset, given, answers, grades)
    more = {what: scores for what, scores in (("similarity", near), ("judge", by_model.scores)) if scores}
    told = {
        a.name: found[a.name].with_scores(
            {**top_k(task, test, a.test), **{what: scores[a.name] for what, scores in more.items()}}
        )
        for a in answers
    }
    return told, read_by, by_model.result


def _decided(
    workspace: Workspace,
    dataset: Dataset,
    given: Field,
    answers: Sequence[Answers],
    on_validation: Mapping[str, Judged],
    on_test: Mapping[str, Judged],
    leaked: int,
) -> tuple[Verdict, tuple[Comparison, ...]]:
    """The verdict, and every comparison; what it asks beside the answers is found only when it is asked.

    Args:
        on_validation, on_test: by the contender's name, what its answers are worth.
        leaked: so many test examples stand in the training data.
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
        leaked=leaked,
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
