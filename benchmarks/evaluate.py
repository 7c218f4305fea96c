"""What a user gets who gives a data set to `run`: contenders, verdict, review rates, consistency, minutes.

    make bench-evaluate                                    # all cases; many hours on two cores
    make bench-evaluate CASES="ten ledger"                 # some of them; results of the others stay in the file

Cases: `ten`, `500` and `all` of banking77 (10 examples of a label, 500 in all, all), `receipts` (split by company),
`xsid-en`, `-de`, `-nl`, `-it` (300 sentences to learn from, 500 to answer), `e2e` (500 examples), and the project's own
examples by their folder. The data sets are read from DATA (../shared/data), no part of the project. Each is run in a
fresh folder by the installed program. `all` is for the encoder alone: a language model would take a day.

Writes benchmarks/results/evaluate.json, and the table of examples/README.md from what it holds of the examples.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import DATA, ROOT, machine, report

import inhouse

EXAMPLES = ROOT / "examples"
TABLE = ("<!-- verdicts: written by benchmarks/evaluate.py -->\n", "<!-- end of verdicts -->\n")
# The names of contenders that only prompt the same base.
PROMPTING = ("prompted", "few-shot", "prompted-best", "retrieval", "grounded")
FINE_TUNED = "fine-tuned"
ERRORS = (0.02, 0.05)
E2E_ROWS, E2E_TESTS = 500, 500


@dataclass(frozen=True)
class Case:
    """What is typed behind `run NAME`: files of rows, written by `files` into a folder, and options."""

    files: Callable[[Path], Sequence[Path]]
    options: tuple[str, ...]


def given(file: Path, *options: str) -> Case:
    """A file that is taken as it is."""
    return Case(lambda folder: [file], options)


def banking(name: str, *options: str) -> Case:
    """A training file of banking77 with its 3,080 test rows."""
    test = str(DATA / "banking77" / "test.csv")
    return given(DATA / "banking77" / name, "--input", "text", "--target", "category", "--test", test, *options)


def receipts(folder: Path) -> Sequence[Path]:
    """The receipts, with the company beside them to split by."""
    lines = (DATA / "receipts" / "receipts.jsonl").read_text("utf-8").splitlines()
    return [_jsonl(folder / "rows.jsonl", [json.loads(line) for line in lines])]


def xsid(language: str) -> Case:
    """Intent and slots of one language: its valid sentences to learn from, its test sentences to answer."""

    def files(folder: Path) -> Sequence[Path]:
        lines = (DATA / "xsid" / "xsid.jsonl").read_text("utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["lang"] == language]
        of = {
            split: [
                {"text": row["text"], "answer": {"intent": row["intent"], "slots": row["slots"]}}
                for row in rows
                if row["split"] == split
            ]
            for split in ("valid", "test")
        }
        return [_jsonl(folder / f"{split}.jsonl", of[split]) for split in ("valid", "test")]

    return Case(files, ("--kind", "extract", "--input", "text", "--target", "answer"))


def e2e(folder: Path) -> Sequence[Path]:
    """Attributes and descriptions, both in an order without meaning: some to learn from, others to answer.

    Descriptions of the same attributes are on one side.
    """
    with (DATA / "e2e" / "devel.csv").open(encoding="utf-8", newline="") as lines:
        rows = [{"mr": row["mr"], "ref": row["ref"]} for row in csv.DictReader(lines)]
    known = list(dict.fromkeys(row["mr"] for row in rows))
    asked = set(known[::3])
    return [
        _jsonl(folder / "train.jsonl", [row for row in rows if row["mr"] not in asked][:E2E_ROWS]),
        _jsonl(folder / "test.jsonl", [row for row in rows if row["mr"] in asked][:E2E_TESTS]),
    ]


def example(folder: str, file: str, *options: str) -> Case:
    """One of the project's own examples, as examples/README.md types it."""
    return given(EXAMPLES / folder / file, *options)


LEDGER = ("--input", "supplier", "--input", "description", "--input", "amount", "--target", "account")
GOODS = ("--input", "shipper", "--input", "description", "--input", "weight_kg", "--target", "hs_code")
OWN = {
    "ledger": example("ledger", "invoice_lines.csv", *LEDGER, "--group", "invoice_no"),
    "invoices": example(
        "invoices",
        "invoices.jsonl",
        "--kind",
        "extract",
        "--input",
        "document",
        "--target",
        "fields",
        "--group",
        "supplier",
    ),
    "cv": example("cv", "cvs.jsonl", "--kind", "generate", "--input", "cv", "--target", "summary"),
    "customs": example("customs", "goods.csv", *GOODS, "--group", "shipment"),
    "production": example(
        "production", "reports.jsonl", "--kind", "extract", "--input", "report", "--target", "fields"
    ),
    "replies": example(
        "replies", "mails.jsonl", "--kind", "generate", "--input", "mail", "--input", "facts", "--target", "letter"
    ),
}
CASES = {
    "ten": banking("train_10_per_class.csv"),
    "500": banking("train_500.csv"),
    "all": banking("train.csv", "--model", "encoder"),
    "receipts": Case(receipts, ("--input", "text", "--target", "fields", "--group", "fields.company")),
    **{f"xsid-{language}": xsid(language) for language in ("en", "de", "nl", "it")},
    "e2e": Case(e2e, ("--kind", "generate", "--input", "mr", "--target", "ref")),
    **OWN,
}


def main(names: Sequence[str]) -> None:
    """Run, write after each case, and bring the table of the examples up to date."""
    if unknown := sorted(set(names) - set(CASES)):
        sys.exit(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    file = Path(__file__).parent / "results" / "evaluate.json"
    known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {"cases": {}}
    for name in names or CASES:
        known["cases"][name] = measured(CASES[name])
        report("evaluate", {"inhouse": inhouse.__version__, "cases": known["cases"]})
    page = EXAMPLES / "README.md"
    page.write_text(with_table(page.read_text("utf-8"), known["cases"]), "utf-8")


def measured(case: Case) -> dict[str, Any]:
    """One run of the installed program in a fresh folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, *test = case.files(folder)
        command = [str(Path(sys.executable).with_name("inhouse")), "run", "task", str(rows), *case.options]
        command += [word for file in test for word in ("--test", str(file))]
        begun = time.perf_counter()
        done = subprocess.run(
            [*command, "--json", "--workspace", str(folder / "w")], stdout=subprocess.PIPE, text=True, check=True
        )
        minutes = (time.perf_counter() - begun) / 60
    ran = json.loads(done.stdout)
    return {
        **told(ran["evaluation"]),
        "minutes": minutes,
        "training_minutes": ran["train"]["seconds"] / 60,
        "machine": machine(),
    }


def told(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an evaluation, what is ours against its rivals first."""
    primary, contenders = evaluation["primary_metric"], evaluation["contenders"]
    values = {c["name"]: c["metrics"][primary] for c in contenders if primary in c["metrics"]}
    return {
        "metric": primary,
        "ours": best(values, lambda name: name.startswith(FINE_TUNED)),
        "best_alternative": best(values, lambda name: not name.startswith(FINE_TUNED)),
        "best_prompting": best(values, lambda name: name in PROMPTING),
        "against_prompting": [c for c in evaluation["comparisons"] if c["theirs"] in PROMPTING],
        "verdict": evaluation["verdict"],
        "test_examples": evaluation["test_examples"],
        "contenders": {
            c["name"]: {"metrics": c["metrics"], "seconds": c["seconds"], "fit_seconds": c["fit_seconds"]}
            for c in contenders
        },
        "left_out": evaluation["left_out"],
        "reviews": [
            {key: review[key] for key in ("contender", "target_errors", "review_rate", "certain", "more_examples")}
            for review in evaluation["reviews"]
            if review["target_errors"] in ERRORS
        ],
        "consistency": evaluation["consistency"],
    }


def best(values: Mapping[str, Mapping[str, float]], side: Callable[[str], bool]) -> dict[str, Any] | None:
    """The contender of a side that has the highest value on the test, with its interval; None where there is none."""
    names = [name for name in values if side(name)]
    return max(({"name": n, **values[n]} for n in names), key=lambda one: one["value"], default=None)


def with_table(page: str, cases: Mapping[str, Any]) -> str:
    """The page with the table of verdicts of the examples that were measured; as it was where none was."""
    rows = [verdict_row(name, cases[name]) for name in OWN if name in cases]
    if not rows:
        return page
    before, rest = page.split(TABLE[0])
    after = rest.split(TABLE[1])[1]
    head = "| example | verdict | fine-tuned | best alternative | minutes |\n|---|---|---|---|---|\n"
    return f"{before}{TABLE[0]}{head}{''.join(rows)}{TABLE[1]}{after}"


def verdict_row(name: str, case: Mapping[str, Any]) -> str:
    """One row: the decision, and what both sides have on the primary metric, with 95 % intervals."""
    ours, other = (
        f"{one['name']}: {one['value']:.1%} ({one['low']:.1%} to {one['high']:.1%})" if one else "none"
        for one in (case["ours"], case["best_alternative"])
    )
    decision = case["verdict"]["decision"].replace("_", " ")
    return f"| {name} | {decision} ({case['metric']}) | {ours} | {other} | {case['minutes']:.0f} |\n"


def _jsonl(file: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


if __name__ == "__main__":
    main(sys.argv[1:])
