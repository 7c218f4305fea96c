"""The faults planted in the project's own examples: how many of each kind are found, and how much else is said.

    python benchmarks/data_planted.py [EXAMPLE ...]

Each example is measured as it lies in `examples/`, and as its generator makes it with other seeds. Its rows are added
with the test file of the example, so that all of them are learned from and leaks can be seen; the labels of the ledger
also without it, where a part of the rows is held back for the test.

Of each kind: how many were `planted` and `told`, how many of these are `right`, `recall` and `precision`. A pair is
found by a finding that shows both its rows. Wrong labels are judged at the number planted: of so many suspects, the
first ones, rows of planted contradictions left out. `precision` of a kind of broken target is that of the check.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import inhouse
from inhouse.core import Dataset, Finding
from inhouse.store import records

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SEEDS = (11, 12)
Pair = frozenset[tuple[str, int]]
Figures = dict[str, float]


@dataclass(frozen=True)
class Example:
    """How an example is added, and which of its faults are broken targets."""

    kind: str
    file: str
    test: str
    inputs: tuple[str, ...]
    target: str
    group: str = ""
    broken: tuple[str, ...] = ()


EACH = {
    "ledger": Example(
        "classify",
        "invoice_lines.csv",
        "test_lines.csv",
        ("supplier", "description", "amount"),
        "account",
        "invoice_no",
    ),
    "invoices": Example(
        "extract",
        "invoices.jsonl",
        "test_invoices.jsonl",
        ("document",),
        "fields",
        broken=("wrong_total", "wrong_date", "wrong_number", "wrong_supplier", "missing_line"),
    ),
    "cv": Example(
        "generate",
        "cvs.jsonl",
        "test_cvs.jsonl",
        ("cv",),
        "summary",
        broken=("missing_section", "swapped_sections", "invented_employer", "invented_figure"),
    ),
}
# What a planted pair is told as.
PAIRS = {
    "exact_duplicate": "exact_duplicate",
    "duplicate": "exact_duplicate",
    "near_duplicate": "near_duplicate",
    "contradiction": "contradiction",
    "leakage": "leakage",
}
PERSONAL = {"iban": "IBAN", "email": "EMAIL", "phone": "PHONE", "bsn": "NATIONAL_ID"}


def measure(names: Collection[str] = tuple(EACH), seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """By example and seed (`shipped`: as it lies there), by kind of fault, the figures."""
    found: dict[str, Any] = {}
    for name in names:
        found[name] = {"shipped": of(name, EXAMPLES / name)}
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                generate = [sys.executable, str(EXAMPLES / name / "generate.py"), "--seed", str(seed), "--out", folder]
                subprocess.run(generate, check=True)
                found[name][f"seed_{seed}"] = of(name, Path(folder))
    return found


def of(name: str, folder: Path) -> dict[str, Figures]:
    """The figures of an example in a folder."""
    example = EACH[name]
    key = json.loads((folder / "planted_faults.json").read_text("utf-8"))["faults"]
    planted: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for fault in key:
        planted[fault["fault"]].append(fault)
    dataset, findings, rejected = looked_at(example, folder, with_test=True)
    figures = {kind: _pairs(example, planted[kind], findings, PAIRS[kind]) for kind in PAIRS if planted[kind]}
    figures |= _broken(example, planted, findings)
    for kind in ("empty_document", "no_fields"):
        if planted[kind]:
            figures[kind] = _of_rows(
                _rows(planted[kind]), rejected, _rows(planted["empty_document"], planted["no_fields"])
            )
    if planted["personal_data"]:
        figures |= _personal(example, planted["personal_data"], dataset, findings)
    if planted["wrong_label"]:
        figures["wrong_label"] = _labels(example, planted, findings)
        _, alone, _ = looked_at(example, folder, with_test=False)
        figures["wrong_label_without_test_file"] = _labels(example, planted, alone)
    return figures


def looked_at(example: Example, folder: Path, *, with_test: bool) -> tuple[Dataset, Sequence[Finding], set[int]]:
    """The dataset of an example, what `clean` finds in it, and the lines that `add` rejected."""
    with tempfile.TemporaryDirectory() as place:
        workspace = inhouse.open_workspace(place)
        inhouse.init(workspace, "planted", kind=example.kind)
        added = inhouse.add(
            workspace,
            "planted",
            [folder / example.file],
            test=folder / example.test if with_test else None,
            inputs=example.inputs,
            target=example.target,
            group=example.group,
        )
        found = inhouse.clean(workspace, "planted")
        rejected = {one.line for one in added.rejections}
        return records.load_dataset(workspace, "planted"), found.findings, rejected


def _pairs(example: Example, faults: Iterable[Mapping[str, Any]], findings: Iterable[Finding], check: str) -> Figures:
    wanted: set[Pair] = set()
    for fault in faults:
        rows = {(example.file, row) for row in fault["rows"]}
        if "test_row" in fault["detail"]:
            rows.add((example.test, fault["detail"]["test_row"]))
        wanted.add(frozenset(rows))
    told = [{_place(one.place) for one in finding.evidence} for finding in findings if finding.check == check]
    met = {pair for pair in wanted if any(pair <= shown for shown in told)}
    right = sum(any(pair <= shown for pair in wanted) for shown in told)
    return _figures(len(wanted), len(told), right, len(met))


def _broken(
    example: Example, planted: Mapping[str, Sequence[Mapping[str, Any]]], findings: Iterable[Finding]
) -> dict[str, Figures]:
    if not example.broken:
        return {}
    aside = _rows(planted["contradiction"])
    told = {line for one in findings if one.check == "broken_target" for line in _lines(example, one)} - aside
    wrong = _rows(*(planted[kind] for kind in example.broken))
    found = {kind: _of_rows(_rows(planted[kind]), told, wrong) for kind in example.broken}
    return {"broken_target": _of_rows(wrong, told, wrong), **found}


def _labels(
    example: Example, planted: Mapping[str, Sequence[Mapping[str, Any]]], findings: Iterable[Finding]
) -> Figures:
    wrong, aside = _rows(planted["wrong_label"]), _rows(planted["contradiction"])
    ranked = [line for one in findings if one.check == "suspect_target" for line in _lines(example, one)[:1]]
    first = [line for line in ranked if line not in aside][: len(wrong)]
    return _of_rows(wrong, set(first), wrong)


def _personal(
    example: Example, faults: Sequence[Mapping[str, Any]], dataset: Dataset, findings: Iterable[Finding]
) -> dict[str, Figures]:
    found = {}
    for kind, called in PERSONAL.items():
        wanted = {(fault["rows"][0], fault["detail"]["value"]) for fault in faults if fault["detail"]["kind"] == kind}
        told = {
            (dataset.examples[i].provenance.line, dataset.examples[i].inputs[mask.field][mask.start : mask.end])
            for one in findings
            if one.check == "personal_data"
            for i, masks in one.mask.items()
            for mask in masks
            if mask.text == f"[{called}]" and dataset.examples[i].provenance.file == example.file
        }
        found[f"personal_data_{kind}"] = _figures(len(wanted), len(told), len(told & wanted), len(told & wanted))
    return found


def _of_rows(wanted: set[int], told: set[int], right: set[int]) -> Figures:
    return _figures(len(wanted), len(told), len(told & right), len(told & wanted))


def _figures(planted: int, told: int, right: int, met: int) -> Figures:
    return {
        "planted": planted,
        "told": told,
        "right": right,
        "recall": round(met / planted, 4),
        "precision": round(right / told, 4) if told else 0.0,
    }


def _rows(*faults: Iterable[Mapping[str, Any]]) -> set[int]:
    return {row for some in faults for fault in some for row in fault["rows"]}


def _lines(example: Example, finding: Finding) -> list[int]:
    return [line for file, line in (_place(one.place) for one in finding.evidence) if file == example.file]


def _place(place: str) -> tuple[str, int]:
    file, _, line = place.rpartition(":")
    return file, int(line)


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1:] or tuple(EACH)), indent=1))
