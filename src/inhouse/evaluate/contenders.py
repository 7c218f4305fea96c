"""The contenders: everything that could answer the task, asked the same questions.

A contender is a registered function from a `Field` (what it may use) to one Prediction per question. It may learn from
the training examples and choose by the validation examples; it sees the test inputs only to answer them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Prediction, Reporter, Task, canonical_hash, render_input
from inhouse.engine.answers import answer_labels
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.encoder import SentenceEncoder
from inhouse.engine.prompts import prompted_messages, trained_messages
from inhouse.engine.protocol import Engine, Progress

SHOTS = 16
SHOT_TOKENS = 1500
STRENGTHS = (1.0, 10.0, 100.0)


@dataclass
class Field:
    """What the contenders may use: the data, and makers of the models, which are loaded when first asked for."""

    task: Task
    labels: tuple[str, ...]
    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    system: str
    max_tokens: int
    make_tuned: Callable[[], Engine]
    make_base: Callable[[], Engine]
    make_encoder: Callable[[], SentenceEncoder]
    template: ChatTemplate
    reporter: Reporter
    model_version: str = ""
    fits: dict[str, float] = field(default_factory=dict)

    @property
    def questions(self) -> list[Example]:
        """What every contender answers: validation, then test."""
        return [*self.validation, *self.test]

    @cached_property
    def tuned(self) -> Engine:
        """The fine-tuned file in the engine that will serve it."""
        return self.make_tuned()

    @cached_property
    def base(self) -> Engine:
        """The untrained base in the same engine."""
        return self.make_base()

    @cached_property
    def embeddings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings of the training inputs and of the questions."""
        texts = [render_input(e.inputs) for e in [*self.train, *self.questions]]
        bar = self.reporter.bar("embeddings", len(texts))
        vectors = self.make_encoder().embed(texts, bar.update)
        return vectors[: len(self.train)], vectors[len(self.train) :]

    def close(self) -> None:
        """Free the models that were loaded."""
        self.release("tuned")
        self.release("base")

    def release(self, name: str) -> None:
        """Free one model, if it was loaded: its cache takes a gigabyte."""
        if name in self.__dict__:
            self.__dict__.pop(name).close()


@dataclass(frozen=True)
class Answers:
    """One contender's predictions on validation and test, and the seconds that answering took."""

    name: str
    fine_tuned: bool
    validation: list[Prediction]
    test: list[Prediction]
    seconds: float

    @property
    def requests_per_second(self) -> float:
        """Questions answered per second."""
        return (len(self.validation) + len(self.test)) / max(self.seconds, 1e-9)


Ask = Callable[[Field], list[Prediction]]

CONTENDERS: dict[str, tuple[Ask, bool]] = {}


def contender(name: str, *, fine_tuned: bool = False) -> Callable[[Ask], Ask]:
    """Register a contender under the name that reports use."""

    def register(ask: Ask) -> Ask:
        CONTENDERS[name] = (ask, fine_tuned)
        return ask

    return register


def ask_all(given: Field, names: Sequence[str] = ()) -> list[Answers]:
    """Ask every contender (or the named ones) every question."""
    answers = []
    for name, (ask, fine_tuned) in CONTENDERS.items():
        if names and name not in names:
            continue
        begun = time.perf_counter()
        found = ask(given)
        seconds = time.perf_counter() - begun - given.fits.get(name, 0.0)
        edge = len(given.validation)
        answers.append(Answers(name, fine_tuned, found[:edge], found[edge:], seconds))
    return answers


def _generate(given: Field, engine: Engine, title: str, prompts: list[list[int]]) -> list[Prediction]:
    bar = given.reporter.bar(title, len(prompts))
    progress: Progress = bar.update
    return answer_labels(engine, prompts, given.labels, given.template.decode, progress)


@contender("fine-tuned", fine_tuned=True)
def fine_tuned(given: Field) -> list[Prediction]:
    """The trained causal model, through the very file that would be served."""
    prompts = []
    too_long = set()
    for place, example in enumerate(given.questions):
        ids = given.template.prompt_ids(trained_messages(given.system, render_input(example.inputs)))
        if len(ids) > given.max_tokens:
            too_long.add(place)
            ids = given.template.prompt_ids(trained_messages(given.system, ""))
        prompts.append(ids)
    _load(given, "fine-tuned", "tuned")
    answers = _generate(given, given.tuned, "fine-tuned", prompts)
    given.release("tuned")
    for place in too_long:
        answers[place] = Prediction(target=None, error=f"the input is over {given.max_tokens} tokens")
    return answers


@contender("prompted")
def prompted(given: Field) -> list[Prediction]:
    """The untrained base with the instruction and the list of labels."""
    _load(given, "prompted", "base")
    prompts = [given.template.prompt_ids(prompted_messages(given.task, e.inputs)) for e in given.questions]
    return _generate(given, given.base, "prompted", prompts)


@contender("few-shot")
def few_shot(given: Field) -> list[Prediction]:
    """As `prompted`, with solved training examples of different labels before the question."""
    _load(given, "few-shot", "base")
    shots = choose_shots(given)
    prompts = [given.template.prompt_ids(prompted_messages(given.task, e.inputs, shots)) for e in given.questions]
    return _generate(given, given.base, "few-shot", prompts)


def choose_shots(given: Field) -> list[Example]:
    """One training example each of the most frequent labels, in an order fixed by content, within a token budget."""
    frequent = [label for label, _ in Counter(e.target for e in given.train).most_common(SHOTS)]
    shots: list[Example] = []
    budget = SHOT_TOKENS
    in_order = sorted(given.train, key=lambda e: canonical_hash(e.id))
    for label in frequent:
        room = budget // (len(frequent) - len(shots)) * 2
        for example in (e for e in in_order if e.target == label):
            cost = len(given.template.text_ids(render_input(example.inputs) + example.target)) + 10
            if cost <= min(room, budget):
                shots.append(example)
                budget -= cost
                break
    if len(shots) < len(frequent):
        given.reporter.warn(f"few-shot shows {len(shots)} examples: those of the other labels are too long to be shown")
    return shots


@contender("tfidf-linear")
def tfidf_linear(given: Field) -> list[Prediction]:
    """Word and letter n-grams with logistic regression: trains in seconds, the thing to beat."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    begun = time.perf_counter()
    vectorizer = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
    )
    train = vectorizer.fit_transform([render_input(e.inputs) for e in given.train])
    asked = [render_input(e.inputs) for e in given.questions]
    given.fits["tfidf-linear"] = time.perf_counter() - begun
    return _linear(given, "tfidf-linear", train, vectorizer.transform(asked))


@contender("embedding-linear")
def embedding_linear(given: Field) -> list[Prediction]:
    """Sentence embeddings with logistic regression."""
    train, asked = given.embeddings
    return _linear(given, "embedding-linear", train, asked)


@contender("majority")
def majority(given: Field) -> list[Prediction]:
    """Always the most frequent label: the floor."""
    counts = Counter(e.target for e in given.train)
    label, count = min(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    answer = Prediction(target=label, confidence=count / len(given.train))
    return [answer] * len(given.questions)


def _linear(given: Field, name: str, train: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - dense or sparse
    """Logistic regression at the strength that does best on validation."""
    from sklearn.linear_model import LogisticRegression

    begun = time.perf_counter()
    targets = [e.target for e in given.train]
    edge = len(given.validation)
    wanted = [e.target for e in given.validation]
    fitted = [LogisticRegression(C=c, max_iter=1000).fit(train, targets) for c in STRENGTHS]
    best = max(fitted, key=lambda model: float(np.mean(model.predict(asked[:edge]) == wanted)) if edge else 0.0)
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun
    chances = best.predict_proba(asked)
    picks = chances.argmax(1)
    return [
        Prediction(target=str(best.classes_[pick]), confidence=float(row[pick]))
        for pick, row in zip(picks, chances, strict=True)
    ]


def curve_rises(given: Field) -> bool | None:
    """Whether more examples would still help, judged by the cheap `embedding-linear` at half and at all of the data.

    A training per point would cost hours; on banking77 both curves rise and flatten together. None without validation
    examples.
    """
    from sklearn.linear_model import LogisticRegression

    train, asked = given.embeddings
    wanted = [e.target for e in given.validation]
    if not wanted:
        return None
    targets = np.array([e.target for e in given.train])
    half = np.array([int(canonical_hash(e.group), 16) % 2 == 0 for e in given.train])
    if len(set(targets[half])) < 2:
        return None
    scores = [
        float(
            np.mean(
                LogisticRegression(C=10.0, max_iter=1000).fit(train[part], targets[part]).predict(asked[: len(wanted)])
                == wanted
            )
        )
        for part in (half, np.ones_like(half))
    ]
    return scores[1] - scores[0] >= 0.01


def _load(given: Field, name: str, which: str) -> None:
    """Load a model ahead of the clock: a contender's speed is that of answering."""
    begun = time.perf_counter()
    getattr(given, which)
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun
