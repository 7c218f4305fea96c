"""Records to Examples by a Mapping."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection

from inhouse.core import Example, Provenance, Record, Rejection, folded
from inhouse.errors import SourceError
from inhouse.sources.chat import MESSAGES, example_of
from inhouse.sources.inputs import input_reader
from inhouse.sources.mapping import Mapping
from inhouse.sources.places import place_of, require_place, text_at
from inhouse.sources.preferences import rejected_answer
from inhouse.sources.registry import Source, refuse_if_mostly_rejected
from inhouse.sources.targets import target_reader

MAX_LABEL_CHARS = 200

# A row's inputs and target, or why it cannot be used.
_Read = Callable[[Record], tuple[dict[str, str], str, str]]


def to_examples(
    source: Source, mapping: Mapping, documents: Collection[str] = ()
) -> tuple[list[Example], list[Rejection]]:
    """The examples in file order, and the rows that lack a needed value, an input or a target.

    Inputs and target lose their outer white space and are otherwise untouched; the target of an extract task is its
    object as compact JSON. Documents that an input names are read (see `input_reader`). An example's group is its
    value in the group column, case and white space aside (one company is written in several ways); without one, or
    where it is empty, the `input_key` of its inputs. A key (outer white space aside) is of one row alone.

    Args:
        documents: input columns whose cells may name documents, as `document_columns` finds them.

    Raises:
        SourceError: a label of more than `MAX_LABEL_CHARS`, or over half of the file's rows are rejected, those
            that could not be read included.
    """
    examples: list[Example] = []
    rejections: list[Rejection] = []
    group = place_of(source, mapping.group) if mapping.group else None
    key_of = _key_reader(source, mapping)
    read = _read_chat if mapping.chat else _reader(source, mapping, documents)
    for record in source.records:
        inputs, target, reason = read(record)
        worse = ""
        key = ""
        if not reason:
            key, reason = key_of(record)
        if mapping.rejected and not reason:
            try:
                worse = rejected_answer(record, mapping.rejected)
            except ValueError as error:
                reason = str(error)
        if reason:
            rejections.append(Rejection(record.provenance, reason, row_text(record), record.values))
            continue
        if mapping.kind == "classify" and len(target) > MAX_LABEL_CHARS:
            raise _too_long(source, record, mapping, target)
        given = folded(text_at(record, group) or "") if group else ""
        rejected = worse if worse != target else ""  # no pair
        examples.append(Example(inputs, target, given, record.provenance, rejected=rejected, key=key))
    refuse_if_mostly_rejected(
        source.path, [*rejections, *source.rejections], len(source.records) + len(source.rejections)
    )
    return examples, rejections


def _key_reader(source: Source, mapping: Mapping) -> Callable[[Record], tuple[str, str]]:
    """What gives a row's key, or why it has none of its own."""
    if not mapping.key:
        return lambda _: ("", "")
    place, seen = require_place(source, mapping.key), dict[str, Provenance]()

    def read(record: Record) -> tuple[str, str]:
        key = (text_at(record, place) or "").strip()
        if not key:
            return "", f"no value for the key {mapping.key!r}"
        first = seen.setdefault(key, record.provenance)
        twice = first != record.provenance
        return key, f"the key {mapping.key} = {key!r} is that of {first} too" if twice else ""

    return read


def _reader(source: Source, mapping: Mapping, documents: Collection[str]) -> _Read:
    read_inputs = input_reader(source, mapping.fields, documents, names=mapping.names)
    read_target = target_reader(source, mapping)

    def read(record: Record) -> tuple[dict[str, str], str, str]:
        inputs, reason = read_inputs(record)
        if reason:
            return {}, "", reason
        return inputs, *read_target(record)

    return read


def _read_chat(record: Record) -> tuple[dict[str, str], str, str]:
    try:
        messages, answer = example_of(record)
    except ValueError as error:
        return {}, "", str(error)
    return {MESSAGES: messages}, answer, ""


def _too_long(source: Source, record: Record, mapping: Mapping, target: str) -> SourceError:
    return SourceError(
        f"the target {mapping.targets[0]!r} has {len(target):,} characters, a label may have {MAX_LABEL_CHARS}: "
        f"{target[:60]!r}...",
        "shorten it, mend the row (a quote that is not closed?), name another column with --target NAME, or begin a "
        "task of `--kind generate` for texts",
        file=source.path,
        line=record.provenance.line,
    )


def row_text(record: Record) -> str:
    """The cells of a row, as a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(record.values.values())
    return text.getvalue()
