"""The checks find what is planted, say what accepting does, and never touch a test example."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import jsonschema
import pytest
from conftest import dataset, write_csv
from hypothesis import given
from hypothesis import strategies as st

from inhouse.clean import CHECKS, COSTS, Subject, check, find, find_in, still_open, summary
from inhouse.clean.findings import finding
from inhouse.dataset import apply_findings

CONTRACT = Path(__file__).parents[1] / "contracts" / "clean.schema.json"


# What these tests are of; so few rows have other faults too.
OF_ROWS = ("exact_duplicate", "near_duplicate", "contradiction", "leakage", "empty")


def look(*rows, kind="classify"):
    found = find(dataset(*rows), kind=kind, count_tokens=None, max_tokens=None)
    return [f for f in found if f.check in OF_ROWS]


def test_exact_duplicates_keep_the_first_and_leave_the_test():
    found = look(("x", "a", "train"), ("x", "a", "train"), ("y", "a", "test"), ("y", "a", "test"), ("x", "a", "train"))
    assert [(f.check, f.severity, f.drop) for f in found] == [
        ("exact_duplicate", "warning", (1, 4)),
        ("exact_duplicate", "info", ()),
    ]
    assert "d.csv, d.csv:1 and d.csv:4 are the same" in found[0].reason
    assert found[0].action == "keep d.csv, drop the 2 others"
    assert summary(found) == {"exact_duplicate": 2}


def test_contradictions_keep_a_clear_majority_or_drop_all():
    [clear] = [
        f for f in look(("x", "a", "train"), ("X ", "a", "train"), ("x", "b", "train")) if f.check == "contradiction"
    ]
    assert clear.drop == (2,)
    assert "keep 'a'" in clear.action
    [unclear] = look(("x", "a", "train"), ("x", "b", "train"))
    assert unclear.drop == (0, 1)
    assert "'a', 'b'" in unclear.reason
    [in_test] = look(("x", "a", "test"), ("x", "b", "test"))
    assert in_test.drop == ()
    assert "never edited" in in_test.action


def test_objects_contradict_each_other_by_their_values():
    one, moved, other = '{"a":1,"b":"x"}', '{"b":"x","a":1.0}', '{"a":1,"b":"y"}'
    assert summary(look(("t", one, "train"), ("t", moved, "train"), kind="extract")) == {"near_duplicate": 1}
    rows = [("t", one, "train"), ("t", other, "train"), ("t", moved, "train")]
    [found] = [f for f in look(*rows, kind="extract") if f.check == "contradiction"]
    assert (found.check, found.drop) == ("contradiction", (1,))
    assert look(("t", '{"a":true}', "train"), ("t", '{"a":1}', "train"), kind="extract") != []


def test_several_good_texts_do_not_contradict_each_other():
    assert look(("t", "one way", "train"), ("t", "another way", "train"), kind="generate") == []
    assert summary(look(("t", "one way", "train"), ("t", "one way", "train"), kind="generate")) == {
        "exact_duplicate": 1
    }


def test_long_answers_are_cut_in_findings():
    [found] = look(("t", "word " * 500, "train"), ("t", "word " * 500, "train"), kind="generate")
    assert len(found.reason) < 200


@pytest.mark.parametrize("twin", ["what is my top up limit", "What is my TOP-UP  limit?!", "what is my ‘top up’ limit"])
def test_leakage_folds_case_space_and_punctuation(twin):
    [found] = look((twin, "a", "validation"), ("What is my top-up limit?", "a", "test"), ("other", "a", "train"))
    assert (found.check, found.severity, found.drop) == ("leakage", "error", (0,))
    assert "d.csv" in found.reason
    assert "test example d.csv:1" in found.reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"text": "credit", "amount": "-50.00"}, {"text": "credit", "amount": "50.00"}),
        ({"text": "1.5 m"}, {"text": "15 m"}),
        ({"text": "C++"}, {"text": "C"}),
        ({"text": "?"}, {"text": "!!"}),
        ({"text": "a", "note": "b"}, {"text": "b", "note": "a"}),
    ],
)
def test_what_differs_in_more_than_form_is_no_leak(one, other):
    assert "leakage" not in summary(look((one, "a", "train"), (other, "a", "test")))


def test_apostrophes_do_not_cut_words():
    assert summary(look(("haven’t got it", "a", "train"), ("havent got it", "a", "test"))) == {"leakage": 1}


def test_empty_inputs():
    found = look((" ... ?", "a", "train"), ("--", "a", "test"), ("👍", "a", "train"), ("7", "a", "train"))
    assert [(f.check, f.drop) for f in found] == [("empty", (0,)), ("empty", ())]


def test_findings_keep_their_ids_when_rows_move():
    rows = [("x", "a", "train"), ("x", "a", "train"), ("y", "b", "train"), ("Y", "c", "train")]
    moved = [("new", "a", "train"), *reversed(rows)]
    assert {f.id for f in look(*rows)} == {f.id for f in look(*moved)}


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["x", "X!", "y", "?", "", "x y"]),
        st.sampled_from("ab"),
        st.sampled_from(["train", "validation", "test"]),
    )
)


@given(ROWS)
def test_invariants(rows):
    data = dataset(*rows)
    found = find(data, kind="classify", count_tokens=lambda texts: [len(t) for t in texts], max_tokens=4)
    assert len({f.id for f in found}) == len(found)
    assert all(data.splits[i] != "test" for f in found for i in f.drop)
    assert all(f.check in CHECKS for f in found)
    shown = {
        "task": data.task,
        "dataset_fingerprint": data.fingerprint,
        "findings": [f.model_dump(mode="json") for f in found],
        "summary": summary(found),
    }
    jsonschema.validate(shown, json.loads(CONTRACT.read_text()))


@given(ROWS)
def test_applying_what_is_safe_leaves_nothing_safe(rows):
    data = dataset(*rows)
    gone = {i for f in find(data, kind="classify", count_tokens=None, max_tokens=None) if f.safe for i in f.touched}
    rest = [row for i, row in enumerate(rows) if i not in gone]
    assert not any(
        f.safe and f.edits for f in find(dataset(*rest), kind="classify", count_tokens=None, max_tokens=None)
    )


@given(ROWS)
def test_what_stays_open_is_what_another_look_finds(rows):
    data = dataset(*rows)
    found = look(*rows)
    applied = [f for f in found if f.safe and f.edits]
    newer = apply_findings(data, applied, 2, "cleaned")
    kept = still_open([f for f in found if f not in applied], data, newer, {i for f in applied for i in f.drop})
    again = find(newer, kind="classify", count_tokens=None, max_tokens=None)
    assert {(f.check, f.positions, f.drop) for f in kept} <= {(f.check, f.positions, f.drop) for f in again}
    for one in kept:
        shown = [newer.examples[i].id for i in one.positions]
        assert list(one.examples) == shown[: len(one.examples)]
        assert [e.position for e in one.evidence] == list(one.positions[: len(one.evidence)])


def test_what_is_gone_or_changed_takes_its_findings_with_it():
    data = dataset(*((f"text {i}", "a", "train") for i in range(6)))
    about = [finding(data, "text", "info", positions, "r", "a") for positions in ([0, 1], [2, 3], [3, 4], [5], [])]
    edits = [
        finding(data, "empty", "error", [0], "r", "a", drop=(0,)),
        finding(data, "suspect_target", "warning", [4], "r", "a", relabel={4: "b"}),
    ]
    newer = apply_findings(data, edits, 2, "cleaned")
    kept = still_open(about, data, newer, {0})
    assert [(f.id, f.positions) for f in kept] == [(about[1].id, (1, 2)), (about[3].id, (4,)), (about[4].id, ())]


def test_findings_that_were_not_applied_are_shown_and_applied_on_the_new_version(tmp_path, cli):
    rows = [{"text": f"message {i} of the {'ab'[i % 2]}", "label": "ab"[i % 2]} for i in range(40)]
    rows += [rows[3], {"text": "either way", "label": "a"}, {"text": "either way", "label": "b"}]
    folder = tmp_path / "work"
    cli(folder, "add", "t", write_csv(tmp_path / "a.csv", rows), "--target", "label")
    applied = cli(folder, "clean", "t", "--apply", "safe", "--json").json
    open_before = [f["id"] for f in applied["findings"] if f["id"] not in applied["applied"]]
    assert applied["new_dataset"] == 2
    assert cli(folder, "clean", "t").out.splitlines()[-1] == "next: inhouse clean t --show all   (or inhouse train t)"
    shown = cli(folder, "clean", "t", "--show", "all", "--json").json
    assert shown["dataset"] == 2
    assert {f["status"] for f in shown["findings"]} == {"open"}
    assert {f["id"] for f in shown["findings"]} <= set(open_before)
    [either] = [f["id"] for f in shown["findings"] if f["check"] == "contradiction"]
    assert "a.csv:43" in cli(folder, "clean", "t", "--show", either).out
    third = cli(folder, "clean", "t", "--apply", either, "--json").json
    assert (third["new_dataset"], third["removed"]) == (3, 2)
    assert "contradiction" not in {
        f["check"] for f in cli(folder, "clean", "t", "--show", "all", "--json").json["findings"]
    }


@pytest.fixture
def check_of_a_model(monkeypatch):
    """A check that says which examples it was shown, at 5 of which a model stops."""
    # by its name: `inhouse.clean` as an attribute is the verb
    for name in ("MODEL_ROWS", "MODEL_SAMPLE"):
        monkeypatch.setattr(importlib.import_module("inhouse.clean.look"), name, 5)
    seen = []

    def every(subject):
        seen.append(len(subject.dataset.examples))
        for i, example in enumerate(subject.dataset.examples):
            yield finding(subject.dataset, "suspect_target", "info", [i], example.inputs["text"], "", drop=(i,))

    with monkeypatch.context() as patched:
        for other in [name for name, cost in COSTS.items() if cost == "model"]:
            patched.delitem(COSTS, other)
            patched.delitem(CHECKS, other)
        patched.setitem(CHECKS, "suspect_target", every)
        patched.setitem(COSTS, "suspect_target", "model")
        yield seen


def test_a_check_of_a_model_looks_at_a_sample_of_many_and_says_so(check_of_a_model):
    data = dataset(*((f"text number {i}", "ab"[i % 2], "train") for i in range(12)))
    said = []
    found = [f for f in find_in(Subject(data, "classify"), tell=said.append) if f.check == "suspect_target"]
    assert check_of_a_model == [5]
    assert [f.reason for f in found] == [data.examples[f.drop[0]].inputs["text"] for f in found]
    assert said == [
        "suspect_target: looked at 5 of the 12 examples, drawn at random; all of them with --whole suspect_target"
    ]
    said.clear()
    find_in(Subject(data, "classify"), whole=["suspect_target"], tell=said.append)
    assert check_of_a_model == [5, 12]
    assert said == []


def test_a_check_is_registered_with_what_it_costs(monkeypatch):
    registry = importlib.import_module("inhouse.clean.registry")
    monkeypatch.setattr(registry, "CHECKS", {})
    monkeypatch.setattr(registry, "COSTS", {})
    check("one", cost="model")(lambda subject: [])
    assert registry.COSTS == {"one": "model"}
    assert set(COSTS) == set(CHECKS)
