"""One contender's metrics with their 95 % intervals. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from inhouse.core import Metric
from inhouse.errors import NoMetric
from inhouse.scoring.f1 import macro_f1
from inhouse.scoring.intervals import score_interval
from inhouse.scoring.judge import Judged
from inhouse.scoring.paired import is_binary
from inhouse.scoring.units import Floats, Groups, Z, design_effect, some, some_of, units_of


def summarise(judged: Judged, expected: Sequence[str], name: str, groups: Groups = None) -> Metric:
    """A metric of judged answers with its 95 % interval.

    Of scores, Wilson's interval of the effective number of examples: of scores that are 0 or 1 that is n over the
    design effect of the groups; of others, which spread less, so many shares of 0 and 1 as would be known as well as
    their mean is. Chosen over the bias-corrected bootstrap by coverage (docs/design/statistics.md). Macro-F1 is no
    mean, and has a bootstrap. Examples to which the metric does not apply (nan) are left out.

    Raises:
        NoMetric: if it applies to no example.
    """
    if name == "macro_f1":
        if judged.asked is not None:
            known = judged.asked
            judged, expected, groups = judged.part(known), some_of(expected, known), some(groups, known)
        return macro_f1(judged.answers, expected, groups=groups)
    scores = judged.scores[name]
    known = ~np.isnan(scores)
    if not known.any():
        raise NoMetric(f"{name} applies to none of {len(scores)} examples", "leave it out")
    scores, groups = scores[known], some(groups, known)
    value = float(scores.mean())
    return score_interval(value, len(scores), max(1.0, _as_shares(scores, groups)))


def _as_shares(scores: Floats, groups: Groups) -> float:
    """How many independent examples of 0 and 1 would tell the mean as closely."""
    n = len(scores)
    if is_binary(scores):
        return n / design_effect(scores, groups)
    mean, spread = float(scores.mean()), float(scores.var(ddof=1)) if n > 1 else 0.0
    if spread == 0.0:
        return int(units_of(groups, n).max()) + 1
    few = (Z / float(stdtrit(n - 1, 0.975))) ** 2
    return n * mean * (1 - mean) / spread * few / design_effect(scores, groups)
