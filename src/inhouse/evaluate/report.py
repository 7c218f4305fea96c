"""The report of an evaluation: one HTML file for the person who decides and for the one who checks.

It asks for nothing from outside (a content security policy in the file forbids it), runs no script, and prints.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import ContenderResult, CurvePoint, Evaluation, Example, Metric, Task, TrainResult, render_input
from inhouse.errors import InputError
from inhouse.scoring import wilson

if TYPE_CHECKING:
    import altair
    import numpy as np
    from markupsafe import Markup
    from numpy.typing import NDArray

NO_ANSWER = "(no answer)"
MAX_EXAMPLES = 15
MAX_ROWS = 10
MAX_INPUT = 280
MAX_CURVE_POINTS = 150
WIDE, NARROW = 760, 340
# What stands under the curves of the losses.
WRONG_BOTH = (
    "How wrong the model was while it learned. The validation line, on examples that it did not learn from, should "
    "fall and level off; where it turns up again, the model only memorises."
)
WRONG_UNSEEN = (
    "How wrong the labels of validation examples were, which it did not learn from: the line should fall and level off."
)
WRONG_CONTRAST = (
    "How badly texts of one label were told from those of others in each batch that it learned from, which has a scale "
    "of its own: more texts in a batch are harder to tell apart, so the last batch of a pass, a smaller one, is low."
)

ACCENT, GREY, SECOND = "#2a78b5", "#9aa3ad", "#d9822b"

PLAIN_NAMES = {
    "fine-tuned": "the language model, trained on your examples",
    "fine-tuned-encoder": "a sentence encoder, trained on your examples",
    "fine-tuned+retrieval": "the trained language model, shown similar examples of yours with each request",
    "prompted": "the base model as it is, told what to do",
    "few-shot": "the base model, shown a few of your examples",
    "retrieval": "the base model, shown your most similar examples with each request",
    "grounded": "the base model, shown passages of your documents",
    "tfidf-linear": "a classical model on word counts; trains in seconds",
    "embedding-linear": "a classical model on sentence embeddings; trains in seconds",
    "majority": "always the most frequent answer",
}
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
}
# Metrics of a part of an answer, `field:total` say, are shown apart.
PART = ":"


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a report shows.

    Args:
        evaluation, task, train: results of the stages.
        base_description: what the base model is, for a reader who never heard of it.
        base_limits: what it cannot do (languages, length, kind of text).
        examples: the test examples, in the order of the predictions.
        predictions: by contender name, one answer per test example; None where it could not answer.
        scores: by contender name, each answer's score, 0 to 1; where there are none, 1 if it is the expected one.
        history: per look at validation examples `step` and any of `train_loss`, `validation_loss`, `validation_score`.
        steps: per step `step`, `loss` and `learning_rate`, where they were kept.
        dataset_number: number of the dataset version.
        counts: examples by split.
        packages: version by package name.
        created_at: when, in ISO 8601.
    """

    evaluation: Evaluation
    task: Task
    train: TrainResult
    base_description: str
    base_limits: str
    examples: Sequence[Example]
    predictions: Mapping[str, Sequence[str | None]]
    history: Sequence[Mapping[str, float]]
    dataset_number: int
    counts: Mapping[str, int]
    packages: Mapping[str, str]
    created_at: str
    scores: Mapping[str, Sequence[float] | NDArray[np.float64]] = field(default_factory=dict)
    steps: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often the model answered one label where another was expected; `n` examples expected that one."""

    expected: str
    answered: str
    count: int
    n: int


@dataclass(frozen=True, slots=True)
class Difference:
    """A test example on which two contenders differ: one answers it better than the other."""

    text: str
    expected: str
    ours: str
    theirs: str
    place: str


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
        "percent": _percent,
        "points": _points,
        "p": _p,
        "metric_name": _metric_name,
        "breakable": _breakable,
        "interval": _interval,
    }
    html = environment.get_template("report.html.jinja").render(**_context(data))
    return html.encode("utf-8", "replace").decode("utf-8")


def page_style() -> str:
    """The CSS of the pages that are given to people."""
    return Path(__file__).with_name("report.css").read_text(encoding="utf-8")


def require_chart_libraries() -> None:
    """Refuse before the work what could not be drawn after it.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
    """
    missing = [name for name in ("jinja2", "altair", "vl_convert") if find_spec(name) is None]
    if missing:
        raise InputError(f"the report needs {', '.join(missing)}", "pip install 'inhouse[report]'")


def _context(data: ReportData) -> dict[str, Any]:
    """Everything that the template names."""
    ranking = _ranking(data.evaluation)
    ours, theirs = _sides(data.evaluation, ranking)
    answers = data.predictions.get(ours.name)
    others = data.predictions.get(theirs.name) if theirs is not None else None
    gain = [a - b for a, b in zip(_scores(data, ours), _scores(data, theirs), strict=False)] if others else []
    columns = _metric_columns(data.evaluation)
    return {
        "data": data,
        "evaluation": data.evaluation,
        "verdict": data.evaluation.verdict,
        "train": data.train,
        "ranking": ranking,
        "metrics": columns,
        "plain_names": PLAIN_NAMES,
        "ours": ours,
        "theirs": theirs,
        "bars": _both_widths(lambda width: _comparison_chart(ranking, data.evaluation.primary_metric, width)),
        "curves": _curves(data),
        "rates": _rates(data.steps),
        "accuracies": _series(data.history, "validation_score"),
        "metric_of_looks": _metric_name(data.train.validation_metric or data.evaluation.primary_metric),
        "answered": answers is not None,
        "confusions": confusions(data.examples, answers or [])[:MAX_ROWS],
        "weakest": weakest_labels(data.examples, answers or [])[:MAX_ROWS],
        "won": differences(data.examples, answers or [], others or [], gain),
        "lost": differences(data.examples, others or [], answers or [], [-g for g in gain]),
        "labelled": data.task.kind == "classify",
        "parts": _parts(ours, theirs),
        "notes": [METRIC_NOTES[name] for name in METRIC_NOTES if name in columns],
        "max_examples": MAX_EXAMPLES,
        "css": page_style(),
    }


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
    tuned = [c for c in first if _is_tuned(c.name)]
    others = [c for c in first if not _is_tuned(c.name)]
    if not tuned:
        return others[0], next(iter(others[1:]), None)
    return tuned[0], next(iter(others), None)


def _is_tuned(name: str) -> bool:
    return name.startswith("fine-tuned")


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


# --- where it goes wrong


def confusions(examples: Sequence[Example], answers: Sequence[str | None]) -> list[Confusion]:
    """Pairs of expected and answered label, the most frequent first. Empty if there are no answers."""
    pairs = Counter((e.target, a or NO_ANSWER) for e, a in zip(examples, answers, strict=False) if e.target != a)
    sizes = Counter(e.target for e in examples)
    return [Confusion(*pair, count, sizes[pair[0]]) for pair, count in sorted(pairs.items(), key=lambda p: -p[1])]


def weakest_labels(examples: Sequence[Example], answers: Sequence[str | None]) -> list[tuple[str, Metric]]:
    """Labels with at least one wrong answer and their accuracy, the least first."""
    right: dict[str, list[bool]] = defaultdict(list)
    for example, answer in zip(examples, answers, strict=False):
        right[example.target].append(example.target == answer)
    rows = [(label, wilson(sum(hits), len(hits))) for label, hits in right.items() if not all(hits)]
    return sorted(rows, key=lambda row: (row[1].value, -row[1].n, row[0]))


def differences(
    examples: Sequence[Example], better: Sequence[str | None], worse: Sequence[str | None], gain: Sequence[float]
) -> list[Difference]:
    """Test examples with a `gain` above 0 of the one answer over the other, spread over the expected answers.

    The first of each label comes first, then the second of each, so that a cut list is not all of one kind; among
    equals the larger gain.
    """
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, float, Difference]] = []
    for example, good, bad, ahead in zip(examples, better, worse, gain, strict=False):
        if ahead > 0:
            seen[example.target] += 1
            place = str(example.provenance)
            text, target = shortened(render_input(example.inputs)), shortened(example.target)
            row = Difference(text, target, shortened(good or NO_ANSWER), shortened(bad or NO_ANSWER), place)
            ranked.append((seen[example.target], -ahead, row))
    return [difference for *_, difference in sorted(ranked, key=lambda r: r[:2])]


def shortened(text: str, limit: int = MAX_INPUT) -> str:
    """The text on one line, cut at a word before `limit` characters."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    head = line[:limit].rsplit(" ", 1)[0]
    return f"{head if len(head) > limit // 2 else line[:limit]} …"


# --- charts


def _both_widths(draw: Callable[[int], Markup]) -> list[tuple[str, Markup]]:
    """The chart for a desk and for a phone: scaled down, its letters could not be read."""
    return [("wide", draw(WIDE)), ("narrow", draw(NARROW))]


def _comparison_chart(ranking: Sequence[ContenderResult], metric: str, width: int) -> Markup:
    """One bar per contender with its interval and value; the fine-tuned ones are coloured."""
    import altair as alt

    rows = [
        {
            "name": c.name,
            "value": c.metrics[metric].value,
            "low": c.metrics[metric].low,
            "high": c.metrics[metric].high,
            "text": _percent(c.metrics[metric].value),
            "colour": ACCENT if _is_tuned(c.name) else GREY,
        }
        for c in ranking
    ]
    axis = alt.Axis(
        values=[0, 0.25, 0.5, 0.75, 1] if width == WIDE else [0, 0.5, 1],
        labelExpr="round(100 * datum.value) + ' %'",
        labelFlush=False,
        title=None,
        domain=False,
        ticks=False,
    )
    # vl-convert measures with its own font; the reader's may be wider, so room is kept by number of letters.
    room = min(width * 0.45, 16 + 7.5 * max(len(c.name) for c in ranking))
    names = alt.Axis(title=None, minExtent=room, labelLimit=room, domain=False, ticks=False, labelPadding=8, grid=False)
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=alt.Y("name:N", sort=None, axis=names))
    # The scale goes past 1 to leave room for the value that stands right of the interval.
    scale = alt.Scale(domain=[0, 1.12 if width == WIDE else 1.45], nice=False)
    bars = base.mark_bar(size=16).encode(
        x=alt.X("value:Q", scale=scale, axis=axis), color=alt.Color("colour:N", scale=None)
    )
    intervals = base.mark_rule(size=2).encode(x="low:Q", x2="high:Q")
    values = base.mark_text(align="left", dx=7).encode(x="high:Q", text="text:N")
    return _svg(alt.layer(bars, intervals, values), width, alt.Step(28), f"{_metric_name(metric)} of each contender")


def _curves(data: ReportData) -> list[tuple[list[tuple[str, Markup]], str, bool]]:
    """The losses by step: drawings in both widths, caption, whether there are two lines; none of fewer than two losses.

    The training loss is that of every step, as far as it was kept, else the mean since the look before. An encoder
    trains on another loss than it is looked at by: they get a drawing each.
    """
    learned = _losses("training", _series(data.steps, "loss") or _series(data.history, "train_loss"))
    seen = _losses("validation", _series(data.history, "validation_loss"))
    if data.train.recipe.get("method") == "encoder":
        parts = [(seen, WRONG_UNSEEN, False), (learned, WRONG_CONTRAST, False)]
    else:
        parts = [([*learned, *seen], WRONG_BOTH, True)]

    def drawn(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
        return _both_widths(lambda width: _curve_chart(rows, data.train.best_step, width))

    return [(drawn(rows), caption, legend) for rows, caption, legend in parts if len(rows) > 1]


def _losses(kind: str, series: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    return [{"step": step, "loss": loss, "kind": kind} for step, loss in _thinned(series)]


def _rates(steps: Sequence[Mapping[str, float]]) -> list[tuple[str, Markup]]:
    """The learning rate by step in both widths; empty if it was not kept."""
    rows = [{"step": step, "rate": rate} for step, rate in _thinned(_series(steps, "learning_rate"))]
    return _both_widths(lambda width: _rate_chart(rows, width)) if len(rows) > 1 else []


def curve_svg(points: Sequence[CurvePoint], metric: str) -> str:
    """Scores by number of training examples, measured and foretold, as an SVG file.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
    """
    require_chart_libraries()
    import altair as alt

    rows = [p.model_dump() for p in points]
    measured = [row for row in rows if row["measured"]]
    ahead = [measured[-1], *(row for row in rows if not row["measured"])]
    x = alt.X("examples:Q", axis=alt.Axis(title="training examples", grid=False, format="d"))
    y = alt.Y("score:Q", axis=alt.Axis(title=_metric_name(metric), format="%"), scale=alt.Scale(zero=False))

    def line(values: list[dict[str, Any]], **style: Any) -> alt.Chart:  # noqa: ANN401 - altair's options
        return alt.Chart(alt.InlineData(values=values)).mark_line(point=True, color=ACCENT, **style).encode(x=x, y=y)

    spans = alt.Chart(alt.InlineData(values=rows)).mark_rule(color=GREY).encode(x=x, y="low:Q", y2="high:Q")
    return str(_svg(alt.layer(spans, line(measured), line(ahead, strokeDash=[4, 3])), WIDE, 300, "Learning curve"))


def _curve_chart(rows: Sequence[Mapping[str, Any]], best_step: int, width: int) -> Markup:
    """Training and validation loss by step, with the step that was kept."""
    import altair as alt

    last = max(row["step"] for row in rows)
    colours = alt.Scale(domain=["training", "validation"], range=[GREY, SECOND])
    step_axis = alt.Axis(title="step", grid=False, tickCount=5 if width == NARROW else 10, format="d")
    loss_axis = alt.Axis(title="loss (lower is better)", domain=False, ticks=False, tickCount=6)
    lines = (
        alt.Chart(alt.InlineData(values=list(rows)))
        .mark_line(point={"filled": True, "size": 22} if len(rows) <= 60 else False, strokeWidth=2)
        .encode(
            x=alt.X("step:Q", axis=step_axis, scale=alt.Scale(zero=False, nice=False)),
            y=alt.Y("loss:Q", axis=loss_axis, scale=alt.Scale(zero=False)),
            color=alt.Color("kind:N", legend=None, scale=colours),
        )
    )
    kept = alt.Chart(alt.InlineData(values=[{"step": best_step, "text": f"step {best_step} is kept"}]))
    rule = kept.mark_rule(strokeDash=[4, 3], size=1.5).encode(x="step:Q")
    side = {"align": "right", "dx": -6} if best_step > last / 2 else {"align": "left", "dx": 6}
    text = kept.mark_text(**side, baseline="top", y=2).encode(x="step:Q", text="text:N")
    return _svg(alt.layer(lines, rule, text), width, 260, "Loss by training step")


def _rate_chart(rows: Sequence[Mapping[str, Any]], width: int) -> Markup:
    """How far a step moved what learns, by step."""
    import altair as alt

    step_axis = alt.Axis(title="step", grid=False, tickCount=5 if width == NARROW else 10, format="d")
    rate_axis = alt.Axis(title="learning rate", domain=False, ticks=False, tickCount=4, format="~g")
    line = (
        alt.Chart(alt.InlineData(values=list(rows)))
        .mark_line(strokeWidth=2, color=GREY)
        .encode(
            x=alt.X("step:Q", axis=step_axis, scale=alt.Scale(zero=False, nice=False)),
            y=alt.Y("rate:Q", axis=rate_axis),
        )
    )
    return _svg(alt.layer(line), width, 120, "Learning rate by training step")


def _series(history: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """Pairs of step and value, where the value was logged and is a number."""
    pairs = [(row["step"], row.get(key)) for row in history]
    return [(step, value) for step, value in pairs if value is not None and math.isfinite(value)]


def _thinned(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MAX_CURVE_POINTS` points: means of neighbours, at the last step of each."""
    size = math.ceil(len(series) / MAX_CURVE_POINTS) or 1
    parts = [series[i : i + size] for i in range(0, len(series), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _svg(chart: altair.LayerChart, width: int, height: int | altair.Step, label: str) -> Markup:
    """The altair chart as an inline SVG: `width` pixels over all, without colours for text (CSS sets those).

    vl-convert escapes names, and may fetch nothing.
    """
    import altair as alt
    import vl_convert
    from markupsafe import Markup, escape

    spec = (
        chart.properties(
            width=width, height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), padding=4
        )
        .configure(background="transparent", font="system-ui, sans-serif", aria=False)
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", titlePadding=8)
        .configure_text(fontSize=12)
        .to_dict()
    )
    svg = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    head = f'<svg role="img" aria-label="{escape(label)}" width="{width}"'
    return Markup(re.sub(r"<svg[^>]*?(?= height=)", head, svg, count=1))


# --- numbers as text; the spaces do not break


def _percent(value: float) -> str:
    return f"{100 * value:.1f}\u00a0%"


def _interval(metric: Metric) -> str:
    return f"{100 * metric.low:.1f} to {100 * metric.high:.1f}\u00a0%"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "\u2212")


def _p(value: float) -> str:
    return "<\u00a00.001" if value < 0.001 else f"=\u00a0{value:.3f}"


def _breakable(text: str) -> Markup:
    """The text, escaped, that may be broken after an underscore as labels have them."""
    from markupsafe import Markup, escape

    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def _metric_name(name: str) -> str:
    return METRIC_NAMES.get(name, name.partition(PART)[2] or name)
