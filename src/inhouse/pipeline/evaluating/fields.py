"""Confidence in single fields of an object, as a probability that the field is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from inhouse.core import (
    Calibrator,
    Dataset,
    Example,
    FieldCalibration,
    FieldReview,
    Metric,
    Prediction,
    calibrated_parts,
)
from inhouse.scoring import Judged, fit_calibrator, reliability, summarise

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers

_FIELD = "field:"


@dataclass(frozen=True)
class FieldsReviewed:
    """The calibrators of an object's fields by path, that of the empty path for all others, and how good they are."""

    calibrators: Mapping[str, Calibrator] = field(default_factory=dict)
    review: FieldReview | None = None


@dataclass
class _Told:
    """What was said of one field, answer by answer: the confidence, whether it was right, and the example's group."""

    sure: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def add(self, sure: float, right: bool, group: str) -> None:
        self.sure.append(sure)
        self.right.append(right)
        self.groups.append(group)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        return np.array(self.sure, dtype=float), np.array(self.right, dtype=bool), self.groups


def fields_reviewed(dataset: Dataset, one: Answers, on_validation: Judged, on_test: Judged) -> FieldsReviewed:
    """Calibrate a contender's confidence in each field on validation, and judge it on the test.

    A field has a calibrator of its own where validation has enough right and wrong answers to it; the others share one.
    Nothing is said of a contender that tells no confidence in fields.

    Args:
        on_validation, on_test: what its answers are worth.
    """
    validation, test = dataset.of("validation"), dataset.of("test")
    chosen = _by_field(_fields(one.validation, on_validation, validation))
    told = list(_fields(one.test, on_test, test))
    if not chosen or not told:
        return FieldsReviewed()
    own = {path: fit_calibrator(*answers.arrays) for path, answers in chosen.items()}
    calibrators = {path: c for path, c in own.items() if c.method != "none"}
    calibrators[""] = fit_calibrator(*_all(chosen).arrays)
    rows = tuple(
        _calibration(path, calibrators.get(path, calibrators[""]), answers) for path, answers in _by_field(told).items()
    )
    pointed, by_chance = _pointed(told, calibrators)
    return FieldsReviewed(
        calibrators, FieldReview(contender=one.name, fields=rows, pointed=pointed, by_chance=by_chance)
    )


_Row = tuple[Mapping[str, float], Mapping[str, bool], str]


def _fields(answers: Sequence[Prediction], judged: Judged, examples: Sequence[Example]) -> Iterator[_Row]:
    """Of each answer the confidence in its fields, whether they are right, and the example's group."""
    scores = {name.removeprefix(_FIELD): s for name, s in judged.scores.items() if name.startswith(_FIELD)}
    for place, (answer, example) in enumerate(zip(answers, examples, strict=True)):
        known = {path: sure for path, sure in answer.parts.items() if path in scores}
        right = {path: bool(scores[path][place] == 1.0) for path in known if not np.isnan(scores[path][place])}
        if right:
            yield {path: known[path] for path in right}, right, example.group


def _by_field(rows: Iterator[_Row] | Sequence[_Row]) -> dict[str, _Told]:
    found: dict[str, _Told] = {}
    for sure, right, group in rows:
        for path, confidence in sure.items():
            found.setdefault(path, _Told()).add(confidence, right[path], group)
    return found


def _all(fields: Mapping[str, _Told]) -> _Told:
    every = _Told()
    for one in fields.values():
        every.sure += one.sure
        every.right += one.right
        every.groups += one.groups
    return every


def _calibration(path: str, calibrator: Calibrator, answers: _Told) -> FieldCalibration:
    sure, right, groups = answers.arrays
    after = np.array([calibrator(c) for c in sure])
    return FieldCalibration(
        field=path,
        method=calibrator.method,
        ece_before=reliability(sure, right, groups)[0].value,
        ece=reliability(after, right, groups)[0],
    )


def _pointed(rows: Sequence[_Row], calibrators: Mapping[str, Calibrator]) -> tuple[Metric | None, float]:
    """Of the answers with a wrong field among several, how often the least sure field is one, and by chance."""
    hits: list[float] = []
    blind: list[float] = []
    groups: list[str] = []
    for sure, right, group in rows:
        if len(sure) < 2 or all(right.values()):
            continue
        told = calibrated_parts(sure, calibrators)
        hits.append(float(not right[min(told, key=lambda path: told[path])]))
        blind.append(1 - sum(right.values()) / len(right))
        groups.append(group)
    if not hits:
        return None, 0.0
    return summarise(Judged((), {"hit": np.array(hits)}), (), "hit", groups), float(np.mean(blind))
