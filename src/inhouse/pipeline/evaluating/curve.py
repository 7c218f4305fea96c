"""What more training examples would bring, as the verdict asks it and the report shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inhouse.core import CurveResult
from inhouse.pipeline.curve import curve_of_today, curve_told, kept_curve
from inhouse.scoring import LearningCurve
from inhouse.store import Workspace

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Field
    from inhouse.evaluate.verdict import CurveSeen


def curve_seen(workspace: Workspace, given: Field) -> CurveSeen | None:
    """The curve that `train --curve` drew of these examples; else, of labels, that of a model that trains in a second.

    Both are judged by validation examples.
    """
    from inhouse.evaluate.cheap_curve import CURVE_OF, cheap_curve
    from inhouse.evaluate.verdict import CurveSeen

    if kept := curve_of_today(workspace, given.task.name, len(given.train)):
        return CurveSeen(kept.gain, kept.low, kept.high, "`train --curve`")
    drawn = cheap_curve(given, "validation")
    return None if drawn is None else CurveSeen(drawn.gain, drawn.low, drawn.high, CURVE_OF)


def curve_shown(workspace: Workspace, given: Field) -> tuple[CurveResult | None, str]:
    """The same with its points, and what it is the curve of; the last one that was drawn, of whatever examples."""
    from inhouse.evaluate.cheap_curve import CURVE_OF, PARTS, cheap_curve

    command = f"inhouse train {given.task.name} --curve"
    if kept := kept_curve(workspace, given.task.name):
        return kept, f"As `{command}` found it last"
    drawn = cheap_curve(given, "validation")
    if drawn is None:
        return None, ""
    shown = as_result(drawn, given.task.name, len(given.validation), curve_told(drawn, "accuracy", of=len(PARTS)))
    return shown, f"Of {CURVE_OF}, which trains in a second; `{command}` draws that of the model itself"


def as_result(drawn: LearningCurve, task: str, judged_by: int, reason: str = "") -> CurveResult:
    """The curve of a model that trains in a second, as `train --curve` gives its own; no file has its chart."""
    return CurveResult(
        task=task,
        metric="accuracy",
        validation_examples=judged_by,
        power=drawn.power,
        gain=drawn.gain,
        low=drawn.low,
        high=drawn.high,
        points=drawn.points,
        reason=reason,
        chart="",
    )
