"""Near-twins are found, told side by side, and only what they are: other numbers make another input."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

import inhouse.scoring.twins as twins
import inhouse.sources as sources
from inhouse.clean import find, leaked_tests
from inhouse.clean.twins import bare, clusters
from inhouse.core import Dataset, Example, Provenance, folded, input_key
from inhouse.scoring.twins import NEAR, Likeness, near_twins

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = Path(os.environ.get("DATA", Path(__file__).parents[3] / "shared" / "data"))
BANKING77 = DATA / "banking77"
LONG = "The pump on the second floor of the car park has been making a loud noise since Monday and leaks a little"
OTHER = ["where is my parcel", "how do i get a refund", "the app crashes at start", "please call me back tomorrow"]


def look(*rows, kind="classify", check=""):
    """Findings on rows of (text or inputs, target, split); the line is the position."""
    examples = []
    for line, (text, target, _) in enumerate(rows):
        inputs = text if isinstance(text, dict) else {"text": text}
        examples.append(Example(inputs, target, input_key(inputs), Provenance("d.csv", line)))
    data = Dataset("task", 1, tuple(examples), tuple(split for *_, split in rows))
    return [f for f in find(data, kind=kind, count_tokens=None, max_tokens=None) if check in ("", f.check)]


@pytest.mark.parametrize(
    "twin",
    [
        LONG.upper(),
        LONG + ".",
        LONG.replace("second floor", "second  floor"),
        LONG.replace("loud", "luod"),
        LONG.replace("has been", "has now been"),
        "Since Monday " + LONG.replace(" since Monday", ""),
    ],
)
def test_near_duplicates_keep_one_and_need_a_look(twin):
    [found] = look(*((text, "a", "train") for text in (*OTHER, LONG, twin)))
    assert (found.check, found.drop, found.safe) == ("near_duplicate", (5,), False)
    assert NEAR - 0.005 <= found.score <= 1
    assert [e.place for e in found.evidence] == ["d.csv:4", "d.csv:5"]
    assert "to d.csv:4" in found.evidence[1].note


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Invoice 2291 for cleaning the stairs at Havenkade 3 in March", "Invoice 2292 for cleaning the stairs at Havenkade 3 in March"),
        ("credit of -50.00 on the account of the owners", "credit of 50.00 on the account of the owners"),
        ("rent of the garage, part 1.5 of the year", "rent of the garage, part 15 of the year"),
        ("repair of the roof", "repair of the door"),
    ],
)  # fmt: skip
def test_lines_of_a_form_that_differ_in_what_matters_are_no_twins(one, other):
    assert look((one, "a", "train"), (other, "a", "test"), (one + " x", "a", "train"), check="leakage") == []


def test_thousands_of_near_duplicates_are_one_finding_of_bounded_size():
    words = LONG.split()
    texts = [" ".join([*words[: n % 20], "please", *words[n % 20 :]]) + "!" * (n // 20) for n in range(2000)]
    [found] = look(*((text, "a", "train") for text in texts), check="near_duplicate")
    assert found.count == 2000
    assert len(found.drop) >= 1990  # of a few no direct comparison was made: they stay
    assert len(found.evidence) == len(found.examples) == 20


def test_every_example_that_goes_has_a_twin_that_stays():
    steps = [LONG]
    for word in ("really", "quite", "again", "today", "badly", "always"):
        steps.append(f"{steps[-1]} {word}")
    [found] = look(*((text, "a", "train") for text in (*OTHER, *steps)), check="near_duplicate")
    stay = [i for i in range(4, 11) if i not in found.drop]
    texts = [folded(text) for text in (*OTHER, *steps)]
    alike = Likeness(texts)
    for gone in found.drop:
        best = alike.of(np.array([gone] * len(stay)), np.array(stay)).max()
        assert best >= NEAR - 0.005


def test_a_near_twin_of_a_test_example_leaks_and_needs_a_look():
    rows = [*((text, "a", "train") for text in OTHER), (LONG + " today", "a", "validation"), (LONG, "b", "test")]
    [found] = look(*rows)
    assert (found.check, found.severity, found.drop, found.safe) == ("leakage", "warning", (4,), False)
    assert "likeness" in found.evidence[0].note
    assert {e.split for e in found.evidence} == {"validation", "test"}


def test_what_leaks_for_certain_is_said_once():
    rows = [(LONG, "a", "train"), (LONG + "!", "a", "test"), (LONG + " today", "a", "test")]
    [found] = look(*rows, check="leakage")
    assert (found.severity, found.drop, found.safe) == ("error", (0,), True)


def test_a_document_in_train_and_test_leaks():
    page = "Rental agreement between the owners and the tenant of the flat on the third floor. " * 4
    rows = [
        ({"page": page, "question": "who rents"}, "tenant", "train"),
        ({"page": page.upper(), "question": "which floor"}, "third", "test"),
        ({"page": "Letter to the bank about a loan for the new roof and the windows. " * 4, "question": "why"}, "roof", "train"),
    ]  # fmt: skip
    [found] = look(*rows, check="leakage")
    assert (found.drop, found.safe) == ((0,), True)
    assert "the same page" in found.reason


def test_nearly_the_same_inputs_with_different_targets_contradict():
    rows = [(LONG, "a", "train"), (LONG + " today", "b", "train"), *((text, "c", "train") for text in OTHER)]
    [found] = look(*rows)
    assert (found.check, found.drop, found.safe) == ("contradiction", (), False)
    assert "nearly the same input" in found.reason
    [settled] = look(*rows, (f"{LONG} too", "a", "train"), check="contradiction")
    assert settled.drop == (1,)
    assert look(*rows, kind="generate") == []


def test_likeness_is_the_cosine_of_scikit_learn():
    texts = [folded(t) for t in (LONG, LONG + " today", LONG.replace("loud", "very loud"), *OTHER)]
    expected = []
    for analyzer in ("char_wb", "char"):
        vectors = TfidfVectorizer(analyzer=analyzer, ngram_range=(3, 5)).fit_transform(texts)
        expected.append((vectors @ vectors.T).toarray())
    found = Likeness(texts).of(np.array([0, 0, 1]), np.array([1, 2, 2]))
    assert found == pytest.approx([expected[0][0, 1], expected[0][0, 2], expected[0][1, 2]], abs=0.02)


def test_texts_without_words_have_no_twins():
    assert list(near_twins([])) == []
    assert list(near_twins(["a"])) == []
    assert list(near_twins(["", "?", "\x00", "a", "好", "\ud800"])) == []


def test_clusters_join_what_hangs_together():
    assert clusters([(1, 2), (3, 4), (2, 5), (5, 1)]) == [[1, 2, 5], [3, 4]]
    assert len(clusters((i, i + 1) for i in range(5000))) == 1


def test_bare_text_keeps_signs_of_numbers():
    assert bare("what’s -50, or 1.5?") == "whats -50 or 1.5"
    assert bare("?!") == "?!"


@pytest.mark.parametrize("check", ["exact_duplicate", "near_duplicate", "contradiction"])
def test_what_is_planted_in_the_ledger_is_found_and_nothing_else(check):
    source = sources.read_source(EXAMPLES / "ledger" / "invoice_lines.csv")
    mapping = sources.infer_mapping(source, kind="classify", fields=(), target=(), group="", rejected="")
    examples, _ = sources.to_examples(source, mapping)
    data = Dataset("task", 1, tuple(examples), ("train",) * len(examples))
    lines = {}
    for example in examples:
        lines.setdefault(example.id, []).append(example.provenance.line)
    found = find(data, kind="classify", count_tokens=None, max_tokens=None)
    key = json.loads((EXAMPLES / "ledger" / "planted_faults.json").read_text("utf-8"))["faults"]
    assert sorted(sorted({n for i in f.examples for n in lines[i]}) for f in found if f.check == check) == sorted(
        fault["rows"] for fault in key if fault["fault"] == check
    )


@pytest.mark.skipif(not BANKING77.exists(), reason="no ../shared/data: banking77 is not part of the project")
def test_twins_of_the_test_of_banking77_are_found():
    def texts(name):
        with (BANKING77 / name).open(newline="", encoding="utf-8") as file:
            return [folded(row["text"]) for row in csv.DictReader(file)]

    train, test = texts("train.csv"), texts("test.csv")
    rows = [*((t, "a", "train") for t in train), *((t, "a", "test") for t in test)]
    leaking = {i for f in look(*rows, check="leakage") for i in f.drop}
    assert {i for i, text in enumerate(train) if text in set(test)} <= leaking
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit(train + test)
    cosines = (vectorizer.transform(train) @ vectorizer.transform(test).T).tocoo()
    twins = set(cosines.row[cosines.data >= 0.9].tolist())
    assert len(twins & leaking) >= 0.95 * len(twins)


@pytest.mark.parametrize(
    ("learned", "leaked"), [(LONG + "!", {0}), (LONG + " today", {0}), (OTHER[0], set()), (OTHER[1], set())]
)
def test_a_test_leaks_where_the_check_of_leakage_says_so(learned: str, leaked: set[int]):
    inputs = [{"text": LONG}, {"text": learned}]
    examples = [Example(i, "a", input_key(i), Provenance("d.csv", n)) for n, i in enumerate(inputs)]
    assert leaked_tests(Dataset("task", 1, tuple(examples), ("test", "train"))) == leaked
    assert leaked_tests(Dataset("task", 1, tuple(examples), ("train", "train"))) == set()
    dropped = {i for f in look((LONG, "a", "test"), (learned, "a", "train"), check="leakage") for i in f.drop}
    assert dropped == ({1} if leaked else set())


def test_processes_of_their_own_find_the_same_twins(monkeypatch):
    texts = list(dict.fromkeys(f"{LONG} {text} {n % 7}" for n in range(40) for text in OTHER))
    texts += [f"please {text}" for text in texts[::3]]
    expected = list(near_twins(texts))
    assert len(expected) > 5
    monkeypatch.setattr(twins, "_PART", 9)
    monkeypatch.setattr(twins, "MANY", 10)
    assert list(near_twins(texts)) == expected


def test_a_script_without_a_guard_may_look_at_many(tmp_path):
    """Processes must not run the user's script again: it begins with what it did before."""
    script = tmp_path / "script.py"
    script.write_text(
        "from inhouse.core.cores import over_cores\n"
        "from inhouse.core import folded\n"
        "print(list(over_cores(folded, (f'A  {n}' for n in range(5)), many=True)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{[f'a {n}' for n in range(5)]}\n", "")
