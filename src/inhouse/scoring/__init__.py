"""Judging answers: metrics with intervals, paired comparisons, and which answers a person should look at."""

from inhouse.scoring.review import review_threshold
from inhouse.scoring.statistics import (
    accuracy,
    examples_to_tell,
    holm,
    macro_f1,
    mcnemar_exact,
    paired_difference,
    paired_f1_difference,
    wilson,
)

__all__ = [
    "accuracy",
    "examples_to_tell",
    "holm",
    "macro_f1",
    "mcnemar_exact",
    "paired_difference",
    "paired_f1_difference",
    "review_threshold",
    "wilson",
]
