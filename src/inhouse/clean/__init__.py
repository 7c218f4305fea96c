"""Checks on a dataset: findings with their reasons, and what accepting each would drop."""

import inhouse.clean.checks
import inhouse.clean.contradictions
import inhouse.clean.duplicates
import inhouse.clean.language
import inhouse.clean.leaks
import inhouse.clean.overlong
import inhouse.clean.personal
import inhouse.clean.representative
import inhouse.clean.targets
import inhouse.clean.text  # noqa: F401 - these register the checks
from inhouse.clean.findings import still_open
from inhouse.clean.leaks import leaked_tests, leaking
from inhouse.clean.look import find, find_in, summary
from inhouse.clean.registry import CHECKS, COSTS, MODEL_ROWS, Check, CountTokens, EncoderLimit, Limits, Subject, check

__all__ = [
    "CHECKS",
    "COSTS",
    "MODEL_ROWS",
    "Check",
    "CountTokens",
    "EncoderLimit",
    "Limits",
    "Subject",
    "check",
    "find",
    "find_in",
    "leaked_tests",
    "leaking",
    "still_open",
    "summary",
]
