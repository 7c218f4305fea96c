"""Contenders on the same questions, the verdict, and the report."""

from inhouse.evaluate.verdict import ContenderAnswers, decide

__all__ = ["ContenderAnswers", "decide"]
