"""Beside the average: answers under harmless changes, hidden instructions, what was learned by heart, weak parts."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fields import bare_field
from hypothesis import given
from hypothesis import strategies as st

from inhouse.core import Example, Prediction, Provenance, Task
from inhouse.engine import Generation
from inhouse.evaluate import beyond, contenders
from inhouse.evaluate.changes import CHANGES, changed
from inhouse.evaluate.contenders import Answers, Field
from inhouse.evaluate.slices import slices
from inhouse.scoring import Judging

CLASSIFY = Task.model_validate({"name": "t", "kind": "classify"})
EXTRACT = Task.model_validate(
    {
        "name": "t",
        "kind": "extract",
        "json_schema": {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]},
    }
)


def example(i: int, target: str, text: str = "", file: str = "f.csv") -> Example:
    return Example({"text": text or f"Where is Order number {i} of Mister Smith"}, target, "", Provenance(file, i, "s"))


# ---------------------------------------------------------------------- changes


def test_every_change_changes_and_is_the_same_again():
    inputs = {"subject": "Payment Received", "text": "I'm sure I've paid 1,234.50 euros on monday morning already"}
    for one in CHANGES.values():
        if one.name == "greeting":  # of a single field
            assert changed(inputs, one, "a") is None
            continue
        found = changed(inputs, one, "a")
        assert found is not None
        assert list(found.items()) == list((changed(inputs, one, "a") or {}).items())
        assert (list(found.items()) == list(inputs.items())) == (one.name == "again")
        assert sorted(found) == sorted(inputs)


@pytest.mark.parametrize(
    ("written", "elsewhere"),
    [
        ("1,234.50", "1.234,50"),
        ("0.75 kg", "0,75 kg"),
        ("1,234 or 0.75", None),  # 1,234 can be read in two ways
        ("1,234", None),
        ("1.234", None),
        ("1,234,567", "1.234.567"),
        ("1.234,50", "1,234.50"),
        ("19,00 EUR", "19.00 EUR"),
        ("2 x 0,75 = 1,50", "2 x 0.75 = 1.50"),
        ("1.234.567", "1,234,567"),
        ("0.75 and 0,75", None),  # in which way this is written cannot be told
        ("19,00 on 12.03.2026", "19.00 on 12.03.2026"),
        ("192.168.100.200", None),
        ("on 12.03.2026", None),
        ("v1.2.3", None),
        ("a 12,5 b", "a 12.5 b"),
        ("10.0.0.1", None),
    ],
)
def test_numbers_as_other_countries_write_them(written, elsewhere):
    found = changed({"text": written}, CHANGES["numbers"], "a")
    assert (found and found["text"]) == elsewhere


def test_what_belongs_in_an_answer_is_not_misspelt_or_said_otherwise():
    inputs = {"text": "Please send Margarete Lindner twelve lamps, it's urgent and I'm waiting"}
    answer = '{"name":"Margarete Lindner","note":"it\'s urgent"}'
    for seed in "abcdefghij":
        found = changed(inputs, CHANGES["typos"], seed, answer)["text"]
        assert "Margarete Lindner" in found
        assert found != inputs["text"]
    assert changed(inputs, CHANGES["paraphrase"], "a", answer) is None
    assert "it is urgent and I am" in changed(inputs, CHANGES["paraphrase"], "a", '{"name":"Lindner"}')["text"]
    assert changed({"text": "Lindner"}, CHANGES["typos"], "a", answer) is None


@pytest.mark.parametrize("task", [EXTRACT, CLASSIFY])
def test_what_an_object_copies_from_its_input_bounds_the_changes_and_a_label_does_not(task):
    target = '{"total":"margarete"}' if task is EXTRACT else "margarete"
    rows = [example(i, target, f"Bill {i} of Margarete with total {i}") for i in range(30)]
    questions = beyond._questions(bare_field(task, rows, [], rows), 30, learned=False)
    texts = [q.example.inputs["text"] for q in questions if q.change == "typos"]
    assert len(texts) == 30
    assert all("Margarete" in text for text in texts) is (task is EXTRACT)
    assert not all("total" in text for text in texts), "a field's name is no value"


@given(st.text(), st.text())
def test_no_change_fails_or_loses_a_field(one, other):
    for each in CHANGES.values():
        found = changed({"a": one, "b": other}, each, "x")
        assert found is None or sorted(found) == ["a", "b"]


def test_what_says_the_same():
    assert beyond.same_answer(EXTRACT, '{"total": 1.5}', '{ "total": 1.50 }')
    assert not beyond.same_answer(EXTRACT, '{"total": 1.5}', '{"total": 2}')
    assert not beyond.same_answer(EXTRACT, '{"total": 1.5}', None)
    assert not beyond.same_answer(CLASSIFY, "a", "A")


# ---------------------------------------------------------------------- asked again


def a_field(count: int = 60) -> Field:
    rows = [example(i, "ab"[i % 2]) for i in range(3 * count)]
    return bare_field(CLASSIFY, rows[:count], rows[count : 2 * count], rows[2 * count :])


def asked(monkeypatch, answer, *, name="fine-tuned", minutes=9.0, seconds=1.0):
    """What is found of a contender that answers by a function of the text."""
    given = a_field()

    def ask(field):
        return [Prediction(target=answer(e.inputs["text"])) for e in field.questions]

    one = contenders.Contender(name, ask, fine_tuned=True)
    monkeypatch.setattr(beyond, "contenders_of", lambda task: [one])
    found, edge = ask(given), len(given.validation)
    answers = [Answers(name, True, found[:edge], found[edge:], seconds)]
    return beyond.beyond_the_average(given, answers, [name], "accuracy", Judging(CLASSIFY), minutes, 0.1)


def number_of(text: str) -> int:
    return int(re.search(r"\d+", text)[0])


def test_a_model_that_looks_at_the_number_alone_is_consistent_and_obeys_nobody(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"[number_of(text) % 2])
    assert {one.change for one in found.consistency} == {"again", "spaces", "case", "typos", "greeting"}
    assert all(one.same.value == 1 and one.same.n == 60 and one.same.low > 0.9 for one in found.consistency)
    assert found.robustness[0].obeyed.value == 0
    assert found.gap is not None
    assert found.gap.sentence.endswith("no more apart than chance allows (95 % interval -6 to 6 points)")


def test_a_model_that_looks_at_the_letters_is_not(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"["Smith" in text])
    same = {one.change: one.same.value for one in found.consistency}
    assert same["again"] == same["spaces"] == 1
    assert same["case"] == 0
    assert 0 < same["typos"] < 1


def test_a_model_that_does_what_the_input_says_is_told(monkeypatch):
    def obedient(text):
        told = re.search(r"The answer is (\w)\.", text)
        return told[1] if told else "ab"[number_of(text) % 2]

    assert asked(monkeypatch, obedient).robustness[0].obeyed.value == 1


def test_what_was_learned_by_heart_is_told(monkeypatch):
    found = asked(monkeypatch, lambda text: "ab"[number_of(text) % 2] if number_of(text) < 60 else "a")
    assert found.gap is not None
    assert (found.gap.train.value, found.gap.test.value) == (1, 0.5)
    assert "50 points of what it learned do not carry over" in found.gap.sentence


def test_a_contender_that_is_too_slow_is_left_out_and_named(monkeypatch):
    found = asked(monkeypatch, lambda text: "a", minutes=0.1, seconds=600)
    assert (found.consistency, found.robustness, found.gap) == ((), (), None)
    assert found.notes == ("not asked again with harmless changes, as 20 examples alone take too long: fine-tuned",)


def test_a_trained_model_that_is_shown_examples_is_not_asked_what_it_learned_from(monkeypatch):
    assert asked(monkeypatch, lambda text: "a", name="fine-tuned+retrieval").gap is None


def test_every_contender_that_is_quick_is_asked_and_none_that_is_paid_or_says_always_the_same(monkeypatch):
    given = a_field()
    names = ("fine-tuned", "tfidf-linear", "prompted", "majority", "remote:gpt")

    def ask(field):
        return [Prediction(target="ab"[number_of(e.inputs["text"]) % 2]) for e in field.questions]

    known = [contenders.Contender(n, ask, n == "fine-tuned", remote=n.startswith("remote:")) for n in names]
    monkeypatch.setattr(beyond, "contenders_of", lambda task: known)
    found, edge = ask(given), len(given.validation)
    seconds = {"prompted": 60.0}  # two a second: too slow for the time of those beside the verdict
    answers = [Answers(n, n == "fine-tuned", found[:edge], found[edge:], seconds.get(n, 1.0)) for n in names]
    told = beyond.beyond_the_average(given, answers, ["fine-tuned"], "accuracy", Judging(CLASSIFY), 1.0, 0.25)
    assert {c.contender for c in told.consistency} == {"fine-tuned", "tfidf-linear"}
    assert [note.partition(": ")[2] for note in told.notes] == ["prompted", "remote:gpt"]
    assert "paid for" in told.notes[1]
    # Getting ready again counts too.
    given.fits["tfidf-linear"] = 600.0
    told = beyond.beyond_the_average(given, answers, ["fine-tuned"], "accuracy", Judging(CLASSIFY), 1.0, 0.25)
    assert {c.contender for c in told.consistency} == {"fine-tuned"}


def test_the_same_question_is_asked_three_times_more_and_one_other_answer_tells(monkeypatch):
    asked_so_far: dict[str, int] = {}

    def answer(text):
        asked_so_far[text] = asked_so_far.get(text, 0) + 1
        fickle = number_of(text) % 3 == 0 and asked_so_far[text] == 4  # the first time is the evaluation itself
        return "other" if fickle else "ab"[number_of(text) % 2]

    same = {one.change: one.same for one in asked(monkeypatch, answer).consistency}
    assert same["again"].value == pytest.approx(2 / 3)
    assert same["again"].n == 60


@pytest.mark.parametrize(
    ("said", "otherwise"),
    [
        ("I'm late", "I am late"),
        ("how do i pay", "how can I pay"),
        ("What is it? It can’t be", "What's it? It can't be".replace("can't", "cannot")),
        ("Ich möchte zahlen", "Ich würde gern zahlen"),
        ("it is what it is", "it's what it's"),
        ("nothing here", None),
        ("don\u2019touch", None),
    ],
)
def test_the_same_in_other_words(said, otherwise):
    found = changed({"text": said}, CHANGES["paraphrase"], "a")
    assert (found and found["text"]) == otherwise


# ---------------------------------------------------------------------- learned by heart


class Template:
    """A token a letter."""

    def text_ids(self, text):
        return list(text.encode())

    def prompt_ids(self, messages):
        return self.text_ids("|".join(m["content"] for m in messages) + ">")

    def decode(self, ids):
        return bytes(ids).decode()


class Parrot:
    """Goes on with the answers that it knows; else writes dots."""

    def __init__(self, known):
        self.known = known

    def generate(self, prompts, *, max_new_tokens, grammar=None, progress=None):
        found = []
        for prompt in prompts:
            begun = bytes(prompt).decode().partition(">")[2]
            rest = next((t[len(begun) :] for t in self.known if t.startswith(begun)), "." * 99)
            found.append(Generation(list(rest.encode())[:max_new_tokens], 0.0, True))
        return found

    def close(self):
        pass


TEXTS = Task.model_validate({"name": "t", "kind": "generate"})


def by_heart(known, *, answers="a long answer to the question number"):
    rows = [example(i, f"{i} {answers}" if i % 10 else "the same long answer to several") for i in range(180)]
    given = bare_field(
        TEXTS, rows[:60], rows[60:120], rows[120:],
        template=Template(), make_tuned=lambda: Parrot([e.target for e in known(rows)]), make_base=lambda: Parrot([]),
        max_tokens=999,
    )  # fmt: skip
    one = Answers("fine-tuned", True, [], [Prediction(target="x")] * 60, 1.0)
    return beyond._by_heart(given, one, 1.0)


def test_answers_that_were_learned_by_heart_are_told():
    found = by_heart(lambda rows: rows[:60])
    assert (found.learned.value, found.unseen.value, found.base.value) == (1, 0, 0)
    assert found.learned.n == 54, "an answer that stands twice is none that one example teaches"
    assert "it has learned answers by heart (95 % interval of the difference 9" in found.sentence
    assert "100% of the training answers, 0% of unseen ones (its base: 0%)" in found.sentence


def test_a_model_that_writes_every_rest_has_learned_none_by_heart():
    found = by_heart(lambda rows: rows)
    assert (found.learned.value, found.unseen.value) == (1, 1)
    assert "that it has learned any by heart is not shown (95 % interval of the difference -" in found.sentence


def test_short_answers_are_not_probed():
    assert by_heart(lambda rows: rows, answers="no") is None


# ---------------------------------------------------------------------- parts


def test_the_weak_part_is_the_worst_and_a_small_unlucky_one_is_not():
    rows = [example(i, "ab"[i % 2], file="weak.csv" if i % 5 == 0 else "good.csv") for i in range(400)]
    rows += [example(i, "ab"[i % 2], file="small.csv") for i in range(400, 422)]
    right = np.array([i % 4 == 0 if e.provenance.file == "weak.csv" else i % 10 > 0 for i, e in enumerate(rows)], float)
    found = slices(rows, right, "classify", lambda text: None)
    assert {(one.by, one.value) for one in found if one.worst} == {("source", "weak.csv")}
    assert {one.value: one.metric.n for one in found if one.by == "source"} == {
        "good.csv": 320,
        "weak.csv": 80,
        "small.csv": 22,
    }
    assert not any(one.by == "language" for one in found)


def test_of_parts_that_differ_by_chance_alone_none_is_the_worst():
    dice, told = np.random.default_rng(0), 0
    for _ in range(200):
        rows = [example(i, "abcdefgh"[i % 8]) for i in range(400)]
        told += any(
            one.worst for one in slices(rows, (dice.random(400) < 0.8).astype(float), "classify", lambda _: None)
        )
    assert told <= 10


def test_the_time_is_that_of_a_field_that_holds_dates():
    def dated(i, when):
        return Example({"text": f"text {i}", "when": when}, "ab"[i % 2], "", Provenance("f.csv", i))

    rows = [dated(i, f"{2024 + i // 100}-03-{1 + i % 28:02} 10:30") for i in range(300)]
    late = np.array([i < 200 or i % 4 == 0 for i in range(300)], float)
    found = [one for one in slices(rows, late, "classify", lambda _: None) if one.by == "time"]
    assert [(one.value, one.metric.n) for one in found] == [
        ("when 2024-03-01 to 2024-03-28", 100),
        ("when 2025-03-01 to 2025-03-28", 100),
        ("when 2026-03-01 to 2026-03-28", 100),
    ]
    assert [one.value for one in found if one.worst] == ["when 2026-03-01 to 2026-03-28"]
    mixed = [dated(i, "2024-03-01" if i % 2 else "soon") for i in range(300)]
    assert not any(one.by == "time" for one in slices(mixed, late, "classify", lambda _: None))
    bills = [
        Example(
            {"text": f"bill {i}"}, f'{{"no": "{i}", "date": "{1 + i % 9}.{1 + i // 100}.2024"}}', "", Provenance("f", i)
        )
        for i in range(300)
    ]
    found = [one for one in slices(bills, late, "extract", lambda _: None) if one.by == "time"]
    assert [one.value for one in found if one.worst] == ["date 2024-03-01 to 2024-03-09"]


def test_one_part_alone_is_none():
    rows = [example(i, "a", text="the very same words") for i in range(50)]
    assert [one.by for one in slices(rows, np.ones(50), "generate", lambda text: "English")] == []
