"""How a contender does on each label, and which labels it takes for which. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Confusion, LabelResult, Metric
from inhouse.scoring.judge import Judged
from inhouse.scoring.summary import summarise
from inhouse.scoring.units import Groups, some


def label_results(
    predicted: Sequence[str | None], expected: Sequence[str], groups: Groups = None
) -> tuple[LabelResult, ...]:
    """Precision, recall and F1 of every label that is expected, with 95 % intervals, the least F1 first.

    Precision and recall are shares, so Wilson's interval is theirs. F1 is 2 J / (1 + J) of a share too: J is that of
    the examples that expect the label *and* are answered with it, among those that do either (Jaccard). The function
    rises, so the ends of J's interval become those of F1's.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(predicted) != len(expected):
        raise ValueError(f"{len(predicted)} answers for {len(expected)} examples")
    number = {label: i for i, label in enumerate(sorted(set(expected)))}
    answered = np.array([number.get(a, -1) if a is not None else -1 for a in predicted], dtype=int)
    wanted = np.array([number[e] for e in expected], dtype=int)
    found = []
    for label, i in number.items():
        given, asked = answered == i, wanted == i
        right = (given & asked).astype(float)
        jaccard = _share(right, given | asked, groups)
        found.append(
            LabelResult(
                label=label,
                precision=_share(right, given, groups) if given.any() else None,
                recall=_share(right, asked, groups),
                f1=Metric(value=_f1(jaccard.value), low=_f1(jaccard.low), high=_f1(jaccard.high), n=jaccard.n),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.f1.value, -one.f1.n, one.label)))


def confusions(predicted: Sequence[str | None], expected: Sequence[str]) -> tuple[Confusion, ...]:
    """How often each label was answered where each was expected, the most frequent pair first.

    Raises:
        ValueError: if the lengths differ.
    """
    counts = Counter(zip(expected, predicted, strict=True))
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0][0], pair[0][1] or ""))
    return tuple(Confusion(expected=e, answered=a, count=count) for (e, a), count in ranked)


def _share(right: NDArray[np.float64], among: NDArray[np.bool_], groups: Groups) -> Metric:
    return summarise(Judged((), {"share": right[among]}), (), "share", some(groups, among))


def _f1(jaccard: float) -> float:
    return 2 * jaccard / (1 + jaccard)
