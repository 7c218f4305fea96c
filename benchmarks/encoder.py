"""How good and how fast the fine-tuned encoder is, beside logistic regression on the same encoder's embeddings.

    make bench-encoder                             # all cases; hours on two cores
    python benchmarks/encoder.py ten xsid-nl       # some of them; results of the others stay in the file

Reads the data sets of `../shared/data` (DATA), which are not part of the project: banking77 with 10 examples of a label
(three seeds), with 500 examples, and with all; the intents of xsid, 300 valid sentences a language. Each is what a user
would do: `add` with a test file, `train --model encoder`, then the served file answers every test row once.

Writes benchmarks/results/encoder.json.
"""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from common import machine, report

import inhouse
from inhouse.cli.terminal import Terminal
from inhouse.engine import get_base
from inhouse.engine.encoder import SentenceEncoder
from inhouse.store import load_settings

DATA = Path(os.environ.get("DATA", "../shared/data"))
Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """What is trained on, what is asked, and with how many seeds."""

    train: Rows
    test: Rows
    seeds: int = 1


def banking(name: str, seeds: int = 1) -> Case:
    """A training file of banking77, and its 3,080 test rows."""
    return Case(*(_read(DATA / "banking77" / f) for f in (name, "test.csv")), seeds)


def xsid(language: str) -> Case:
    """The intents of one language: 300 sentences to learn from, 500 to answer."""
    rows = [json.loads(line) for line in (DATA / "xsid" / "xsid.jsonl").read_text("utf-8").splitlines()]
    of = {
        s: [(r["text"], r["intent"]) for r in rows if r["lang"] == language and r["split"] == s]
        for s in ("valid", "test")
    }
    return Case(of["valid"], of["test"])


CASES = {
    "ten": lambda: banking("train_10_per_class.csv", seeds=3),
    "500": lambda: banking("train_500.csv"),
    "all": lambda: banking("train.csv"),
    "xsid-en": lambda: xsid("en"),
    "xsid-nl": lambda: xsid("nl"),
    "xsid-de": lambda: xsid("de"),
}


def main(names: Sequence[str]) -> None:
    """Measure, print, write."""
    file = Path(__file__).parent / "results" / "encoder.json"
    known: dict[str, Any] = json.loads(file.read_text("utf-8"))["cases"] if file.is_file() else {}
    for name in names or CASES:
        case = CASES[name]()
        runs: list[dict[str, Any]] = []
        rivals = {"embedding_linear": embedding_linear(case), "tfidf_svm_same_rows": tfidf_svm(case)}
        for seed in range(case.seeds):
            runs.append(measured(case, seed))
            known[name] = {
                "training_rows": len(case.train),
                "test_rows": len(case.test),
                "accuracy": median(run["accuracy"] for run in runs),
                **rivals,
                "runs": runs,
                "machine": machine(),
            }
            report("encoder", {"inhouse": inhouse.__version__, "cases": known})


def measured(case: Case, seed: int) -> dict[str, Any]:
    """Train with a seed; minutes of the whole command, and the accuracy of the served file on all test rows."""
    with tempfile.TemporaryDirectory() as name:
        folder, say = Path(name), Terminal()
        workspace = inhouse.open_workspace(folder)
        for which, rows in (("train", case.train), ("test", case.test)):
            _write(folder / f"{which}.csv", rows)
        inhouse.init(workspace, "intents", kind="classify")
        inhouse.add(workspace, "intents", [folder / "train.csv"], say, test=folder / "test.csv")
        begun, cpu = time.perf_counter(), time.process_time()
        trained = inhouse.train(workspace, "intents", say, model="encoder", seed=seed)
        minutes, cpu_minutes = (time.perf_counter() - begun) / 60, (time.process_time() - cpu) / 60
        done = inhouse.predict(workspace, "intents", folder / "test.csv", folder / "out.csv", which="latest")
        answers = [row["prediction"] for row in csv.DictReader((folder / "out.csv").open(encoding="utf-8"))]
    return {
        "seed": seed,
        "accuracy": sum(a == label for a, (_, label) in zip(answers, case.test, strict=True)) / len(case.test),
        "validation_score": trained.validation_score,
        "minutes": minutes,
        "cpu_minutes": cpu_minutes,
        "loop_minutes": trained.seconds / 60,
        "steps": trained.steps,
        "best_step": trained.best_step,
        "stopped_because": trained.stopped_because,
        "parity": {
            k: getattr(trained.parity, k) for k in ("passed", "tokens", "top1_agreement", "mean_logprob_difference")
        },
        "answers_per_second": done.rows / done.seconds,
    }


def embedding_linear(case: Case) -> float:
    """Accuracy of logistic regression (C = 10) on the encoder's own embeddings of all training rows."""
    from sklearn.linear_model import LogisticRegression

    encoder = SentenceEncoder(get_base("all-minilm-l6-v2", load_settings(Path("none.toml"))).folder)
    vectors = encoder.embed([text for text, _ in [*case.train, *case.test]])
    edge = len(case.train)
    model = LogisticRegression(C=10.0, max_iter=1000).fit(vectors[:edge], [label for _, label in case.train])
    return float(np.mean(model.predict(vectors[edge:]) == [label for _, label in case.test]))


def tfidf_svm(case: Case) -> float:
    """Accuracy of a linear SVM on TF-IDF, on the training rows that `add` leaves: those that are no test example."""
    from sklearn.svm import LinearSVC

    from inhouse.engine.label_head import NGrams

    asked = {_folded(text) for text, _ in case.test}
    rows = [(text, label) for text, label in case.train if _folded(text) not in asked]
    ngrams = NGrams.learn([text for text, _ in rows])
    model = LinearSVC(random_state=0).fit(ngrams.of([text for text, _ in rows]), [label for _, label in rows])
    found = model.predict(ngrams.of([text for text, _ in case.test]))
    return float(np.mean(found == [label for _, label in case.test]))


def _folded(text: str) -> str:
    return " ".join(text.lower().split())


def _read(file: Path) -> Rows:
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def _write(file: Path, rows: Rows) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerows([("text", "category"), *rows])


if __name__ == "__main__":
    main(sys.argv[1:])
