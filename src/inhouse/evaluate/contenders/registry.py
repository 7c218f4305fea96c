"""What a contender is, what it may use, and what it gives back.

A contender is a registered function from a `Field` (what it may use) to one Prediction per question. It may learn from
the training examples and choose by the validation examples; it sees the test inputs only to answer them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import (
    Example,
    Kind,
    LeftOut,
    Metric,
    Prediction,
    Reporter,
    Silent,
    Task,
    Trimming,
    render_input,
)
from inhouse.core.documents import Passage
from inhouse.engine.answers import AnswerForm
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.encoder import SentenceEncoder
from inhouse.engine.prompts import PromptForm
from inhouse.engine.protocol import Engine
from inhouse.evaluate.contenders.vectors import Vectors
from inhouse.scoring import Judging

if TYPE_CHECKING:
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.remote_engine import RemoteEngine


@dataclass(frozen=True)
class Asked:
    """How a contender came by its answers, in the order of the questions.

    Attributes:
        keys: under which each answer is kept; empty for those that are not.
        seconds: that each took, when it was given.
        cached: how many were kept from before, and `seconds_before` what these took then.
    """

    keys: list[str]
    seconds: list[float]
    cached: int
    seconds_before: float


@dataclass(frozen=True)
class Tried:
    """A form of prompt that was tried on validation examples, with what it answered them and scored.

    `name` is that under which its answers are kept, `places` those of the questions.
    """

    name: str
    form: PromptForm
    places: list[int]
    answers: list[Prediction]
    metric: Metric


@dataclass
class Field:
    """What the contenders may use: the data, and makers of the models, which are loaded when first asked for.

    Attributes:
        judging: what judges answers of the task.
        max_tokens: of prompt and answer together, that the fine-tuned model was trained for.
        context: the same, that the base can read at all.
        tuned_names: of the contenders that the fine-tuned versions under test are.
        fits: seconds that a contender spent on getting ready, by its name.
        notes: what the report should say beside the figures.
        trimming: how the fine-tuned language model shortens inputs that are too long for it.
        identities: what `tuned`, `base` and `remote:NAME` are, to the file and the engine; answers of others are not
            kept.
        known: answers as JSON and the seconds that they took, by `content_key`.
        asked: how the contenders that write came by their answers, by their names.
        read_documents: the passages of the task's documents; none where it has none.
        tried: the forms of prompt that a contender chose among, the chosen one first, by its name.
        left_out: the contenders that were not asked, and why.
        unfinished: the answers that came of remote models that answered too little to be compared, by the contender's
            name.
        embedded: the sentence embeddings that were made already.
        costs: tokens of solved examples in a prompt, by their ids, as far as they were counted.
        fresh: keys of the answers that were given since the field was made.
        attempts: of each question, how often the very same was put before, each time answered anew; empty: never.
        lent: its models are another field's, which frees them.
        fitted: linear models of the training and the validation examples, by the contender's name: as it answers
            validation, and as it serves.
    """

    task: Task
    judging: Judging
    form: AnswerForm
    train: Sequence[Example]
    validation: Sequence[Example]
    test: Sequence[Example]
    system: str
    max_tokens: int
    context: int
    tuned_names: tuple[str, ...]
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
    identities: Mapping[str, str] = field(default_factory=dict)
    known: dict[str, tuple[str, float]] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    read_documents: Callable[[], Sequence[Passage]] = tuple
    tried: dict[str, list[Tried]] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    unfinished: dict[str, Answers] = field(default_factory=dict)
    embedded: Vectors | None = None
    costs: dict[str, int] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    attempts: Sequence[int] = ()
    lent: bool = False
    fitted: dict[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def vectors(self) -> Vectors:
        """Sentence embeddings, which all who are asked share."""
        self.embedded = self.embedded or Vectors(self.make_encoder, self.reporter)
        return self.embedded

    @cached_property
    def passages(self) -> Sequence[Passage]:
        """The passages of the task's documents."""
        return self.read_documents()

    @cached_property
    def questions_read(self) -> list[Mapping[str, str]]:
        """The questions as the base reads them, fine-tuned or prompted: trimmed where the fine-tuned one trims."""
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
        train, asked = ([render_input(e.inputs) for e in examples] for examples in (self.train, self.questions))
        return self.vectors.of(train), self.vectors.of(asked)

    def sample(self, train: Sequence[Example], test: Sequence[Example]) -> Field:
        """A few examples, and these models; what is answered counts as answered here."""
        few: dict[str, Any] = {"train": train, "validation": []}
        own: dict[str, Any] = {"fits": {}, "asked": {}, "left_out": [], "tried": {}, "fitted": {}}
        return replace(self.of_tests(test), **few, **own, reporter=Silent())

    def of_tests(self, test: Sequence[Example]) -> Field:
        """Other test examples, with these models and what is known; notes are its own."""
        lent: dict[str, Any] = {
            "make_tuned": lambda: self.tuned,
            "make_classifier": lambda: self.classifier,
            "make_base": lambda: self.base,
        }
        return replace(self, test=test, **lent, notes=[], embedded=self.vectors, lent=True)

    def close(self) -> None:
        """Free the models that were loaded."""
        for name in ("tuned", "classifier", "base"):
            self.release(name)

    def release(self, name: str) -> None:
        """Free one model, if it was loaded: its cache takes a gigabyte."""
        if name in self.__dict__ and not self.lent:
            self.__dict__.pop(name).close()


@dataclass(frozen=True)
class Answers:
    """One contender's predictions on validation and test, the seconds that answering took, and how it came by them.

    Of an example that it was not asked the prediction says so, with an error where it was, and no answer came.
    """

    name: str
    fine_tuned: bool
    validation: list[Prediction]
    test: list[Prediction]
    seconds: float
    asked: Asked | None = None

    @property
    def rate(self) -> float:
        """Questions answered per second."""
        return (len(self.validation) + self.tested) / max(self.seconds, 1e-9)

    @property
    def tested(self) -> int:
        """How many of the test examples count for it."""
        return sum(p.asked for p in self.test)

    @property
    def sampled(self) -> bool:
        """Whether it was asked a part of the test alone."""
        return any(not p.asked and p.error is None for p in self.test)


Ask = Callable[[Field], list[Prediction]]

ALL_KINDS: tuple[Kind, ...] = ("classify", "extract", "generate")


class NotCompared(Exception):
    """Why a contender takes no part: what it needs is not there."""


# In which order contenders are asked where time is short: those without which there is no verdict, those that train in
# seconds, those that write their answers, and those that are paid for.
NEEDED, QUICK, WRITING, PAID = range(4)


@dataclass(frozen=True)
class Contender:
    """How a contender is asked, for which kinds of task it can be, and in which `turn` where time is short.

    One that searches a prompt takes as long as the one that it is `like`, asked so many `searching` questions more.
    """

    name: str
    ask: Ask
    fine_tuned: bool = False
    kinds: tuple[Kind, ...] = ALL_KINDS
    remote: bool = False
    turn: int = WRITING
    like: str = ""
    searching: int = 0


CONTENDERS: dict[str, Contender] = {}


def contender(
    name: str,
    *,
    fine_tuned: bool = False,
    kinds: tuple[Kind, ...] = ALL_KINDS,
    turn: int = WRITING,
    like: str = "",
    searching: int = 0,
) -> Callable[[Ask], Ask]:
    """Register a contender under the name that reports use; it may raise `NotCompared`."""

    def register(ask: Ask) -> Ask:
        CONTENDERS[name] = Contender(name, ask, fine_tuned, kinds, turn=turn, like=like, searching=searching)
        return ask

    return register
