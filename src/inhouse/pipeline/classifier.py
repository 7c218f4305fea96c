"""`train` for an encoder: a sentence encoder tuned on the labels, the head, one file of both, and the parity gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from inhouse.core import (
    Dataset,
    EncoderRecipe,
    ModelVersion,
    Parity,
    Prediction,
    Reporter,
    Task,
    TrainPlan,
    TrainResult,
    labels_of,
    render_input,
)
from inhouse.engine import Base, get_base, require_kind
from inhouse.errors import NothingToLearn
from inhouse.pipeline.packaging import ADAPTER, NOT_COMPARED, package_versions, spread
from inhouse.pipeline.told import plan_told, result_told, tell_memory, tell_parity, tell_plan
from inhouse.pipeline.watching import watching
from inhouse.scoring import EVERYTHING_TO_A_PERSON, review_threshold
from inhouse.store import Workspace, records, registry
from inhouse.train import Plan, encoder_memory_needed, finishing_the_step, make_encoder_plan, make_encoder_recipe
from inhouse.train.encoder_plan import fitted_into_minutes, taken

if TYPE_CHECKING:  # they import the models' libraries
    from torch import Tensor, nn

    from inhouse.deploy import ServedClassifier
    from inhouse.engine.answers import Question
    from inhouse.engine.classifier import Reading
    from inhouse.engine.encoder_model import EncoderFacts, TwinEncoder
    from inhouse.engine.label_head import LabelHead
    from inhouse.train.checkpoint import LoopResult
    from inhouse.train.encoder_loop import LabelledTexts
    from inhouse.train.label_head import Plain

Vectors = NDArray[np.float32]

OF_LONGER = (
    "the encoder does not read their end, the n-grams do (`train.max_tokens` in task.toml raises the limit as far as "
    "the encoder's own)"
)
LESS_MEMORY = "a smaller `train.max_tokens` or `train.batch_size` in task.toml, or a smaller encoder, takes less"
# Labels that the parity gate compares, at most; validation examples come first.
COMPARED = 1000


@dataclass(frozen=True)
class PreparedClassifier:
    """All that the training of an encoder needs, before it begins."""

    task: Task
    dataset: Dataset
    base: Base
    facts: EncoderFacts
    reading: Reading
    recipe: EncoderRecipe
    train: LabelledTexts
    validation: LabelledTexts
    lengths: tuple[int, ...]

    def texts(self, *splits: str) -> list[str]:
        """The inputs of splits, as the encoder reads them."""
        return [render_input(e.inputs) for e in self.examples(*splits)]

    def targets(self, *splits: str) -> list[str]:
        """Their labels."""
        return [e.target for e in self.examples(*splits)]

    def examples(self, *splits: str) -> list[Any]:
        """The examples of splits, one split after the other."""
        return [e for split in splits for e in self.dataset.of(split)]  # type: ignore[arg-type]

    @property
    def edge(self) -> int:
        """How many of the training and validation examples are training examples, which come first."""
        return len(self.dataset.of("train"))

    @property
    def memory(self) -> float:
        """Bytes that the training takes at its peak, roughly."""
        return encoder_memory_needed(self.facts, self.recipe, [len(ids) for ids in self.train.ids])


def prepare_classifier(workspace: Workspace, task: Task, reporter: Reporter) -> PreparedClassifier:
    """What the training of an encoder needs, made from the task's newest data.

    Raises:
        NothingToLearn: fewer than two labels, or no validation example of a label that is trained.
        what `train` raises before its first step.
    """
    from inhouse.engine.classifier import Reading
    from inhouse.engine.encoder_model import facts_of
    from inhouse.engine.torch_model import use_threads
    from inhouse.train.encoder_loop import LabelledTexts

    use_threads(workspace.settings.threads)
    dataset = records.load_dataset(workspace, task.name)
    base = get_base(task.encoder_model, workspace.settings, reporter.say)
    require_kind(base, "encoder", "encoder_model")
    facts = facts_of(base.folder)
    train, validation = dataset.of("train"), dataset.of("validation")
    recipe = make_encoder_recipe(task, dataset, len(train), base_sha256=base.spec.sha256, longest=facts.longest)
    reading = Reading((base.folder / "tokenizer.json").read_text("utf-8"), recipe.max_tokens, facts.pad, facts.prefix)
    labels = sorted({e.target for e in train})
    known = [e for e in validation if e.target in labels]
    if len(labels) < 2 or not known:
        raise NothingToLearn(
            f"task {task.name!r} has {len(labels)} labels in {len(train)} training examples, and {len(known)} "
            "validation examples of them: two labels and one such example are the least",
            "add more examples: with three or more of a label, one goes to validation",
        )
    place = {label: i for i, label in enumerate(labels)}
    tokens = reading.tokens

    def encoded(examples: Sequence[Any]) -> LabelledTexts:
        return LabelledTexts(
            tokens.ids([render_input(e.inputs) for e in examples]), [place[e.target] for e in examples]
        )

    lengths = tuple(map(len, tokens.whole([render_input(e.inputs) for e in train])))
    return PreparedClassifier(task, dataset, base, facts, reading, recipe, encoded(train), encoded(known), lengths)


def train_classifier(workspace: Workspace, prepared: PreparedClassifier, run: str, reporter: Reporter) -> TrainResult:
    """Tune the encoder, once more with the validation examples, fit the head, register the version.

    Arguments and result as in `training`. What is told of the training is what validation examples said of the first
    tuning, which saw none of them.
    """
    from inhouse.engine.encoder_model import load_encoder
    from inhouse.train.encoder_loop import seconds_per_step, tune

    folder = workspace.paths.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    tell_memory(prepared.memory, psutil.virtual_memory().available, LESS_MEMORY, reporter)
    with (
        watching(workspace, prepared.task.name, run, prepared.recipe) as watch,
        finishing_the_step(reporter) as asked_to_stop,
    ):
        encoder = load_encoder(prepared.base.folder)
        means = _means(prepared, encoder, prepared.train, reporter)
        speed = seconds_per_step(encoder, prepared.facts, prepared.train, prepared.recipe)
        prepared = replace(prepared, recipe=fitted_into_minutes(prepared.recipe, speed))
        records.schedule_run(workspace, run, prepared.recipe)
        plan = _plan(prepared, speed)
        tell_plan(plan, prepared.base, reporter, of_longer=OF_LONGER)
        outcome = tune(
            encoder,
            prepared.facts,
            means,
            prepared.train,
            prepared.validation,
            prepared.recipe,
            folder / "checkpoint.safetensors",
            reporter,
            watch=watch,
            asked_to_stop=asked_to_stop,
        )
        judged, steps = outcome.state, outcome.position.step
        if not outcome.interrupted:
            outcome, more = _once_more(prepared, outcome, folder, reporter, watch, asked_to_stop)
            steps += more
    registered = registry.version_of_run(workspace, run, steps)
    if registered is None:
        registered = _register(workspace, prepared, run, encoder, judged, outcome.state, steps, reporter)
    score = registered.parity.trainer_accuracy
    return result_told(prepared.task.name, run, plan, outcome, registered, metric="accuracy", score=score)


def _once_more(
    prepared: PreparedClassifier,
    first: LoopResult,
    folder: Path,
    reporter: Reporter,
    watch: Callable[[int, Mapping[str, float]], None],
    asked_to_stop: Callable[[], bool],
) -> tuple[LoopResult, int]:
    """A second tuning, on training and validation examples, as long as the first found good.

    Gives back the first one's result with the weights, tokens and seconds of both, and the second one's steps. Of few
    examples of a label each counts: a tenth more of them brought half a point on banking77 (docs/log.md). Where no time
    is left, or Ctrl-C ended it, the first tuning's weights stand.
    """
    from inhouse.engine.encoder_model import load_encoder
    from inhouse.train.encoder_loop import LabelledTexts, tune
    from inhouse.train.loop import overfitting

    recipe, position = prepared.recipe, first.position
    left = recipe.minutes - position.seconds / 60 if recipe.minutes else None
    if left is not None and left <= 0:
        return first, 0
    steps = position.best_step if overfitting(position) else taken(recipe)
    learned = LabelledTexts(
        [*prepared.train.ids, *prepared.validation.ids], [*prepared.train.labels, *prepared.validation.labels]
    )
    encoder = load_encoder(prepared.base.folder)
    reporter.say(f"tuning once more, {steps} steps, with the validation examples")
    try:
        second = tune(
            encoder,
            prepared.facts,
            _means(prepared, encoder, learned, reporter),
            learned,
            None,
            recipe.model_copy(update={"max_steps": steps, "minutes": left}),
            folder / "once-more.safetensors",
            reporter,
            watch=lambda step, metrics: watch(position.step + step, metrics),
            asked_to_stop=asked_to_stop,
        )
    except KeyboardInterrupt:  # before its first step
        return replace(first, interrupted=True, stopped_because="you stopped it before the second tuning"), 0
    if second.interrupted:
        return replace(first, interrupted=True, stopped_because=f"in the second tuning, {second.stopped_because}"), 0
    tokens, seconds = position.tokens + second.position.tokens, position.seconds + second.position.seconds
    both = replace(first, state=second.state, position=replace(position, tokens=tokens, seconds=seconds))
    return both, second.position.step


def plan_classifier(workspace: Workspace, prepared: PreparedClassifier, reporter: Reporter) -> TrainPlan:
    """What `train_classifier` would do and take on this machine, from one measured step; nothing is kept."""
    from inhouse.engine.encoder_model import load_encoder
    from inhouse.train.encoder_loop import seconds_per_step

    free = psutil.virtual_memory().available
    tell_memory(prepared.memory, free, LESS_MEMORY, reporter)
    reporter.say("measuring a step")
    encoder = load_encoder(prepared.base.folder)
    speed = seconds_per_step(encoder, prepared.facts, prepared.train, prepared.recipe)
    prepared = replace(prepared, recipe=fitted_into_minutes(prepared.recipe, speed))
    plan = _plan(prepared, speed)
    # A checkpoint has the weights, what Adam keeps of them and the best ones; the version's file has both encoders.
    disk = 6 * 4 * prepared.facts.parameters
    return plan_told(workspace, prepared.task.name, plan, memory=prepared.memory, free=free, disk=disk, options=())


def _plan(prepared: PreparedClassifier, seconds_per_step: float) -> Plan:
    return make_encoder_plan(
        prepared.recipe, prepared.lengths, len(prepared.validation.ids), seconds_per_step=seconds_per_step
    )


def _means(prepared: PreparedClassifier, encoder: nn.Module, texts: LabelledTexts, reporter: Reporter) -> Tensor:
    """The mean vector of each label by the encoder as it is, [labels, width]."""
    import torch

    from inhouse.engine.encoder import vectors_of
    from inhouse.engine.encoder_model import pooled

    bar = reporter.bar("embeddings", len(texts.ids))
    forward = partial(pooled, encoder, pooling=prepared.facts.pooling)
    vectors = torch.from_numpy(vectors_of(forward, texts.ids, prepared.facts.pad, bar.update))
    labels = torch.tensor(texts.labels)
    return torch.stack([vectors[labels == i].mean(0) for i in range(int(labels.max()) + 1)])


# ---------------------------------------------------------------------- packaging


def _register(
    workspace: Workspace,
    prepared: PreparedClassifier,
    run: str,
    encoder: nn.Module,
    judged: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    steps: int,
    reporter: Reporter,
) -> ModelVersion:
    """Fit the head, write the classifier, run the parity gate on that very file, and register the version.

    Args:
        encoder: takes the weights of either tuning.
        judged: those of the first, which no validation example touched.
        tuned: those that serve.
        steps: of both.
    """
    from safetensors.torch import save_file

    from inhouse.deploy.served import CLASSIFIER
    from inhouse.engine.classifier import ENGINE, predictions, write_classifier
    from inhouse.engine.encoder_model import TwinEncoder, load_encoder
    from inhouse.engine.lora import copy_state
    from inhouse.train.encoder_loop import tunable
    from inhouse.train.label_head import fit_head

    task, recipe = prepared.task, prepared.recipe
    own = {name: weight.detach() for name, weight in tunable(encoder).items()}
    twin = TwinEncoder(encoder, load_encoder(prepared.base.folder), prepared.facts.pooling)
    copy_state(own, judged)
    before = _twin_vectors(prepared, twin, reporter)
    plain, held = _held(prepared, before, reporter)
    unseen = predictions(held.labels, held.log_chances(before[prepared.edge :], prepared.texts("validation")))
    copy_state(own, tuned)
    vectors = _twin_vectors(prepared, twin, reporter)
    texts, targets = prepared.texts("train", "validation"), prepared.targets("train", "validation")
    head = fit_head(vectors, texts, targets, plain=plain, strength=recipe.strength).with_pool(held.pool)
    reporter.say("writing the file that will be evaluated and served")
    with workspace.blobs.scratch(workspace.paths.run(run)) as scratch:
        answered = dict(zip(prepared.texts("validation"), unseen, strict=True))
        write_classifier(scratch / "model", twin, prepared.reading, head, answered)
        save_file(dict(tuned), scratch / "tuned")
        adapter = workspace.blobs.put_file(scratch / "tuned", ADAPTER)
        file = workspace.blobs.put_file(scratch / "model", CLASSIFIER)
    draft = ModelVersion(
        task=task.name,
        number=0,
        kind=task.kind,
        contender="fine-tuned-encoder",
        run=run,
        file_sha256=file,
        adapter_sha256=adapter,
        fields=task.input.fields,
        labels=labels_of(prepared.dataset.learned),
        documents=task.input.documents,
        threshold=EVERYTHING_TO_A_PERSON,
        parity=NOT_COMPARED,
        engine=ENGINE,
        lineage={
            "dataset": prepared.dataset.number,
            "dataset_fingerprint": prepared.dataset.fingerprint,
            "recipe": recipe.model_dump(mode="json"),
            "base": prepared.base.spec.name,
            "base_sha256": prepared.base.spec.sha256,
            "seed": recipe.seed,
            "packages": package_versions(),
            "steps": steps,
        },
    )
    registered = registry.add_version(workspace, _compared(workspace, prepared, draft, head, vectors, unseen, reporter))
    tell_parity(registered, "labels", reporter)
    return registered


def _twin_vectors(prepared: PreparedClassifier, twin: TwinEncoder, reporter: Reporter) -> Vectors:
    """Vectors [n, 2 width] of the training texts, then of the validation texts, by the trainer."""
    from inhouse.engine.encoder import vectors_of

    texts = prepared.texts("train", "validation")
    bar = reporter.bar("vectors", len(texts))
    return vectors_of(twin.eval(), prepared.reading.tokens.ids(texts), prepared.facts.pad, bar.update)


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
    head: LabelHead,
    vectors: Vectors,
    unseen: Sequence[Prediction],
    reporter: Reporter,
) -> ModelVersion:
    """The draft with its parity, from the served file's own answers, and its review threshold.

    What serves has learned from all examples, so that its answers to them say only whether file and trainer agree. How
    good it is, and from which confidence on, is told by answers of the first tuning to validation examples (`unseen`).
    The engine's fast arithmetic is tried first; where it does not pass the gate, float32 is, and then serves.
    """
    from inhouse.deploy import MIN_LABELS, ServedClassifier, compare_labels
    from inhouse.engine.classifier import predictions

    texts = prepared.texts("train", "validation")
    validation = list(range(prepared.edge, len(texts)))
    places = [*validation, *spread(range(prepared.edge), max(0, COMPARED - len(validation)))]
    asked = [texts[i] for i in places]
    chances = head.log_chances(vectors[places], asked)
    trainer = predictions(head.labels, chances)
    right = np.array([a.target == t for a, t in zip(unseen, prepared.targets("validation"), strict=True)])
    for exact in (False, True):
        tried = draft.model_copy(update={"exact": exact})
        served = ServedClassifier(workspace, tried)
        try:
            answers = _ask(served, asked, reporter)
        finally:
            served.close()
        given = np.array([row[head.labels.index(str(a.target))] for a, row in zip(answers, chances, strict=True)])
        parity: Parity = compare_labels(trainer, given, answers, right, right)
        if parity.passed:
            break
        if not exact:
            reporter.say(f"parity in fast arithmetic: {parity.reason}; trying float32")
    if parity.tokens < MIN_LABELS:
        reporter.warn(f"there are {parity.tokens} texts to compare: the parity gate compares what there is")
    threshold = review_threshold([a.confidence for a in unseen], right, prepared.task.review.target_accuracy)
    return tried.model_copy(update={"parity": parity, "threshold": threshold})


def _ask(served: ServedClassifier, texts: Sequence[str], reporter: Reporter) -> list[Prediction]:
    """The served file's answers."""
    questions: list[Question] = [served.classifier.question(text) for text in texts]
    bar = reporter.bar("parity: served file", len(questions))
    return served.classifier.answer(questions, bar.update)
