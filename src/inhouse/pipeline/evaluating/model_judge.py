"""A model as judge: its grades become a metric where it agrees with people, and are left out where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Dataset, JudgeResult, ModelVersion, Silent, Task, by_chance, counted
from inhouse.errors import ModelUnavailable, OutboundForbidden, UsageError
from inhouse.pipeline.evaluating.field import open_remote_model, remote_identity
from inhouse.pipeline.evaluating.grades import read_grades
from inhouse.store import Workspace, predictions

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers
    from inhouse.evaluate.model_judge import Told

# Test examples whose answers are graded, of every contender: a share of so many is known to ten points.
ROWS = 100
# The best grade less the worst.
_RANGE = 4
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ModelJudge:
    """What came of a model as judge; `scores` by the contender's name, 0 to 1, nan where it was not asked."""

    result: JudgeResult | None = None
    scores: Mapping[str, Floats] = field(default_factory=dict)


def require_judge(workspace: Workspace, task: Task, dataset: Dataset, grades: Path | None) -> None:
    """Refuse, before hours of work, grades that cannot be used, or a judge that cannot be asked.

    Raises:
        UsageError: no model is named.
        InputError, SourceError: see `read_grades`.
        ConfigError, ModelUnavailable, OutboundForbidden: of a remote one.
    """
    if grades is not None and task.metrics.judge is None:
        raise UsageError(
            f"--grades {grades}: the task {task.name!r} has no model as judge that these could be compared with",
            'name one in task.toml: `judge = "base"` or `judge = "remote:NAME"` under [metrics]',
        )
    if grades is None:
        return
    asked = [*dataset.of("validation"), *dataset.of("test")]
    read_grades(grades, task, asked, {e.id: e.target for e in asked}, Silent())  # whatever will be answered
    if task.metrics.judge not in (None, "base"):
        open_remote_model(str(task.metrics.judge).removeprefix("remote:"), workspace.settings).close()


def judged_by_model(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    given: Any,  # noqa: ANN401 - the type would import the models
    answers: Sequence[Answers],
    grades: Path | None,
) -> ModelJudge:
    """Let the task's judge grade what people graded, and where it agrees with them a sample of all test answers.

    Raises:
        InputError, SourceError: the file of grades cannot be used.
    """
    judge = task.metrics.judge
    if judge is None:
        return ModelJudge()
    from inhouse.evaluate.model_judge import agreement_of, ask_judge

    model = task.base_model if judge == "base" else judge
    if grades is None:
        sentence = (
            f"{judge} as a judge was not asked: without grades of people nobody knows what its own are worth "
            f"(`inhouse evaluate {task.name} --grades FILE`)"
        )
        return ModelJudge(JudgeResult(judge=judge, model=model, grades=0, sentence=sentence))
    own = next(a for a in answers if a.name == version.contender)
    asked = [*dataset.of("validation"), *dataset.of("test")]
    said = {e.id: p.target for e, p in zip(asked, [*own.validation, *own.test], strict=True)}
    graded = read_grades(grades, task, asked, said, given.reporter)
    if judge != "base":
        given = replace(
            given,
            identities={**given.identities, judge: remote_identity(judge.removeprefix("remote:"), workspace.settings)},
        )
        given.reporter.say(f"{judge}: {counted(len(graded), 'graded answer')} are sent to it")
    try:
        theirs, told = ask_judge(given, judge, [(g.example, g.answer) for g in graded])
        result = agreement_of(judge, model, graded, theirs)
        scores, more = _scores(given, judge, dataset, answers) if result.shown else ({}, None)
    except (ModelUnavailable, OutboundForbidden) as error:
        sentence = f"{judge} as a judge could not be asked: {error.what}"
        return ModelJudge(JudgeResult(judge=judge, model=model, grades=len(graded), sentence=sentence))
    for what, one in (("graded", told), ("judged", more)):
        if one is not None and one.keys:
            _keep(workspace, version, dataset, f"judge:{what}", one)
    return ModelJudge(result, scores)


def _scores(
    given: Any,  # noqa: ANN401
    judge: str,
    dataset: Dataset,
    answers: Sequence[Answers],
) -> tuple[dict[str, Floats], Told]:
    """A sample of every contender's test answers, graded: 0 for the worst grade and for none, 1 for the best."""
    from inhouse.evaluate.model_judge import ask_judge

    test = dataset.of("test")
    places = by_chance(test, ROWS)  # whoever was asked a sample of the test was asked these
    pairs = [(one.name, i, one.test[i].target) for one in answers for i in places]
    given.reporter.say(f"{judge} grades the answers of {len(answers)} contenders to {counted(len(places), 'example')}")
    grades, told = ask_judge(given, judge, [(test[i], answer) for _, i, answer in pairs if answer])
    found = {one.name: np.full(len(test), np.nan) for one in answers}
    graded = iter(grades)
    for name, i, answer in pairs:
        grade = next(graded) if answer else None
        found[name][i] = 0.0 if grade is None else (grade - 1) / _RANGE
    return found, told


def _keep(workspace: Workspace, version: ModelVersion, dataset: Dataset, name: str, told: Told) -> None:
    """So that the judge is asked, and paid for, once."""
    tests = {e.id for e in dataset.of("test")}
    predictions.save(
        workspace,
        task=version.task,
        model_version=version.name,
        contender=name,
        dataset=dataset,
        examples=told.examples,
        splits=["test" if e.id in tests else "validation" for e in told.examples],
        answers=told.predictions,
        keys=told.keys,
        seconds=told.seconds,
    )
