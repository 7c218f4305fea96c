"""Which column holds the right answers: by its name, else by what it holds."""

from __future__ import annotations

from collections.abc import Sequence

from inhouse.core.task import Kind
from inhouse.errors import SourceError
from inhouse.sources.columns import (
    Column,
    holds_json,
    looks_like_labels,
    looks_like_text,
    not_labels,
    useless_as_input,
    words,
)
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


def kind_of_target(column: Column) -> tuple[Kind, str]:
    """The kind of task that learns a target, and why."""
    if _is_json(column):
        return "extract", f"{column.name} holds JSON"
    if not_labels(column) and looks_like_text(column):
        return _learns("generate", column)
    return _learns("classify", column)


def kind_for(columns: list[Column]) -> tuple[Kind, str]:
    """The kind of task that columns do for, and why: a name and what it holds count first, then what it holds alone."""
    objects = [c for c in columns if _holds_objects(c)]
    labels, named = _likely_labels(columns), _named_like_labels(columns)
    answer, texts = _named_like_texts(columns), [c for c in columns if looks_like_text(c) and not useless_as_input(c)]
    ranked: list[tuple[Kind, Column | None]] = [
        ("extract", next(iter(_named(objects, EXTRACT_NAMES)), None)),
        ("classify", named if named and looks_like_labels(named) else None),
        ("generate", answer if answer and looks_like_text(answer) else None),
        ("extract", objects[0] if len(objects) == 1 else None),
        ("classify", labels[-1] if labels else None),
        # A column called `category` that holds none is for classify to refuse, not for generate to write.
        ("generate", texts[-1] if len(texts) > 1 and named is None else None),
    ]
    found = next(((kind, column) for kind, column in ranked if column), None)
    return _learns(*found) if found else ("classify", "no column says otherwise")


def _learns(kind: Kind, column: Column) -> tuple[Kind, str]:
    what = {
        "classify": f"{column.name} has {column.distinct} different values in {len(column.values)} rows",
        "extract": f"{column.name} holds JSON objects",
        "generate": f"{column.name} holds texts that hardly repeat",
    }
    return kind, what[kind]


def infer_target(source: Source, kind: Kind, columns: list[Column], why: list[str]) -> str:
    """The target among `columns`; adds the reason to `why`.

    Raises:
        SourceError: none can be it, or there is no telling which is.
    """
    if len(source.columns) == 1:
        raise SourceError(
            f"there is one column only, {source.columns[0]!r}; an input and a target are needed",
            "separate columns by a comma and name them in the first line; or name another sign: --delimiter SIGN",
            file=source.path,
        )
    infer = {"classify": _labels, "extract": _objects, "generate": _texts}[kind]
    return infer(source, columns, why).name


def _labels(source: Source, columns: list[Column], why: list[str]) -> Column:
    by_name = _named_like_labels(columns)
    if by_name is not None:
        why.append(f"target: {by_name.name}, for its name; it has {by_name.distinct} different values")
        return by_name
    likely = _likely_labels(columns)
    if not likely:
        raise _none(source, "looks like labels", _hint(columns))
    why.append(
        f"target: {likely[-1].name}, as its {likely[-1].distinct} values repeat over {len(likely[-1].values)} rows"
    )
    return likely[-1]


def _likely_labels(columns: list[Column]) -> list[Column]:
    return [c for c in columns if looks_like_labels(c) and not useless_as_input(c)]


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
    if named := _named_like_texts(columns):
        why.append(f"target: {named.name}, for its name")
        return named
    long = [c for c in columns if looks_like_text(c) and not useless_as_input(c)]
    if len(long) < 2:  # the only text is the input
        raise _none(source, "is named like an answer")
    why.append(f"target: {long[-1].name}, the last column with texts")
    return long[-1]


def _named_like_texts(columns: list[Column]) -> Column | None:
    """The column whose name says that it is the answer."""
    texts = [c for c in columns if not c.nested and not useless_as_input(c)]
    partly = [c for c in texts if set(words(c.name)) & set(GENERATE_NAMES) and looks_like_text(c)]
    return next(iter([*_named(texts, GENERATE_NAMES), *reversed(partly)]), None)


def _named(columns: Sequence[Column], names: Sequence[str]) -> list[Column]:
    """The columns with exactly such a name, in the order of `names`."""
    found = [c for c in columns if "".join(words(c.name)) in names]
    return sorted(found, key=lambda c: names.index("".join(words(c.name))))


def _is_json(column: Column) -> bool:
    return column.nested or holds_json(column.values)


def _holds_objects(column: Column) -> bool:
    return holds_json(column.values) and column.values[0][0] == "{"


def _none(source: Source, looked_for: str, hint: str = "") -> SourceError:
    return SourceError(
        f"no column {looked_for}; the columns there are {listed(source.columns)}",
        f"name the one with the right answers: --target NAME{hint}",
        file=source.path,
    )
