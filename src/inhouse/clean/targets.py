"""The checks on targets: suspect and broken ones, and the hygiene of labels."""

from __future__ import annotations

from collections.abc import Iterator

from inhouse.clean.hygiene import alike_names, confused_labels, merged_names, rare_labels
from inhouse.clean.registry import Subject, check
from inhouse.clean.suspects.cross_validation import cross_validated
from inhouse.clean.suspects.fields import field_faults
from inhouse.clean.suspects.labels import suspect_labels
from inhouse.clean.suspects.texts import broken_texts, often_invented, outline_often_broken, suspect_texts
from inhouse.clean.suspects.told import Fault, told
from inhouse.core import Finding


@check("suspect_target", cost="model")
def suspect_target(subject: Subject) -> Iterator[Finding]:
    """Targets that look wrong: a label that models do not believe, a value or a text unlike the others."""
    if subject.kind == "classify":
        renamed = merged_names(subject.dataset)
        if (models := cross_validated(subject, renamed)) is not None:
            yield from suspect_labels(subject, models, renamed)
        return
    faults = _of_fields(subject) if subject.kind == "extract" else suspect_texts(subject)
    yield from told(subject, "suspect_target", (f for f in faults if not f.broken), _seen(subject))
    if subject.kind == "generate":
        yield from outline_often_broken(subject)
        yield from often_invented(subject)


@check("broken_target", cost="model")
def broken_target(subject: Subject) -> Iterator[Finding]:
    """Targets that are wrong by what stands in their example: values that the input does not hold, sums that do not add
    up, sections that are missing or in another order."""
    if subject.kind == "classify":
        return
    faults = _of_fields(subject) if subject.kind == "extract" else broken_texts(subject)
    yield from told(subject, "broken_target", (f for f in faults if f.broken), _seen(subject))


@check("label_hygiene", cost="model")
def label_hygiene(subject: Subject) -> Iterator[Finding]:
    """Names that may be one label, labels of few examples, and labels that models cannot tell apart."""
    if subject.kind != "classify":
        return
    renamed = merged_names(subject.dataset)
    yield from alike_names(subject.dataset, renamed)
    yield from rare_labels(subject.dataset, renamed)
    if (models := cross_validated(subject, renamed)) is not None:
        yield from confused_labels(subject.dataset, models)


def _of_fields(subject: Subject) -> list[Fault]:
    if "field_faults" not in subject.memo:
        subject.memo["field_faults"] = list(field_faults(subject))
    found: list[Fault] = subject.memo["field_faults"]
    return found


def _seen(subject: Subject) -> str:
    return f"judged by {len(subject.dataset.examples)} examples"
