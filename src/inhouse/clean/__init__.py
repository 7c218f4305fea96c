"""Checks on a dataset: findings with their reasons, and what accepting each would drop."""

import inhouse.clean.checks
import inhouse.clean.personal  # noqa: F401 - registers its checks
from inhouse.clean.look import find, summary
from inhouse.clean.registry import CHECKS, Check, CountTokens, Subject, check

__all__ = ["CHECKS", "Check", "CountTokens", "Subject", "check", "find", "summary"]
