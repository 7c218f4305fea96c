"""Sources of several shapes in one task: which column of this one is which of the task's."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from collections.abc import Mapping as AbcMapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from inhouse.core import InputSection, Kind, SourceSection
from inhouse.errors import SourceError
from inhouse.sources.columns import Column, columns_of, looks_like_text, useless_as_input, words
from inhouse.sources.mapping import Mapping, infer_mapping
from inhouse.sources.places import MISSING, check_columns, listed, place_of, value_at
from inhouse.sources.registry import Source
from inhouse.sources.target_names import infer_target

# Share of a column's values that are labels of the task: from here on it is taken for the target.
_MOSTLY_LABELS = 0.5
_SIMILAR = 0.75


@dataclass(frozen=True, slots=True)
class Columns:
    """What a task calls its columns, and what it knows of them. `named` is what the user calls some of them here."""

    kind: Kind
    input: InputSection
    labels: Collection[str] = ()
    kept: Sequence[SourceSection] = ()
    named: AbcMapping[str, str] = field(default_factory=dict)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that every row must have: fields, targets, and the key where the task has one."""
        return (*self.input.fields, *self.input.targets, *((self.input.key,) if self.input.key else ()))

    @property
    def group(self) -> tuple[str, ...]:
        """The group column, where there is one."""
        return (self.input.group,) if self.input.group else ()


def fits(section: SourceSection, name: str) -> bool:
    """Whether a kept section is of the source of this name."""
    return section.pattern == name or fnmatchcase(name, section.pattern)


def map_onto(source: Source, name: str, wanted: Columns, *, guess: bool = True) -> tuple[Mapping, dict[str, str]]:
    """How a source is read as examples of a task, and what it calls the task's columns where it calls them otherwise.

    What the user named goes first, then what was accepted of a source of this name, then the task's own names, then
    what was accepted of any other source; then a guess: by a name that differs in case and signs alone, by labels that
    the task knows, by what the columns hold where only one can be meant.

    Args:
        name: the source's, as patterns match it.
        guess: whether columns that are not there may be looked for under other names.

    Raises:
        SourceError: a column is missing, or there is no telling which is meant.
    """
    if wanted.input.chat:
        group = wanted.input.group if wanted.input.group in source.columns else ""
        mapping = infer_mapping(source, kind=wanted.kind, fields=wanted.input.fields, group=group)
        return replace(mapping, why=source.notes), {}
    called = _called(source, name, wanted)
    if called is None:
        if not guess:
            check_columns(source, (wanted.named.get(mine, mine) for mine in (*wanted.needed, *wanted.group)))
        called = _guessed(source, wanted)
    return _mapping(source, wanted, called), {mine: its for mine, its in called.items() if mine != its}


def _mapping(source: Source, wanted: Columns, called: AbcMapping[str, str]) -> Mapping:
    fields, targets = wanted.input.fields, wanted.input.targets
    mapping = infer_mapping(
        source,
        kind=wanted.kind,
        fields=[called[name] for name in fields],
        target=[called[name] for name in targets],
        group=called.get(wanted.input.group, ""),
        rejected=wanted.input.rejected,
        key=called.get(wanted.input.key, ""),
    )
    why = tuple(f"{its} is the task's {mine}" for mine, its in called.items() if mine != its)
    if lacking := [group for group in wanted.group if group not in called]:
        why = (*why, f"there is no column {lacking[0]!r} for the group: each input is a group of its own")
    return replace(mapping, names=fields, target_names=targets, why=(*source.notes, *why))


def _called(source: Source, name: str, wanted: Columns) -> dict[str, str] | None:
    """The first way to call the columns with which all are there."""
    for columns in _ways(name, wanted):
        called = {mine: columns.get(mine, mine) for mine in (*wanted.needed, *wanted.group)}
        if all(_is_there(source, its) for its in called.values()):
            return called
        without = {mine: its for mine, its in called.items() if mine in wanted.needed}
        if not set(wanted.group) & set(wanted.named) and all(_is_there(source, its) for its in without.values()):
            return without
    return None


def _ways(name: str, wanted: Columns) -> Iterator[AbcMapping[str, str]]:
    if wanted.named:
        yield wanted.named
        return
    yield from (section.columns for section in wanted.kept if section.columns and fits(section, name))
    yield {}
    yield from (section.columns for section in wanted.kept if section.columns and not fits(section, name))


def _is_there(source: Source, name: str) -> bool:
    place = place_of(source, name)
    return place is not None and (not place.path or any(value_at(r, place) is not MISSING for r in source.records))


def _guessed(source: Source, wanted: Columns) -> dict[str, str]:
    """What the source calls the task's columns.

    Raises:
        SourceError: there is no telling.
    """
    columns = columns_of(source)
    called = {name: its for name in (*wanted.needed, *wanted.group) if (its := _same_name(columns, name))}
    called |= {mine: its for mine, its in wanted.named.items() if _is_there(source, its)}
    free = {name: column for name, column in columns.items() if name not in called.values()}
    targets = [name for name in wanted.input.targets if name not in called]
    if len(targets) == 1 and (its := _target(source, wanted, list(free.values()))):
        called[targets[0]] = its
        free.pop(its)
    missing = [name for name in wanted.needed if name not in called]
    called |= _similar(missing, list(free))
    missing = [name for name in missing if name not in called]
    if len(missing) == 1 and missing[0] in wanted.input.fields:
        inputs = [c for c in free.values() if c.name not in called.values() and not useless_as_input(c)]
        texts = [c for c in inputs if looks_like_text(c)]
        if len(only := inputs if len(inputs) == 1 else texts) == 1:
            called[missing.pop()] = only[0].name
    if missing:
        options = [f"{_option(n, wanted.input)} {n}=COLUMN" for n in missing]
        raise SourceError(
            f"column {missing[0]!r} is missing, and no other can only be meant by it; the columns there are "
            f"{listed(source.columns)}",
            f"say which column is which: {' '.join(options)}",
            file=source.path,
        )
    return called


def _option(name: str, section: InputSection) -> str:
    """The option that says which column is the task's of this name."""
    if name == section.key and name not in (*section.fields, *section.targets):
        return "--key"
    return "--target" if name in section.targets else "--input"


def _same_name(columns: Collection[str], name: str) -> str:
    if name in columns:
        return name
    return next((its for its in columns if words(its) and words(its) == words(name)), "")


def _target(source: Source, wanted: Columns, columns: list[Column]) -> str:
    known = set(wanted.labels)
    shares = [(sum(v in known for v in c.values) / len(c.values), c.name) for c in columns if c.values and known]
    share, name = max(shares, default=(0.0, ""))
    if share >= _MOSTLY_LABELS:
        return name
    try:
        return infer_target(source, wanted.kind, columns, [])
    except SourceError:
        return ""


def _similar(missing: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Columns of a similar name, each for one alone."""
    near = {name: difflib.get_close_matches(name, columns, n=2, cutoff=_SIMILAR) for name in missing}
    meant = {name: found[0] for name, found in near.items() if len(found) == 1}
    return {name: its for name, its in meant.items() if list(meant.values()).count(its) == 1}
