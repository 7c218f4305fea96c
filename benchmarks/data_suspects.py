"""Suspect and broken targets, measured: labels flipped on purpose, texts that do not match, swapped values.

`measure` gives the figures of `benchmarks/results/data.json` under `suspects`.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
from common import DATA
from numpy.typing import NDArray

from inhouse.clean import Subject
from inhouse.clean.suspects.texts import suspicion
from inhouse.clean.targets import broken_target, suspect_target
from inhouse.core import Dataset, Example, Finding, Provenance, canonical_hash, input_key, render_input
from inhouse.dataset import apply_findings
from inhouse.engine import ENCODER, get_base
from inhouse.engine.encoder import SentenceEncoder
from inhouse.store import Settings

SEEDS = (1, 2, 3)
FLIPPED = 0.1
STRENGTHS = (1.0, 10.0, 100.0)

Embed = Callable[[list[str]], NDArray[np.float32]]


def measure(shared: Path = DATA, seeds: Sequence[int] = SEEDS) -> dict[str, Any]:
    """All figures; `shared` holds banking77 and e2e."""
    return {
        "banking77_flipped_labels": flipped_labels(shared / "banking77", seeds),
        "e2e_mismatch": mismatched_texts(shared / "e2e" / "devel.csv"),
        "receipts_swapped_values": swapped_values(shared / "receipts" / "receipts.jsonl"),
    }


# --- labels


def flipped_labels(folder: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """With a tenth of the labels of train.csv flipped at random: precision at that number, and accuracy on all of
    test.csv of a linear model on sentence embeddings, before and after what is safe was applied. Seed 0 flips none.
    """
    train, test = _rows(folder / "train.csv"), _rows(folder / "test.csv")
    encoder = SentenceEncoder(get_base(ENCODER, Settings()).folder)
    texts = list(dict.fromkeys(row["text"] for row in [*train, *test]))
    vectors = dict(zip(texts, encoder.embed(texts), strict=True))

    def embed(asked: list[str]) -> NDArray[np.float32]:
        return np.array([vectors[text] for text in asked])

    rounds = [_one_flip(train, test, embed, seed) for seed in (0, *seeds)]
    flipped = rounds[1:]
    return {
        "flipped_share": FLIPPED,
        "precision_at_number": float(np.mean([one["precision_at_number"] for one in flipped])),
        "gain_of_safe": float(np.mean([one["accuracy_after"] - one["accuracy_before"] for one in flipped])),
        "gain_of_safe_unflipped": rounds[0]["accuracy_after"] - rounds[0]["accuracy_before"],
        "rounds": rounds,
    }


def _one_flip(
    train: Sequence[dict[str, str]], test: Sequence[dict[str, str]], embed: Embed, seed: int
) -> dict[str, float]:
    labels = sorted({row["category"] for row in train})
    dice = random.Random(seed)
    chosen = set(dice.sample(range(len(train)), int(FLIPPED * len(train)))) if seed else set()
    targets = [
        dice.choice([label for label in labels if label != row["category"]]) if i in chosen else row["category"]
        for i, row in enumerate(train)
    ]
    dataset = _dataset([row["text"] for row in train], targets)
    found = list(suspect_target(Subject(dataset, "classify", embed=embed)))
    safe = [finding for finding in found if finding.safe]
    mended = apply_findings(dataset, safe, 2, "safe")
    touched = {i for finding in safe for i in finding.touched}
    ranked = [_line(finding) for finding in found][: len(chosen)]
    return {
        "seed": float(seed),
        "flipped": float(len(chosen)),
        "precision_at_number": sum(i in chosen for i in ranked) / len(chosen) if chosen else 0.0,
        "safe": float(len(touched)),
        "precision_of_safe": len(touched & chosen) / len(touched) if chosen and touched else 0.0,
        "accuracy_before": _accuracy(dataset, test, embed),
        "accuracy_after": _accuracy(mended, test, embed),
    }


def _accuracy(dataset: Dataset, test: Sequence[dict[str, str]], embed: Embed) -> float:
    """Of logistic regression on embeddings, at the strength that does best on a tenth of the training rows, as the
    contender `embedding-linear` is made."""
    from sklearn.linear_model import LogisticRegression

    texts = [render_input(e.inputs) for e in dataset.examples]
    read, targets = embed(texts), np.array([e.target for e in dataset.examples])
    held = np.array([int(canonical_hash(text), 16) % 10 == 0 for text in texts])

    def fitted(strength: float, part: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - scikit-learn has no types
        return LogisticRegression(C=strength, max_iter=200).fit(read[part], targets[part])

    best = max(STRENGTHS, key=lambda c: float(np.mean(fitted(c, ~held).predict(read[held]) == targets[held])))
    model = fitted(best, np.ones_like(held))
    return float(np.mean(model.predict(embed([r["text"] for r in test])) == [r["category"] for r in test]))


# --- objects


def swapped_values(file: Path, number: int = 30) -> dict[str, float]:
    """Receipts read by text recognition, in `number` of which one field has the value of another receipt."""
    dice = random.Random(0)
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    wrong = set(dice.sample(range(len(rows)), number))
    targets = []
    for i, row in enumerate(rows):
        target = dict(row["fields"])
        if i in wrong:
            field = dice.choice(list(target))
            target[field] = dice.choice(
                [r["fields"][field] for r in rows if r["fields"].get(field, target[field]) != target[field]]
            )
        targets.append(json.dumps(target))
    found = broken_target(Subject(_dataset([row["text"] for row in rows], targets), "extract"))
    lines = {_line(finding) for finding in found}
    return {
        "planted": number,
        "precision": len(lines & wrong) / max(1, len(lines)),
        "recall": len(lines & wrong) / number,
    }


# --- texts


def mismatched_texts(file: Path) -> dict[str, float]:
    """Average precision of ranking all rows by suspicion, input `orig_mr`, target `ref`; `mr` is not read.

    The method was made on the rows whose input has an even hash; `held` is of the others.
    """
    from sklearn.metrics import average_precision_score

    rows = _rows(file)
    dataset = _dataset([row["orig_mr"] for row in rows], [row["ref"] for row in rows])
    scores = np.array(suspicion(Subject(dataset, "generate")))
    wrong = np.array([row["fixed"] == "1" for row in rows])
    held = np.array([int(md5(row["orig_mr"].encode()).hexdigest(), 16) % 10**9 % 2 == 1 for row in rows])
    return {
        "rows": float(len(rows)),
        "chance": float(wrong.mean()),
        "average_precision": float(average_precision_score(wrong, scores)),
        "average_precision_held": float(average_precision_score(wrong[held], scores[held])),
    }


def _line(finding: Finding) -> int:
    return int(finding.evidence[0].place.rpartition(":")[2])


def _dataset(texts: Sequence[str], targets: Sequence[str]) -> Dataset:
    """All of it to learn from; the line is the position."""
    examples = []
    for i, (text, target) in enumerate(zip(texts, targets, strict=True)):
        inputs = {"text": text}
        examples.append(Example(inputs, target, input_key(inputs), Provenance("rows.csv", i)))
    return Dataset("suspects", 1, tuple(examples), ("train",) * len(examples))


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))
