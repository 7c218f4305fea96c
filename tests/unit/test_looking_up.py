"""What contenders that prompt show to a model: similar examples, passages, and the prompt that a search chose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fields import bare_field

from inhouse.core import Example, Prediction, Provenance, Task, Trimming, render_input
from inhouse.core.documents import Passage
from inhouse.deploy.served_prompt import ServedPrompt
from inhouse.engine.answers import answer_form
from inhouse.engine.prompt_file import frame_of
from inhouse.engine.prompts import outline_of_schema, prompted_messages
from inhouse.engine.protocol import Generation
from inhouse.errors import ModelUnavailable, PromptTooLong
from inhouse.evaluate.contenders import CONTENDERS, Field, ask_all, searching, shots
from inhouse.evaluate.contenders.registry import NotCompared

LABELS = ("card", "pin", "rate")
TASK = Task(name="t", instruction="Say what it is about.", labels=LABELS)


class Words:
    """A template whose tokens are words and marks of roles; what it has read it can write again."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def text_ids(self, text: str) -> list[int]:
        return [self.known.setdefault(word, len(self.known)) for word in text.split()]

    def prompt_ids(self, messages: Sequence[dict[str, str]]) -> list[int]:
        return [i for m in messages for i in self.text_ids(f"<{m['role']}> {m['content']}")]

    def decode(self, ids: Sequence[int]) -> str:
        words = list(self.known)
        return " ".join(words[i] for i in ids)


class Model:
    """Answers each prompt by a rule, and keeps what it was asked."""

    def __init__(self, template: Words, rule: Callable[[str], str]) -> None:
        self.template, self.rule = template, rule
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[list[int]], *, progress: Any = None, **_: Any) -> list[Generation]:
        texts = [self.template.decode(prompt) for prompt in prompts]
        self.asked += texts
        return [Generation(self.template.text_ids(self.rule(text)), -0.1, finished=True) for text in texts]

    def close(self) -> None:
        pass


class Encoder:
    """A text's vector tells which of the labels' words it holds."""

    def __init__(self) -> None:
        self.embedded = 0

    def embed(self, texts: Sequence[str], progress: Any = None) -> np.ndarray:
        self.embedded += len(texts)
        found = np.array([[text.count(label) + 0.01 for label in LABELS] for text in texts], np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def example(text: str, target: str, group: str = "") -> Example:
    return Example({"text": text}, target, group, Provenance("f.csv", 1))


TRAIN = [example(f"{label} matter {n}", label.upper()) for n in range(6) for label in LABELS]
ASKED = [example(f"my {label} is it {n}", label.upper()) for n in range(4) for label in LABELS]


def last_answer(prompt: str) -> str:
    """What the solved example right before the question says; without one always the same label."""
    return prompt.rpartition("<assistant>")[2].split()[0] if "<assistant>" in prompt else "CARD"


def a_field(rule: Callable[[str], str] = last_answer, **more: Any) -> tuple[Field, Model]:
    template = Words()
    model = Model(template, rule)
    task = TASK.model_copy(update={"labels": tuple(label.upper() for label in LABELS)})
    encoder = Encoder()
    usual: dict[str, Any] = {
        "form": answer_form("classify", labels=task.labels),
        "template": template,
        "make_base": lambda: model,
        "make_tuned": lambda: model,
        "make_encoder": lambda: encoder,
        "context": 500,
        "identities": {"base": "a file", "tuned": "another"},
    }
    return bare_field(task, TRAIN, ASKED[:6], ASKED[6:], **(usual | more)), model


def answers(given: Field, name: str) -> list[Prediction]:
    return CONTENDERS[name].ask(given)


@pytest.mark.parametrize("name", ["retrieval", "fine-tuned+retrieval"])
def test_the_most_similar_examples_are_shown_the_nearest_last(name):
    given, model = a_field()
    found = answers(given, name)
    assert [a.target for a in found] == [e.target for e in given.questions]
    assert all(text.count("<assistant>") == shots.NEAREST for text in model.asked)
    assert all(text.startswith("<system>") for text in model.asked)


def test_no_example_is_shown_that_is_the_question_itself_its_twin_or_of_its_group():
    """With the question among what was learned, as when memorising is looked for, its answer would be given away."""
    asked = [replace(TRAIN[0], id=""), example("CARD  Matter 3", "CARD"), example("card again", "CARD", "g")]
    kin = [*TRAIN, example("card card of the group", "PIN", "g")]
    given, model = a_field()
    given = replace(given, train=kin, validation=(), test=asked)
    answers(given, "retrieval")
    for text, forbidden in zip(model.asked, ("matter 0", "card matter 3", "of the group"), strict=True):
        shown = text.rpartition("<user>")[0]
        assert f"card {forbidden}" not in shown.replace("card card", "card")
        assert shown.count("<assistant>") == shots.NEAREST


def test_what_is_shown_has_room_and_nothing_is_cut(monkeypatch):
    given, model = a_field(context=60)
    found = answers(given, "retrieval")
    assert all(a.error is None for a in found)
    assert all(len(text.split()) <= shots.room(given) for text in model.asked)
    assert 0 < model.asked[0].count("<assistant>") < shots.NEAREST
    for text in model.asked:
        for user in text.split("<user>")[1:-1]:
            assert user.split("<assistant>")[0].strip() in {render_input(e.inputs) for e in TRAIN}
    bare, _ = a_field(context=24 + a_field()[0].form.max_tokens)
    answers(bare, "retrieval")
    assert bare.notes == ["retrieval: 12 of 12 questions were asked without a similar example, as none had room"]
    monkeypatch.setattr(shots, "NEAREST_TOKENS", 3)
    with pytest.raises(NotCompared, match="takes more than the 3 tokens"):
        answers(a_field()[0], "retrieval")


def test_questions_are_shown_trimmed_and_too_long_ones_are_not_asked_of_the_fine_tuned_model():
    long = example("pin " + "x " * 200, "PIN")
    given, model = a_field(max_tokens=50)
    given = replace(given, test=[long])
    found = answers(given, "fine-tuned+retrieval")
    assert found[-1].error == "the prompt takes 203 tokens, of 50 at most"
    trimmed = replace(given, trimming=Trimming(room=20), asked={}, known={})
    assert answers(trimmed, "fine-tuned+retrieval")[-1].error is None
    assert len(model.asked[-1].rpartition("<user>")[2].split()) <= 21


def test_an_encoder_is_shown_nothing_and_without_an_encoder_there_is_no_likeness():
    given, _ = a_field(tuned_names=("fine-tuned-encoder",))
    with pytest.raises(NotCompared, match="an encoder reads no examples"):
        answers(given, "fine-tuned+retrieval")

    def none_here() -> Any:
        raise ModelUnavailable("the encoder is not here", "pull it")

    given, _ = a_field(make_encoder=none_here)
    found = ask_all(given, ["retrieval", "grounded", "prompted-best", "prompted"])
    asked = [a.name for a in found if a.name in ("prompted", "prompted-best", "retrieval", "grounded")]
    assert asked == ["prompted", "prompted-best"], "the search goes without likeness"
    reasons = {one.contender: one.reason for one in given.left_out}
    assert reasons["retrieval"] == "the encoder is not here (pull it)"
    assert "tasks/t/documents" in reasons["grounded"]
    assert not any("the most similar" in one.form.told for one in given.tried["prompted-best"])


# ---------------------------------------------------------------------- passages


NOTES = [
    Passage("a.txt", 1, "Whoever asks for a card gets CARD."),
    Passage("a.txt", 2, "A pin is PIN."),
    Passage("b/c.txt", 1, "A rate is told as RATE."),
]


def by_notes(prompt: str) -> str:
    """The label of the first passage."""
    shown = prompt.partition("documents:")[2]
    return min(
        (label.upper() for label in LABELS), key=lambda label: shown.find(label) if label in shown else len(shown)
    )


def test_answers_cite_the_passages_that_belong_to_the_question():
    given, model = a_field(by_notes, read_documents=lambda: NOTES)
    found = answers(given, "grounded")
    assert [a.target for a in found] == [e.target for e in given.questions]
    first = {"CARD": "a.txt#1", "PIN": "a.txt#2", "RATE": "b/c.txt#1"}
    assert [a.sources[0] for a in found] == [first[e.target] for e in given.questions]
    assert "[a.txt#1] Whoever asks for a card gets CARD." in model.asked[0]
    assert model.asked[0].index("Labels:") < model.asked[0].index("[a.txt#1]") < model.asked[0].index("my card")
    again = replace(given, asked={}, embedded=None)
    assert answers(again, "grounded") == found, "what is kept cites too"


def test_passages_without_room_are_left_out_whole():
    given, model = a_field(by_notes, read_documents=lambda: [*NOTES, Passage("a.txt", 3, "card " * 700)])
    found = answers(given, "grounded")
    assert all("a.txt#3" not in a.sources for a in found)
    assert all(len(text.split()) <= shots.room(given) for text in model.asked)
    tight, _ = a_field(by_notes, read_documents=lambda: [Passage("a.txt", 3, "card " * 700)])
    assert all(a.sources == () for a in answers(tight, "grounded"))
    assert tight.notes == ["grounded: 12 of 12 questions were asked without a passage, as none had room"]


# ---------------------------------------------------------------------- examples that are always the same


@pytest.mark.parametrize("kind", ["classify", "extract"])
def test_the_solved_examples_are_the_same_whatever_is_asked(kind):
    """A sample of the test, changed questions and what is promoted: a long question among them changes nothing."""
    given, _ = a_field(context=75)
    given = replace(given, task=given.task.model_copy(update={"kind": kind}))
    usual = shots.choose_shots(given)
    assert usual
    changed = [example("my card " * length, "CARD") for length in (1, 5, 10)]
    for test in ([], changed, given.test[:1]):
        assert shots.choose_shots(replace(given, validation=[], test=test)) == usual
    longer = replace(given, train=[*TRAIN, example("my card " * 12, "CARD")])
    assert len(shots.choose_shots(longer)) < len(usual), "by what was learned from, all are likely to have room"


def test_a_question_that_examples_leave_no_room_for_is_asked_without_and_served_so():
    long = example("my card " * 20, "CARD")
    given, model = a_field(context=75)
    given = replace(given, test=[*given.test, long])
    found = answers(given, "few-shot")
    assert [a.error for a in found] == [None] * len(found)
    bare = [text for text in model.asked if "<assistant>" not in text]
    assert len(bare) == 1
    assert given.notes == [
        "few-shot: 1 of 13 questions were asked without solved examples, which left no room for them"
    ]
    served = ServedPrompt.__new__(ServedPrompt)
    served._frame, served._look_up = frame_of(given.task, shots.choose_shots(given)), None
    served._most, served.template, served.version = shots.room(given), given.template, SimpleNamespace(chat=False)
    assert [given.template.decode(served._prompt(e.inputs, e.inputs).ids) for e in given.questions] == model.asked
    with pytest.raises(PromptTooLong):
        served._prompt({"text": "card " * 100}, {})


# ---------------------------------------------------------------------- the search


def test_the_form_that_does_best_on_validation_answers():
    """The rule is right only where similar examples stand before the question."""
    given, _ = a_field()
    found = answers(given, "prompted-best")
    best, *others = given.tried["prompted-best"]
    assert best.form.choice == "nearest"
    assert best.form.shots == shots.NEAREST, "the first of equals is the shorter one"
    assert best.metric.value == 1.0 > max(one.metric.value for one in others if one.form.choice != "nearest")
    assert [a.target for a in found] == [e.target for e in given.questions]
    assert len(given.tried["prompted-best"]) <= 8


def test_the_search_looks_at_validation_alone_and_at_no_more_than_its_rows(monkeypatch):
    monkeypatch.setattr(searching, "ROWS", 3)
    seen: list[str] = []
    given, _ = a_field(lambda prompt: seen.append(prompt) or last_answer(prompt))
    asked_of_test = {render_input(e.inputs) for e in given.test}
    tried = searching._search(given)
    questions = [prompt.rpartition("<user>")[2].split("Say what")[0].strip() for prompt in seen]
    assert not asked_of_test & set(questions)
    assert len(set(questions)) == 3
    assert all(one.metric.n == 3 for one in tried)


def test_a_search_is_not_made_twice_and_its_answers_are_kept():
    given, model = a_field()
    first = answers(given, "prompted-best")
    count = len(model.asked)
    assert answers(replace(given, identities={}, asked={}), "prompted-best") == first
    assert len(model.asked) == count + len(given.questions), "the form is known; only the questions are asked again"
    fresh, other = a_field(known=given.known)
    fresh = replace(fresh, template=given.template)
    assert answers(fresh, "prompted-best") == first
    assert other.asked == [], "an evaluation after this one asks nothing"


def test_without_validation_there_is_nothing_to_choose_by():
    given, _ = a_field()
    with pytest.raises(NotCompared, match="no validation examples"):
        answers(replace(given, validation=()), "prompted-best")


def test_the_time_of_the_search_is_none_of_answering():
    given, _ = a_field()
    (answered,) = (a for a in ask_all(given, ["prompted-best"]) if a.name == "prompted-best")
    assert 0 <= answered.seconds < given.fits["prompted-best"] + answered.seconds
    assert given.fits["prompted-best"] > 0


def test_texts_are_embedded_once_for_all_who_ask():
    given, _ = a_field(read_documents=lambda: NOTES)
    ask_all(given, ["retrieval", "grounded", "prompted-best", "fine-tuned+retrieval"])
    encoder = given.vectors._encoder
    assert encoder.embedded == len(TRAIN) + len(ASKED) + len(NOTES)  # type: ignore[union-attr]
    again = replace(given, test=[example("a new pin", "PIN")], asked={})
    answers(again, "retrieval")
    assert encoder.embedded == len(TRAIN) + len(ASKED) + len(NOTES) + 1  # type: ignore[union-attr]


# ---------------------------------------------------------------------- the messages


@pytest.mark.parametrize("form", [*searching.WORDINGS])
def test_what_differs_between_questions_stands_behind_what_does_not(form):
    one, other = (prompted_messages(TASK, {"text": t}, form=form, passages=NOTES[:1]) for t in ("abc", "xyz"))
    assert one[:-1] == other[:-1]
    assert "abc" in one[-1]["content"]
    assert all(label in one[0]["content"] for label in LABELS)
    assert (one[-1]["content"].endswith("Say what it is about.")) == (form.instruction == "repeated")


def test_a_schema_in_brief_names_every_field():
    schema = {
        "type": "object",
        "properties": {
            "town": {"type": "string"},
            "size": {"enum": ["S", "L"]},
            "items": {"type": "array", "items": {"type": "object", "properties": {"no": {"type": ["string", "null"]}}}},
            "one": {"const": 1},
        },
    }
    assert outline_of_schema(schema) == {
        "town": "string",
        "size": "S or L",
        "items": [{"no": "string or null"}],
        "one": 1,
    }
