"""Judging answers: scores and metrics with intervals, paired comparisons, and which answers a person should look at."""

from inhouse.scoring.curve import LearningCurve, learning_curve
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.judge import RIGHT_METRICS, Judged, judge, metric_names, right_metric
from inhouse.scoring.objects import field_paths, field_scores, fields_exact, items_f1, object_exact
from inhouse.scoring.outlines import outline_checks
from inhouse.scoring.review import EVERYTHING_TO_A_PERSON, review_threshold
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
    "FactFinder",
    "Judged",
    "LearningCurve",
    "compare_scores",
    "examples_to_tell",
    "field_paths",
    "field_scores",
    "fields_exact",
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
    "review_threshold",
    "right_metric",
    "shares_differ",
    "summarise",
    "wilson",
]
