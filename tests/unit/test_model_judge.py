"""A model as judge: its agreement with people is measured first, and without it its grades are nowhere; similarity."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from fields import bare_field
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from inhouse.core import Dataset, Example, Prediction, Provenance, Task, input_key
from inhouse.errors import InputError, ModelUnavailable, NoMetric, UsageError
from inhouse.evaluate import model_judge
from inhouse.evaluate.contenders import Answers
from inhouse.evaluate.model_judge import ENOUGH_GRADES, Graded, agreement_of, ask_judge
from inhouse.pipeline.evaluating import model_judge as judging
from inhouse.pipeline.evaluating import similar
from inhouse.pipeline.evaluating.grades import read_grades
from inhouse.scoring.agreement import quadratic_kappa
from inhouse.store import Workspace

TASK = Task.model_validate(
    {"name": "letters", "kind": "generate", "metrics": {"judge": "base"}, "input": {"fields": ["text"]}}
)
GRADES = st.integers(1, 5)


def example(number: int) -> Example:
    inputs = {"text": f"customer {number} writes"}
    return Example(inputs, f"Dear {number}", input_key(inputs), Provenance("letters.csv", number + 2))


EXAMPLES = [example(n) for n in range(80)]
VALIDATION, TEST = EXAMPLES[:40], EXAMPLES[40:]
DATASET = Dataset("letters", 1, tuple(EXAMPLES), ("validation",) * 40 + ("test",) * 40)


class Heard:
    """A reporter that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    warn = say

    def bar(self, title: str, total: int) -> Any:
        return SimpleNamespace(update=lambda done: None)


# --- agreement


@given(st.lists(st.tuples(GRADES, GRADES), min_size=2, max_size=60))
def test_the_agreement_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = [a for a, _ in pairs], [b for _, b in pairs]
    found = quadratic_kappa(ours, theirs)
    assert -1 <= found.low <= found.value <= found.high <= 1
    if len({*ours, *theirs}) == 1:
        assert found.value == 0.0
    else:
        assert found.value == pytest.approx(cohen_kappa_score(ours, theirs, labels=range(1, 6), weights="quadratic"))


def test_graders_who_always_agree_may_yet_differ() -> None:
    grades = [1 + i % 5 for i in range(30)]
    assert quadratic_kappa(grades, grades).low == pytest.approx(0.9)
    one_group = quadratic_kappa(grades, grades, groups=["g"] * 30)
    assert (one_group.low, one_group.high) == (-1.0, 1.0)


def test_what_is_no_grade_is_refused() -> None:
    for wrong in (([1], [1, 2]), ([0], [1]), ([6], [1])):
        with pytest.raises(ValueError):
            quadratic_kappa(*wrong)
    with pytest.raises(NoMetric):
        quadratic_kappa([], [])


def graded(count: int) -> list[Graded]:
    return [Graded(EXAMPLES[i], "an answer", 1 + i % 5) for i in range(count)]


def test_a_judge_that_agrees_is_shown_with_its_agreement() -> None:
    people = graded(60)
    found = agreement_of("base", "smollm2", people, [min(5, g.grade + i % 2) for i, g in enumerate(people)])
    assert found.shown
    assert found.agreement is not None
    assert found.agreement.low > 0.7
    assert f"{found.agreement.value:.2f}" in found.sentence
    assert "on 60 answers that people graded" in found.sentence


@pytest.mark.parametrize(
    ("people", "theirs", "words"),
    [
        (graded(60), [3] * 60, "it does not agree with people"),
        (graded(60), [1 + i * 7 % 4 for i in range(60)], "it does not agree with people"),
        (graded(60), [None] * 60, "it does not agree with people"),
        (graded(ENOUGH_GRADES - 1), [g.grade for g in graded(ENOUGH_GRADES - 1)], "29 answers were graded by people"),
        ([], [], "0 answers were graded by people"),
    ],
)
def test_a_judge_that_is_not_known_to_agree_is_not_shown(
    people: list[Graded], theirs: list[int | None], words: str
) -> None:
    found = agreement_of("base", "smollm2", people, theirs)
    assert not found.shown
    assert "not shown" in found.sentence
    assert words in found.sentence


# --- the file of grades


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_grades_are_read_by_input_or_id_of_an_answer_or_of_ones_own(tmp_path: Path) -> None:
    own = {e.id: f"mine {i}" for i, e in enumerate(EXAMPLES)}
    heard = Heard()
    predicted = [{"text": e.inputs["text"], "prediction": "theirs", "grade": 4} for e in TEST[:3]]
    predicted.append({"text": "nobody asked", "prediction": "x", "grade": 1})
    found = read_grades(write(tmp_path / "a.csv", predicted), TASK, EXAMPLES, own, heard)  # type: ignore[arg-type]
    assert found == [Graded(e, "theirs", 4) for e in TEST[:3]]
    assert heard.said == ["1 rows of a.csv are of no answer to a validation or test example: left out"]
    by_id = write(tmp_path / "b.csv", [{"id": e.id, "grade": "2.0"} for e in VALIDATION[:2]])
    assert [(g.answer, g.grade) for g in read_grades(by_id, TASK, EXAMPLES, own, heard)] == [
        ("mine 0", 2),
        ("mine 1", 2),
    ]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        ([{"text": "x", "mark": 1}], None, "no column 'grade'"),
        ([{"text": TEST[0].inputs["text"], "grade": 3}, {"text": "x", "grade": "good"}], 3, "'good' is no grade"),
        ([{"text": "x", "grade": 6}], 2, "'6' is no grade"),
        ([{"text": "x", "grade": 2.5}], 2, "'2.5' is no grade"),
        ([{"mail": "x", "grade": 2}], None, "nothing says which examples were graded"),
        ([{"text": "nobody asked", "grade": 2}], None, "none of its 1 rows"),
    ],
)
def test_a_file_of_grades_that_cannot_be_used(
    tmp_path: Path, rows: list[dict[str, Any]], line: int | None, words: str
) -> None:
    file = write(tmp_path / "grades.csv", rows)
    with pytest.raises(InputError, match=words) as told:
        read_grades(file, TASK, EXAMPLES, {}, Heard())  # type: ignore[arg-type]
    assert (told.value.file, told.value.line) == (str(file), line)
    assert told.value.remedy


def test_grades_of_no_example_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    strange = write(tmp_path / "grades.csv", [{"text": "nobody asked", "answer": "x", "grade": 2}])
    with pytest.raises(InputError, match="none of its 1 rows"):
        judging.require_judge(Workspace(tmp_path), TASK, DATASET, strange)


def test_grades_without_a_judge_are_refused(tmp_path: Path) -> None:
    none = TASK.model_copy(update={"metrics": TASK.metrics.model_copy(update={"judge": None})})
    with pytest.raises(UsageError, match="no model as judge"):
        judging.require_judge(Workspace(tmp_path), none, DATASET, tmp_path / "grades.csv")
    judging.require_judge(Workspace(tmp_path), none, DATASET, None)
    for odd in ("gpt", "remote:"):
        with pytest.raises(ValueError, match="judge"):
            Task.model_validate({"name": "t", "kind": "generate", "metrics": {"judge": odd}})
    with pytest.raises(ValueError, match="is for the kind generate"):
        Task.model_validate({"name": "t", "metrics": {"judge": "base"}})


# --- asked


def a_case(monkeypatch, tmp_path: Path, grade_of, task: Task = TASK):
    """Two contenders, people's grades of the first one's answers, and a judge that grades by a rule."""
    asked: list[Sequence[Example]] = []

    def ask(field, judge):
        asked.append(field.test)
        assert field.task.labels == ("1", "2", "3", "4", "5")
        assert (field.task.kind, list(field.train), list(field.validation)) == ("classify", [], [])
        return [Prediction(target=grade_of(e.inputs["answer"])) for e in field.test]

    monkeypatch.setattr(model_judge, "_ask", ask)
    field = replace(bare_field(task, [], VALIDATION, TEST), reporter=Heard())
    quality = [Prediction(target=f"quality {1 + i % 5}") for i in range(len(EXAMPLES))]
    none = [Prediction(target=None) if i % 2 else Prediction(target="quality 5") for i in range(len(EXAMPLES))]
    answers = [
        Answers("fine-tuned", True, quality[:40], quality[40:], 1.0),
        Answers("prompted", False, none[:40], none[40:], 1.0),
    ]
    people = write(
        tmp_path / "grades.csv", [{"id": e.id, "grade": 1 + i % 5} for i, e in enumerate(EXAMPLES) if i < 60]
    )
    version: Any = SimpleNamespace(contender="fine-tuned", task="letters", name="letters@1")
    splits = ("validation",) * 40 + ("test",) * 40
    data = Dataset("letters", 1, tuple(EXAMPLES), splits)

    def judged(grades: Path | None = people):
        return judging.judged_by_model(Workspace(tmp_path), task, version, data, field, answers, grades)

    return judged, asked


def test_the_grades_of_a_judge_that_agrees_are_a_metric(monkeypatch, tmp_path: Path) -> None:
    judged, asked = a_case(monkeypatch, tmp_path, lambda answer: answer[-1])
    found = judged()
    assert found.result is not None
    assert found.result.shown
    assert found.result.agreement is not None
    assert found.result.agreement.value == 1.0
    np.testing.assert_array_equal(found.scores["fine-tuned"], [(i % 5) / 4 for i in range(40)])
    np.testing.assert_array_equal(found.scores["prompted"], [0.0 if i % 2 else 1.0 for i in range(40)])
    assert len(asked) == 2
    assert len(asked[1]) == 40 + 16, "no answer is not asked, nor the same answer twice"


@pytest.mark.parametrize("rule", [lambda answer: "3", lambda answer: None])
def test_a_judge_that_does_not_agree_is_asked_no_more(monkeypatch, tmp_path: Path, rule) -> None:
    judged, asked = a_case(monkeypatch, tmp_path, rule)
    found = judged()
    assert found.result is not None
    assert "not shown: it does not agree with people" in found.result.sentence
    assert found.scores == {}
    assert len(asked) == 1


def test_without_grades_of_people_no_judge_is_asked(monkeypatch, tmp_path: Path) -> None:
    judged, asked = a_case(monkeypatch, tmp_path, lambda answer: "5")
    found = judged(None)
    assert found.result is not None
    assert "was not asked" in found.result.sentence
    assert "inhouse evaluate letters --grades FILE" in found.result.sentence
    assert (asked, found.scores) == ([], {})


def test_a_remote_judge_that_is_away_is_said_so(monkeypatch, tmp_path: Path) -> None:
    task = TASK.model_copy(update={"metrics": TASK.metrics.model_copy(update={"judge": "remote:away"})})
    judged, _ = a_case(monkeypatch, tmp_path, lambda answer: "5", task)
    monkeypatch.setattr(judging, "remote_identity", lambda name, settings: "there")

    def away(field, judge):
        raise ModelUnavailable("it cannot be reached")

    monkeypatch.setattr(model_judge, "_ask", away)
    found = judged()
    assert found.result is not None
    assert found.result.sentence == "remote:away as a judge could not be asked: it cannot be reached"


def test_a_remote_judge_that_stops_answering_has_given_no_low_grades(monkeypatch) -> None:
    lost = Prediction(target=None, error="429 slow down", asked=False)
    monkeypatch.setattr(model_judge, "_ask", lambda field, judge: [Prediction(target="4"), lost][: len(field.test)])
    field = bare_field(TASK, [], [], TEST)
    with pytest.raises(ModelUnavailable, match=r"1 of 2 requests got no answer \(429 slow down\)"):
        ask_judge(field, "remote:x", [(TEST[0], "one"), (TEST[0], "two")])


def test_the_same_answer_to_the_same_question_is_asked_once(monkeypatch) -> None:
    monkeypatch.setattr(model_judge, "_ask", lambda field, judge: [Prediction(target="4")] * len(field.test))
    field = bare_field(TASK, [], [], TEST)
    grades, told = ask_judge(field, "base", [(TEST[0], "a"), (TEST[0], "a"), (TEST[1], "a"), (TEST[0], "b")])
    assert grades == [4, 4, 4, 4]
    assert told.examples == (TEST[0], TEST[1], TEST[0])


# --- similarity


class Letters:
    """Texts as counts of letters, to unit length."""

    read: ClassVar[list[str]] = []

    def __init__(self, folder: Path) -> None: ...

    def embed(self, texts: Sequence[str], progress: Any = None) -> np.ndarray:
        Letters.read += texts
        rows = np.array([[text.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for text in texts], dtype=float)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def test_similarity_is_the_cosine_and_is_told_again_without_reading(monkeypatch, tmp_path: Path) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr("inhouse.engine.encoder.SentenceEncoder", Letters)
    monkeypatch.setattr(similar, "is_here", lambda spec, settings: True)
    monkeypatch.setattr(similar, "get_base", lambda name, settings: SimpleNamespace(folder=tmp_path))
    monkeypatch.setattr(similar.predictions, "save", lambda workspace, **given: kept.update(given))
    Letters.read = []
    field = bare_field(TASK, [], [], TEST[:3])
    data = Dataset("letters", 1, tuple(TEST[:3]), ("test",) * 3)
    said = [Prediction(target=TEST[0].target), Prediction(target="zzz"), Prediction(target=None)]
    answers = [Answers("prompted", False, [], said, 1.0)]
    version: Any = SimpleNamespace(task="letters", name="letters@1")
    scores, facts = similar.similarities(Workspace(tmp_path), version, data, field, answers)
    assert scores["prompted"] == pytest.approx([1.0, 0.0, 0.0])
    assert facts[0].used_by == ("similarity",)
    assert "English" in facts[0].limits
    assert len(kept["examples"]) == len(kept["keys"]) == 2
    assert Letters.read
    Letters.read = []
    assert similar.similarities(Workspace(tmp_path), version, data, field, answers)[0]["prompted"] == pytest.approx(
        [1.0, 0.0, 0.0]
    )
    assert Letters.read == []


def test_similarity_is_left_out_with_a_note_where_the_encoder_is_not_here(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(similar, "is_here", lambda spec, settings: False)
    field = bare_field(TASK, [], [], TEST)
    data = Dataset("letters", 1, tuple(TEST), ("test",) * len(TEST))
    version: Any = SimpleNamespace(task="letters", name="letters@1")
    assert similar.similarities(Workspace(tmp_path), version, data, field, []) == ({}, ())
    assert "inhouse models pull all-minilm-l6-v2" in field.notes[0]
