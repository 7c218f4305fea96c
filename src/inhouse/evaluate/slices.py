"""The primary metric on parts of the test: by label, language, length, source and time, with the one that is shown to
be worst."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Kind, SliceBy, SliceResult, render_input
from inhouse.core.json_schema import parse_object, scalar_values
from inhouse.errors import NoMetric
from inhouse.scoring import Judged, summarise
from inhouse.scoring.values import date_of

# Of fewer examples an interval says nothing that one could act on.
LEAST = 20
# At most so many of a kind, the largest.
MOST = 40
# Inputs are long or short by where they stand among all.
_LENGTHS = ("short", "medium", "long")
# A field tells the time of an example where in so many of them it is a date.
_DATED = 0.9
# The time of day behind a date.
_CLOCK = re.compile(r"[T ]\d{1,2}:\d\d.*")


def slices(
    examples: Sequence[Example],
    scores: NDArray[np.float64],
    kind: Kind,
    language_of: Callable[[str], str | None],
) -> list[SliceResult]:
    """A contender's scores on parts of the test of twenty examples or more; nothing where a kind has one part alone.

    The worst is the one with the lowest upper end of its interval, and only where that lies below the score of all: of
    many small parts one is low by chance. The intervals are wider than 95 % by as much as there are parts to choose
    from (Bonferroni's share as a quantile of the normal).

    Args:
        scores: of the primary metric, one each; nan where it does not apply.
        language_of: the name of a text's language; None where it is not sure.
    """
    parts = [
        (by, value, places)
        for by, values in _values(examples, kind, language_of).items()
        for value, places in _large(values)
    ]
    found = []
    for by, value, places in parts:
        groups = [examples[i].group for i in places]
        with suppress(NoMetric):
            judged = Judged(tuple(examples[i].target for i in places), {"score": scores[places]})
            found.append(SliceResult(by=by, value=value, metric=summarise(judged, (), "score", groups)))
    return _with_worst(found, float(np.nanmean(scores))) if found else []


def _values(
    examples: Sequence[Example], kind: Kind, language_of: Callable[[str], str | None]
) -> Mapping[SliceBy, list[str]]:
    """By what parts are made: the part of each example, empty where it is in none."""
    texts = [render_input(e.inputs) for e in examples]
    lengths = np.array([len(text) for text in texts])
    edges = np.quantile(lengths, (1 / 3, 2 / 3))
    found: dict[SliceBy, list[str]] = {
        "language": [language_of(text) or "" for text in texts],
        "length": [_LENGTHS[int(np.searchsorted(edges, length))] for length in lengths],
        "source": [e.provenance.file for e in examples],
        "time": _times(examples, kind),
    }
    return {"label": [e.target for e in examples], **found} if kind == "classify" else found


def _times(examples: Sequence[Example], kind: Kind) -> list[str]:
    """The third of the time that each example is of, by the first field that holds a date; empty where none does.

    Of an extract task the expected object tells its date too.
    """
    known = [_dates(e, kind) for e in examples]
    counts = Counter(name for dates in known for name in dates)
    name = next((name for name, count in counts.items() if count >= _DATED * len(examples)), None)
    if name is None:
        return [""] * len(examples)
    days = [dates.get(name) for dates in known]
    told = sorted(day for day in days if day is not None)
    parts = [part for part in np.array_split(np.array(told, dtype=object), len(_LENGTHS)) if len(part)]
    edges = sorted({part[-1] for part in parts})
    names = {edge: f"{name} {min(d for d in told if _part(edges, d) == edge)} to {edge}" for edge in edges}
    return ["" if day is None else names[_part(edges, day)] for day in days]


def _part(edges: Sequence[date], day: date) -> date:
    """The last day of the part of the time that a day is in."""
    return next(edge for edge in edges if day <= edge)


def _dates(example: Example, kind: Kind) -> dict[str, date]:
    """The days that an example names in a field of its own, by the field."""
    told: list[tuple[str, object]] = list(example.inputs.items())
    if kind == "extract":
        told += scalar_values(parse_object(example.target) or {})
    found = {name: date_of(_CLOCK.sub("", value)) for name, value in told if isinstance(value, str) and len(value) < 40}
    return {name: day for name, day in found.items() if day is not None}


def _large(values: Sequence[str]) -> Iterable[tuple[str, NDArray[np.intp]]]:
    """The parts that are large enough, the largest first; none where there is one alone."""
    names, of = np.unique(np.array(values, dtype=object), return_inverse=True)
    counts = np.bincount(of)
    large = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i] >= LEAST and names[i]]
    if len(names) < 2:
        return []
    return [(str(names[i]), np.flatnonzero(of == i)) for i in large[:MOST]]


def _with_worst(found: Sequence[SliceResult], of_all: float) -> list[SliceResult]:
    """The parts, the worst of them marked."""
    from scipy.stats import norm

    wider = float(norm.isf(0.025 / len(found)) / norm.isf(0.025))
    tops = [one.metric.value + wider * (one.metric.high - one.metric.value) for one in found]
    lowest = int(np.argmin(tops))
    if tops[lowest] >= of_all:
        return list(found)
    return [one.model_copy(update={"worst": i == lowest}) for i, one in enumerate(found)]
