"""Judging answers: scores and metrics with intervals, paired comparisons, and which answers a person should look at."""

from inhouse.scoring.calibration import fit_calibrator, reliability
from inhouse.scoring.curve import LearningCurve, learning_curve
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.judge import RIGHT_METRICS, Judged, judge, metric_names, right_metric
from inhouse.scoring.objects import field_paths, field_scores, fields_exact, items_f1, object_exact
from inhouse.scoring.outlines import outline_checks
from inhouse.scoring.review import EVERYTHING_TO_A_PERSON, Confidences, certified_review, examples_to_certify
from inhouse.scoring.shares import MAX_PER_SIDE, permutation_p, shares_differ
from inhouse.scoring.statistics import (
    compare_scores,
    examples_to_tell,
    holm,
    macro_f1,
    mcnemar_exact,
    paired_difference,
    paired_f1_difference,
    summarise,
    wilson,
)

__all__ = [
    "EVERYTHING_TO_A_PERSON",
    "MAX_PER_SIDE",
    "RIGHT_METRICS",
    "Confidences",
    "FactFinder",
    "Judged",
    "LearningCurve",
    "certified_review",
    "compare_scores",
    "examples_to_certify",
    "examples_to_tell",
    "field_paths",
    "field_scores",
    "fields_exact",
    "fit_calibrator",
    "holm",
    "items_f1",
    "judge",
    "learning_curve",
    "macro_f1",
    "mcnemar_exact",
    "metric_names",
    "object_exact",
    "outline_checks",
    "paired_difference",
    "paired_f1_difference",
    "permutation_p",
    "reliability",
    "right_metric",
    "shares_differ",
    "summarise",
    "wilson",
]
