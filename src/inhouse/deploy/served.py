"""A model version, loaded and answering: what `predict`, `serve` and the evaluation of a champion all use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from inhouse.core import ModelVersion, Outline, Prediction, calibrated_parts, render_input
from inhouse.deploy.adapters import open_weights
from inhouse.deploy.asking import LIKELIEST, Options, prompt_in
from inhouse.deploy.bases import USUAL_TOKENS, BaseVersion
from inhouse.deploy.size import size_of_model
from inhouse.deploy.token_chances import Chances, TokenChance
from inhouse.deploy.version_files import GGUF
from inhouse.engine import Base, get_base, served_file
from inhouse.engine.answers import AnswerForm, Question, answer_all, answer_form, as_prediction, doubtful
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.gguf_fields import context_length, read_fields
from inhouse.engine.prompts import conversation, trained_messages
from inhouse.engine.protocol import Generation, Progress, StreamingEngine, Wishes
from inhouse.engine.schema_grammar import wished_grammar
from inhouse.engine.stop_strings import NO_STOPS, StopStrings
from inhouse.errors import InputError, PromptTooLong
from inhouse.scoring import outline_checks
from inhouse.scoring.mentions import mentioned_fields
from inhouse.store import Workspace


@dataclass(frozen=True, slots=True)
class Answered:
    """A prediction, whether a person should look at it, whether its input was longer than is read and trimmed, and its
    tokens, where they were asked for."""

    prediction: Prediction
    needs_review: bool
    trimmed: bool = False
    tokens: tuple[TokenChance, ...] = ()


Tokens = tuple[TokenChance, ...]


class Prompt(NamedTuple):
    """What a language model reads of an input, and the passages that it is shown there, as answers cite them."""

    ids: list[int]
    sources: tuple[str, ...] = ()


def form_of(version: ModelVersion) -> AnswerForm:
    """What the answers of a version look like."""
    if isinstance(version, BaseVersion):
        return AnswerForm(None, USUAL_TOKENS, lambda _: "", partial=True)
    return answer_form(
        version.kind,
        labels=version.labels,
        json_schema=version.json_schema,
        choices_of=partial(mentioned_fields, version.held_to) if version.held_to else None,
        text_fault=lambda text: _fails(version.outline, text),
        answer_tokens=version.answer_tokens,
    )


def _fails(outline: Outline, text: str) -> str:
    """Which checks of the outline a text fails, in words; empty where it passes all."""
    failed = [name for name, passed in outline_checks(outline, text).items() if not passed]
    return f"the text fails checks of its outline: {', '.join(failed)}" if failed else ""


class Served(ABC):
    """A version, loaded and answering: the very file that was evaluated.

    Args:
        version: with its input fields and labels.

    Attributes:
        size: bytes of memory that it takes at most, as reckoned from its files.
    """

    def __init__(self, version: ModelVersion) -> None:
        self.version = version
        self._fields = version.fields
        self.size = 0

    def question(self, inputs: Mapping[str, str]) -> Question:
        """One input as it is asked.

        Raises:
            InputError: it is empty, or too long to be answered whole.
        """
        if not any(value.strip() for value in inputs.values()):
            raise InputError("the input is empty", f"give a text for {', '.join(self._fields)}")
        return self._question(inputs)

    @abstractmethod
    def _question(self, inputs: Mapping[str, str]) -> Question:
        """The same of an input that is not empty."""

    @abstractmethod
    def predictions(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        """One answer per question, in order, with confidences as the model has them."""

    @abstractmethod
    def stream(
        self,
        question: Question,
        options: Options = LIKELIEST,
        *,
        every_token: bool = True,
        left: Future[None] | None = None,
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """The text so far, again and again, with its tokens where they are asked for; with the last one the answer as a
        whole.

        What was told of a text stays: half a character, and what a stop string may begin with, come later.

        Args:
            options: for texts; a label or an object is the likeliest, and none until it is whole.
            every_token: False where nobody reads along: the whole alone.
            left: done once nobody waits any more (see `StreamingEngine.stream`).

        Raises:
            InputError: the engine cannot do what is wished.
        """

    def soon(self, _inputs: Mapping[str, str]) -> Future[Answered] | None:
        """The answer, of a model that answers in a thread of its own; None of one that is to be streamed.

        Cancelled before its turn comes, it is not computed.

        Raises (in the future):
            InputError: see `question`.
        """
        return None

    @abstractmethod
    def close(self) -> None:
        """Free the model."""

    def memory(self) -> int:
        """Bytes of memory that the model holds in a process of its own."""
        return 0

    def answer(self, inputs: Sequence[Mapping[str, str]], progress: Progress | None = None) -> list[Answered]:
        """One answer per input, in order; an input that cannot be answered keeps its place with an error."""
        answers: list[Answered | None] = [None] * len(inputs)
        questions: list[Question] = []
        places: list[int] = []
        for place, one in enumerate(inputs):
            try:
                questions.append(self.question(one))
                places.append(place)
            except InputError as error:
                answers[place] = Answered(Prediction(target=None, error=error.what), needs_review=True)
        found = self.predictions(questions, progress)
        for place, question, prediction in zip(places, questions, found, strict=True):
            answers[place] = replace(self.judged(prediction), trimmed=question.trimmed)
        return [a for a in answers if a is not None]

    def judged(self, prediction: Prediction) -> Answered:
        """The prediction with its confidences as probabilities of being right, and its need for review."""
        if self.version.calibrator is not None:
            prediction = prediction.model_copy(
                update={
                    "confidence": self.version.calibrator(prediction.confidence),
                    "raw": prediction.confidence,
                    "parts": calibrated_parts(prediction.parts, self.version.field_calibrators),
                }
            )
        sure = prediction.error is None and prediction.confidence >= self.version.threshold
        return Answered(prediction, needs_review=not sure)

    def renew(self, version: ModelVersion) -> bool:
        """Take what was learned of the version since it was loaded; False where another file answers now.

        An evaluation sets the threshold and the calibrators, `forget` may put another file in the place of the first.
        """
        if not same_weights(version, self.version):
            return False
        self.version = version
        return True


def same_weights(one: ModelVersion, other: ModelVersion) -> bool:
    """Whether the same file answers, in the same way."""
    return (one.file_sha256, one.engine, one.exact) == (other.file_sha256, other.engine, other.exact)


class ServedModel(Served):
    """A causal model, with the renderer that it was trained with.

    Args:
        workspace: where the file is kept.
        version: which file, with its input fields and labels.
        apart: the engine in a process of its own, as a server needs it (see `open_engine`).
    """

    def __init__(self, workspace: Workspace, version: ModelVersion, *, apart: bool = False) -> None:
        super().__init__(version)
        base = self._base(workspace)
        self.template = ChatTemplate(base.folder, base.spec.end_of_turn)
        self.form = form_of(version)
        gguf = self._file(workspace, base)
        self.engine: StreamingEngine = open_weights(workspace, version, gguf, self.template.end_of_turn, apart=apart)
        self.size = size_of_model(version.engine, gguf, exact=version.exact)

    def _base(self, workspace: Workspace) -> Base:
        """What it was made of, whose tokens it reads."""
        recipe = self.version.lineage["recipe"]
        return get_base(recipe["base_model"], workspace.settings, sha256=recipe["base_sha256"])

    def _file(self, workspace: Workspace, _base: Base) -> Path:
        """The weights that answer."""
        return workspace.blobs.path(self.version.file_sha256, GGUF)

    def _prompt(self, inputs: Mapping[str, str], _whole: Mapping[str, str]) -> Prompt:
        """What it reads of an input.

        Args:
            inputs: shortened where that is needed; `_whole` is what was asked.

        Raises:
            PromptTooLong: it is longer than what it reads.
        """
        recipe = self.version.lineage["recipe"]
        ids = self.template.prompt_ids(trained_messages(recipe["system"], inputs, chat=self.version.chat))
        if len(ids) > recipe["max_tokens"]:
            raise PromptTooLong(
                f"the input takes {len(ids)} tokens and the model was trained for at most {recipe['max_tokens']}",
                'shorten it, or train again with train.trim = "relevance" or a larger train.max_tokens in task.toml',
            )
        return Prompt(ids)

    def _question(self, inputs: Mapping[str, str]) -> Question:
        whole, trimming = inputs, self.version.trimming
        if trimming is not None:
            inputs = trimming(inputs, lambda text: len(self.template.text_ids(text)))
        prompt = self._prompt(inputs, whole)
        return Question(prompt.ids, render_input(inputs), trimmed=inputs != whole, sources=prompt.sources)

    def predictions(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        return answer_all(self.engine, questions, self.form, self.template.decode, progress)

    def stream(
        self,
        question: Question,
        options: Options = LIKELIEST,
        *,
        every_token: bool = True,
        left: Future[None] | None = None,
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """See `Served.stream`."""
        whole = self._text if self.form.partial else self._fixed
        return whole(question, options, every_token=every_token, left=left)

    def _fixed(
        self, question: Question, options: Options, *, every_token: bool, left: Future[None] | None
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """A label or an object. Where the input has a grammar of its own there is but the whole, as it may have to be
        asked twice."""
        form = self.form
        grammar = form.grammar_of(question.text)
        own = grammar is not form.grammar
        wishes = Wishes(form.max_tokens, grammar)
        last, _ = yield from self._parts(question, wishes, options, silent=own or not every_token, left=left)
        prediction = as_prediction(last, len(question.prompt), form, self.template.decode)
        if own and prediction.error:
            wishes = replace(wishes, grammar=form.grammar)
            last, _ = yield from self._parts(question, wishes, options, silent=True, left=left)
            prediction = doubtful(as_prediction(last, len(question.prompt), form, self.template.decode))
        tokens = self._tokens(last, options)
        yield self.template.decode(last.ids), replace(self.judged(question.cited(prediction)), tokens=tokens)

    def _text(
        self, question: Question, options: Options, *, every_token: bool, left: Future[None] | None
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """A text, written as the caller wants it."""
        grammar = None if options.schema is None else wished_grammar(options.schema)
        wishes = Wishes(self._room(question, options), grammar, options.sampling)
        stops = StopStrings(options.stop) if options.stop else NO_STOPS
        last, end = yield from self._parts(question, wishes, options, stops, silent=not every_token, left=left)
        text = self.template.decode(last.ids)[:end]
        given = replace(last, finished=last.finished or end is not None)
        prediction = as_prediction(given, len(question.prompt), self.form, lambda _: text)
        if end is not None and prediction.target is None:
            prediction = prediction.model_copy(update={"target": text})  # of nothing: the caller wanted no more
        tokens = tuple(token for token in self._tokens(last, options) if end is None or token.start < end)
        yield text, replace(self.judged(question.cited(prediction)), tokens=tokens)

    def _tokens(self, given: Generation, options: Options) -> Tokens:
        return Chances(self.template).of(given) if options.chances else ()

    def _room(self, _question: Question, options: Options) -> int:
        """How many tokens a text may have."""
        return min(self.form.max_tokens, options.most or self.form.max_tokens)

    def _parts(
        self,
        question: Question,
        wishes: Wishes,
        options: Options,
        stops: StopStrings = NO_STOPS,
        *,
        silent: bool,
        left: Future[None] | None,
    ) -> Generator[tuple[str, Tokens | None], None, tuple[Generation, int | None]]:
        """The answer as it grows, and at its end; with where its text is cut, if it is."""
        last, end, chances = None, None, Chances(self.template)
        with closing(
            self.engine.stream(
                question.prompt,
                max_new_tokens=wishes.most,
                grammar=wishes.grammar,
                sampling=wishes.sampling,
                every_token=not silent or stops is not NO_STOPS,
                left=left,
            )
        ) as parts:
            for last in parts:
                text = self.template.decode(last.ids)
                if (end := stops.end(text)) is not None:
                    break
                if not silent:
                    whole = text.rstrip("\ufffd")  # half a character: the rest comes with the next token
                    yield whole[: stops.certain(whole)], chances.of(last) if options.chances else None
        if last is None:
            raise InputError("the model gave no answer", "send the request again")
        return last, end

    def renew(self, version: ModelVersion) -> bool:
        """See `Served.renew`."""
        before = self.version
        if not super().renew(version):
            return False
        if version is not before:
            self.form = form_of(version)
        return True

    def memory(self) -> int:
        return self.engine.memory()

    def close(self) -> None:
        """Free the model."""
        self.engine.close()


class ServedBase(ServedModel):
    """A base model as it is, which reads the caller's whole conversation by its own chat template.

    Args: those of `ServedModel`.
    """

    version: BaseVersion

    def __init__(self, workspace: Workspace, version: BaseVersion, *, apart: bool = False) -> None:
        super().__init__(workspace, version, apart=apart)
        self._context = context_length(read_fields(self._base(workspace).gguf))

    def _base(self, workspace: Workspace) -> Base:
        return get_base(self.version.base, workspace.settings, sha256=self.version.file_sha256)

    def _file(self, _workspace: Workspace, base: Base) -> Path:
        return served_file(base, self.version.engine)

    def _prompt(self, inputs: Mapping[str, str], _whole: Mapping[str, str]) -> Prompt:
        text = prompt_in(inputs)
        ids = self.template.prompt_ids(conversation(inputs)) if text is None else self.template.plain_ids(text)
        if len(ids) >= self._context:
            raise PromptTooLong(
                f"the prompt takes {len(ids)} tokens, and prompt and answer have {self._context} together",
                "shorten it",
            )
        return Prompt(ids)

    def _room(self, question: Question, options: Options) -> int:
        return min(self._context - len(question.prompt), options.most or USUAL_TOKENS)
