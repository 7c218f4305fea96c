"""The verdict: from the answers of all contenders to one decision with its reason (design, section 5). Pure."""

from inhouse.evaluate.verdict.decide import decide
from inhouse.evaluate.verdict.evidence import ContenderAnswers, CurveSeen
from inhouse.evaluate.verdict.words import METRIC_WORDS

__all__ = ["METRIC_WORDS", "ContenderAnswers", "CurveSeen", "decide"]
