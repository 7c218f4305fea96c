"""From a contender that an evaluation compared to a model version that serves: fitted again, written, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inhouse.core import Dataset, EncoderRecipe, Evaluation, ModelVersion, Prediction, Reporter, Task, read_recipe
from inhouse.errors import NotFound, Refused
from inhouse.pipeline.evaluating.champion import against_champion
from inhouse.pipeline.evaluating.judged import SERVABLE, judging_of
from inhouse.pipeline.evaluating.review import reviewed, target_errors_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.store import Workspace, predictions, registry


def register_contender(workspace: Workspace, evaluated: ModelVersion, name: str, reporter: Reporter) -> ModelVersion:
    """A contender of a version's evaluation as a version of its own; the one of before where it is the same file.

    It is fitted as it was for the evaluation, on the same data, and its file must answer as the contender did there.

    Args:
        evaluated: the version whose evaluation compared it.
        name: of `SERVABLE`.

    Raises:
        Refused: the contender cannot be served, or the data is no longer what was evaluated.
        NotFound: it took no part.
        ModelUnavailable: the encoder that it reads is not here.
    """
    from inhouse.deploy.served import CLASSIFIER
    from inhouse.engine.linear_archive import LINEAR_ENGINE

    task = evaluated.answers_as(workspace.load_task(evaluated.task))
    evaluation = Evaluation.model_validate(evaluated.evaluation)
    if name not in {c.name for c in evaluation.contenders}:
        there = ", ".join(c.name for c in evaluation.contenders)
        raise NotFound(f"{name!r} was not compared with {evaluated.name}", f"there are {there}")
    if name not in SERVABLE:
        raise Refused(f"{name} cannot be served yet", f"can be: {', '.join(SERVABLE)}, and what was fine-tuned")
    dataset = to_learn_from(workspace, task.name, evaluated.lineage["dataset"])
    kept = _kept(workspace, evaluated, name, dataset)
    lineage = {**evaluated.lineage, "compared_with": evaluated.name, "trained": evaluated.contender}
    encoder = _encoder_of(workspace, task, evaluated) if name == "embedding-linear" else None
    if encoder is not None:
        lineage |= {"encoder": encoder.spec.name, "encoder_sha256": encoder.spec.sha256}
    with tempfile.TemporaryDirectory(dir=workspace.paths.blobs, prefix=".part-") as folder:
        file = Path(folder) / "model"
        _write(file, dataset, name, encoder, learn_all=evaluated.contender == "fine-tuned-encoder")
        blob = workspace.blobs.put_file(file, CLASSIFIER)
    same = (v for v in registry.versions(workspace, task.name) if (v.contender, v.file_sha256) == (name, blob))
    before = next((v for v in same if v.lineage["compared_with"] == evaluated.name), None)
    version = evaluated.model_copy(
        update={
            "number": before.number if before else 0,
            "created_at": before.created_at if before else "",
            "report": None,
            "contender": name,
            "file_sha256": blob,
            "adapter_sha256": "",
            "engine": LINEAR_ENGINE,
            "exact": False,
            "trimming": None,
            "lineage": lineage,
            "training": None,
        }
    )
    return _judged(workspace, task, version, dataset, kept, reporter)


def _kept(workspace: Workspace, evaluated: ModelVersion, name: str, dataset: Dataset) -> list[Prediction]:
    """The contender's answers to the validation, then the test examples, as they were judged."""
    frame = predictions.load(workspace, evaluated.task, evaluated.name, name, dataset.fingerprint)
    asked = [e.id for e in (*dataset.of("validation"), *dataset.of("test"))]
    if frame["example"].to_list() != asked:
        raise Refused(
            f"the data is not what {evaluated.name} was evaluated on: rows were forgotten since",
            f"evaluate again: inhouse evaluate {evaluated.task}",
        )
    return [
        Prediction(target=row["answer"], confidence=row["confidence"], error=row["error"])
        for row in frame.iter_rows(named=True)
    ]


def _encoder_of(workspace: Workspace, task: Task, evaluated: ModelVersion) -> Any:  # noqa: ANN401 - the type would import the models
    """The untuned encoder that the contender read."""
    from inhouse.engine import get_base

    recipe = read_recipe(evaluated.lineage["recipe"])
    own = isinstance(recipe, EncoderRecipe)
    name, sha256 = (recipe.base_model, recipe.base_sha256) if own else (task.encoder_model, "")
    return get_base(name, workspace.settings, sha256=sha256)


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
    """The version, registered: what its file answers, against what was judged and against what serves now."""
    from inhouse.core import render_input
    from inhouse.deploy import compare_labels
    from inhouse.deploy.served import open_classifier
    from inhouse.evaluate.contenders import Answers

    validation, test = dataset.of("validation"), dataset.of("test")
    asked = [*validation, *test]
    classifier = open_classifier(workspace, version)
    try:
        questions = [classifier.question(render_input(e.inputs)) for e in asked]
        edge = len(validation)
        given = [*classifier.answer_unseen(questions[:edge]), *classifier.answer(questions[edge:])]
    finally:
        classifier.close()
    # A label that is not the same has no likelihood that was kept: it counts as infinitely far.
    chances = [k.confidence if k.target == g.target else 1e-300 for k, g in zip(kept, given, strict=True)]
    right = [np.array([p.target == e.target for p, e in zip(side, asked, strict=True)]) for side in (kept, given)]
    parity = compare_labels(kept, np.log(np.maximum(chances, 1e-300)), given, *right)
    answers = Answers(version.contender, fine_tuned=False, validation=given[:edge], test=given[edge:], seconds=0.0)
    judging = judging_of(workspace, task, dataset)
    scores = [
        judging(part, [p.target for p in side])
        for part, side in ((validation, answers.validation), (test, answers.test))
    ]
    confidence = reviewed(task, dataset, [answers], *({version.contender: one} for one in scores))
    draft = version.model_copy(
        update={
            "parity": parity,
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
        examples=asked,
        splits=["validation"] * edge + ["test"] * len(test),
        answers=given,
    )
    rival = against_champion(workspace, task, registered, dataset, answers.test, judging, reporter)
    evaluation = {**(version.evaluation or {}), "against_champion": rival, "model_version": registered.name}
    registered = registered.model_copy(update={"evaluation": evaluation})
    registry.update_version(workspace, registered)
    return registered
