"""How a verdict is put in words. Pure."""

from __future__ import annotations

from inhouse.evaluate.verdict.evidence import Case, Side

# How a sentence puts a value of a metric.
METRIC_WORDS = {
    "accuracy": "an accuracy of",
    "macro_f1": "a macro-F1 of",
    "fields_exact": "right fields of",
    "object_exact": "wholly right objects of",
    "chrf": "a chrF of",
    "rouge_l": "a ROUGE-L of",
    "facts_kept": "kept facts of",
}


def standings(case: Case) -> str:
    """Who did how well, as the head of the sentence."""
    opening = f"On {count(len(case.expected), 'test example')}"
    if case.tuned is None or case.gain is None:
        return f"{opening} {called(case.other.name)} gave {score(case, case.other)}"
    gain = case.gain
    interval = f"95 % interval {signed(gain.low)} to {signed(gain.high)}, {p_words(gain.p_value)}"
    return (
        f"{opening} {called(case.tuned.name)} gave {score(case, case.tuned)} and {called(case.other.name)} "
        f"{score(case, case.other, brief=True)}: {ahead(gain.value)} ({interval})"
    )


def better_still(case: Case) -> str:
    """Of one that is to be made into a version first, that it may be had."""
    if case.tuned is None or case.gain is None:
        raise AssertionError("no fine-tuned contender")
    gain, name = case.gain, case.tuned.name
    interval = f"95 % interval {signed(gain.low)} to {signed(gain.high)}, {p_words(gain.p_value)}"
    return (
        f" Better still beyond chance is {called(name)}, {ahead(gain.value)} than {called(case.other.name)} "
        f"({interval}): promote it by its name, {name}."
    )


def score(case: Case, side: Side, *, brief: bool = False) -> str:
    if case.metrics.primary == "accuracy":
        return f"{side.right:,}" if brief else count(side.right, "right answer")
    return percent(side.value) if brief else f"{_metric_words(case.metrics.primary)} {percent(side.value)}"


def _metric_words(primary: str) -> str:
    """Of a metric of the user's own, its name."""
    return METRIC_WORDS.get(primary, f"a {primary} of")


def bar_reached(case: Case, side: Side) -> str:
    if case.metrics.minimum is None:
        return ""
    return f", and {called(side.name)} reaches the bar of {percent(case.metrics.minimum)}"


def called(name: str) -> str:
    plain = {
        "fine-tuned": "the fine-tuned model",
        "fine-tuned-encoder": "the fine-tuned encoder",
        "fine-tuned+retrieval": "the fine-tuned model shown similar examples",
    }
    return plain.get(name, name)


def ahead(gain: float) -> str:
    if round(abs(gain) * 100, 1) == 0:
        return "no difference"
    return f"{points(abs(gain))} {'better' if gain > 0 else 'worse'}"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def points(share: float) -> str:
    text = f"{share * 100:.1f}".removesuffix(".0")
    return "1 point" if text == "1" else f"{text} points"


def percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def signed(share: float) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(share * 100, 1) + 0.0:.1f}"


def p_words(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"
