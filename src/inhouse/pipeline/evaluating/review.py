"""Confidence as a probability of being right, and which answers need a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inhouse.core import Calibration, Calibrator, Dataset, Example, Prediction, Review, Task
from inhouse.scoring import (
    EVERYTHING_TO_A_PERSON,
    Confidences,
    Judged,
    certified_review,
    fit_calibrator,
    reliability,
    right_metric,
    some_of,
)

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers

# Shares of errors that every evaluation reports on, beside the task's own.
ALWAYS = (0.02, 0.05)


@dataclass(frozen=True)
class Reviewed:
    """What an evaluation says of confidence; `calibrators` by the contender's name."""

    calibrators: Mapping[str, Calibrator]
    calibrations: tuple[Calibration, ...] = ()
    reviews: tuple[Review, ...] = ()

    def threshold_of(self, contender: str, target_errors: float) -> float:
        """The confidence from which on answers need no person."""
        for one in self.reviews:
            if (one.contender, one.target_errors) == (contender, target_errors) and one.threshold is not None:
                return one.threshold
        return EVERYTHING_TO_A_PERSON

    def sure(self, contender: str, answers: Sequence[Prediction]) -> list[float]:
        """How sure a contender is of its answers, calibrated where that was possible."""
        calibrator = self.calibrators.get(contender, Calibrator())
        return [calibrator(p.confidence) for p in answers]

    def to_a_person(self, contender: str, target_errors: float, answers: Sequence[Prediction]) -> list[bool]:
        """Which of a contender's answers need a person, as `predict` and `serve` would say."""
        least = self.threshold_of(contender, target_errors)
        sure = self.sure(contender, answers)
        return [p.error is not None or c < least for p, c in zip(answers, sure, strict=True)]


def target_errors_of(task: Task) -> float:
    """The share of wrong answers that the task lets through without a person."""
    return round(1.0 - task.review.target_accuracy, 9)


def reviewed(
    task: Task,
    dataset: Dataset,
    answers: Sequence[Answers],
    on_validation: Mapping[str, Judged],
    on_test: Mapping[str, Judged],
) -> Reviewed:
    """Calibrate every contender on validation, and judge its confidence and thresholds on the test.

    Contenders that are always equally sure are left out, and all are where nothing tells right from wrong.

    Args:
        on_validation, on_test: by the contender's name, what its answers are worth.
    """
    right = right_metric(task)
    if right is None:
        return Reviewed({})
    own = target_errors_of(task)
    calibrators: dict[str, Calibrator] = {}
    calibrations: list[Calibration] = []
    reviews: list[Review] = []
    for one in answers:
        if len({p.confidence for p in (*one.validation, *one.test) if p.asked and p.error is None}) < 2:
            continue
        chosen = _answered(one.validation, on_validation[one.name], right, dataset.of("validation"))
        raw = _answered(one.test, on_test[one.name], right, dataset.of("test"))
        calibrator = _fitted(chosen)
        validation, test = _calibrated(chosen, calibrator), _calibrated(raw, calibrator)
        calibrators[one.name] = calibrator
        if (raw.sure >= 0).any():
            calibrations.append(_calibration(one.name, calibrator, raw, test))
        reviews += [
            certified_review(one.name, validation, test, target, with_curve=target == own)
            for target in sorted({own, *ALWAYS})
        ]
    return Reviewed(calibrators, tuple(calibrations), tuple(reviews))


def _answered(answers: Sequence[Prediction], judged: Judged, right: str, examples: Sequence[Example]) -> Confidences:
    """Of what was asked; answers with an error go to a person whatever their confidence is."""
    asked = np.array([p.asked for p in answers], dtype=bool)
    return Confidences(
        np.array([p.confidence if p.error is None else -1.0 for p in answers if p.asked], dtype=float),
        np.asarray(judged.scores[right][asked] == 1.0, dtype=bool),
        [e.group for e in some_of(examples, asked)],
    )


def _whole(answers: Confidences) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Confidence, right or not, and group of the answers without an error."""
    kept = answers.sure >= 0
    return answers.sure[kept], answers.right[kept], [g for g, k in zip(answers.groups or (), kept, strict=True) if k]


def _fitted(answers: Confidences) -> Calibrator:
    sure, right, groups = _whole(answers)
    return fit_calibrator(sure, right, groups)


def _calibrated(answers: Confidences, calibrator: Calibrator) -> Confidences:
    return Confidences(np.array([calibrator(c) for c in answers.sure]), answers.right, answers.groups)


def _calibration(name: str, calibrator: Calibrator, before: Confidences, after: Confidences) -> Calibration:
    error, bins = reliability(*_whole(after))
    return Calibration(
        contender=name,
        method=calibrator.method,
        ece_before=reliability(*_whole(before))[0].value,
        ece=error,
        bins=bins,
    )
