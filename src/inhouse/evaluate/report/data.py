"""What a report is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inhouse.core import CurveResult, Evaluation, Example, Task, TrainResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from inhouse.evaluate.wrong import WrongGroup


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a report shows.

    Args:
        evaluation, task, train: results of the stages; nothing of a training where nothing was trained.
        base_description: what the base model is, for a reader who never heard of it.
        base_limits: what it cannot do (languages, length, kind of text).
        base_sha256: what its file is.
        examples: the test examples, in the order of the predictions.
        predictions: by contender name, one answer per test example; None where it could not answer.
        asked: by contender name, which test examples it was asked, where not all.
        sources: by contender name, what each answer was shown and so cites, where it was shown anything.
        scores: by contender name, each answer's score, 0 to 1; where there are none, 1 if it is the expected one.
        history: per look at validation examples `step` and any of `train_loss`, `validation_loss`, `validation_score`.
        learning_curve: scores by number of training examples, and `learning_curve_of` what these are of.
        steps: per step `step`, `loss` and `learning_rate`, where they were kept.
        wrong: the most instructive wrong answers of the version under test, in groups.
        suspects: by place among the examples, why the expected answer is probably wrong.
        to_a_person: by contender name, of each answer whether a person should look at it.
        dataset_number: number of the dataset version.
        counts: examples by split.
        packages: version by package name.
        created_at: when, in ISO 8601.
    """

    evaluation: Evaluation
    task: Task
    train: TrainResult | None
    base_description: str
    base_limits: str
    base_sha256: str
    examples: Sequence[Example]
    predictions: Mapping[str, Sequence[str | None]]
    history: Sequence[Mapping[str, float]]
    dataset_number: int
    counts: Mapping[str, int]
    packages: Mapping[str, str]
    created_at: str
    scores: Mapping[str, Sequence[float] | NDArray[np.float64]] = field(default_factory=dict)
    steps: Sequence[Mapping[str, float]] = ()
    learning_curve: CurveResult | None = None
    learning_curve_of: str = ""
    wrong: Sequence[WrongGroup] = ()
    suspects: Mapping[int, str] = field(default_factory=dict)
    to_a_person: Mapping[str, Sequence[bool]] = field(default_factory=dict)
    sources: Mapping[str, Sequence[Sequence[str]]] = field(default_factory=dict)
    asked: Mapping[str, Sequence[bool]] = field(default_factory=dict)
