"""What more training examples would bring, as the verdict asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inhouse.pipeline.curve import curve_of_today
from inhouse.store import Workspace

if TYPE_CHECKING:
    from inhouse.evaluate.verdict import CurveSeen


def curve_seen(workspace: Workspace, given: Any) -> CurveSeen | None:  # noqa: ANN401 - the type would import the models
    """The curve that `train --curve` drew of these examples; else, of labels, that of a model that trains in a second.

    Both are judged by validation examples.
    """
    from inhouse.evaluate.cheap_curve import CURVE_OF, cheap_curve
    from inhouse.evaluate.verdict import CurveSeen

    if kept := curve_of_today(workspace, given.task.name, len(given.train)):
        return CurveSeen(kept.gain, kept.low, kept.high, "`train --curve`")
    drawn = cheap_curve(given, "validation")
    return None if drawn is None else CurveSeen(drawn.gain, drawn.low, drawn.high, CURVE_OF)
