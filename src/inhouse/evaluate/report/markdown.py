"""The report as Markdown: the figures of an evaluation, and some wrong answers with their texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inhouse.core import Calibration, Evaluation, FieldCalibration, FieldReview, Metric
from inhouse.evaluate.report.words import (
    PART,
    by_chance,
    interval,
    metric_name,
    p_value,
    percent,
    points,
    review_sentence,
)

if TYPE_CHECKING:
    from inhouse.evaluate.wrong import WrongGroup

_MOST_CONFUSED = 20
# What Markdown would take for its own; a backslash before it makes it plain.
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")


def escaped(text: str) -> str:
    """A text on one line that Markdown shows as it is."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def report_markdown(known: Evaluation, wrong: Sequence[WrongGroup] = ()) -> str:
    """The verdict, the contenders, and whatever else was measured.

    Args:
        wrong: the most instructive wrong answers, in groups.
    """
    verdict = known.verdict
    lines = [
        f"# {escaped(known.task)}: evaluation of {escaped(known.model_version)}",
        "",
        f"**{verdict.decision.replace('_', ' ')}: {escaped(verdict.winner)}.** {escaped(verdict.reason)}",
        "",
        f"{known.test_examples:,} test and {known.validation_examples:,} validation examples, dataset "
        f"{escaped(known.dataset_fingerprint)}, base {escaped(known.base_model)}.",
    ]
    for heading, body in (*_parts(known), *_wrong(wrong)):
        if body:
            lines += ["", f"## {heading}", "", *body]
    return "\n".join([*lines, ""])


def _parts(known: Evaluation) -> Iterator[tuple[str, Sequence[str]]]:
    told = [f"{escaped(sentence)}." for sentence in (known.sampled, known.shorter_prompt) if sentence]
    yield "Contenders", [*_contenders(known), *(line for sentence in told for line in ("", sentence))]
    left = [[c.contender, c.reason, f"{c.minutes:.0f} minutes" if c.minutes else ""] for c in known.left_out]
    yield "Left out", table(["contender", "why", "it would take"], left)
    rows = [
        [p.contender, p.form, *_figures(p.metric), str(p.metric.n), "chosen" if p.chosen else ""] for p in known.prompts
    ]
    header = ["for", "prompt", metric_name(known.primary_metric), "95 % interval", "validation examples", ""]
    yield "Prompts tried", table(header, rows)
    rows = [
        [
            c.ours,
            c.theirs,
            points(c.gain),
            f"{points(c.low)} to {points(c.high)}",
            p_value(c.p_value).removeprefix("=\u00a0"),
        ]
        for c in known.comparisons
    ]
    yield "Comparisons", table(["ours", "theirs", "points", "95 % interval", "p (Holm)"], rows)
    yield "Review", [f"- {escaped(r.contender)}: {review_sentence(r)}" for r in known.reviews]
    rows = [[c.contender, c.method, *_off(c)] for c in known.calibrations]
    yield "Calibration error", table(["contender", "method", "before", "after", "after, by chance alone"], rows)
    rows = [[s.by, s.value, *_figures(s.metric), str(s.metric.n), "worst" if s.worst else ""] for s in known.slices]
    yield "Slices", table(["by", "value", metric_name(known.answer_metric), "95 % interval", "n", ""], rows)
    rows = [
        [one.label, *_figures(one.f1), *(_value(m) for m in (one.precision, one.recall)), str(one.f1.n)]
        for one in known.labels
    ]
    yield "Weakest labels", table(["label", "F1", "95 % interval", "precision", "recall", "n"], rows)
    wrong = [c for c in known.confusions if c.answered != c.expected][:_MOST_CONFUSED]
    rows = [[c.expected, "(no answer)" if c.answered is None else c.answered, str(c.count)] for c in wrong]
    yield "Most frequent mistakes", table(["expected", "answered", "times"], rows)
    yield "A model as judge", [f"- {escaped(known.judge.sentence)}"] if known.judge else []
    rows = [[c.contender, c.change, *_figures(c.same)] for c in known.consistency]
    yield "Consistency", table(["contender", "change", "same answer", "95 % interval"], rows)
    rows = [[r.contender, *_figures(r.obeyed)] for r in known.robustness]
    yield "Hidden instructions obeyed", table(["contender", "obeyed", "95 % interval"], rows)
    yield "Learned and forgotten", [f"- {escaped(sentence)}" for sentence in _learned_and_forgotten(known)]
    yield "Confidence by field", _by_field(known.field_review) if known.field_review else []
    rows = [[b.title, f"{b.parameters:,}", b.limits, ", ".join(b.used_by)] for b in known.bases]
    yield "Base models", table(["base", "parameters", "limits", "used by"], rows)
    suspect = [f"- {known.suspect_tests} test examples have an answer that is probably wrong."]
    yield "Warnings", [*(f"- {escaped(w)}" for w in known.warnings), *(suspect if known.suspect_tests else [])]
    rows = [
        [c.name, percent(c.metrics[known.primary_metric].value), *_figures(known.without_suspects[c.name])]
        for c in known.contenders
        if c.name in known.without_suspects
    ]
    header = ["contender", metric_name(known.primary_metric), "without", "95 % interval"]
    yield "Without suspect test answers", table(header, rows)


def _learned_and_forgotten(known: Evaluation) -> Iterator[str]:
    if known.gap is not None and known.gap.sentence:
        yield known.gap.sentence
    if (moved := known.forgetting) is not None:
        interval_of = f"95 % interval {moved.low:.3f} to {moved.high:.3f}"
        yield f"{moved.sentence or 'divergence from its base'} ({moved.divergence:.3f} nats a token, {interval_of})"


def _by_field(review: FieldReview) -> list[str]:
    rows = [[f.field, f.method, *_off(f)] for f in review.fields]
    lines = table(["field", "method", "off by, before", "after", "after, by chance alone"], rows)
    if review.pointed is None:
        return lines
    pointed = (
        f"Of the wrong answers the least sure field is a wrong one in {percent(review.pointed.value)} "
        f"({interval(review.pointed)}); any field would be in {percent(review.by_chance)}."
    )
    return [pointed, "", *lines]


def _wrong(groups: Sequence[WrongGroup]) -> Iterator[tuple[str, Sequence[str]]]:
    """The groups of wrong answers, a table each."""
    header = ["input", "expected", "answered", "sure", "nearest training examples"]
    for group in groups:
        rows = [
            [
                f"{case.text} ({case.place})",
                f"{case.expected} (suspect: {case.suspect})" if case.suspect else case.expected,
                case.answered,
                percent(case.confidence),
                "; ".join(f"{near.answer}: {near.text}" for near in case.near),
            ]
            for case in group.cases
        ]
        yield f"Wrong: {escaped(group.what)} ({group.count})", table(header, rows)


def _contenders(known: Evaluation) -> list[str]:
    primary = known.primary_metric
    ranking = sorted(known.contenders, key=lambda c: -c.metrics[primary].value)
    others = [n for n in dict.fromkeys(n for c in ranking for n in c.metrics) if n != primary and PART not in n]
    header = ["contender", metric_name(primary), "95 % interval", *map(metric_name, others)]
    rows = [
        [
            c.name,
            *_figures(c.metrics[primary]),
            *(percent(c.metrics[n].value) if n in c.metrics else "" for n in others),
            f"{c.requests_per_second:.1f}",
            _number(c.prompt_tokens),
            _number(c.answer_tokens),
            "" if c.cost_per_thousand is None else f"{c.cost_per_thousand:.2f} {known.currency}".rstrip(),
            str(c.unanswered),
        ]
        for c in ranking
    ]
    return table(
        [*header, "requests/s", "prompt tokens", "answer tokens", "cost of 1,000", "unanswered"],
        rows,
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _value(metric: Metric | None) -> str:
    return "" if metric is None else percent(metric.value)


def _figures(metric: Metric) -> list[str]:
    return [percent(metric.value), interval(metric)]


def _off(told: Calibration | FieldCalibration) -> list[str]:
    return [percent(told.ece_before), percent(told.ece.value), by_chance(told.ece)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; none without rows."""
    if not rows:
        return []
    return [_row(header), _row(["---"] * len(header)), *(_row([escaped(c) for c in row]) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
