"""The data card of a dataset version: made with it, and made anew by each look at it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import inhouse.dataset as datasets
from inhouse.clean.card import Change, as_html, as_markdown, make_card
from inhouse.core import Dataset, Finding, Kind
from inhouse.evaluate import page_style
from inhouse.store import Workspace, records, write_bytes
from inhouse.store.database import now

# Rows up to which a version is compared with one that would have to be read for that.
_COMPARED = 50_000


def save_version(
    workspace: Workspace,
    kind: Kind,
    dataset: Dataset,
    before: Dataset | None,
    added: Sequence[dict[str, Any]] = (),
    *,
    findings: Sequence[Finding] = (),
    checked: Collection[str] = (),
) -> Path:
    """Store a dataset version with its card: both or none. The caller holds `Workspace.changing_data`.

    Args:
        before: the version that it was made from.
        findings: what was found in `before` and not applied; `checked`: the checks that looked.

    Returns:
        The card as HTML; the Markdown lies beside it.

    Raises:
        DiskFull
    """
    page = workspace.paths.card(dataset.task, dataset.number)
    with workspace.undoing(page, page.with_suffix(".md")):
        write_card(workspace, kind, dataset, before, findings, checked)
        records.save_dataset(workspace, dataset, added)
    return page


def write_card(
    workspace: Workspace,
    kind: Kind,
    dataset: Dataset,
    before: Dataset | None = None,
    findings: Sequence[Finding] = (),
    checked: Collection[str] = (),
) -> Path:
    """Write the card of a version, over an earlier one; see `save_version`."""
    if before is None:
        before = _parent(workspace, dataset)
    card = make_card(dataset, kind, findings, checked, _changes(workspace, dataset, before), now()[:19])
    page = workspace.paths.card(dataset.task, dataset.number)
    write_bytes(page, as_html(card, page_style()).encode("utf-8"))
    write_bytes(page.with_suffix(".md"), as_markdown(card).encode("utf-8", "replace"))
    return page


def _parent(workspace: Workspace, dataset: Dataset) -> Dataset | None:
    """The version before, where there is one and it is small enough to be read for a comparison."""
    if dataset.parent is None or len(dataset.examples) > _COMPARED:
        return None
    return records.load_dataset(workspace, dataset.task, dataset.parent)


def _changes(workspace: Workspace, dataset: Dataset, before: Dataset | None) -> list[Change]:
    known = records.versions(workspace, dataset.task)
    earlier = [
        Change(v.number, v.reason, v.created_at, sum(v.counts.values()))
        for v in known.values()
        if v.number < dataset.number
    ]
    made = known[dataset.number].created_at if dataset.number in known else now()
    this = Change(dataset.number, dataset.reason, made, len(dataset.examples), _told(dataset, before))
    return [*earlier, this]


def _told(dataset: Dataset, before: Dataset | None) -> str:
    if before is None:
        return ""
    found = datasets.difference(before, dataset)
    return (
        f"{len(found.added):,} added, {len(found.removed):,} removed, {len(found.changed):,} changed, against version "
        f"{before.number}{'; the test is another' if found.test_changed else ''}"
    )
