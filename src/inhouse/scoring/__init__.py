"""Judging answers: scores and metrics with intervals, paired comparisons, and which answers a person should look at."""

from inhouse.scoring.calibration import fit_calibrator, reliability
from inhouse.scoring.curve import LearningCurve, learning_curve
from inhouse.scoring.f1 import f1_value, macro_f1, paired_f1_difference
from inhouse.scoring.facts import FactFinder
from inhouse.scoring.intervals import apart, wilson
from inhouse.scoring.judge import RIGHT_METRICS, Judged, judge, metric_names, right_metric
from inhouse.scoring.judging import Judging
from inhouse.scoring.labels import confusions, label_results
from inhouse.scoring.objects import (
    field_paths,
    field_scores,
    fields_exact,
    item_paths,
    item_scores,
    items_f1,
    object_exact,
)
from inhouse.scoring.outlines import outline_checks
from inhouse.scoring.own import OwnScorer, load_scorers, require_metric
from inhouse.scoring.paired import compare_scores, holm, mcnemar_exact, paired_difference
from inhouse.scoring.power import exact_power, examples_to_tell
from inhouse.scoring.review import EVERYTHING_TO_A_PERSON, Confidences, certified_review, examples_to_certify
from inhouse.scoring.shares import MAX_PER_SIDE, permutation_p, shares_differ
from inhouse.scoring.summary import summarise
from inhouse.scoring.units import Groups, some, some_of, units_of

__all__ = [
    "EVERYTHING_TO_A_PERSON",
    "MAX_PER_SIDE",
    "RIGHT_METRICS",
    "Confidences",
    "FactFinder",
    "Groups",
    "Judged",
    "Judging",
    "LearningCurve",
    "OwnScorer",
    "apart",
    "certified_review",
    "compare_scores",
    "confusions",
    "exact_power",
    "examples_to_certify",
    "examples_to_tell",
    "f1_value",
    "field_paths",
    "field_scores",
    "fields_exact",
    "fit_calibrator",
    "holm",
    "item_paths",
    "item_scores",
    "items_f1",
    "judge",
    "label_results",
    "learning_curve",
    "load_scorers",
    "macro_f1",
    "mcnemar_exact",
    "metric_names",
    "object_exact",
    "outline_checks",
    "paired_difference",
    "paired_f1_difference",
    "permutation_p",
    "reliability",
    "require_metric",
    "right_metric",
    "shares_differ",
    "some",
    "some_of",
    "summarise",
    "units_of",
    "wilson",
]
