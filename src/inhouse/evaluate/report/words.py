"""How the report names contenders and metrics, and writes numbers, whose spaces do not break."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inhouse.core import Metric, Review

if TYPE_CHECKING:
    from markupsafe import Markup

METRIC_NAMES = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro-F1",
    "fields_exact": "Right fields",
    "object_exact": "Wholly right",
    "valid": "Valid",
    "chrf": "chrF",
    "rouge_l": "ROUGE-L",
    "checks_passed": "Structure kept",
    "facts_kept": "Facts kept",
    "nothing_invented": "Nothing invented",
    "top_3": "Top-3",
    "top_5": "Top-5",
    "similarity": "Similarity",
    "judge": "Judge",
}
# What a reader who never heard of a metric must know of it.
METRIC_NOTES = {
    "accuracy": "Accuracy: share of right answers.",
    "macro_f1": "Macro-F1: the mean over labels, so that rare labels count as much as frequent ones.",
    "fields_exact": "Right fields: share of an answer's fields that are right by value, the mean over examples.",
    "object_exact": "Wholly right: share of answers in which every field is.",
    "valid": "Valid: share of answers that meet the JSON Schema.",
    "chrf": "chrF: how far an answer's letter sequences are those of the expected one.",
    "rouge_l": "ROUGE-L: the longest sequence of words that it shares with the expected one.",
    "checks_passed": "Structure kept: share of answers that pass every structure check.",
    "facts_kept": "Facts kept: share of the input's names, numbers and dates that belong in the answer and are there.",
    "nothing_invented": "Nothing invented: share of answers with no name, number or date that the input does not hold.",
    "top_3": "Top-3: share of examples whose label is among the three likeliest, of contenders that tell the chances "
    "of all labels (encoder and linear models).",
    "top_5": "Top-5: the same of five.",
    "similarity": "Similarity: how near an answer is in meaning to the expected one (cosine), by the sentence encoder "
    "all-MiniLM-L6-v2, which knows mostly English.",
    "judge": "Judge: the grades that a model gave, as far as it agrees with people (see below).",
}
# Metrics of a part of an answer, `field:total` say, are shown apart.
PART = ":"


def plain_names() -> dict[str, str]:
    """What each contender is, to a reader who knows none of the names."""
    from inhouse.evaluate.contenders import CONTENDERS

    return {**{one.name: one.plain for one in CONTENDERS.values()}, "champion": "the version that serves now"}


def is_tuned(name: str) -> bool:
    """Whether the contender of this name was trained for the task."""
    return name.startswith("fine-tuned")


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{100 * value:.1f}\u00a0%"


def interval(metric: Metric) -> str:
    """The 95 % interval of a share, as percentages."""
    return f"{100 * metric.low:.1f} to {100 * metric.high:.1f}\u00a0%"


def points(value: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "\u2212")


def p_value(value: float) -> str:
    """A p-value with the sign that goes before it."""
    return "<\u00a00.001" if value < 0.001 else f"=\u00a0{value:.3f}"


def review_sentence(review: Review) -> str:
    """What a threshold of the confidence would do, as a sentence of its own."""
    return f"{review.sentence[:1].upper()}{review.sentence[1:]}."


def breakable(text: str) -> Markup:
    """The text, escaped, that may be broken after an underscore as labels have them."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def metric_name(name: str) -> str:
    """A metric as readers know it; of a part of an answer, the part."""
    return METRIC_NAMES.get(name, name.partition(PART)[2] or name)
