"""Judging answers: scores and metrics with intervals, paired comparisons, and which answers a person should look at."""

from inhouse.scoring.facts import FactFinder
from inhouse.scoring.judge import Judged, judge, metric_names, right_metric
from inhouse.scoring.objects import field_paths, field_scores, object_exact
from inhouse.scoring.review import review_threshold
from inhouse.scoring.statistics import (
    accuracy,
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
    "FactFinder",
    "Judged",
    "accuracy",
    "compare_scores",
    "examples_to_tell",
    "field_paths",
    "field_scores",
    "holm",
    "judge",
    "macro_f1",
    "mcnemar_exact",
    "metric_names",
    "object_exact",
    "paired_difference",
    "paired_f1_difference",
    "review_threshold",
    "right_metric",
    "summarise",
    "wilson",
]
