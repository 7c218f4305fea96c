"""Checks on a dataset: findings with their reasons, and what accepting each would drop."""

import inhouse.clean.checks
import inhouse.clean.targets  # noqa: F401 - both register checks
from inhouse.clean.look import find, find_in, summary
from inhouse.clean.registry import CHECKS, COSTS, MODEL_ROWS, Check, CountTokens, Subject, check

__all__ = ["CHECKS", "COSTS", "MODEL_ROWS", "Check", "CountTokens", "Subject", "check", "find", "find_in", "summary"]
