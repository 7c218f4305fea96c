"""Whether the twins between banking77's train and test are found; the reference compares each with each.

DATA=../shared/data python benchmarks/data_twins.py
"""

from __future__ import annotations

import csv
import json
import time
from typing import Any

from common import DATA
from sklearn.feature_extraction.text import TfidfVectorizer

from inhouse.core import folded
from inhouse.scoring.twins import near_twins

BANKING77 = DATA / "banking77"
NEAR = 0.90


def _texts(name: str) -> list[str]:
    with (BANKING77 / name).open(newline="", encoding="utf-8") as file:
        return [folded(row["text"]) for row in csv.DictReader(file)]


def measure() -> dict[str, Any]:
    """Recall of the near-twins of two references (stretches within words and across them), and precision on both."""
    train, test = _texts("train.csv"), _texts("test.csv")
    start = time.perf_counter()
    texts = list(dict.fromkeys((*train, *test)))
    pairs = {(texts[i], texts[j]) for i, j, _ in near_twins(texts)}
    seconds = time.perf_counter() - start
    in_train, in_test = set(train), set(test)
    found = {(a, b) for pair in pairs for a, b in (pair, pair[::-1]) if a in in_train and b in in_test}
    exact = in_train & in_test
    results: dict[str, Any] = {"seconds": round(seconds, 2), "pairs_found": len(found), "exact_twins": len(exact)}
    confirmed: set[tuple[str, str]] = set()
    for analyzer in ("char_wb", "char"):
        vectorizer = TfidfVectorizer(analyzer=analyzer, ngram_range=(3, 5)).fit((*train, *test))
        cosines = (vectorizer.transform(train) @ vectorizer.transform(test).T).tocoo()
        near = cosines.data >= NEAR
        wanted = {(train[i], test[j]) for i, j in zip(cosines.row[near], cosines.col[near], strict=True)}
        wanted = {pair for pair in wanted if pair[0] != pair[1]}
        confirmed |= wanted
        tests = {b for _, b in wanted}
        results[analyzer] = {
            "pairs": len(wanted),
            "recall_of_pairs": round(len(wanted & found) / len(wanted), 4),
            "test_rows": len(tests),
            "recall_of_test_rows": round(len(tests & {b for _, b in found}) / len(tests), 4),
        }
    return {**results, "precision": round(len(found & confirmed) / len(found), 4)}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
