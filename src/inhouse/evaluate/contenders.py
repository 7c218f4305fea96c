"""The contenders: everything that could answer the task, asked the same questions.

A contender is a registered function from a `Field` (what it may use) to one Prediction per question. It may learn from
the training examples and choose by the validation examples; it sees the test inputs only to answer them.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Example, Kind, Prediction, Reporter, Task, Trimming, canonical_hash, render_input
from inhouse.core.json_schema import compact, ordered, parse_object
from inhouse.engine.answers import AnswerForm, Question, answer_all, text_prediction
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.encoder import SentenceEncoder
from inhouse.engine.prompts import prompted_messages, trained_messages
from inhouse.engine.protocol import Engine, Progress
from inhouse.errors import ModelUnavailable

if TYPE_CHECKING:
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.remote_engine import RemoteEngine

SHOTS = 16
SHOT_TOKENS = 1500
STRENGTHS = (1.0, 10.0, 100.0)
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)


@dataclass
class Field:
    """What the contenders may use: the data, and makers of the models, which are loaded when first asked for.

    Attributes:
        max_tokens: of prompt and answer together, that the fine-tuned model was trained for.
        context: the same, that the base can read at all.
        tuned_name: of the contender that the version under test is.
        fits: seconds that a contender spent on getting ready, by its name.
        notes: what the report should say beside the figures.
        trimming: how the version under test shortens inputs that are too long for it.
    """

    task: Task
    form: AnswerForm
    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    system: str
    max_tokens: int
    context: int
    tuned_name: str
    make_tuned: Callable[[], Engine]
    make_classifier: Callable[[], LabelClassifier]
    make_base: Callable[[], Engine]
    make_encoder: Callable[[], SentenceEncoder]
    make_remote: Callable[[str], RemoteEngine]
    template: ChatTemplate
    reporter: Reporter
    fits: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    trimming: Trimming | None = None

    @cached_property
    def questions_read(self) -> list[Mapping[str, str]]:
        """The questions as the base reads them, fine-tuned or prompted: trimmed where the version under test trims."""
        if self.trimming is None:
            return [e.inputs for e in self.questions]
        return [self.trimming(e.inputs, lambda text: len(self.template.text_ids(text))) for e in self.questions]

    @property
    def questions(self) -> list[Example]:
        """What every contender answers: validation, then test."""
        return [*self.validation, *self.test]

    @cached_property
    def tuned(self) -> Engine:
        """The fine-tuned file in the engine that will serve it."""
        return self.make_tuned()

    @cached_property
    def classifier(self) -> LabelClassifier:
        """The fine-tuned encoder with its head, as it will be served."""
        return self.make_classifier()

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
        for name in ("tuned", "classifier", "base"):
            self.release(name)

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
    def rate(self) -> float:
        """Questions answered per second."""
        return (len(self.validation) + len(self.test)) / max(self.seconds, 1e-9)


Ask = Callable[[Field], list[Prediction]]

ALL_KINDS: tuple[Kind, ...] = ("classify", "extract", "generate")


@dataclass(frozen=True)
class Contender:
    """How a contender is asked, and for which kinds of task it can be."""

    name: str
    ask: Ask
    fine_tuned: bool = False
    kinds: tuple[Kind, ...] = ALL_KINDS
    remote: bool = False


CONTENDERS: dict[str, Contender] = {}


def contender(name: str, *, fine_tuned: bool = False, kinds: tuple[Kind, ...] = ALL_KINDS) -> Callable[[Ask], Ask]:
    """Register a contender under the name that reports use."""

    def register(ask: Ask) -> Ask:
        CONTENDERS[name] = Contender(name, ask, fine_tuned, kinds)
        return ask

    return register


def contenders_of(task: Task) -> list[Contender]:
    """Those that can answer the task: the registered ones of its kind, and the remote models that it names."""
    remotes = [Contender(f"remote:{name}", partial(_remote, name=name), remote=True) for name in task.remotes]
    return [*(c for c in CONTENDERS.values() if task.kind in c.kinds), *remotes]


def ask_all(given: Field, names: Sequence[str] = ()) -> list[Answers]:
    """Ask every contender (or the named ones) every question; a remote one that fails is left out, with a note."""
    answers = []
    for one in contenders_of(given.task):
        if (names and one.name not in names) or (one.fine_tuned and one.name != given.tuned_name):
            continue
        begun = time.perf_counter()
        try:
            found = one.ask(given)
        except ModelUnavailable as error:
            if not one.remote:
                raise
            given.notes.append(f"{one.name} was not compared: {error.what}")
            continue
        seconds = time.perf_counter() - begun - given.fits.get(one.name, 0.0)
        edge = len(given.validation)
        answers.append(Answers(one.name, one.fine_tuned, found[:edge], found[edge:], seconds))
    return answers


def _generate(given: Field, engine: Engine, title: str, prompts: list[list[int]], most: int) -> list[Prediction]:
    """One answer per prompt; those of over `most` tokens are not asked."""
    asked = [place for place, ids in enumerate(prompts) if len(ids) <= most]
    bar = given.reporter.bar(title, len(asked))
    progress: Progress = bar.update
    questions = [Question(prompts[i], render_input(given.questions_read[i])) for i in asked]
    found = answer_all(engine, questions, given.form, given.template.decode, progress)
    answers = [Prediction(target=None, error=f"the prompt takes {len(p)} tokens, of {most} at most") for p in prompts]
    for place, answer in zip(asked, found, strict=True):
        answers[place] = answer
    return answers


@contender("fine-tuned", fine_tuned=True)
def fine_tuned(given: Field) -> list[Prediction]:
    """The trained causal model, through the very file that would be served."""
    messages = [trained_messages(given.system, inputs, chat=given.task.input.chat) for inputs in given.questions_read]
    prompts = [given.template.prompt_ids(m) for m in messages]
    _load(given, "fine-tuned", "tuned")
    answers = _generate(given, given.tuned, "fine-tuned", prompts, given.max_tokens)
    given.release("tuned")
    return answers


@contender("fine-tuned-encoder", fine_tuned=True, kinds=("classify",))
def fine_tuned_encoder(given: Field) -> list[Prediction]:
    """The trained encoder with its head, through the very file that would be served.

    It has learned from the validation examples too; those are answered as they were before.
    """
    _load(given, "fine-tuned-encoder", "classifier")
    questions = [given.classifier.question(render_input(e.inputs)) for e in given.questions]
    edge = len(given.validation)
    bar = given.reporter.bar("fine-tuned-encoder", len(questions))
    answers = given.classifier.answer_unseen(questions[:edge], bar.update)
    answers += given.classifier.answer(questions[edge:], lambda done: bar.update(edge + done))
    given.release("classifier")
    return answers


@contender("prompted")
def prompted(given: Field) -> list[Prediction]:
    """The untrained base with the instruction and the form of an answer: labels, JSON Schema or outline."""
    _load(given, "prompted", "base")
    prompts = [given.template.prompt_ids(prompted_messages(given.task, inputs)) for inputs in given.questions_read]
    return _generate(given, given.base, "prompted", prompts, _room(given))


@contender("few-shot")
def few_shot(given: Field) -> list[Prediction]:
    """As `prompted`, with solved training examples before the question."""
    _load(given, "few-shot", "base")
    shots = choose_shots(given)
    prompts = [given.template.prompt_ids(prompted_messages(given.task, i, shots)) for i in given.questions_read]
    return _generate(given, given.base, "few-shot", prompts, _room(given))


def _room(given: Field) -> int:
    """The most tokens of a prompt that leaves the base room for an answer."""
    return given.context - given.form.max_tokens


def _remote(given: Field, name: str) -> list[Prediction]:
    """A remote model, asked as `few-shot` asks the base."""
    begun = time.perf_counter()
    remote = given.make_remote(name)
    given.fits[f"remote:{name}"] = time.perf_counter() - begun
    shots = choose_shots(given)
    bar = given.reporter.bar(f"remote:{name}", len(given.questions))
    try:
        found = remote.answer(
            [prompted_messages(given.task, e.inputs, shots) for e in given.questions],
            max_new_tokens=given.form.max_tokens,
            json_schema=given.task.json_schema if given.task.kind == "extract" else None,
            progress=bar.update,
        )
    finally:
        remote.close()
    if remote.note:
        given.notes.append(f"remote:{name}: {remote.note}")
    return [
        text_prediction(_unfenced(a.text), given.form, prompt_tokens=a.prompt_tokens, answer_tokens=a.answer_tokens)
        if a.error is None
        else Prediction(target=None, error=a.error)
        for a in found
    ]


def _unfenced(text: str) -> str:
    """The text without the fence in which many models put JSON."""
    fenced = _FENCED.fullmatch(text.strip())
    return fenced[1] if fenced else text.strip()


def choose_shots(given: Field) -> list[Example]:
    """Solved examples to show: of a classify task one of each frequent label, else as many as the budget holds."""
    return _shots_by_label(given) if given.task.kind == "classify" else _shots_of_any_kind(given)


def _shots_of_any_kind(given: Field) -> list[Example]:
    """Training examples of different groups, in an order fixed by content, within a token budget."""
    shots: list[Example] = []
    budget, seen = _shot_budget(given), set[str]()
    for example in sorted(given.train, key=lambda e: canonical_hash(e.id)):
        cost = len(given.template.text_ids(render_input(example.inputs) + example.target)) + 10
        if example.group not in seen and cost <= budget and len(shots) < SHOTS:
            seen.add(example.group)
            shots.append(example)
            budget -= cost
    if not shots:
        given.reporter.warn(f"few-shot shows no example: each alone is over {_shot_budget(given)} tokens")
    return shots


def _shot_budget(given: Field) -> int:
    """Tokens for solved examples: what the longest question that can be asked at all leaves of the base's context."""
    bare = [len(given.template.prompt_ids(prompted_messages(given.task, i))) for i in given.questions_read]
    longest = max((n for n in bare if n <= _room(given)), default=0)
    return max(0, min(SHOT_TOKENS, _room(given) - longest))


def _shots_by_label(given: Field) -> list[Example]:
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


@contender("tfidf-linear", kinds=("classify",))
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


@contender("embedding-linear", kinds=("classify",))
def embedding_linear(given: Field) -> list[Prediction]:
    """Sentence embeddings with logistic regression."""
    train, asked = given.embeddings
    return _linear(given, "embedding-linear", train, asked)


@contender("majority")
def majority(given: Field) -> list[Prediction]:
    """Always the same answer, the most frequent one: the floor. Of objects it is so field by field."""
    if given.task.kind == "extract":
        target, share = _usual_object(given)
    else:
        target, share = _most_frequent([e.target for e in given.train])
    return [Prediction(target=target, confidence=share)] * len(given.questions)


def _most_frequent(texts: Sequence[str]) -> tuple[str, float]:
    """The commonest text, the first in order among equals, and its share."""
    text, count = min(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))
    return text, count / len(texts)


def _usual_object(given: Field) -> tuple[str, float]:
    """The object of each field's commonest value, absence included, and the share of the rarest of these."""
    objects = [parse_object(e.target) or {} for e in given.train]
    usual: dict[str, Any] = {}
    shares = [1.0]
    for name in given.task.json_schema.get("properties", {}):
        text, share = _most_frequent([compact(o[name]) if name in o else "" for o in objects])
        shares.append(share)
        if text:
            usual[name] = json.loads(text)
    return compact(ordered(given.task.json_schema, usual)), min(shares)


def _linear(given: Field, name: str, train: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - dense or sparse
    """Logistic regression at the strength that does best on validation.

    Against a fine-tuned encoder, whose head learns from the validation examples too once all is chosen, it does so as
    well before it answers test questions.
    """
    from sklearn.linear_model import LogisticRegression

    begun = time.perf_counter()
    targets = [e.target for e in given.train]
    edge = len(given.validation)
    wanted = [e.target for e in given.validation]
    fitted = [LogisticRegression(C=c, max_iter=1000).fit(train, targets) for c in STRENGTHS]
    best = max(fitted, key=lambda model: float(np.mean(model.predict(asked[:edge]) == wanted)) if edge else 0.0)
    last = best
    if edge and given.tuned_name == "fine-tuned-encoder":
        last = LogisticRegression(C=best.C, max_iter=1000).fit(_stacked(train, asked[:edge]), [*targets, *wanted])
    given.fits[name] = given.fits.get(name, 0.0) + time.perf_counter() - begun
    return [*_picked(best, asked[:edge]), *_picked(last, asked[edge:])]


def _stacked(above: Any, below: Any) -> Any:  # noqa: ANN401 - dense or sparse
    from scipy.sparse import issparse, vstack

    return vstack([above, below]).tocsr() if issparse(above) else np.vstack([above, below])


def _picked(model: Any, asked: Any) -> list[Prediction]:  # noqa: ANN401 - scikit-learn has no types
    """The likeliest label of each question, of which there may be none."""
    if not asked.shape[0]:
        return []
    chances = model.predict_proba(asked)
    return [
        Prediction(target=str(model.classes_[pick]), confidence=float(row[pick]))
        for pick, row in zip(chances.argmax(1), chances, strict=True)
    ]


def curve_rises(given: Field) -> bool | None:
    """Whether more examples would still help, judged by the cheap `embedding-linear` at half and at all of the data.

    A training per point would cost hours; on banking77 both curves rise and flatten together. None without validation
    examples.
    """
    from sklearn.linear_model import LogisticRegression

    wanted = [e.target for e in given.validation]
    if not wanted or given.task.kind != "classify":
        return None
    train, asked = given.embeddings
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
