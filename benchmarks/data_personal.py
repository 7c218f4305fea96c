"""Personal data: recall and precision on sentences with known spans, false alarms on data without any, and the speed.

Run alone it prints its part; `measure` returns it for `results/data.json`.
"""

from __future__ import annotations

import csv
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common import DATA

from inhouse.clean import CHECKS, Subject
from inhouse.clean.personal.look import personal, secret
from inhouse.core import Dataset, Example, Provenance

EXAMPLES = Path(__file__).parents[1] / "examples"
# The benchmark's names of what the check calls so.
SAME = {
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "US_SSN": "NATIONAL_ID",
    "US_DRIVER_LICENSE": "NATIONAL_ID",
    "PERSON": "PERSON",
    "STREET_ADDRESS": "ADDRESS",
}
# What else a found stretch may rightly hold: an address its town and postal code, a date of birth a date.
ALSO = {"ADDRESS": ("GPE", "ZIP_CODE"), "BIRTH_DATE": ("DATE_TIME",)}
# Of a name or an address half the letters count, of anything else all.
ENOUGH = {"PERSON": 0.5, "ADDRESS": 0.5}


def dataset(texts: Iterable[str]) -> Dataset:
    """Texts as the training examples of a dataset."""
    rows = tuple(Example({"text": t}, "", str(i), Provenance("d", i), id=str(i)) for i, t in enumerate(texts))
    return Dataset("t", 1, rows, ("train",) * len(rows), fingerprint="-")


def spans(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Recall by kind of gold span, precision by kind of finding.

    The templates with an even number served to develop the patterns, those with an odd number did not.
    """
    found = personal(dataset(row["full_text"] for row in rows), "classify")
    wanted: Counter[str] = Counter()
    got: Counter[str] = Counter()
    told: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for i, row in enumerate(rows):
        stretches = [f for _, f in found.get(i, [])]
        for gold in row["spans"]:
            if kind := SAME.get(gold["entity_type"]):
                wanted[gold["entity_type"]] += 1
                got[gold["entity_type"]] += covered(row["full_text"], gold, stretches, kind) >= ENOUGH.get(kind, 1.0)
        for one in stretches:
            told[one.kind] += 1
            right[one.kind] += any(
                one.start < gold["end_position"]
                and gold["start_position"] < one.end
                and (SAME.get(gold["entity_type"]) == one.kind or gold["entity_type"] in ALSO.get(one.kind, ()))
                for gold in row["spans"]
            )
    return {
        "sentences": len(rows),
        "recall": {kind: [got[kind], n, round(got[kind] / n, 4)] for kind, n in sorted(wanted.items())},
        "precision": {kind: [right[kind], n, round(right[kind] / n, 4)] for kind, n in sorted(told.items())},
    }


def covered(text: str, gold: dict[str, Any], stretches: Iterable[Any], kind: str) -> float:
    """The share of a gold span's letters and digits that stretches of the kind hold."""
    inside = [i for i in range(gold["start_position"], gold["end_position"]) if text[i].isalnum()]
    held = sum(any(f.kind == kind and f.start <= i < f.end for f in stretches) for i in inside)
    return held / len(inside)


def alarms(texts: Sequence[str]) -> dict[str, Any]:
    """What is found in texts, by kind."""
    data = dataset(texts)
    kinds = Counter(
        f.kind for look in (personal, secret) for found in look(data, "classify").values() for _, f in found
    )
    return {"texts": len(texts), "found": dict(sorted(kinds.items()))}


def speed(rows: int = 100_000) -> dict[str, Any]:
    """Processor seconds of both checks on texts of 300 characters, of which 1 in 20 holds something."""
    dice = random.Random(1)
    questions = column(DATA / "banking77" / "train.csv", "text")
    texts = []
    for i in range(rows):
        text = " ".join(dice.choices(questions, k=12))[:300]
        if i % 20 == 0:
            extra = (f"Mail a.b{i}@example.com", f"Call 06-{dice.randrange(10**8):08}", "IBAN NL91ABNA0417164300")
            text += dice.choice((*extra, "\nRegards,\nPieter Hoogwolde", " on 12.03.2024 for 1.234,56"))
        texts.append(text)
    data = dataset(texts)
    personal(dataset(texts[:100]), "classify")  # what is made once is not counted by the row
    began, wall = time.process_time(), time.perf_counter()
    findings = [f for name in ("personal_data", "secret") for f in CHECKS[name](Subject(data, "classify"))]
    return {
        "rows": rows,
        "findings": len(findings),
        "cpu_seconds": round(time.process_time() - began, 2),
        "seconds": round(time.perf_counter() - wall, 2),
    }


def column(file: Path, name: str) -> list[str]:
    """One column of a CSV file."""
    return [row[name] for row in csv.DictReader(file.read_text("utf-8").splitlines())]


def measure() -> dict[str, Any]:
    """All of it."""
    sentences = json.loads((DATA / "pii" / "sentences.json").read_text("utf-8"))
    receipts = [json.loads(line) for line in (DATA / "receipts" / "receipts.jsonl").read_text("utf-8").splitlines()]
    return {
        "pii": spans(sentences),
        "pii_templates_not_developed_on": spans([s for s in sentences if s["template_id"] % 2]),
        "false_alarms": {
            "banking77": alarms(column(DATA / "banking77" / "train.csv", "text")),
            "e2e": alarms(column(DATA / "e2e" / "devel.csv", "ref")),
            "receipts": alarms([row["text"] for row in receipts]),
            "ledger": alarms(column(EXAMPLES / "ledger" / "invoice_lines.csv", "description")),
        },
        "speed": speed(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
