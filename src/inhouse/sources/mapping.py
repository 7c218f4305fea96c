"""Which column is what: names that were given are checked, the others are inferred, with the reasons."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from inhouse.core.task import Kind
from inhouse.errors import SourceError, UsageError
from inhouse.sources.columns import Column, columns_of, looks_like_labels, not_labels, useless_as_input, words
from inhouse.sources.registry import Source

# In order of trust: a column called `label` is one, `output` may be anything.
TARGET_NAMES = (
    "label",
    "labels",
    "category",
    "categorie",
    "kategorie",
    "class",
    "klasse",
    "target",
    "intent",
    "account",
    "rekening",
    "grootboekrekening",
    "konto",
    "topic",
    "tag",
    "sentiment",
    "department",
    "queue",
    "output",
    "answer",
    "expected",
)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the parts of an example stand: column names. `why` holds sentences on what was inferred."""

    kind: Kind
    fields: tuple[str, ...]
    target: str
    group: str = ""
    why: tuple[str, ...] = field(default=(), compare=False)


def infer_mapping(
    source: Source, *, kind: str | None = None, fields: Sequence[str] = (), target: str = "", group: str = ""
) -> Mapping:
    """Complete the mapping of a source; names that are given are taken as they are.

    Args:
        source: the rows to look at.
        kind: the task's kind; only `classify` exists.
        fields: input columns. Inferred: all others, save empty, constant, date and id columns.
        target: the column with the right answers. Inferred by its name, else the last one with few repeated values.
        group: rows with equal value in it belong together; never inferred.

    Raises:
        SourceError: a column is missing, none can be the target or an input, or the target does not look like labels.
        UsageError: `kind` is not known, or the target is also an input or the group.
    """
    if kind not in (None, "classify"):
        raise UsageError(f"kind {kind!r} is not known", "this version of inhouse does `classify`")
    for name in (*fields, target, group):
        _check_column(source, name)
    if target and target in (*fields, group):
        raise UsageError(f"column {target!r} is the target and cannot be an input or the group too", "name another")
    columns = columns_of(source)
    why: list[str] = []
    if not target:
        target = _infer_target(source, [c for c in columns.values() if c.name not in (*fields, group)], why)
    _check_target(source, columns[target])
    chosen = tuple(dict.fromkeys(fields))
    if not chosen:
        chosen = _infer_fields(source, [c for c in columns.values() if c.name not in (target, group)], why)
    return Mapping("classify", chosen, target, group, tuple(why))


def _check_column(source: Source, name: str) -> None:
    if not name or name in source.columns:
        return
    near = {c.casefold(): c for c in source.columns}
    close = difflib.get_close_matches(name.casefold(), near, n=1)
    raise SourceError(
        f"column {name!r} is missing; the columns there are {_listed(source.columns)}",
        f"did you mean {near[close[0]]!r}?" if close else "name one of these, spelt as it is there",
        file=source.path,
    )


def _check_target(source: Source, column: Column) -> None:
    reason = not_labels(column)
    if reason:
        raise SourceError(
            f"the target {column.name!r} does not look like labels to choose from: {reason}",
            "classify, one label out of a set, is what works today; name another column with --target NAME",
            file=source.path,
        )


def _infer_target(source: Source, columns: list[Column], why: list[str]) -> str:
    if len(source.columns) == 1:
        raise SourceError(
            f"there is one column only, {source.columns[0]!r}; an input and a target are needed",
            "separate columns with a comma, semicolon, tab or bar, and name them in the first line",
            file=source.path,
        )
    by_name = _named_like_target(columns)
    if by_name is not None:
        why.append(f"target: {by_name.name}, for its name; it has {by_name.distinct} different values")
        return by_name.name
    likely = [c for c in columns if looks_like_labels(c) and not useless_as_input(c)]
    if not likely:
        raise SourceError(
            f"no column looks like labels; the columns there are {_listed(source.columns)}",
            "name the one with the right answers: --target NAME",
            file=source.path,
        )
    best = likely[-1]
    why.append(f"target: {best.name}, as its {best.distinct} values repeat over {len(best.values)} rows")
    return best.name


def _named_like_target(columns: list[Column]) -> Column | None:
    """The column whose name says that it is the target; one that also looks like labels goes first."""
    exact = [c for c in columns if "".join(words(c.name)) in TARGET_NAMES]
    exact.sort(key=lambda c: (not looks_like_labels(c), TARGET_NAMES.index("".join(words(c.name)))))
    partly = [c for c in columns if set(words(c.name)) & set(TARGET_NAMES) and looks_like_labels(c)]
    return next(iter([*exact, *reversed(partly)]), None)


def _infer_fields(source: Source, columns: list[Column], why: list[str]) -> tuple[str, ...]:
    reasons = {c.name: useless_as_input(c) for c in columns}
    chosen = tuple(name for name, reason in reasons.items() if not reason)
    if not chosen:  # codes and dates are better than nothing
        chosen = tuple(c.name for c in columns if c.distinct > 1)
    if not chosen:
        raise SourceError(
            f"no column can be the input; the columns there are {_listed(source.columns)}",
            "name it with --input NAME",
            file=source.path,
        )
    why.append(f"input: {', '.join(chosen)}")
    why += [f"left out: {name}, as {reasons[name]}" for name in reasons if name not in chosen]
    why += [
        f"rows with equal {c.name} may belong together: --group {c.name} keeps them on one side of the split"
        for c in columns
        if c.name not in chosen and "names the row" in reasons[c.name] and c.distinct_share < 0.9
    ]
    return chosen


def _listed(names: Iterable[str], most: int = 40) -> str:
    shown = [n if len(n) <= 40 else f"{n[:37]}..." for n in names]
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
