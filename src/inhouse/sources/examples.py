"""Records to Examples by a Mapping, and the file in which rejected rows are kept."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from inhouse.core import Example, Record, Rejection, input_key
from inhouse.errors import SourceError
from inhouse.sources.mapping import Mapping
from inhouse.sources.registry import Source, refuse_if_mostly_rejected

MAX_LABEL_CHARS = 200


def to_examples(source: Source, mapping: Mapping) -> tuple[list[Example], list[Rejection]]:
    """The examples in file order, and the rows that lack a needed value, an input or a target.

    Inputs and target lose their outer white space and are otherwise untouched. An example's group is its value in
    the group column; without one, or where it is empty, the `input_key` of its inputs.

    Raises:
        SourceError: a target of more than `MAX_LABEL_CHARS`, or over half of the file's rows are rejected, those
            that could not be read included.
    """
    examples: list[Example] = []
    rejections: list[Rejection] = []
    for record in source.records:
        reason = _unusable(record, mapping, source.nested)
        if reason:
            rejections.append(Rejection(record.provenance, reason, _as_text(record)))
        else:
            examples.append(_example(source, record, mapping))
    refuse_if_mostly_rejected(
        source.path, [*rejections, *source.rejections], len(source.records) + len(source.rejections)
    )
    return examples, rejections


def rejections_csv(rejections: Iterable[Rejection]) -> bytes:
    """Rejected rows as the bytes of a CSV file with the columns file, line, reason, row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "line", "reason", "row"])
    writer.writerows([r.provenance.file, r.provenance.line, r.reason, r.row] for r in rejections)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _unusable(record: Record, mapping: Mapping, nested: frozenset[str]) -> str:
    for name in (*mapping.fields, mapping.target):
        if name not in record.values:
            what = "a list or an object, or nothing, in" if name in nested else "no value for"
            return f"{what} column {name!r}"
    if not any(record.values[name].strip() for name in mapping.fields):
        return f"the input is empty ({', '.join(mapping.fields)})"
    if not record.values[mapping.target].strip():
        return f"the target is empty ({mapping.target})"
    return ""


def _example(source: Source, record: Record, mapping: Mapping) -> Example:
    inputs = {name: record.values[name].strip() for name in mapping.fields}
    target = record.values[mapping.target].strip()
    if len(target) > MAX_LABEL_CHARS:
        raise SourceError(
            f"the target {mapping.target!r} has {len(target):,} characters, a label may have {MAX_LABEL_CHARS}: "
            f"{target[:60]!r}...",
            "shorten it, mend the row (a quote that is not closed?), or name another column with --target NAME",
            file=source.path,
            line=record.provenance.line,
        )
    group = record.values.get(mapping.group, "").strip() if mapping.group else ""
    return Example(inputs, target, group or input_key(inputs), record.provenance)


def _as_text(record: Record) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(record.values.values())
    return text.getvalue()
