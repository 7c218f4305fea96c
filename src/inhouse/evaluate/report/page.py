"""The page: what its template names, and its style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import ContenderResult, CurveResult, Evaluation, Metric, Review
from inhouse.evaluate.changes import CHANGES
from inhouse.evaluate.report.charts import (
    both_widths,
    by_examples,
    comparison_chart,
    curves,
    rates,
    reliability_chart,
    require_chart_libraries,
    review_chart,
    series,
)
from inhouse.evaluate.report.data import ReportData
from inhouse.evaluate.report.errors import NO_ANSWER, browsed, differences, matrix
from inhouse.evaluate.report.words import (
    METRIC_NOTES,
    PART,
    breakable,
    interval,
    is_tuned,
    metric_name,
    p_value,
    percent,
    plain_names,
    points,
    review_sentence,
)
from inhouse.scoring import confusions, label_results

if TYPE_CHECKING:
    from markupsafe import Markup

MAX_EXAMPLES = 15
MAX_ROWS = 10
# Letters of all test examples that can be browsed: a page of 3 MB still opens at once on a phone.
MAX_BROWSED = 2_500_000


def render_report(data: ReportData) -> str:
    """The report as one self-contained HTML document.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
        ValueError: a contender has not exactly one prediction per test example.
    """
    require_chart_libraries()
    for name, answers in data.predictions.items():
        if len(answers) != len(data.examples):
            raise ValueError(f"{name} has {len(answers)} predictions for {len(data.examples)} test examples")
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "p": p_value,
        "metric_name": metric_name,
        "breakable": breakable,
        "interval": interval,
        "review_sentence": review_sentence,
    }
    html = environment.get_template("report.html.jinja").render(**_context(data))
    return html.encode("utf-8", "replace").decode("utf-8")


def page_style() -> str:
    """The CSS of the pages that are given to people."""
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def _context(data: ReportData) -> dict[str, Any]:
    """Everything that the template names."""
    known = data.evaluation
    ranking = _ranking(data.evaluation)
    ours, theirs = _sides(data.evaluation, ranking)
    sides = {ours.name} if theirs is None else {ours.name, theirs.name}
    answers = data.predictions.get(ours.name)
    others = data.predictions.get(theirs.name) if theirs is not None else None
    gain = _gain(data, ours, theirs) if theirs is not None and others else []
    rivals = [c for c in sorted(ranking, key=lambda c: c is not theirs) if c is not ours and c.name in data.predictions]
    columns = _metric_columns(data.evaluation)
    expected = [e.target for e in data.examples]
    labels = answers if data.task.kind == "classify" else None
    counts = confusions(labels, expected) if labels else ()
    return {
        "data": data,
        "evaluation": data.evaluation,
        "verdict": data.evaluation.verdict,
        "train": data.train,
        "ranking": ranking,
        "metrics": columns,
        "plain_names": plain_names(),
        "ours": ours,
        "theirs": theirs,
        "bars": both_widths(lambda width: comparison_chart(ranking, data.evaluation.primary_metric, width)),
        "curves": curves(data),
        "rates": rates(data.steps),
        "accuracies": series(data.history, "validation_score"),
        "metric_of_looks": metric_name((data.train and data.train.validation_metric) or data.evaluation.primary_metric),
        "reviews": _reviews([r for r in known.reviews if r.contender in sides]),
        "other_reviews": [r for r in known.reviews if r.contender not in sides],
        "other_calibrations": [c for c in known.calibrations if c.contender not in sides],
        "calibrations": [
            (c, both_widths(partial(reliability_chart, c)) if c.bins else [])
            for c in known.calibrations
            if c.contender in sides
        ],
        "by_examples": _by_examples(data.learning_curve),
        "steady": _steady(known, [c.name for c in (ours, theirs) if c is not None]),
        "slices": sorted(known.slices, key=lambda s: (not s.worst, s.metric.value)),
        "priced": any(c.cost_per_thousand is not None for c in known.contenders),
        "answered": answers is not None,
        "mistakes": [c for c in counts if c.answered != c.expected],
        "matrix": matrix(counts),
        "label_results": label_results(labels, expected, [e.group for e in data.examples]) if labels else (),
        "expected_counts": Counter(expected),
        "max_rows": MAX_ROWS,
        "no_answer": NO_ANSWER,
        "won": differences(data.examples, answers or [], others or [], gain),
        "lost": differences(data.examples, others or [], answers or [], [-g for g in gain]),
        "browsed": browsed(data, ours.name, _scores(data, ours), [_gain(data, ours, r) for r in rivals], MAX_BROWSED)
        if answers
        else [],
        "rivals": [r.name for r in rivals],
        "certain": [
            (c, known.without_suspects[c.name]) for c in ranking if c.name in sides & set(known.without_suspects)
        ],
        "filters": _filters(data, ours, rivals),
        "labelled": data.task.kind == "classify",
        "parts": _parts(ours, theirs),
        "notes": [METRIC_NOTES.get(name, f"{name}: a scorer of your own.") for name in _noted(columns)],
        "max_examples": MAX_EXAMPLES,
        "css": page_style(),
    }


def _noted(columns: Sequence[str]) -> list[str]:
    """The metrics in the order of their notes, those of the user's own last."""
    return [*(name for name in METRIC_NOTES if name in columns), *(c for c in columns if c not in METRIC_NOTES)]


def _gain(data: ReportData, ours: ContenderResult, theirs: ContenderResult) -> list[float]:
    """By how much our answer to each test example is better than theirs; 0 where one was not asked or has no score."""
    apart = zip(_scores(data, ours), _scores(data, theirs), strict=False)
    return [0.0 if isnan(a - b) else a - b for a, b in apart]


def _filters(data: ReportData, ours: ContenderResult, rivals: Sequence[ContenderResult]) -> list[tuple[str, str]]:
    """What the test examples can be narrowed to. No text is wholly right by the metrics of texts."""
    found = [("all", "all")]
    if data.task.kind != "generate":
        found.append(("wrong", f"{ours.name} is wrong"))
    if rivals:
        other = rivals[0].name if len(rivals) == 1 else "the other"
        found += [("won", f"{ours.name} is better than {other}"), ("lost", f"{ours.name} is worse than {other}")]
    if data.suspects:
        found.append(("suspect", "suspect: the expected answer is probably wrong"))
    if any(data.to_a_person.get(ours.name, ())):
        found.append(("person", f"{ours.name} is not sure enough: to a person"))
    return found


def _reviews(reviews: Sequence[Review]) -> list[tuple[Review, list[tuple[str, Markup]]]]:
    """The reviews, with a drawing at the first of each contender that has a curve: the others would have the same."""
    rows, drawn = [], set[str]()
    for one in reviews:
        new = len(one.curve) > 1 and one.contender not in drawn
        rows.append((one, both_widths(partial(review_chart, one)) if new else []))
        drawn |= {one.contender} if new else set()
    return rows


def _by_examples(curve: CurveResult | None) -> list[tuple[str, Markup]]:
    """The learning curve in both widths; empty where none was drawn."""
    if curve is None:
        return []
    return both_widths(partial(by_examples, curve.points, curve.metric))


@dataclass(frozen=True, slots=True)
class _Steady:
    """Shares of answers that stayed the same: by change with what it does those of the `sides`, and by name the others'
    by change."""

    sides: list[str]
    rows: list[tuple[str, str, list[Metric | None]]]
    others: list[tuple[str, list[tuple[str, Metric]]]]


def _steady(known: Evaluation, sides: Sequence[str]) -> _Steady:
    """The changes that answers were tried under, and the share that stayed the same under each."""
    found: dict[str, dict[str, Metric]] = {}
    for one in known.consistency:
        found.setdefault(one.contender, {})[one.change] = one.same
    told = [name for name in sides if name in found]
    changes = dict.fromkeys(c.change for c in known.consistency if c.contender in told)
    return _Steady(
        told,
        [(c, CHANGES[c].told if c in CHANGES else "", [found[name].get(c) for name in told]) for c in changes],
        [(name, list(shares.items())) for name, shares in found.items() if name not in told],
    )


def _ranking(evaluation: Evaluation) -> list[ContenderResult]:
    """The contenders, best on the primary metric first."""
    primary = evaluation.primary_metric
    return sorted(evaluation.contenders, key=lambda c: -c.metrics[primary].value)


def _sides(
    evaluation: Evaluation, ranking: Sequence[ContenderResult]
) -> tuple[ContenderResult, ContenderResult | None]:
    """The best fine-tuned contender and the best alternative: those of the verdict, else the best on the test."""
    named = (evaluation.verdict.winner, evaluation.verdict.against)
    first = sorted(ranking, key=lambda c: c.name not in named)
    tuned = [c for c in first if is_tuned(c.name)]
    others = [c for c in first if not is_tuned(c.name)]
    if not tuned:
        return others[0], next(iter(others[1:]), None)
    return tuned[0], next(iter(others), None)


def _metric_columns(evaluation: Evaluation) -> list[str]:
    """Names of the metrics of whole answers, the primary one first."""
    names = dict.fromkeys(name for c in evaluation.contenders for name in c.metrics if PART not in name)
    return sorted(names, key=lambda name: name != evaluation.primary_metric)


def _scores(data: ReportData, contender: ContenderResult | None) -> list[float]:
    """A contender's score of each test example; where none was given, 1 for the expected answer."""
    if contender is None:
        return []
    if contender.name in data.scores:
        return [float(score) for score in data.scores[contender.name]]
    answers = data.predictions.get(contender.name, [])
    return [float(e.target == a) for e, a in zip(data.examples, answers, strict=False)]


def _parts(ours: ContenderResult, theirs: ContenderResult | None) -> list[tuple[str, Metric, Metric | None]]:
    """Fields or checks with our metric and theirs, our weakest first."""
    rows = [
        (name.partition(PART)[2], metric, theirs.metrics.get(name) if theirs else None)
        for name, metric in ours.metrics.items()
        if PART in name
    ]
    return sorted(rows, key=lambda row: row[1].value)
