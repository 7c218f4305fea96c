"""The auditor's report: which personal data and secrets were looked for, found, masked, and what remains; none of it is
in the report itself."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from inhouse.clean import CHECKS, Subject
from inhouse.clean.personal import KINDS, PLACEHOLDER
from inhouse.core import SPLITS, Dataset, Finding, Task
from inhouse.errors import UsageError
from inhouse.pipeline.use import check_writable
from inhouse.store import Workspace, disk_guard, records
from inhouse.store.database import now
from inhouse.store.paths import write_bytes

Row = tuple[str, ...]


class Section(NamedTuple):
    """A heading, what is said below it, and a table, whose first row is its head."""

    title: str
    lines: Sequence[str]
    table: Sequence[Row] = ()


def require_report_file(file: Path) -> None:
    """Look whether a report can be written, before the work.

    Raises:
        UsageError: its name does not say how it is to be written.
        InputError: there is no such folder, or it cannot be written to.
    """
    if file.suffix.lower() not in (".md", ".html"):
        raise UsageError(f"--report {file}: a report is Markdown or HTML", "give it a name that ends with .md or .html")
    check_writable(file, "--report")


def write_report(
    file: Path,
    workspace: Workspace,
    task: Task,
    dataset: Dataset,
    found: Sequence[Finding],
    applied: Sequence[Finding],
    newer: Dataset | None,
) -> None:
    """Write the report on a dataset version, and on the version that applying findings made of it.

    Raises:
        DiskFull
    """
    sections = _sections(workspace, task, dataset, found, applied, newer)
    title = f"Personal data in the task {task.name}"
    text = _as_html(title, sections) if file.suffix.lower() == ".html" else _as_markdown(title, sections)
    with disk_guard(file.parent):
        write_bytes(file, text.encode("utf-8"))


def _sections(
    workspace: Workspace,
    task: Task,
    dataset: Dataset,
    found: Sequence[Finding],
    applied: Sequence[Finding],
    newer: Dataset | None,
) -> list[Section]:
    counts = dataset.counts()
    about = [
        f"Written on {now()[:16].replace('T', ' at ')} UTC by inhouse {version('inhouse')}.",
        f"Dataset version {dataset.number} (fingerprint {dataset.fingerprint}): {len(dataset.examples)} examples, "
        + ", ".join(f"{counts[s]} {s}" for s in SPLITS)
        + ".",
    ]
    last = newer or dataset
    if newer is not None:
        about.append(f"What was applied made version {newer.number} (fingerprint {newer.fingerprint}).")
        left = [f for name in {kind.check for kind in KINDS.values()} for f in CHECKS[name](Subject(newer, task.kind))]
    else:
        left = list(found)
    kept = workspace.paths.mask_map(task.name).is_file()
    return [
        Section("What this is about", about),
        Section(
            "What was looked for, and how",
            ["Looked at: every input field, and every answer but the labels of a classify task."],
            [("kind", "how"), *((kind.several, kind.how) for kind in KINDS.values())],
        ),
        Section(f"Found in version {dataset.number}", [], _table(_counted(dataset, found))),
        Section(
            "Masked now",
            ["Each was replaced by a placeholder, the same one wherever the same original stood."],
            _table(_counted(dataset, applied)),
        ),
        Section(f"Placeholders in version {last.number}", [], _table(_placeholders(last))),
        Section(f"Remains in version {last.number}", [], _table(_counted(last, left))),
        Section("What else to know", _also(workspace, last, kept=kept)),
    ]


def _also(workspace: Workspace, last: Dataset, *, kept: bool) -> list[str]:
    older = [n for n in range(1, last.number) if n <= records.latest_dataset(workspace, last.task)]
    lines = [
        "The map of placeholders to originals is kept in the workspace, encrypted; its key is not in the workspace."
        if kept
        else "There is no map of placeholders to originals: masking cannot be undone.",
        "Automatic search does not find all: names and addresses that nothing announces are missed most often. Have a "
        "person look at a sample.",
    ]
    if older:
        lines.append(
            f"Versions before {last.number} are unchanged and hold what was in them, as do the files that were added, "
            "models that were trained on those versions, and traces of what was served."
        )
    return lines


def _counted(dataset: Dataset, findings: Iterable[Finding]) -> Counter[tuple[str, str]]:
    """How many stretches there are by kind and split."""
    return Counter(
        (stretch.text.strip('"[]'), dataset.splits[position])
        for finding in findings
        for position, stretches in finding.mask.items()
        for stretch in stretches
    )


def _placeholders(dataset: Dataset) -> Counter[tuple[str, str]]:
    return Counter(
        (kind, split)
        for example, split in zip(dataset.examples, dataset.splits, strict=True)
        for text in (*example.inputs.values(), example.target, example.rejected)
        for kind, _ in (PLACEHOLDER.findall(text) if "_" in text else ())
    )


def _table(counts: Counter[tuple[str, str]]) -> list[Row]:
    rows = [
        (kind.several, *(str(counts[name, split]) for split in SPLITS), str(sum(counts[name, s] for s in SPLITS)))
        for name, kind in KINDS.items()
        if any(counts[name, split] for split in SPLITS)
    ]
    return [("kind", *SPLITS, "all"), *rows] if rows else [("kind", *SPLITS, "all"), ("nothing", "0", "0", "0", "0")]


def _as_markdown(title: str, sections: Iterable[Section]) -> str:
    parts = [f"# {title}"]
    for section in sections:
        parts.append(f"## {section.title}")
        parts += section.lines
        if section.table:
            head, *rows = (f"| {' | '.join(row)} |" for row in section.table)
            parts.append("\n".join([head, f"|{'---|' * len(section.table[0])}", *rows]))
    return "\n\n".join(parts) + "\n"


def _as_html(title: str, sections: Iterable[Section]) -> str:
    style = "body{font:16px sans-serif;max-width:50em;margin:2em auto}table{border-collapse:collapse}"
    style += "td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}"
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{html.escape(section.title)}</h2>")
        parts += [f"<p>{html.escape(line)}</p>" for line in section.lines]
        if section.table:
            rows = "".join(
                f"<tr>{''.join(f'<{cell}>{html.escape(value)}</{cell}>' for value in row)}</tr>"
                for cell, row in zip(["th", *["td"] * len(section.table)], section.table, strict=False)
            )
            parts.append(f"<table>{rows}</table>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style>\n{body}\n</html>\n"
    )
