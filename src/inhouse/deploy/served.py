"""A model version, loaded and answering: what `predict`, `serve` and the evaluation of a champion all use."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from inhouse.core import ModelVersion, Outline, Prediction, calibrated_parts, render_input
from inhouse.core.queues import groups
from inhouse.deploy.adapters import open_weights
from inhouse.deploy.asking import LIKELIEST, Options, prompt_in
from inhouse.deploy.bases import USUAL_TOKENS, BaseVersion
from inhouse.deploy.size import size_of_files, size_of_model
from inhouse.deploy.token_chances import Chances, TokenChance
from inhouse.engine import Base, get_base, served_file
from inhouse.engine.answers import AnswerForm, Question, answer_all, answer_form, as_prediction, doubtful
from inhouse.engine.chat_template import ChatTemplate
from inhouse.engine.classifier import ENGINE, TEXTS_AT_ONCE
from inhouse.engine.gguf_fields import context_length, read_fields
from inhouse.engine.linear_archive import LINEAR_ENGINE
from inhouse.engine.prompt_file import LookUp, PromptFrame, read_frame
from inhouse.engine.prompts import conversation, trained_messages
from inhouse.engine.protocol import Generation, Progress, StreamingEngine, Wishes
from inhouse.engine.retrieval import DEPTH, Texts, fitting, most_alike, room_for_shots
from inhouse.engine.schema_grammar import wished_grammar
from inhouse.engine.stop_strings import NO_STOPS, StopStrings
from inhouse.errors import InputError, PromptTooLong
from inhouse.scoring import outline_checks
from inhouse.scoring.mentions import mentioned_fields
from inhouse.store import Workspace
from inhouse.store.registry import WEIGHTS

if TYPE_CHECKING:
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.linear_archive import LinearClassifier

GGUF = ".gguf"
CLASSIFIER = ".classifier"
PROMPT = ".prompt"


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


class _LookedUp:
    """Finds the passages, or else the solved examples, of a frame that belong to a question.

    Attributes:
        size: bytes of memory that its encoder takes at most.

    Raises:
        ModelUnavailable: the sentence encoder is not here.
    """

    def __init__(self, workspace: Workspace, frame: PromptFrame, look_up: LookUp) -> None:
        self._how, self._vectors, self._encoder, self.size = look_up, look_up.matrix, None, 0
        if look_up.encoder:
            from inhouse.engine.openvino_encoder import OpenVinoEncoder

            base = get_base(look_up.encoder, workspace.settings, sha256=look_up.encoder_sha256)
            self._encoder = OpenVinoEncoder(base.folder, threads=workspace.settings.threads)
            self.size = size_of_files(*base.folder.glob("*.safetensors"))
        vectors = self._vectors if self._encoder else None
        self._passages = Texts([one.text for one in frame.passages], vectors) if frame.passages else None

    def of(self, text: str, room: int, prompt: int) -> list[int]:
        """Places of what a question is shown: of passages the nearest first, of examples last.

        Args:
            room: tokens of the longest prompt; `prompt` those of the question's with nothing shown.
        """
        how = self._how
        if not how.costs:
            return []
        budget = room_for_shots(room, prompt, how.tokens)
        ranked = self._ranked(text)
        kept = fitting(ranked, [how.costs[place] for place in ranked], how.count, budget)
        return kept if self._passages else kept[::-1]

    def _ranked(self, text: str) -> list[int]:
        vector = None if self._encoder is None else self._encoder.embed([text])
        if self._passages is not None:
            return self._passages.nearest([text], vector, DEPTH)[0]
        assert vector is not None
        return most_alike(vector, self._vectors, DEPTH)[0]


class ServedPrompt(ServedModel):
    """The untrained base, asked by a prompt that an evaluation judged.

    Args: those of `ServedModel`.
    """

    def __init__(self, workspace: Workspace, version: ModelVersion, *, apart: bool = False) -> None:
        super().__init__(workspace, version, apart=apart)
        self._frame = read_frame(workspace.blobs.path(version.file_sha256, PROMPT))
        self._most = context_length(read_fields(self._base(workspace).gguf)) - self.form.max_tokens
        self._look_up = _LookedUp(workspace, self._frame, self._frame.look_up) if self._frame.look_up else None
        self.size += self._look_up.size if self._look_up else 0

    def _base(self, workspace: Workspace) -> Base:
        lineage = self.version.lineage
        return get_base(lineage["prompted"], workspace.settings, sha256=lineage["prompted_sha256"])

    def _file(self, _workspace: Workspace, base: Base) -> Path:
        return served_file(base, self.version.engine)

    def _prompt(self, inputs: Mapping[str, str], whole: Mapping[str, str]) -> Prompt:
        shown: Sequence[int] | None = None
        if self._look_up is not None:
            alone = self.template.prompt_ids(self._frame.messages(inputs, [], chat=self.version.chat))
            shown = self._look_up.of(render_input(whole), self._most, len(alone))
        ids = self.template.prompt_ids(self._frame.messages(inputs, shown, chat=self.version.chat))
        if len(ids) > self._most:
            raise PromptTooLong(f"the prompt takes {len(ids)} tokens, of {self._most} at most", "shorten the input")
        return Prompt(ids, self._frame.cited(shown))


class ServedWithShots(ServedPrompt):
    """A fine-tuned causal model that is shown solved examples, as an evaluation judged it.

    Args: those of `ServedModel`.
    """

    def _base(self, workspace: Workspace) -> Base:
        return ServedModel._base(self, workspace)

    def _file(self, workspace: Workspace, _base: Base) -> Path:
        return workspace.blobs.path(self.version.lineage[WEIGHTS], GGUF)

    def _prompt(self, inputs: Mapping[str, str], whole: Mapping[str, str]) -> Prompt:
        ServedModel._prompt(self, inputs, whole)  # refuses what is longer than the model was trained for
        return super()._prompt(inputs, whole)


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


class ServedClassifier(Served):
    """A tuned encoder with its head over the labels, or a linear classifier.

    Requests that wait at the same time are answered as one batch, by a thread of its own.

    Args: those of `ServedModel`.
    """

    def __init__(self, workspace: Workspace, version: ModelVersion) -> None:
        super().__init__(version)
        self.classifier = open_classifier(workspace, version)
        self.size = _classifier_size(workspace, version)
        self._waiting: SimpleQueue[tuple[Mapping[str, str], Future[Answered]] | None] = SimpleQueue()
        self._worker = threading.Thread(target=self._work, name=f"answers of {version.name}", daemon=True)
        self._worker.start()

    def _question(self, inputs: Mapping[str, str]) -> Question:
        return self.classifier.question(render_input(inputs))

    def predictions(self, questions: Sequence[Question], progress: Progress | None = None) -> list[Prediction]:
        return self.classifier.answer(questions, progress)

    def soon(self, inputs: Mapping[str, str]) -> Future[Answered]:
        """See `Served.soon`: what waits is answered together."""
        answer: Future[Answered] = Future()
        self._waiting.put((inputs, answer))
        return answer

    def stream(
        self,
        question: Question,
        options: Options = LIKELIEST,
        *,
        every_token: bool = True,
        left: Future[None] | None = None,
    ) -> Generator[tuple[str, Answered | Tokens | None]]:
        """See `Served.stream`: a label comes as a whole."""
        (prediction,) = self.predictions([question])
        yield str(prediction.target), self.judged(prediction)

    def _work(self) -> None:
        for group in groups(self._waiting, TEXTS_AT_ONCE):
            self._answer_group([one for one in group if one[1].set_running_or_notify_cancel()])

    def _answer_group(self, group: Sequence[tuple[Mapping[str, str], Future[Answered]]]) -> None:
        asked: list[tuple[Question, Future[Answered]]] = []
        for inputs, answer in group:
            try:
                asked.append((self.question(inputs), answer))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the request's own
                answer.set_exception(error)
        try:
            found = self.predictions([question for question, _ in asked])
        except Exception as error:  # noqa: BLE001 - as above
            for _, answer in asked:
                answer.set_exception(error)
            return
        for (question, answer), prediction in zip(asked, found, strict=True):
            answer.set_result(replace(self.judged(prediction), trimmed=question.trimmed))

    def close(self) -> None:
        """Free the model, once what waits is answered."""
        self._waiting.put(None)
        self._worker.join()
        self.classifier.close()


def open_served(workspace: Workspace, version: ModelVersion, *, apart: bool = False) -> Served:
    """A version, whichever kind of model it is.

    Args:
        apart: see `ServedModel`.
    """
    if isinstance(version, BaseVersion):
        return ServedBase(workspace, version, apart=apart)
    if is_classifier(version):
        return ServedClassifier(workspace, version)
    if is_prompted(version):
        return ServedPrompt(workspace, version, apart=apart)
    return (ServedWithShots if is_shown_shots(version) else ServedModel)(workspace, version, apart=apart)


def suffix_of(version: ModelVersion) -> str:
    """How a version's own file ends among the blobs: weights, or a prompt."""
    if is_classifier(version):
        return CLASSIFIER
    return PROMPT if is_prompted(version) or is_shown_shots(version) else GGUF


def is_classifier(version: ModelVersion) -> bool:
    """Whether a version is no language model: it writes no tokens."""
    return version.engine in (ENGINE, LINEAR_ENGINE)


def is_prompted(version: ModelVersion) -> bool:
    """Whether a version is the untrained base with a prompt."""
    return "prompted" in version.lineage


def is_shown_shots(version: ModelVersion) -> bool:
    """Whether a version is a fine-tuned causal model that is shown solved examples; its weights are another's."""
    return WEIGHTS in version.lineage


def _classifier_size(workspace: Workspace, version: ModelVersion) -> int:
    files = [workspace.blobs.path(version.file_sha256, CLASSIFIER)]
    if version.engine != ENGINE and "encoder" in version.lineage:
        encoder = get_base(version.lineage["encoder"], workspace.settings, sha256=version.lineage["encoder_sha256"])
        files += encoder.folder.glob("*.safetensors")
    return size_of_files(*files)


def open_classifier(workspace: Workspace, version: ModelVersion) -> LabelClassifier | LinearClassifier:
    """What answers with labels, of a version that is no language model.

    Raises:
        ModelUnavailable: its file, or the encoder that it reads, is gone.
    """
    from inhouse.engine.classifier import LabelClassifier
    from inhouse.engine.linear_archive import LinearClassifier
    from inhouse.engine.openvino_encoder import OpenVinoEncoder

    file = workspace.blobs.path(version.file_sha256, CLASSIFIER)
    if version.engine == ENGINE:
        return LabelClassifier(file, threads=workspace.settings.threads, exact=version.exact)
    if "encoder" not in version.lineage:
        return LinearClassifier(file)
    base = get_base(version.lineage["encoder"], workspace.settings, sha256=version.lineage["encoder_sha256"])
    return LinearClassifier(file, OpenVinoEncoder(base.folder, threads=workspace.settings.threads).embed)
