"""Which column holds the right answers: by its name, else by what it holds."""

from __future__ import annotations

from collections.abc import Sequence

from inhouse.core.task import Kind
from inhouse.errors import SourceError
from inhouse.sources.columns import Column, holds_json, looks_like_labels, looks_like_text, useless_as_input, words
from inhouse.sources.places import listed
from inhouse.sources.registry import Source

# In order of trust: a column called `label` is one, `output` may be anything.
CLASSIFY_NAMES = (
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
EXTRACT_NAMES = (
    "fields",
    "json",
    "target",
    "expected",
    "output",
    "entities",
    "result",
    "extracted",
    "extraction",
    "answer",
    "completion",
    "labels",
    "label",
    "items",
    "data",
)
GENERATE_NAMES = (
    "target",
    "output",
    "completion",
    "response",
    "summary",
    "answer",
    "reply",
    "expected",
    "result",
    "textout",
    "reference",
    "ref",
    "samenvatting",
    "antwoord",
    "zusammenfassung",
    "antwort",
)


def infer_target(source: Source, kind: Kind, columns: list[Column], why: list[str]) -> str:
    """The target among `columns`; adds the reason to `why`.

    Raises:
        SourceError: none can be it, or there is no telling which is.
    """
    if len(source.columns) == 1:
        raise SourceError(
            f"there is one column only, {source.columns[0]!r}; an input and a target are needed",
            "separate columns with a comma, semicolon, tab or bar, and name them in the first line",
            file=source.path,
        )
    infer = {"classify": _labels, "extract": _objects, "generate": _texts}[kind]
    return infer(source, columns, why).name


def _labels(source: Source, columns: list[Column], why: list[str]) -> Column:
    by_name = _named_like_labels(columns)
    if by_name is not None:
        why.append(f"target: {by_name.name}, for its name; it has {by_name.distinct} different values")
        return by_name
    likely = [c for c in columns if looks_like_labels(c) and not useless_as_input(c)]
    if not likely:
        raise _none(source, "looks like labels", _hint(columns))
    why.append(
        f"target: {likely[-1].name}, as its {likely[-1].distinct} values repeat over {len(likely[-1].values)} rows"
    )
    return likely[-1]


def _named_like_labels(columns: list[Column]) -> Column | None:
    """The column whose name says that it is the target; one that also looks like labels goes first."""
    exact = _named(columns, CLASSIFY_NAMES)
    exact.sort(key=lambda c: not looks_like_labels(c))
    partly = [c for c in columns if set(words(c.name)) & set(CLASSIFY_NAMES) and looks_like_labels(c)]
    return next(iter([*exact, *reversed(partly)]), None)


def _hint(columns: list[Column]) -> str:
    """Which other kind of task the columns would do for."""
    if found := next((c for c in columns if _is_json(c)), None):
        return f"; {found.name} holds JSON, which a task of `--kind extract` learns"
    if any(looks_like_text(c) for c in columns):
        return "; texts are learned by a task of `--kind generate`"
    return ""


def _objects(source: Source, columns: list[Column], why: list[str]) -> Column:
    with_json = [c for c in columns if _is_json(c)]
    if named := _named(with_json, EXTRACT_NAMES):
        why.append(f"target: {named[0].name}, for its name; it holds JSON")
        return named[0]
    if len(with_json) == 1:
        why.append(f"target: {with_json[0].name}, the only column that holds JSON")
        return with_json[0]
    if with_json:
        several = f"{', '.join(c.name for c in with_json)} all hold JSON"
        raise SourceError(several, "name the ones with the right answers: --target NAME", file=source.path)
    if named := [c for c in _named(columns, EXTRACT_NAMES) if c.values]:
        why.append(f"target: {named[0].name}, for its name")
        return named[0]
    raise _none(source, "holds JSON objects", "; several --target make the keys of the answer")


def _texts(source: Source, columns: list[Column], why: list[str]) -> Column:
    texts = [c for c in columns if not c.nested and not useless_as_input(c)]
    if named := _named(texts, GENERATE_NAMES):
        why.append(f"target: {named[0].name}, for its name")
        return named[0]
    partly = [c for c in texts if set(words(c.name)) & set(GENERATE_NAMES) and looks_like_text(c)]
    if partly:
        why.append(f"target: {partly[-1].name}, for its name")
        return partly[-1]
    long = [c for c in texts if looks_like_text(c)]
    if len(long) < 2:  # the only text is the input
        raise _none(source, "is named like an answer")
    why.append(f"target: {long[-1].name}, the last column with texts")
    return long[-1]


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """The columns with exactly such a name, in the order of `names`."""
    found = [c for c in columns if "".join(words(c.name)) in names]
    return sorted(found, key=lambda c: names.index("".join(words(c.name))))


def _is_json(column: Column) -> bool:
    return column.nested or holds_json(column.values)


def _none(source: Source, looked_for: str, hint: str = "") -> SourceError:
    return SourceError(
        f"no column {looked_for}; the columns there are {listed(source.columns)}",
        f"name the one with the right answers: --target NAME{hint}",
        file=source.path,
    )
