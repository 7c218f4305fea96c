"""From a contender that an evaluation compared to a model version that serves: fitted again, written, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inhouse.core import (
    FINE_TUNED,
    Dataset,
    Evaluation,
    Example,
    ModelVersion,
    Parity,
    Prediction,
    Reporter,
    Task,
    Trimming,
    spread,
)
from inhouse.core.documents import Passage
from inhouse.engine import get_base
from inhouse.errors import NotFound, Refused
from inhouse.pipeline.evaluating.champion import against_champion, champion_of
from inhouse.pipeline.evaluating.field import base_of, encoder_of, make_field, writer_and_picker
from inhouse.pipeline.evaluating.judged import PROMPTED, SERVABLE, judging_of
from inhouse.pipeline.evaluating.review import reviewed, target_errors_of
from inhouse.pipeline.evaluating.untrained import untrained_draft
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.scoring import Judging, right_metric
from inhouse.store import Workspace, predictions, registry

if TYPE_CHECKING:
    from inhouse.engine.prompt_file import PromptFrame
    from inhouse.evaluate.contenders import Answers, Field

# Questions that a language model is asked again, to see that it is served as it was judged.
ASKED_AGAIN = 100


def register_contender(workspace: Workspace, evaluated: ModelVersion, name: str, reporter: Reporter) -> ModelVersion:
    """A contender of a version's evaluation as a version of its own; the one of before where it is the same file.

    It is made as it was for the evaluation, on the same data, and must answer as the contender did there.

    Args:
        evaluated: the version that the evaluation speaks of.
        name: of `SERVABLE`.

    Raises:
        Refused: the contender cannot be served, or the data is no longer what was evaluated.
        NotFound: it took no part.
        ModelUnavailable: the base or the encoder that it needs is not here.
    """
    task = evaluated.answers_as(workspace.load_task(evaluated.task))
    evaluation = Evaluation.model_validate(evaluated.evaluation)
    if name not in {c.name for c in evaluation.contenders}:
        there = ", ".join(c.name for c in evaluation.contenders)
        raise NotFound(f"{name!r} was not compared with {evaluated.name}", f"there are {there}")
    if name.startswith("remote:"):
        raise Refused(
            f"{name} is not served from here: every request would leave this machine",
            "ask it where it is, with the URL of inhouse.toml",
        )
    if name not in SERVABLE:
        raise Refused(f"{name} cannot be served yet", f"can be: {', '.join(SERVABLE)}, and what was fine-tuned")
    dataset = to_learn_from(workspace, task.name, evaluated.lineage["dataset"])
    kept = _kept(workspace, evaluated, name, dataset)
    versions = _compared(workspace, evaluated, evaluation)
    draft = evaluated.model_copy(
        update={
            "report": None,
            "lineage": {**evaluated.lineage, "compared_with": evaluated.name, "trained": evaluated.contender},
            "training": None,
            "checked": None,
            "calibrator": None,
            "field_calibrators": {},  # those of the model under test say nothing of it
        }
    )
    version = _made(_Making(workspace, task, dataset, name, versions, reporter), draft)
    return _judged(workspace, task, version, dataset, kept, reporter)


def register_untrained(
    workspace: Workspace, task: Task, dataset: Dataset, answers: Answers, given: Field, reporter: Reporter
) -> ModelVersion:
    """What is best of all that needs no training, as a version; the one of before where it is the same file.

    Args:
        answers: those that it gave in the evaluation, which it must give again.
        given: what it had for them.

    Raises:
        Refused: it cannot be made.
    """
    base, _ = base_of(task, None, workspace.settings)
    draft = untrained_draft(task, dataset, base, given.template)
    version = _made(_Making(workspace, task, dataset, answers.name, (), reporter), draft)
    return _proved(workspace, task, version, dataset, [*answers.validation, *answers.test], reporter)


@dataclass(frozen=True)
class _Making:
    """What a contender is made of: what it had in the evaluation, with the fine-tuned `versions` beside it."""

    workspace: Workspace
    task: Task
    dataset: Dataset
    name: str
    versions: Sequence[ModelVersion]
    reporter: Reporter

    @property
    def picker(self) -> ModelVersion | None:
        """The fine-tuned encoder."""
        return writer_and_picker(self.versions)[1]

    @property
    def writer(self) -> ModelVersion | None:
        """The fine-tuned causal model."""
        return writer_and_picker(self.versions)[0]

    def field(self) -> Field:
        """What it may use."""
        found: Field = make_field(self.workspace, self.task, self.dataset, self.reporter, self.versions)
        return found

    def encoder(self) -> dict[str, str]:
        """The sentence encoder by which an evaluation looked things up, as a lineage names it."""
        name, sha256 = encoder_of(self.task, self.picker)
        spec = get_base(name, self.workspace.settings, sha256=sha256).spec
        return {"encoder": spec.name, "encoder_sha256": spec.sha256}

    def prompt(self, frame: PromptFrame) -> str:
        """A prompt among the blobs."""
        from inhouse.deploy.version_files import PROMPT

        return self.workspace.blobs.put(frame.model_dump_json().encode("utf-8"), PROMPT)


@dataclass(frozen=True)
class _Made:
    """What a contender was made into: its blob, what answers, and what its version tells of it."""

    blob: str
    engine: str
    lineage: dict[str, Any]
    trimming: Trimming | None = None
    adapter: str = ""
    exact: bool = False


def _made(making: _Making, draft: ModelVersion) -> ModelVersion:
    """The contender's file, in its version; with the number of the version of before that has the same."""
    from inhouse.evaluate.contenders import SHOWN_EXAMPLES

    name, workspace = making.name, making.workspace
    make = _shown_shots if name == SHOWN_EXAMPLES else _prompted if name in PROMPTED else _linear
    made = make(making)
    beside = draft.lineage.get("compared_with")
    same = (v for v in registry.versions(workspace, draft.task) if (v.contender, v.file_sha256) == (name, made.blob))
    before = next((v for v in same if v.lineage.get("compared_with") == beside), None)
    return draft.model_copy(
        update={
            "number": before.number if before else 0,
            "created_at": before.created_at if before else "",
            "contender": name,
            "file_sha256": made.blob,
            "adapter_sha256": made.adapter,
            "engine": made.engine,
            "exact": made.exact,
            "trimming": made.trimming,
            "lineage": {**draft.lineage, **made.lineage},
        }
    )


def _linear(making: _Making) -> _Made:
    """A linear model, fitted again."""
    from inhouse.deploy.version_files import CLASSIFIER
    from inhouse.engine.linear_archive import LINEAR_ENGINE

    workspace, encoder, lineage = making.workspace, None, {}
    if making.name == "embedding-linear":
        lineage = making.encoder()
        encoder = get_base(lineage["encoder"], workspace.settings, sha256=lineage["encoder_sha256"])
    with tempfile.TemporaryDirectory(dir=workspace.paths.blobs, prefix=".part-") as folder:
        file = Path(folder) / "model"
        _write(file, making.dataset, making.name, encoder, learn_all=making.picker is not None)
        return _Made(workspace.blobs.put_file(file, CLASSIFIER), LINEAR_ENGINE, lineage)


def _prompted(making: _Making) -> _Made:
    """The untrained base with the prompt that was judged."""
    from inhouse.engine.prompt_file import frame_of
    from inhouse.engine.prompts import USUAL_FORM, PromptForm
    from inhouse.evaluate.contenders.registry import NotCompared
    from inhouse.evaluate.contenders.retrieving import passages_look_up
    from inhouse.evaluate.contenders.searching import best_form
    from inhouse.evaluate.contenders.shots import NEAREST, choose_shots, look_up_of

    name, writer = making.name, making.writer
    base, engine = base_of(making.task, writer, making.workspace.settings)
    given = making.field()
    form, shots, passages, look_up = USUAL_FORM, list[Example](), list[Passage](), None
    lineage = {"base": base.spec.name, "prompted": base.spec.name, "prompted_sha256": base.spec.sha256}
    try:
        if name == "few-shot":
            shots = choose_shots(given)
        elif name == "prompted-best":  # what was answered while it was searched is kept
            form, shots = best_form(given)
        elif name == "retrieval":
            form, shots = PromptForm(choice="nearest", shots=NEAREST), list(given.train)
        elif name == "grounded":
            passages = list(given.passages)
        if passages or form.choice == "nearest":
            lineage |= (encoder := making.encoder())
            look_up = passages_look_up(given, **encoder) if passages else look_up_of(given, form.shots, **encoder)
    except NotCompared as error:
        raise Refused(f"{name} cannot be served yet: {error}", "promote another contender, by its name") from error
    finally:
        given.close()
    frame = frame_of(given.task, shots, form, passages=passages, look_up=look_up)
    return _Made(making.prompt(frame), engine, lineage, writer.trimming if writer else None)


def _shown_shots(making: _Making) -> _Made:
    """The fine-tuned causal model with the solved examples that it is shown."""
    from inhouse.engine.prompt_file import trained_frame
    from inhouse.evaluate.contenders.shots import NEAREST, look_up_of

    writer = making.writer
    assert writer is not None  # without one it took no part
    given = making.field()
    try:
        encoder = making.encoder()
        frame = trained_frame(given.task, given.system, given.train, look_up_of(given, NEAREST, **encoder))
    finally:
        given.close()
    own = {part: writer.lineage[part] for part in ("base", "recipe")}
    lineage = {**own, **encoder, registry.WEIGHTS: writer.file_sha256}
    return _Made(making.prompt(frame), writer.engine, lineage, writer.trimming, writer.adapter_sha256, writer.exact)


def _compared(workspace: Workspace, evaluated: ModelVersion, evaluation: Evaluation) -> list[ModelVersion]:
    """The fine-tuned versions of an evaluation, in its order."""
    names = [c.model for c in evaluation.contenders if c.model and c.name in FINE_TUNED]
    if not names and evaluated.fine_tuned:  # of an evaluation that was kept before it named its versions
        return [evaluated]
    return [registry.find_version(workspace, evaluated.task, name.rpartition("@")[2]) for name in names]


def _kept(workspace: Workspace, evaluated: ModelVersion, name: str, dataset: Dataset) -> list[Prediction]:
    """The contender's answers to the validation, then the test examples, as they were judged; some may not have been
    asked."""
    from inhouse.evaluate.contenders import UNASKED

    frame = predictions.load(workspace, evaluated.task, evaluated.name, name, dataset.fingerprint)
    validation, test = ([e.id for e in dataset.of(split)] for split in ("validation", "test"))
    told = frame["example"].to_list()
    if told[: len(validation)] != validation or not set(told) <= {*validation, *test}:
        raise Refused(
            f"the data is not what {evaluated.name} was evaluated on: rows were forgotten since",
            f"evaluate again: inhouse evaluate {evaluated.task}",
        )
    answers = {
        row["example"]: Prediction(target=row["answer"], confidence=row["confidence"], error=row["error"])
        for row in frame.iter_rows(named=True)
    }
    return [answers.get(example, UNASKED) for example in (*validation, *test)]


def _write(file: Path, dataset: Dataset, name: str, encoder: Any, *, learn_all: bool) -> None:  # noqa: ANN401
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.engine.label_head import NGrams
    from inhouse.engine.linear_archive import linear_of, write_linear
    from inhouse.evaluate.contenders.classical import fit_linear, picked, texts_of

    train, validation = dataset.of("train"), dataset.of("validation")
    ngrams = NGrams.learn(texts_of(train)) if name == "tfidf-linear" else None
    if ngrams is not None:
        seen, asked = ngrams.of(texts_of(train)), ngrams.of(texts_of(validation)) if validation else None
    else:
        vectors = SentenceEncoder(encoder.folder).embed(texts_of([*train, *validation]))
        seen, asked = vectors[: len(train)], vectors[len(train) :]
    best, last = fit_linear(seen, [e.target for e in train], asked, [e.target for e in validation], learn_all=learn_all)
    unseen = dict(zip(texts_of(validation), picked(best, asked), strict=True)) if last is not best else {}
    labels, linear = linear_of(last)
    write_linear(file, labels, linear, ngrams, unseen)


def _judged(
    workspace: Workspace,
    task: Task,
    version: ModelVersion,
    dataset: Dataset,
    kept: Sequence[Prediction],
    reporter: Reporter,
) -> ModelVersion:
    """The version, registered: what it answers, against what was judged and against what serves now."""
    from inhouse.evaluate.contenders import Answers

    edge = len(dataset.of("validation"))
    answers = Answers(version.contender, False, list(kept[:edge]), list(kept[edge:]), seconds=0.0)
    judging = judging_of(workspace, task, dataset)
    sides = (dataset.of("validation"), answers.validation), (dataset.of("test"), answers.test)
    scores = ({version.contender: judging(part, side)} for part, side in sides)
    confidence = reviewed(task, dataset, [answers], *scores)
    marked = {
        "calibrator": confidence.calibrators.get(version.contender),
        "threshold": confidence.threshold_of(version.contender, target_errors_of(task)),
    }
    registered = _proved(workspace, task, version.model_copy(update=marked), dataset, kept, reporter)
    champion = champion_of(workspace, registered, dataset, reporter)
    rival = against_champion(champion, task, dataset, answers.test, judging)
    evaluation = {**(version.evaluation or {}), "against_champion": rival, "model_version": registered.name}
    registered = registered.model_copy(update={"evaluation": evaluation})
    registry.update_version(workspace, registered)
    return registered


def _proved(
    workspace: Workspace,
    task: Task,
    draft: ModelVersion,
    dataset: Dataset,
    kept: Sequence[Prediction],
    reporter: Reporter,
) -> ModelVersion:
    """The version, registered with its parity: what it answers as it would serve, against what was judged."""
    validation, test = dataset.of("validation"), dataset.of("test")
    asked, edge = [*validation, *test], len(validation)
    there = [i for i, p in enumerate(kept) if p.asked]
    places, given = _asked_again(workspace, draft, asked, there, edge, reporter)
    judging = judging_of(workspace, task, dataset)
    parity = parity_of_kept(judging, [asked[i] for i in places], [kept[i] for i in places], given)
    draft = draft.model_copy(update={"parity": parity})
    registered = draft if draft.number else registry.add_version(workspace, draft)
    predictions.save(
        workspace,
        task=task.name,
        model_version=registered.name,
        contender=draft.contender,
        dataset=dataset,
        examples=[e for e, p in zip(asked, kept, strict=True) if p.asked],
        splits=["validation"] * edge + ["test"] * sum(p.asked for p in kept[edge:]),
        answers=[p for p in kept if p.asked],
    )
    return registered


def _asked_again(
    workspace: Workspace,
    version: ModelVersion,
    asked: Sequence[Example],
    there: Sequence[int],
    edge: int,
    reporter: Reporter,
) -> tuple[list[int], list[Prediction]]:
    """What the version answers as it would serve, and to which of the questions: a linear model to all, a language
    model, which takes its time, to some.

    Args:
        there: places of the questions that the contender was asked; of a linear model all are.
        edge: so many of the questions, the first ones, are validation examples.
    """
    from inhouse.core import render_input
    from inhouse.deploy.opening import open_served
    from inhouse.deploy.served_classifier import open_classifier
    from inhouse.deploy.version_files import is_classifier

    if not is_classifier(version):
        places = spread(there, ASKED_AGAIN)
        served = open_served(workspace, version)
        bar = reporter.bar(version.contender, len(places))
        try:
            found = served.answer([asked[i].inputs for i in places], bar.update)
        finally:
            served.close()
        return places, [one.prediction for one in found]
    classifier = open_classifier(workspace, version)
    try:
        questions = [classifier.question(render_input(e.inputs)) for e in asked]
        return list(range(len(asked))), [
            *classifier.answer_unseen(questions[:edge]),
            *classifier.answer(questions[edge:]),
        ]
    finally:
        classifier.close()


def parity_of_kept(
    judging: Judging,
    asked: Sequence[Example],
    kept: Sequence[Prediction],
    given: Sequence[Prediction],
) -> Parity:
    """What is served against what was judged, on the same questions; whole answers are compared."""
    from inhouse.deploy import compare_labels

    # An answer that is not the same has no likelihood that was kept: it counts as infinitely far.
    chances = [k.confidence if k.target == g.target else 1e-300 for k, g in zip(kept, given, strict=True)]
    scores = (judging(asked, side).scores for side in (kept, given))
    right = right_metric(judging.task)
    sides = [
        found[right] == 1.0 if right else np.array([p.target == e.target for p, e in zip(side, asked, strict=True)])
        for side, found in zip((kept, given), scores, strict=True)
    ]
    return compare_labels(kept, np.log(np.maximum(chances, 1e-300)), given, *sides)
