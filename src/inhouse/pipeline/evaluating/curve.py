"""What more training examples would bring, as the verdict asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from inhouse.pipeline.curve import kept_curve
from inhouse.store import Workspace

if TYPE_CHECKING:
    from inhouse.evaluate.verdict import CurveSeen

# A curve that ends at fewer of the training examples than this share was drawn when there were fewer.
_OF_TODAY = 0.9


def curve_seen(workspace: Workspace, given: Any) -> CurveSeen | None:  # noqa: ANN401 - the type would import the models
    """The curve that `train --curve` drew of these examples; else, of labels, that of a model that trains in a second.

    Both are judged by validation examples.
    """
    from inhouse.evaluate.cheap_curve import CURVE_OF, cheap_curve
    from inhouse.evaluate.verdict import CurveSeen

    kept = kept_curve(workspace, given.task.name)
    if kept is not None and not kept.interrupted:
        learned = max(p.examples for p in kept.points if p.measured)
        if _OF_TODAY * len(given.train) <= learned <= len(given.train) / _OF_TODAY:
            return CurveSeen(kept.gain, kept.low, kept.high, "`train --curve`")
    drawn = cheap_curve(given, "validation")
    return None if drawn is None else CurveSeen(drawn.gain, drawn.low, drawn.high, CURVE_OF)
