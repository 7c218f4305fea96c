"""Labels in disorder: names of one thing, rare ones, and those that nobody can tell apart."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from conftest import dataset
from hypothesis import given
from hypothesis import strategies as st

from inhouse.clean import Subject
from inhouse.clean.hygiene import merged_names, one_name, rare_labels
from inhouse.clean.targets import label_hygiene
from inhouse.dataset import apply_findings

BANKING = Path(__file__).parents[3] / "shared" / "data" / "banking77" / "train.csv"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Refund", "refund"), ("card_arrival", "Card arrival"), ("invoice", "invoices"), ("delivery", "deliveries"),
     ("complaint", "compliant"), ("Café", "cafe"), ("cancellation", "cancelation"), ("box", "boxes")],
)  # fmt: skip
def test_one_name_in_two_writings(one, other):
    assert one_name(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("level 1", "level 2"), ("valid order", "invalid order"), ("card", "cart"), ("paid", "unpaid"), ("as", "a"),
     ("4100 Maintenance", "4200 Maintenance"), ("+", "-"), ("import", "export"), ("male", "female")],
)  # fmt: skip
def test_two_names(one, other):
    assert not one_name(one, other)


@given(st.text(max_size=12), st.text(max_size=12))
def test_one_name_reads_both_ways(one, other):
    assert one_name(one, other) == one_name(other, one)


@pytest.mark.skipif(not BANKING.is_file(), reason=f"{BANKING} is not here")
def test_the_labels_of_banking77_are_all_different():
    with BANKING.open(newline="", encoding="utf-8") as lines:
        rows = [(row["text"], row["category"], "train") for row in csv.DictReader(lines)]
    assert merged_names(dataset(*rows)) == {}


def test_merging_relabels_the_train_side_and_tells_of_the_test():
    rows = [(f"text {i}", "Refund" if i < 3 or i == 9 else "refund", "test" if i == 9 else "train") for i in range(12)]
    data = dataset(*rows)
    [one] = [f for f in label_hygiene(Subject(data, "classify")) if "another writing" in f.reason]
    assert one.relabel == {0: "refund", 1: "refund", 2: "refund"}
    assert "the test example keeps that name" in one.action
    merged = apply_findings(data, [one], 2, "merged")
    assert [e.target for e in merged.examples] == ["refund"] * 9 + ["Refund", "refund", "refund"]


def test_rare_labels_are_told_with_how_many_to_gather():
    labels = [*"aaaaaaaaaa", *"bb", *"cccccc", *"dddddd", "e"]
    rows = [(f"text {i}", label, "train") for i, label in enumerate(labels)]
    [one] = label_hygiene(Subject(dataset(*rows), "classify"))
    assert "2 of 5 labels have fewer than 5 examples to learn from: 'e' (1), 'b' (2)" in one.reason
    assert "gather at least 4 of 'e', 3 of 'b'" in one.action
    assert one.count == 3
    assert not one.edits


def test_a_hundred_rare_labels_are_one_finding():
    rows = [(f"text {i} {k}", f"label {i}", "train") for i in range(400) for k in range(9 if i < 250 else 2)]
    [one] = rare_labels(dataset(*rows), {})
    assert "150 of 400 labels" in one.reason
    assert "and 50 more" in one.reason


def test_labels_that_nobody_can_tell_apart():
    dice = random.Random(0)
    rows = []
    for i in range(120):
        rows.append(
            (f"my parcel number {i} has not come {dice.random():.3f}", dice.choice(["late", "missing"]), "train")
        )
        rows.append((f"what does the blue chair {i} cost {dice.random():.3f}", "price", "train"))
    [one] = label_hygiene(Subject(dataset(*rows), "classify"))
    assert "'late' and 'missing' are hardly told apart" in one.reason
    assert not one.edits
    assert 0.35 <= one.score <= 0.7
    assert {e.target for e in one.evidence} == {"late", "missing"}


def test_other_kinds_have_no_labels():
    assert list(label_hygiene(Subject(dataset(("a", "{}", "train")), "extract"))) == []
