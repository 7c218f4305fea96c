"""Wrong answers in groups, the surest first, with what training said nearby; and suspect test labels set apart."""

from __future__ import annotations

import pytest

from inhouse import pipeline
from inhouse.clean import CHECKS, Subject
from inhouse.core import Dataset, Example, Provenance, Silent, Task
from inhouse.evaluate.wrong import wrong_groups
from inhouse.pipeline.evaluating import suspects as module
from inhouse.pipeline.evaluating.suspects import suspects_of, without
from inhouse.scoring import judge
from inhouse.store import Workspace, records

CLASSIFY = Task.model_validate({"name": "t", "kind": "classify"})
EXTRACT = Task.model_validate(
    {
        "name": "t",
        "kind": "extract",
        "json_schema": {
            "type": "object",
            "properties": {
                "town": {"type": "string"},
                "a": {"type": "object", "properties": {"b": {"type": "number"}}},
            },
        },
    }
)
GENERATE = Task.model_validate({"name": "t", "kind": "generate", "outline": {"words": [1, 3]}})


def example(n: int, text: str, target: str) -> Example:
    return Example({"text": text}, target, "", Provenance("f.csv", n))


def groups(task, test, answers, sure, train=(), suspects=None):
    judged = judge(task, test, answers)
    return wrong_groups(task, test, answers, sure, judged, train, suspects or {})


def test_labels_by_pair_the_surest_first_with_the_nearest_training_examples():
    test = [example(n, f"the card number {n} is lost", "lost") for n in range(6)]
    test.append(example(6, "refund my order please", "refund"))
    answers = ["stolen", "lost", "stolen", None, "stolen", "stolen", "lost"]
    train = [
        example(10, "the card number 4 is lost", "stolen"),
        example(11, "a parcel", "post"),
        example(12, "the card", "lost"),
    ]
    found = groups(CLASSIFY, test, answers, [0.2, 0.9, 0.8, 0.0, 0.9, 0.5, 0.3], train, {2: "models say stolen"})
    assert [(g.what, g.count) for g in found] == [
        ("lost answered as stolen", 4),
        ("(no answer)", 1),
        ("refund answered as lost", 1),
    ]
    first = found[0].cases
    assert [c.confidence for c in first] == [0.9, 0.8, 0.5]
    assert [c.suspect for c in first] == ["", "models say stolen", ""]
    assert (first[0].near[0].text, first[0].near[0].answer) == ("the card number 4 is lost", "stolen")
    assert first[0].near[0].likeness == pytest.approx(1)
    assert first[0].near[0].likeness > first[0].near[1].likeness
    assert groups(CLASSIFY, test[:1], ["lost"], [0.9]) == []


def test_objects_by_field_with_what_was_said_of_it():
    test = [example(n, f"from Delft {n}", '{"town":"Delft","a":{"b":1}}') for n in range(3)]
    answers = ['{"town":"Bonn","a":{"b":1}}', '{"town":"Delft"}', '{"town":"Ghent","a":{"b":2}}']
    found = groups(EXTRACT, test, answers, [0.1, 0.2, 0.3])
    assert [(g.what, g.count) for g in found] == [("field:a.b", 2), ("field:town", 2)]
    assert [(c.expected, c.answered) for c in found[0].cases] == [("1", "2"), ("1", "(left out)")]
    assert [(c.expected, c.answered) for c in found[1].cases] == [('"Delft"', '"Bonn"')], "the third is shown already"


def test_the_part_of_a_line_is_told_with_the_whole_list():
    line = {"type": "object", "properties": {"what": {"type": "string"}, "price": {"type": "number"}}}
    schema = {"type": "object", "properties": {"lines": {"type": "array", "items": line}}}
    task = EXTRACT.model_copy(update={"json_schema": schema})
    test = [example(0, "a nail at 2", '{"lines":[{"what":"nail","price":2}]}')]
    found = groups(task, test, ['{"lines":[{"what":"nail","price":3}]}'], [0.9])
    assert [g.what for g in found] == ["field:lines", "item:lines.price"]
    (case,) = found[0].cases
    assert case.answered == '[{"what":"nail","price":3}]'
    (again,) = groups(task, test, ['{"lines":[{"what":"nail","price":3}]}'], [0.9])[1:]
    assert again.count == 1


def test_texts_by_failed_check_and_the_furthest():
    test = [example(n, "x", "one two") for n in range(4)]
    found = groups(GENERATE, test, ["one two", "one two three four five", "zz", "one two"], [0.5] * 4)
    assert [(g.what, g.count) for g in found] == [("furthest from the expected text", 3), ("check:words", 1)]
    assert found[0].cases[0].answered in ("zz", "one two three four five")


def test_it_bears_odd_texts_and_no_training():
    test = [example(0, "?!", "a"), example(1, "", "a")]
    found = groups(CLASSIFY, test, ["b", "b"], [0.5, 0.5], [example(9, "...", "a")])
    assert found[0].count == 2
    assert groups(CLASSIFY, test, ["b", "b"], [0.5, 0.5])[0].cases[0].near == ()


# ---------------------------------------------------------------------- suspect test labels

WORDS = {
    "lost": "my card is lost and gone",
    "refund": "please send the money back",
    "hours": "when do you open on sunday",
}


def messages(wrong: int = 3) -> Dataset:
    rows, splits = [], []
    for n in range(180):
        label = list(WORDS)[n % 3]
        split = ("train", "train", "test")[n // 3 % 3]
        target = "hours" if split == "test" and label == "lost" and n < 9 * wrong else label
        rows.append(example(n, f"{WORDS[label]} number {n} {'really ' * (n % 4)}", target))
        splits.append(split)
    return Dataset("t", 1, tuple(rows), tuple(splits))


@pytest.fixture
def workspace(tmp_path, models_dir):
    made = Workspace(tmp_path / "work")
    pipeline.init(made, "t")
    yield made
    made.close()


def test_a_wrong_test_label_is_suspect_and_a_right_one_is_not(workspace):
    dataset = messages()
    task = CLASSIFY.model_copy(update={"labels": tuple(WORDS), "encoder_model": "all-minilm-l6-v2"})
    found = suspects_of(workspace, task, dataset, Silent())
    test = dataset.of("test")
    wrong = {place for place, e in enumerate(test) if WORDS[e.target].split()[0] not in e.inputs["text"]}
    assert len(wrong) == 3
    assert len(found) >= 2
    assert set(found) <= wrong
    assert all("a chance of" in why for why in found.values())


def test_what_clean_has_found_is_taken(workspace, monkeypatch):
    dataset = messages()
    records.save_dataset(workspace, dataset)
    kept = list(CHECKS["suspect_target"](Subject(dataset, "classify")))
    records.save_findings(workspace, dataset, kept, set())
    monkeypatch.setattr(module, "_looked", lambda *_: pytest.fail("it was looked at already"))
    found = suspects_of(workspace, CLASSIFY, dataset, Silent())
    assert len(found) == len(kept) > 0


def test_of_many_examples_a_part_is_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MODEL_ROWS", 100)
    part = module._part(messages())
    assert part.counts() == {"train": 25, "validation": 0, "test": 25}
    monkeypatch.setattr(module, "MODEL_ROWS", 180)
    assert module._part(messages()) == messages()


def test_the_metric_without_them_leaves_out_these_alone():
    dataset = messages()
    test = dataset.of("test")
    task = CLASSIFY.model_copy(update={"labels": tuple(WORDS)})
    truth = [next(label for label, said in WORDS.items() if said in e.inputs["text"]) for e in test]
    judged = {"fine-tuned": judge(task, test, truth)}
    suspects = {place: "" for place, e in enumerate(test) if e.target != truth[place]}
    assert judged["fine-tuned"].scores["accuracy"].mean() < 1
    for primary in ("accuracy", "macro_f1"):
        metric = without(judged, test, primary, suspects)["fine-tuned"]
        assert metric.value == 1
    assert without(judged, test, "accuracy", suspects)["fine-tuned"].n == len(test) - 3
    assert without(judged, test, "accuracy", {}) == {}
    assert without(judged, test, "accuracy", dict.fromkeys(range(len(test)), "")) == {}
