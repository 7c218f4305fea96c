"""From prompts to answers: what an engine generates, as Predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

from inhouse.core import Kind, Prediction
from inhouse.core.json_schema import parse_object, validate
from inhouse.engine.grammar import labels_grammar
from inhouse.engine.parts import field_confidences
from inhouse.engine.protocol import Engine, Generation, Grammar, Progress
from inhouse.engine.schema_grammar import Choices, schema_grammar

Decode = Callable[[Sequence[int]], str]
# The values that fields can have in the answer to a text, by dotted path.
ChoicesOf = Callable[[str], Choices]


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt, as token ids, and the input's text in it.

    Attributes:
        trimmed: parts of the input were left out.
        sources: the passages that the prompt shows, as answers cite them.
    """

    prompt: list[int]
    text: str
    trimmed: bool = False
    sources: tuple[str, ...] = ()

    def cited(self, answer: Prediction) -> Prediction:
        """The answer, citing what it was shown."""
        return answer.model_copy(update={"sources": self.sources}) if self.sources else answer


@dataclass(frozen=True)
class AnswerForm:
    """What the answers of a task look like to an engine.

    Attributes:
        grammar: keeps an answer in form; None where any text is one.
        max_tokens: the most tokens of an answer.
        fault: why a whole answer is none of the task's; empty when it is one.
        partial: whether an answer that was cut off, or has another fault, is worth having.
        narrower: the grammar of the answers to one input, by its text; None where it is that of all.
        by_field: whether an answer is an object, of whose fields each has a confidence.
    """

    grammar: Grammar | None
    max_tokens: int
    fault: Callable[[str], str]
    partial: bool = False
    narrower: Callable[[str], Grammar | None] | None = None
    by_field: bool = False

    def grammar_of(self, text: str) -> Grammar | None:
        """What an answer to this input may be."""
        return (self.narrower(text) if self.narrower else None) or self.grammar


def answer_form(
    kind: Kind,
    *,
    labels: Sequence[str] = (),
    json_schema: Mapping[str, Any] | None = None,
    choices_of: ChoicesOf | None = None,
    text_fault: Callable[[str], str] | None = None,
    answer_tokens: int = 0,
) -> AnswerForm:
    """The form of a kind's answers.

    Args:
        labels: of a classify task.
        json_schema: of an extract task.
        choices_of: the values that its fields can have in the answer to an input, by the input's text.
        text_fault: why a text is not as a generate task wants it; empty where it is.
        answer_tokens: the most tokens of an answer of an extract or generate task.
    """
    if kind == "classify":
        allowed = frozenset(labels)
        return AnswerForm(labels_grammar(labels), _longest(labels), lambda text: _no_label(text, allowed))
    if kind == "extract":
        schema = dict(json_schema or {})
        return AnswerForm(
            schema_grammar(schema),
            answer_tokens,
            lambda text: _no_object(text, schema),
            narrower=_narrower(schema, choices_of) if choices_of else None,
            by_field=True,
        )

    def fault(text: str) -> str:
        return _no_text(text) or (text_fault(text) if text_fault else "")

    return AnswerForm(None, answer_tokens, fault, partial=True)


def _narrower(schema: Mapping[str, Any], choices_of: ChoicesOf) -> Callable[[str], Grammar | None]:
    def narrower(text: str) -> Grammar | None:
        choices = choices_of(text)
        return schema_grammar(schema, choices) if choices else None

    return narrower


def _longest(labels: Sequence[str]) -> int:
    """A bound on a label's tokens: at worst one per byte, and the one that ends the turn."""
    return max(len(label.encode()) for label in labels) + 1


def _no_label(text: str, labels: frozenset[str]) -> str:
    return "" if text in labels else f"the model answered {text[:80]!r}, which is none of the labels"


def _no_object(text: str, schema: dict[str, Any]) -> str:
    found = parse_object(text)
    if found is None:
        return f"the model answered {text[:80]!r}, which is no JSON object"
    fault = validate(schema, found)
    return f"the model's answer does not meet the schema: {fault}" if fault else ""


def _no_text(text: str) -> str:
    return "" if text.strip() else "the model answered nothing"


def answer_all(
    engine: Engine,
    questions: Sequence[Question],
    form: AnswerForm,
    decode: Decode,
    progress: Progress | None = None,
) -> list[Prediction]:
    """One answer per question, in order.

    Where the input's own grammar led to no answer, the question is asked again under the grammar of all. Such an answer
    is not held to the input, so its confidence is 0.
    """

    own: set[int] = set()

    def grammars() -> Iterator[Grammar | None]:
        for i, question in enumerate(questions):
            grammar = form.grammar_of(question.text)
            if grammar is not form.grammar:
                own.add(i)
            yield grammar

    def ask(
        asked: Sequence[Question], grammars: Iterable[Grammar | None], progress: Progress | None
    ) -> list[Prediction]:
        prompts = [question.prompt for question in asked]
        given = engine.generate(prompts, max_new_tokens=form.max_tokens, grammar=grammars, progress=progress)
        return [as_prediction(g, len(p), form, decode) for g, p in zip(given, prompts, strict=True)]

    answers = ask(questions, grammars(), progress)
    again = [i for i, answer in enumerate(answers) if answer.error and i in own]
    if again:
        second = ask([questions[i] for i in again], [form.grammar] * len(again), None)
        for i, answer in zip(again, second, strict=True):
            answers[i] = doubtful(answer)
    return [question.cited(answer) for question, answer in zip(questions, answers, strict=True)]


def doubtful(answer: Prediction) -> Prediction:
    """The answer, for a person to look at."""
    return answer.model_copy(update={"confidence": 0.0})


def as_prediction(given: Generation, prompt_tokens: int, form: AnswerForm, decode: Decode) -> Prediction:
    """A generation as a prediction. What is none of the task's answers is an error, never passed on as an answer.

    `confidence` is the probability that the model itself gives to the answer, before the grammar: of a label as a
    whole, of longer answers the geometric mean over tokens, as the product over a hundred of them says only how many
    they are. Each field of an object has a confidence of its own, where the engine tells that of tokens.
    """
    answer_tokens = len(given.ids)
    labelled = form.grammar is not None and form.grammar.labels
    logprob = given.logprob if labelled else given.logprob / max(answer_tokens, 1)
    text = decode(given.ids)
    found = text_prediction(
        text,
        form,
        confidence=min(1.0, exp(logprob)),
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        finished=given.finished,
    )
    if not form.by_field or found.target is None:
        return found
    return found.model_copy(update={"parts": field_confidences(text, given.ids, given.logprobs, decode)})


def text_prediction(
    text: str,
    form: AnswerForm,
    *,
    confidence: float = 0.0,
    prompt_tokens: int = 0,
    answer_tokens: int = 0,
    finished: bool = True,
) -> Prediction:
    """An answer's text as a prediction: with an error when it is none of the task's, or was cut off."""
    fault = form.fault(text)
    if not finished:
        cut = f"the answer was cut off after {answer_tokens} tokens"
        fault = cut if form.partial or not fault else f"{cut}: {fault}"
    keeps = not fault or (form.partial and text.strip() != "")
    return Prediction(
        target=text if keeps else None,
        finished=finished,
        confidence=confidence if keeps else 0.0,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        error=fault or None,
    )
