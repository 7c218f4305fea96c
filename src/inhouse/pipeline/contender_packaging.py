"""From a contender that an evaluation compared to a model version that serves: fitted again, written, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inhouse.core import (
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
from inhouse.pipeline.evaluating.champion import CHAMPION, against_champion, champion_of
from inhouse.pipeline.evaluating.field import base_of, encoder_of, make_field, writer_and_picker
from inhouse.pipeline.evaluating.judged import PROMPTED, SERVABLE, judging_of
from inhouse.pipeline.evaluating.review import reviewed, target_errors_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.scoring import Judging, right_metric
from inhouse.store import Workspace, predictions, registry

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
    make = _shown_shots if name == "fine-tuned+retrieval" else _prompted if name in PROMPTED else _linear
    made = make(workspace, task, evaluated, evaluation, name, dataset, reporter)
    lineage = {**evaluated.lineage, "compared_with": evaluated.name, "trained": evaluated.contender, **made.lineage}
    same = (v for v in registry.versions(workspace, task.name) if (v.contender, v.file_sha256) == (name, made.blob))
    before = next((v for v in same if v.lineage["compared_with"] == evaluated.name), None)
    version = evaluated.model_copy(
        update={
            "number": before.number if before else 0,
            "created_at": before.created_at if before else "",
            "report": None,
            "contender": name,
            "file_sha256": made.blob,
            "adapter_sha256": made.adapter,
            "engine": made.engine,
            "exact": made.exact,
            "trimming": made.trimming,
            "lineage": lineage,
            "training": None,
            "checked": None,
            "calibrator": None,
            "field_calibrators": {},  # those of the fine-tuned model say nothing of it
        }
    )
    return _judged(workspace, task, version, dataset, kept, reporter)


@dataclass(frozen=True)
class _Made:
    """What a contender was made into: its blob, what answers, and what its version tells of it."""

    blob: str
    engine: str
    lineage: dict[str, Any]
    trimming: Trimming | None = None
    adapter: str = ""
    exact: bool = False


def _linear(
    workspace: Workspace,
    task: Task,
    evaluated: ModelVersion,
    evaluation: Evaluation,
    name: str,
    dataset: Dataset,
    _reporter: Reporter,
) -> _Made:
    """A linear model, fitted again."""
    from inhouse.deploy.version_files import CLASSIFIER
    from inhouse.engine.linear_archive import LINEAR_ENGINE

    encoder, lineage = None, {}
    if name == "embedding-linear":
        _, picker = writer_and_picker(_compared(workspace, evaluated, evaluation))
        lineage = _encoder(workspace, task, picker)
        encoder = get_base(lineage["encoder"], workspace.settings, sha256=lineage["encoder_sha256"])
    with tempfile.TemporaryDirectory(dir=workspace.paths.blobs, prefix=".part-") as folder:
        file = Path(folder) / "model"
        learn_all = "fine-tuned-encoder" in {c.name for c in evaluation.contenders}
        _write(file, dataset, name, encoder, learn_all=learn_all)
        return _Made(workspace.blobs.put_file(file, CLASSIFIER), LINEAR_ENGINE, lineage)


def _prompted(
    workspace: Workspace,
    task: Task,
    evaluated: ModelVersion,
    evaluation: Evaluation,
    name: str,
    dataset: Dataset,
    reporter: Reporter,
) -> _Made:
    """The untrained base with the prompt that was judged."""
    from inhouse.deploy.version_files import PROMPT
    from inhouse.engine.prompt_file import frame_of
    from inhouse.engine.prompts import USUAL_FORM, PromptForm
    from inhouse.evaluate.contenders.registry import NotCompared
    from inhouse.evaluate.contenders.retrieving import passages_look_up
    from inhouse.evaluate.contenders.searching import best_form
    from inhouse.evaluate.contenders.shots import NEAREST, choose_shots, look_up_of

    versions = _compared(workspace, evaluated, evaluation)
    writer, picker = writer_and_picker(versions)
    base, engine = base_of(task, writer, workspace.settings)
    given = make_field(workspace, task, dataset, reporter, versions)
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
            lineage |= (encoder := _encoder(workspace, task, picker))
            look_up = passages_look_up(given, **encoder) if passages else look_up_of(given, form.shots, **encoder)
    except NotCompared as error:
        raise Refused(f"{name} cannot be served yet: {error}", "promote another contender, by its name") from error
    finally:
        given.close()
    frame = frame_of(given.task, shots, form, passages=passages, look_up=look_up)
    blob = workspace.blobs.put(frame.model_dump_json().encode("utf-8"), PROMPT)
    return _Made(blob, engine, lineage, writer.trimming if writer else None)


def _shown_shots(
    workspace: Workspace,
    task: Task,
    evaluated: ModelVersion,
    evaluation: Evaluation,
    _name: str,
    dataset: Dataset,
    reporter: Reporter,
) -> _Made:
    """The fine-tuned causal model with the solved examples that it is shown."""
    from inhouse.deploy.version_files import PROMPT
    from inhouse.engine.prompt_file import trained_frame
    from inhouse.evaluate.contenders.shots import NEAREST, look_up_of

    versions = _compared(workspace, evaluated, evaluation)
    writer, picker = writer_and_picker(versions)
    assert writer is not None  # without one it took no part
    given = make_field(workspace, task, dataset, reporter, versions)
    try:
        encoder = _encoder(workspace, task, picker)
        frame = trained_frame(given.task, given.system, given.train, look_up_of(given, NEAREST, **encoder))
    finally:
        given.close()
    blob = workspace.blobs.put(frame.model_dump_json().encode("utf-8"), PROMPT)
    own = {part: writer.lineage[part] for part in ("base", "recipe")}
    lineage = {**own, **encoder, registry.WEIGHTS: writer.file_sha256}
    return _Made(blob, writer.engine, lineage, writer.trimming, writer.adapter_sha256, writer.exact)


def _encoder(workspace: Workspace, task: Task, picker: ModelVersion | None) -> dict[str, str]:
    """The sentence encoder by which an evaluation looked things up, as a lineage names it."""
    name, sha256 = encoder_of(task, picker)
    encoder = get_base(name, workspace.settings, sha256=sha256).spec
    return {"encoder": encoder.name, "encoder_sha256": encoder.sha256}


def _compared(workspace: Workspace, evaluated: ModelVersion, evaluation: Evaluation) -> list[ModelVersion]:
    """The fine-tuned versions of an evaluation, in its order."""
    names = [c.model for c in evaluation.contenders if c.model and c.name != CHAMPION] or [evaluated.name]
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

    validation, test = dataset.of("validation"), dataset.of("test")
    asked, edge = [*validation, *test], len(validation)
    judging = judging_of(workspace, task, dataset)
    there = [i for i, p in enumerate(kept) if p.asked]
    places, given = _asked_again(workspace, version, asked, there, edge, reporter)
    sides = list(kept[:edge]), list(kept[edge:])
    answers = Answers(version.contender, False, *sides, seconds=0.0)
    scores = [judging(part, side) for part, side in ((validation, answers.validation), (test, answers.test))]
    confidence = reviewed(task, dataset, [answers], *({version.contender: one} for one in scores))
    draft = version.model_copy(
        update={
            "parity": parity_of_kept(judging, [asked[i] for i in places], [kept[i] for i in places], given),
            "calibrator": confidence.calibrators.get(version.contender),
            "threshold": confidence.threshold_of(version.contender, target_errors_of(task)),
        }
    )
    registered = draft if draft.number else registry.add_version(workspace, draft)
    predictions.save(
        workspace,
        task=task.name,
        model_version=registered.name,
        contender=version.contender,
        dataset=dataset,
        examples=[e for e, p in zip(asked, kept, strict=True) if p.asked],
        splits=["validation"] * edge + ["test"] * sum(p.asked for p in kept[edge:]),
        answers=[p for p in kept if p.asked],
    )
    champion = champion_of(workspace, registered, dataset, reporter)
    rival = against_champion(champion, task, dataset, answers.test, judging)
    evaluation = {**(version.evaluation or {}), "against_champion": rival, "model_version": registered.name}
    registered = registered.model_copy(update={"evaluation": evaluation})
    registry.update_version(workspace, registered)
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
