"""The charts of the report, as inline SVG."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from inhouse.core import Calibration, ContenderResult, CurvePoint, Review
from inhouse.errors import InputError
from inhouse.evaluate.report.data import ReportData
from inhouse.evaluate.report.words import is_tuned, metric_name, percent

if TYPE_CHECKING:
    import altair
    from markupsafe import Markup

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


def require_chart_libraries() -> None:
    """Refuse before the work what could not be drawn after it.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
    """
    missing = [name for name in ("jinja2", "altair", "vl_convert") if find_spec(name) is None]
    if missing:
        raise InputError(f"the report needs {', '.join(missing)}", "pip install 'inhouse[report]'")


def both_widths(draw: Callable[[int], Markup]) -> list[tuple[str, Markup]]:
    """The chart for a desk and for a phone: scaled down, its letters could not be read."""
    return [("wide", draw(WIDE)), ("narrow", draw(NARROW))]


def comparison_chart(ranking: Sequence[ContenderResult], metric: str, width: int) -> Markup:
    """One bar per contender with its interval and value; the fine-tuned ones are coloured."""
    import altair as alt

    rows = [
        {
            "name": c.name,
            "value": c.metrics[metric].value,
            "low": c.metrics[metric].low,
            "high": c.metrics[metric].high,
            "text": percent(c.metrics[metric].value),
            "colour": ACCENT if is_tuned(c.name) else GREY,
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
    return _svg(alt.layer(bars, intervals, values), width, alt.Step(28), f"{metric_name(metric)} of each contender")


def curves(data: ReportData) -> list[tuple[list[tuple[str, Markup]], str, bool]]:
    """The losses by step: drawings in both widths, caption, whether there are two lines; none of fewer than two losses.

    The training loss is that of every step, as far as it was kept, else the mean since the look before. An encoder
    trains on another loss than it is looked at by: they get a drawing each.
    """
    train = data.train
    if train is None:
        return []
    learned = _losses("training", series(data.steps, "loss") or series(data.history, "train_loss"))
    seen = _losses("validation", series(data.history, "validation_loss"))
    if train.recipe.get("method") == "encoder":
        parts = [(seen, WRONG_UNSEEN, False), (learned, WRONG_CONTRAST, False)]
    else:
        parts = [([*learned, *seen], WRONG_BOTH, True)]

    def drawn(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
        return both_widths(lambda width: _curve_chart(rows, train.best_step, width))

    return [(drawn(rows), caption, legend) for rows, caption, legend in parts if len(rows) > 1]


def _losses(kind: str, series: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
    return [{"step": step, "loss": loss, "kind": kind} for step, loss in _thinned(series)]


def rates(steps: Sequence[Mapping[str, float]]) -> list[tuple[str, Markup]]:
    """The learning rate by step in both widths; empty if it was not kept."""
    rows = [{"step": step, "rate": rate} for step, rate in _thinned(series(steps, "learning_rate"))]
    return both_widths(lambda width: _rate_chart(rows, width)) if len(rows) > 1 else []


def curve_svg(points: Sequence[CurvePoint], metric: str) -> str:
    """Scores by number of training examples, measured and foretold, as an SVG file.

    Raises:
        InputError: the libraries of the `report` extra are not installed.
    """
    require_chart_libraries()
    return str(by_examples(points, metric, WIDE))


def by_examples(points: Sequence[CurvePoint], metric: str, width: int) -> Markup:
    """Scores by number of training examples, measured and foretold, each with its interval."""
    import altair as alt

    rows = [p.model_dump() for p in points]
    measured = [row for row in rows if row["measured"]]
    ahead = [measured[-1], *(row for row in rows if not row["measured"])]
    x = alt.X("examples:Q", axis=alt.Axis(title="training examples", grid=False, format="d"))
    y = alt.Y("score:Q", axis=alt.Axis(title=metric_name(metric), format="%"), scale=alt.Scale(zero=False))

    def line(values: list[dict[str, Any]], **style: Any) -> alt.Chart:  # noqa: ANN401 - altair's options
        return alt.Chart(alt.InlineData(values=values)).mark_line(point=True, color=ACCENT, **style).encode(x=x, y=y)

    spans = alt.Chart(alt.InlineData(values=rows)).mark_rule(color=GREY).encode(x=x, y="low:Q", y2="high:Q")
    return _svg(alt.layer(spans, line(measured), line(ahead, strokeDash=[4, 3])), width, 220, "Learning curve")


def review_chart(review: Review, width: int) -> Markup:
    """The share of wrong answers among those that go straight through, by how many do; grey: its 95 % upper bound."""
    import altair as alt

    rows = [p.model_dump() for p in review.curve]
    share = alt.Axis(title="answers that go straight through", format="%", grid=False, tickCount=5)
    x = alt.X("straight:Q", axis=share, scale=alt.Scale(domain=[0, 1]))
    base = alt.Chart(alt.InlineData(values=rows))
    wrong = alt.Axis(title="wrong among them", format="%", tickCount=5, domain=False, ticks=False)
    # Of a few answers the bound is near 100 %: where it is far above what is allowed it is cut off.
    top = min(1.0, max(4 * review.target_errors, 1.2 * max(p.errors for p in review.curve)))
    scale = alt.Scale(domain=[0, top])
    high = base.mark_line(color=GREY, strokeWidth=1.5, clip=True).encode(
        x=x, y=alt.Y("errors_high:Q", axis=wrong, scale=scale)
    )
    line = base.mark_line(color=ACCENT, strokeWidth=2).encode(x=x, y=alt.Y("errors:Q", axis=wrong, scale=scale))
    target = alt.Chart(alt.InlineData(values=[{"target": review.target_errors}]))
    rule = target.mark_rule(strokeDash=[4, 3]).encode(y="target:Q")
    return _svg(alt.layer(rule, high, line), width, 200, "Wrong answers by share that goes straight through")


def reliability_chart(calibration: Calibration, width: int) -> Markup:
    """The share of right answers by confidence; on the line the two are equal."""
    import altair as alt

    rows = [
        {"confidence": b.confidence, "right": b.right.value, "low": b.right.low, "high": b.right.high}
        for b in calibration.bins
    ]
    ends = alt.Chart(alt.InlineData(values=[{"at": 0.0}, {"at": 1.0}]))
    scale = alt.Scale(domain=[0, 1])
    level = alt.Axis(title="confidence", format="%", grid=False, tickCount=5)
    x = alt.X("confidence:Q", axis=level, scale=scale)
    right = alt.Axis(title="right", format="%", tickCount=5, domain=False, ticks=False)
    y = alt.Y("right:Q", axis=right, scale=scale)
    equal = ends.mark_line(strokeDash=[4, 3], color=GREY).encode(
        x=alt.X("at:Q", scale=scale, axis=level), y=alt.Y("at:Q", scale=scale, axis=right)
    )
    base = alt.Chart(alt.InlineData(values=rows))
    spans = base.mark_rule(color=ACCENT).encode(x=x, y=alt.Y("low:Q", scale=scale, axis=right), y2="high:Q")
    dots = base.mark_point(filled=True, size=40, color=ACCENT, opacity=1).encode(x=x, y=y)
    return _svg(alt.layer(equal, spans, dots), width, 200, "Share of right answers by confidence")


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


def series(history: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
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
