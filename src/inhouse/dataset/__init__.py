"""Immutable dataset versions: the split, the checks that a dataset can be learned from, and revisions."""

from inhouse.dataset.build import Built, build_dataset, check_edited, test_was_given, without_leaks
from inhouse.dataset.diff import Difference, difference, parts_changed
from inhouse.dataset.from_input import infer_from_input, still_from_input, stray_share
from inhouse.dataset.learnable import MIN_EXAMPLES, check_learnable
from inhouse.dataset.outline import describe_outline, infer_outline
from inhouse.dataset.revise import apply_findings, in_schema_order, next_version
from inhouse.dataset.schema import describe_schema, fitted, infer_schema, widened
from inhouse.dataset.split import SHARES, SHARES_WITH_TEST, assign_splits

__all__ = [
    "MIN_EXAMPLES",
    "SHARES",
    "SHARES_WITH_TEST",
    "Built",
    "Difference",
    "apply_findings",
    "assign_splits",
    "build_dataset",
    "check_edited",
    "check_learnable",
    "describe_outline",
    "describe_schema",
    "difference",
    "fitted",
    "in_schema_order",
    "infer_from_input",
    "infer_outline",
    "infer_schema",
    "next_version",
    "parts_changed",
    "still_from_input",
    "stray_share",
    "test_was_given",
    "widened",
    "without_leaks",
]
