"""From the weights that two tunings of an encoder learned to a version: heads, one file, and the parity gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inhouse.core import ModelVersion, Prediction, Reporter, labels_of, spread
from inhouse.pipeline.packaging import ADAPTER, NOT_COMPARED, package_versions
from inhouse.pipeline.told import tell_parity
from inhouse.scoring import EVERYTHING_TO_A_PERSON
from inhouse.store import Workspace, predictions, registry
from inhouse.store.predictions import TrainerAnswer

if TYPE_CHECKING:  # they import the models' libraries
    from torch import Tensor, nn

    from inhouse.engine.label_head import LabelHead
    from inhouse.pipeline.classifier import PreparedClassifier
    from inhouse.train.label_head import Plain

Vectors = NDArray[np.float32]
# Labels that the parity gate compares, at most: up to half of them of validation examples.
COMPARED = 1000
# Labels of each example whose chances are kept, the likeliest: a tie has two, seldom more.
LABELS_KEPT = 5


@dataclass(frozen=True)
class _Answerer:
    """A head with the trainer's vectors of texts, and the file of both.

    Attributes:
        vectors: [n, 2 width], of the texts.
    """

    head: LabelHead
    vectors: Vectors
    texts: Sequence[str]
    file: Path

    def answers(self) -> tuple[list[Prediction], NDArray[np.float64]]:
        """The trainer's, and the log-probabilities of all labels, [n, labels]."""
        from inhouse.engine.classifier import predictions

        chances = self.head.log_chances(self.vectors, self.texts)
        return predictions(self.head.labels, chances), chances

    def served(self, workspace: Workspace, reporter: Reporter, *, exact: bool) -> list[Prediction]:
        """The file's."""
        from inhouse.engine.classifier import LabelClassifier

        classifier = LabelClassifier(self.file, threads=workspace.settings.threads, exact=exact)
        bar = reporter.bar("parity: served file", len(self.texts))
        try:
            return classifier.answer([classifier.question(text) for text in self.texts], bar.update)
        finally:
            classifier.close()

    def some(self, places: Sequence[int]) -> _Answerer:
        """With some of the texts."""
        return _Answerer(self.head, self.vectors[places], [self.texts[i] for i in places], self.file)


def register_classifier(
    workspace: Workspace,
    prepared: PreparedClassifier,
    run: str,
    judged: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    made: Mapping[str, int],
    reporter: Reporter,
) -> ModelVersion:
    """Fit the head, write the classifier, run the parity gate, and register the version.

    Args:
        judged: what the first tuning learned, which no validation example touched.
        tuned: what serves.
        made: how: the `steps` of both tunings, and where one `diverged_at`; part of the lineage.
    """
    from safetensors.torch import save_file

    from inhouse.deploy.version_files import CLASSIFIER
    from inhouse.engine.classifier import write_classifier
    from inhouse.engine.encoder_model import TwinEncoder, load_encoder
    from inhouse.train.label_head import fit_head

    texts, targets = prepared.texts("train", "validation"), prepared.targets("train", "validation")
    validation = range(prepared.edge, len(texts))
    folder = prepared.base.folder
    twin = TwinEncoder(load_encoder(folder), load_encoder(folder), prepared.facts.pooling)
    with workspace.blobs.scratch(workspace.paths.run(run)) as scratch:
        original = _vectors(prepared, twin.original, reporter)
        vectors = _both_vectors(prepared, twin.tuned, judged, original, reporter)
        plain, held = _held(prepared, vectors, reporter)
        before = _Answerer(held, vectors, texts, scratch / "judged")
        write_classifier(before.file, twin, prepared.reading, held, {})
        unseen, _ = before.some(validation).answers()

        vectors = _both_vectors(prepared, twin.tuned, tuned, original, reporter)
        head = fit_head(vectors, texts, targets, plain=plain, strength=prepared.recipe.strength).with_pool(held.pool)
        after = _Answerer(head, vectors, texts, scratch / "model")
        reporter.say("writing the file that will be evaluated and served")
        answered = dict(zip(prepared.texts("validation"), unseen, strict=True))
        write_classifier(after.file, twin, prepared.reading, head, answered)
        save_file(dict(tuned), scratch / "tuned")
        draft = _draft(prepared, run, made)
        compared, kept = _compared(workspace, prepared, draft, before, after, reporter)
        files = {
            "adapter_sha256": workspace.blobs.put_file(scratch / "tuned", ADAPTER),
            "file_sha256": workspace.blobs.put_file(after.file, CLASSIFIER),
        }
    registered = registry.add_version(workspace, compared.model_copy(update=files))
    predictions.save_trainer(workspace, registered, kept)
    tell_parity(registered, "labels", reporter)
    return registered


def validation_scores(prepared: PreparedClassifier, judged: Mapping[str, Tensor], reporter: Reporter) -> list[float]:
    """Of each validation example whether its label is the answer (1 or 0), as `register_classifier` judges a version.

    A label that was not trained is never the answer.

    Args:
        judged: what the first tuning learned, which no validation example touched.
    """
    from inhouse.engine.classifier import predictions
    from inhouse.engine.encoder_model import load_encoder

    encoder = load_encoder(prepared.base.folder)
    original = _vectors(prepared, encoder, reporter)
    vectors = _both_vectors(prepared, encoder, judged, original, reporter)
    _, held = _held(prepared, vectors, reporter)
    answers = predictions(held.labels, held.log_chances(vectors[prepared.edge :], prepared.texts("validation")))
    return [float(a.target == target) for a, target in zip(answers, prepared.targets("validation"), strict=True)]


def _draft(prepared: PreparedClassifier, run: str, made: Mapping[str, int]) -> ModelVersion:
    from inhouse.engine.classifier import ENGINE

    task = prepared.task
    return ModelVersion(
        task=task.name,
        number=0,
        kind=task.kind,
        contender="fine-tuned-encoder",
        run=run,
        file_sha256="",
        adapter_sha256="",
        fields=task.input.fields,
        labels=labels_of(prepared.dataset.learned),
        documents=task.input.documents,
        threshold=EVERYTHING_TO_A_PERSON,
        parity=NOT_COMPARED,
        engine=ENGINE,
        lineage={
            "dataset": prepared.dataset.number,
            "dataset_fingerprint": prepared.dataset.fingerprint,
            "recipe": prepared.recipe.model_dump(mode="json"),
            "base": prepared.base.spec.name,
            "base_sha256": prepared.base.spec.sha256,
            "seed": prepared.recipe.seed,
            "packages": package_versions(),
            **made,
        },
    )


def _vectors(prepared: PreparedClassifier, encoder: nn.Module, reporter: Reporter) -> Vectors:
    """Vectors [n, width] of the training texts, then of the validation texts, by an encoder in the trainer."""
    from inhouse.engine.encoder import vectors_of
    from inhouse.engine.encoder_model import pooled

    texts = prepared.texts("train", "validation")
    bar = reporter.bar("vectors", len(texts))
    forward = partial(pooled, encoder.eval(), pooling=prepared.facts.pooling)
    return vectors_of(forward, prepared.reading.tokens.ids(texts), prepared.facts.pad, bar.update)


def _both_vectors(
    prepared: PreparedClassifier, encoder: nn.Module, tuned: Mapping[str, Tensor], original: Vectors, reporter: Reporter
) -> Vectors:
    """Vectors [n, 2 width] of the same texts, by the encoder with what it learned and, beside them, as it was."""
    from inhouse.engine.lora import copy_state
    from inhouse.train.encoder_loop import tunable

    copy_state({name: weight.detach() for name, weight in tunable(encoder).items()}, tuned)
    return np.hstack([_vectors(prepared, encoder, reporter), original])


def _held(prepared: PreparedClassifier, vectors: Vectors, reporter: Reporter) -> tuple[Plain, LabelHead]:
    """What there is to choose of a head, and one that saw no validation example, with the pool that these want."""
    from inhouse.train.label_head import chosen_plain, fit_head, fitted_pool

    recipe, edge = prepared.recipe, prepared.edge
    texts, targets = prepared.texts("train"), prepared.targets("train")
    plain = chosen_plain(
        vectors[:edge, prepared.facts.width :],
        texts,
        targets,
        weights=recipe.ngram_weights,
        margin_weights=recipe.margin_weights,
        strength=recipe.strength,
        seed=recipe.seed,
        groups=[e.group for e in prepared.examples("train")],
    )
    held = fit_head(vectors[:edge], texts, targets, plain=plain, strength=recipe.strength)
    pool = fitted_pool(held, vectors[edge:], prepared.texts("validation"), prepared.targets("validation"))
    by = "a linear SVM" if plain.margin else "logistic regression"
    reporter.say(
        f"head: n-grams weigh {plain.ngram_weight:g}, in {by}; "
        f"tuned and original vectors weigh {pool[0]:.2f} and {pool[1]:.2f}"
    )
    return plain, held.with_pool(pool)


def _compared(
    workspace: Workspace,
    prepared: PreparedClassifier,
    draft: ModelVersion,
    before: _Answerer,
    after: _Answerer,
    reporter: Reporter,
) -> tuple[ModelVersion, list[TrainerAnswer]]:
    """The draft with its parity, and what the trainer computed on training examples.

    What serves has learned from all examples, so it is compared on training examples; on validation examples, where
    right and wrong count too, a file of the first tuning is, which saw none of them. The engine's fast arithmetic is
    tried first; where it does not pass the gate, float32 is, and then serves.
    """
    from inhouse.deploy import MIN_LABELS, compare_labels

    validation = spread(range(prepared.edge, len(after.texts)), COMPARED // 2)
    learned = spread(range(prepared.edge), COMPARED - len(validation))
    sides = (before.some(validation), after.some(learned))
    trainer = [side.answers() for side in sides]
    known = prepared.targets("train", "validation")
    targets = np.array([known[i] for i in validation])
    for exact in (False, True):
        served = [side.served(workspace, reporter, exact=exact) for side in sides]
        given = [
            row[side.head.labels.index(str(answer.target))]
            for side, (_, chances), answers in zip(sides, trainer, served, strict=True)
            for answer, row in zip(answers, chances, strict=True)
        ]
        right = [np.array([a.target for a in answers]) == targets for answers in (trainer[0][0], served[0])]
        parity = compare_labels([*trainer[0][0], *trainer[1][0]], np.array(given), [*served[0], *served[1]], *right)
        if parity.passed:
            break
        if not exact:
            reporter.say(f"parity in fast arithmetic: {parity.reason}; trying float32")
    if parity.tokens < MIN_LABELS:
        reporter.warn(f"there are {parity.tokens} texts to compare: the parity gate compares what there is")
    examples = [prepared.examples("train", "validation")[i] for i in learned]
    kept = [
        TrainerAnswer(example, answer.target, "", {"chances": _likeliest(after.head.labels, row)})
        for example, answer, row in zip(examples, *trainer[1], strict=True)
    ]
    return draft.model_copy(update={"exact": exact, "parity": parity}), kept


def _likeliest(labels: Sequence[str], chances: NDArray[np.float64]) -> dict[str, float]:
    """The log-probabilities of the labels that a tie could be between."""
    return {labels[i]: round(float(chances[i]), 6) for i in np.argsort(-chances)[:LABELS_KEPT]}
