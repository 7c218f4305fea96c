"""Contenders on the same questions, the verdict, and the report."""

from inhouse.evaluate.report import page_style
from inhouse.evaluate.verdict import ContenderAnswers, decide

__all__ = ["ContenderAnswers", "decide", "page_style"]
