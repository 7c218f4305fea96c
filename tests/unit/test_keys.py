"""Corrected files replace rows by key: group and split stay, what is the same adds nothing, and what changed is told."""

from __future__ import annotations

import pytest
from conftest import write_csv as write
from hypothesis import given
from hypothesis import strategies as st

from inhouse import pipeline
from inhouse.core import Dataset, Example, Provenance, Silent, input_key
from inhouse.dataset import build_dataset, difference
from inhouse.store import Workspace, records


def rows(count, changed=(), start=0):
    """Rows with a key; those in `changed` say something else."""
    return [
        {"id": f"K{i}", "text": f"message {i}{' mended' if i in changed else ''}", "label": "ab"[i % 2]}
        for i in range(start, start + count)
    ]


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path / "w")
    pipeline.init(workspace, "t")
    yield workspace
    workspace.close()


def newest(workspace):
    return records.load_dataset(workspace, "t")


def placed(dataset):
    """Group and split by key."""
    return {e.key: (e.group, split) for e, split in zip(dataset.examples, dataset.splits, strict=True)}


def test_a_corrected_file_replaces_rows_by_key_and_says_what_changed(workspace, tmp_path):
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", rows(40))], key="id")
    first = newest(workspace)
    tested = int(first.of("test")[0].key[1:])
    learned = int(first.of("train")[0].key[1:])
    reporter = Silent()
    corrected = write(tmp_path / "b.csv", rows(42, changed=(tested, learned)))
    added = pipeline.add(workspace, "t", [corrected], reporter)
    second = newest(workspace)
    assert (added.dataset, added.replaced, len(second.examples)) == (2, 2, 42)
    assert placed(first).items() <= placed(second).items()
    mended = {e.key: e for e in second.examples}[f"K{tested}"]
    assert (mended.inputs["text"], mended.provenance.file) == (f"message {tested} mended", "b.csv")
    assert [e for e in second.examples if e.key not in (f"K{tested}", f"K{learned}", "K40", "K41")] == [
        e for e in first.examples if e.key not in (f"K{tested}", f"K{learned}")
    ]
    said = "\n".join([*reporter.said, *reporter.warned])
    assert "2 rows were replaced" in said
    assert f"'message {tested}' -> 'message {tested} mended'" in said
    assert "test changed: earlier evaluations do not compare" in said
    assert workspace.load_task("t").input.key == "id"
    assert workspace.load_task("t").input.fields == ("text",)


def test_a_file_that_says_the_same_adds_no_version(workspace, tmp_path):
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", rows(40))], key="id")
    saved_again = write(tmp_path / "b.csv", rows(40)[::-1])
    assert pipeline.add(workspace, "t", [saved_again]).dataset == 1
    assert records.latest_dataset(workspace, "t") == 1


def test_a_key_twice_in_a_file_and_a_row_without_are_rejected(workspace, tmp_path):
    table = [*rows(40), {"id": "K3", "text": "again", "label": "a"}, {"id": " ", "text": "none", "label": "b"}]
    reporter = Silent()
    added = pipeline.add(workspace, "t", [write(tmp_path / "a.csv", table)], reporter, key="id")
    assert added.rejected == 2
    assert sum(added.counts.values()) == 40
    assert any("a.csv:42: row rejected: the key id = 'K3' is that of a.csv:5 too" in w for w in reporter.warned)
    assert any("a.csv:43: row rejected: no value for the key 'id'" in w for w in reporter.warned)


def test_a_key_that_comes_later_is_learned_from_the_rows_that_are_there(workspace, tmp_path):
    first = write(tmp_path / "a.csv", rows(40))
    pipeline.add(workspace, "t", [first], inputs=["text"], target="label")
    before = newest(workspace)
    reporter = Silent()
    pipeline.add(workspace, "t", [write(tmp_path / "c.csv", rows(2, start=90))], reporter, key="id")
    assert any("no row can replace: 40" in w for w in reporter.warned)
    pipeline.undo(workspace, "t")
    assert pipeline.add(workspace, "t", [first]).dataset == 3  # nothing new in it
    pipeline.add(workspace, "t", [first], key="id")
    assert newest(workspace).fingerprint == before.fingerprint
    assert {e.key for e in newest(workspace).examples} == {f"K{i}" for i in range(40)}
    assert pipeline.add(workspace, "t", [first], key="id").dataset == 4
    added = pipeline.add(workspace, "t", [write(tmp_path / "b.csv", rows(40, changed=(7,)))])
    assert (added.replaced, len(newest(workspace).examples)) == (1, 40)


def test_a_given_test_is_mended_by_its_own_file_alone(workspace, tmp_path):
    train, test = write(tmp_path / "a.csv", rows(40)), write(tmp_path / "t.csv", rows(6, start=100))
    pipeline.add(workspace, "t", [train], test=test, key="id")
    added = pipeline.add(workspace, "t", [], test=write(tmp_path / "t2.csv", rows(6, changed=(103,), start=100)))
    assert (added.replaced, added.counts["test"]) == (1, 6)
    assert [e.inputs["text"] for e in newest(workspace).of("test")][3] == "message 103 mended"


def test_mending_test_rows_alone_does_not_make_their_file_a_given_test(workspace, tmp_path):
    pipeline.add(workspace, "t", [write(tmp_path / "a.csv", rows(40))], key="id")
    tested = [int(e.key[1:]) for e in newest(workspace).of("test")]
    some = [row for row in rows(40, changed=tested) if int(row["id"][1:]) in tested]
    assert pipeline.add(workspace, "t", [write(tmp_path / "b.csv", some)]).replaced == len(tested)
    more = pipeline.add(workspace, "t", [write(tmp_path / "c.csv", rows(60, start=100))])
    assert more.counts["test"] > len(tested)  # new groups still join the test


def example(key, text, target="a", line=1, file="f"):
    inputs = {"text": text}
    return Example(inputs, target, input_key(inputs), Provenance(file, line, f"sha {file}"), key=key)


TEXTS = st.sampled_from(["x", "y", "z"])


@given(
    st.dictionaries(st.integers(0, 30), TEXTS, min_size=12),
    st.dictionaries(st.integers(0, 40), TEXTS, min_size=1),
)
def test_whatever_is_corrected_splits_stay_and_the_correction_holds(old, new):
    first = [example(f"{k}", f"{k} {text}", "ab"[k % 2], k, "old") for k, text in old.items()]
    both = {k % 2 for k in old}
    if len(both) < 2 or min(sum(k % 2 == side for k in old) for side in both) < 3:
        return  # too few of a label to learn from
    built = build_dataset("t", 1, first, None, kind="classify", previous=None, drop_rare=False, reason="")
    second = [example(f"{k}", f"{k} {text}", "ab"[k % 2], k, "new") for k, text in new.items()]
    after = build_dataset("t", 2, second, None, kind="classify", previous=built.dataset, drop_rare=False, reason="")
    was, now = placed(built.dataset), placed(after.dataset)
    assert was.items() <= now.items()
    texts = {e.key: e.inputs["text"] for e in after.dataset.examples}
    assert texts == {f"{k}": f"{k} {text}" for k, text in {**old, **new}.items()}
    found = difference(built.dataset, after.dataset)
    assert len(found.added) == len(set(new) - set(old))
    assert len(found.changed) == len(after.replaced) == sum(old[k] != text for k, text in new.items() if k in old)
    assert found.removed == []


def test_rows_pair_by_key_then_place_then_content_then_input():
    before = [example("k", "one"), example("", "two", line=2), example("", "three", line=3), example("", "4", line=4)]
    after = [
        example("k", "uno", line=9, file="g"),
        example("", "due", line=2),
        example("", "three", line=7, file="g"),
        example("", "4", "b", line=8, file="g"),
        example("", "new", line=10, file="g"),
    ]
    found = difference(
        Dataset("t", 1, tuple(before), ("train",) * 4),
        Dataset("t", 2, tuple(after), ("train", "train", "test", "train", "test")),
    )
    assert [(b.inputs["text"], a.inputs["text"]) for (b, _), (a, _) in found.changed] == [
        ("one", "uno"), ("two", "due"), ("three", "three"), ("4", "4"),
    ]  # fmt: skip
    assert [e.inputs["text"] for e, _ in found.added] == ["new"]
    assert (found.removed, found.unchanged, found.test_changed) == ([], 0, True)
    assert found.by_split()["test"] == {"added": 1, "removed": 0, "changed": 1}
    assert found.by_target() == {"b": 1}
