"""Which column is what: names that were given are checked, the others are inferred, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

from inhouse.core.task import Kind
from inhouse.errors import SourceError, UsageError
from inhouse.sources.chat import MESSAGES, REJECTED
from inhouse.sources.chat_forms import INSTRUCTION, OUTPUT, alpaca_table
from inhouse.sources.columns import Column, column_at, columns_of, holds_json, not_labels, useless_as_input
from inhouse.sources.documents import Folder
from inhouse.sources.places import Place, check_columns, listed, require_place
from inhouse.sources.preferences import CHOSEN
from inhouse.sources.registry import Source
from inhouse.sources.target_names import infer_target, kind_for, kind_of_target

_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the parts of an example stand: column names, or dotted paths into JSON.

    Several `targets` make the keys of an extract task's object. With `chat` the one field `messages` holds both input
    and target, so there are no targets. `rejected` is a column with an answer that is worse than the target, for
    learning from the pair; rows may lack it. `key` is a column that tells rows apart. `why` holds sentences on what was
    inferred. `instruction` is the one of all rows, of a table that has it. `names` and `target_names` are what the task
    calls the fields and targets, where it calls them otherwise than the source does.
    """

    kind: Kind
    fields: tuple[str, ...]
    targets: tuple[str, ...] = ()
    group: str = ""
    chat: bool = False
    rejected: str = ""
    key: str = ""
    why: tuple[str, ...] = field(default=(), compare=False)
    names: tuple[str, ...] = ()
    target_names: tuple[str, ...] = ()
    instruction: str = ""

    @property
    def field_names(self) -> tuple[str, ...]:
        """What the task calls the fields, in their order."""
        return self.names or self.fields

    @property
    def target(self) -> str | tuple[str, ...]:
        """The targets as `task.toml` has them: none is empty, one is a string."""
        return self.targets if len(self.targets) > 1 else "".join(self.targets)


def infer_kind(
    source: Source, *, fields: Sequence[str] = (), target: str | Sequence[str] = (), group: str = ""
) -> tuple[Kind, str]:
    """The kind of task that a source does for, and the reason; names that are given count as in `infer_mapping`.

    Conversations and texts are for generate, objects for extract; labels, and what nothing is known of, for classify.

    Raises:
        SourceError: a column that is named is missing.
    """
    fields, targets = fields or source.fields, _unique(target)
    check_columns(source, (*fields, *targets, group))
    if _is_chat(source, fields, targets):
        return "generate", f"{MESSAGES} holds conversations"
    if len(targets) > 1:
        return "extract", "several targets are the keys of an object"
    if targets:
        return kind_of_target(column_at(source, require_place(source, targets[0])))
    if not fields and (table := alpaca_table(source)) and table.instructions_differ:
        answers = column_at(source, require_place(source, OUTPUT))
        if not (answers.nested or holds_json(answers.values)):
            return "generate", f"the columns are Alpaca's, with different values of {INSTRUCTION}"
    left = [c for c in columns_of(source).values() if c.name not in (*fields, group)]
    if {CHOSEN, REJECTED} <= {c.name for c in left}:  # the better answer of a pair is the target
        left = sorted((c for c in left if c.name != REJECTED), key=lambda c: c.name == CHOSEN)
    return kind_for(left)


def infer_mapping(
    source: Source,
    *,
    kind: str = "classify",
    fields: Sequence[str] = (),
    target: str | Sequence[str] = (),
    group: str = "",
    rejected: str = "",
    key: str = "",
) -> Mapping:
    """Complete the mapping of a source; names that are given are taken as they are.

    Args:
        source: the rows to look at.
        kind: the task's kind.
        fields: input columns. Inferred: all others, save empty, constant, date, id and nested columns.
        target: the columns with the right answers; several for extract alone. Inferred by name and by what they hold.
        group: rows with equal value in it belong together; never inferred.
        rejected: a column with worse answers, where the source has it. Inferred beside the target `chosen` alone.
        key: a column whose value tells a row from all others; never inferred.

    Raises:
        SourceError: a column is missing, none can be the target or an input, the target does not fit the kind, or the
            rows are conversations and the kind is not generate.
        UsageError: `kind` is not known, several targets without keys of their own, or a target is also an input.
    """
    known: Kind | None = next((k for k in _KINDS if k == kind), None)
    if known is None:
        raise UsageError(f"kind {kind!r} is not known", f"there are {', '.join(_KINDS)}")
    fields, targets = _unique(fields) or source.fields, _unique(target)
    check_columns(source, (*fields, *targets, group, key))
    if _is_chat(source, fields, targets):
        if known == "generate":
            told = () if fields else ("input: messages; target: the last assistant message with weight 1",)
            worse = REJECTED if REJECTED in source.columns else ""
            return Mapping(
                "generate", (MESSAGES,), (), group, chat=True, rejected=worse, key=key, why=(*source.notes, *told)
            )
        if not fields:
            raise _conversations(source, known)
    _check_names(source, known, fields, targets, group)
    why = list(source.notes)
    instruction = ""
    rejected = _rejected(source, rejected, (*fields, *targets, group), why)
    if rejected and not targets and CHOSEN in source.columns:
        targets = (CHOSEN,)
        why.append(f"target: {CHOSEN}, beside {rejected}")
    if not targets or not fields:
        columns = {name: column for name, column in columns_of(source).items() if name != rejected}
    else:  # nothing is to be inferred: a look at all cells less
        columns = {}
    if not targets and not fields and (table := alpaca_table(source)):
        fields, targets = tuple(name for name in table.fields if name != group), (OUTPUT,)
        why.append(f"input: {', '.join(fields)}; target: {OUTPUT}, as the columns are Alpaca's")
        instruction = table.instruction
        taken = (*fields, *targets, group, *([INSTRUCTION] if instruction else []))
        why += [f"left out: {name}" for name in columns if name not in taken]
    if not targets:
        others = [c for c in columns.values() if c.name not in (*fields, group, key)]
        targets = (infer_target(source, known, others, why),)
    places = [require_place(source, name) for name in targets]
    _check_target(source, known, places)
    if not fields:
        beside = {group, key, *(place.column for place in places)}
        fields = _infer_fields(source, [c for c in columns.values() if c.name not in beside], why)
    return Mapping(known, fields, targets, group, rejected=rejected, key=key, why=tuple(why), instruction=instruction)


def _rejected(source: Source, named: str, taken: Sequence[str], why: list[str]) -> str:
    """The column with worse answers; empty where there is none."""
    if named in source.columns:
        return named
    if not {CHOSEN, REJECTED} <= set(source.columns) or REJECTED in taken:
        return ""
    why.append(f"rejected answers: {REJECTED}")
    return REJECTED


def _unique(names: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([names] if isinstance(names, str) and names else names))


def _is_chat(source: Source, fields: Sequence[str], targets: Sequence[str]) -> bool:
    """Whether the rows are conversations, and nothing that was named makes them anything else."""
    return tuple(fields) in ((), (MESSAGES,)) and not targets and _has_messages(source)


def _conversations(source: Source, kind: Kind) -> SourceError:
    return SourceError(
        f"the rows hold conversations ({MESSAGES!r}), which a {kind} task does not learn",
        "begin a task of `--kind generate` for them (`inhouse init NAME --kind generate`), or name the columns of this "
        "one with --input NAME and --target NAME",
        file=source.path,
    )


def _has_messages(source: Source) -> bool:
    if MESSAGES not in source.columns or MESSAGES in source.nested:
        return MESSAGES in source.nested
    return holds_json([v for r in source.records if (v := r.values.get(MESSAGES, "").strip())])


def _check_names(source: Source, kind: Kind, fields: Sequence[str], targets: Sequence[str], group: str) -> None:
    """Raise UsageError where the names that were given do not go together."""
    if len(targets) > 1 and kind != "extract":
        raise UsageError(
            f"{len(targets)} targets were given ({', '.join(targets)}); a {kind} task has one",
            "name one, or make a task of `--kind extract`, whose answer is an object with these keys",
        )
    places = [require_place(source, name) for name in targets]
    for place in places:
        if any(place.overlaps(require_place(source, name)) for name in fields):
            raise UsageError(f"column {place.name!r} is the target and cannot be an input too", "name another")
        if kind == "classify" and place.name == group:
            raise UsageError(f"column {group!r} is the target and cannot be the group too", "name another")
    keys = [place.last for place in places]
    if twice := next((key for key in keys if keys.count(key) > 1), ""):
        same = " and ".join(place.name for place in places if place.last == twice)
        raise UsageError(
            f"the targets {same} would both be the key {twice!r} of the answer", "rename one of them in the file"
        )


def _check_target(source: Source, kind: Kind, places: Sequence[Place]) -> None:
    """Raise SourceError where the one target does not fit the kind; an extract task takes anything."""
    if kind == "extract":
        return
    column = column_at(source, places[0])
    if kind == "generate":
        if column.nested:
            raise SourceError(
                f"the target {column.name!r} holds lists or objects, not texts",
                "a task of `--kind extract` learns these; or name another column with --target NAME",
                file=source.path,
            )
        return
    if reason := not_labels(column):
        raise SourceError(
            f"the target {column.name!r} does not look like labels to choose from: {reason}",
            f"a classify task learns one label out of a set; {_better_kind(column)}, or name another column with "
            "--target NAME",
            file=source.path,
        )


def _better_kind(column: Column) -> str:
    if column.nested or holds_json(column.values):
        return "make a task of `--kind extract` for JSON objects"
    return "make a task of `--kind generate` for texts"


def _infer_fields(source: Source, columns: list[Column], why: list[str]) -> tuple[str, ...]:
    reasons = {c.name: useless_as_input(c) for c in columns}
    documents = _documents(source, [c for c in columns if reasons[c.name]])
    reasons |= dict.fromkeys(documents, "")
    chosen = tuple(name for name, reason in reasons.items() if not reason)
    if not chosen:  # codes and dates are better than nothing
        chosen = tuple(c.name for c in columns if c.distinct > 1 and not c.nested)
    if not chosen:
        raise SourceError(
            f"no column can be the input; the columns there are {listed(source.columns)}",
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


def _documents(source: Source, columns: list[Column]) -> list[str]:
    """The columns that name documents, which look like codes that only name the row."""
    folder = Folder(source.path.parent)
    return [c.name for c in columns if not c.nested and folder.has_any(c.values)]
