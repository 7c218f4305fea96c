"""`train` for an encoder: a sentence encoder tuned on the labels, once to be judged and once more to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from inhouse.core import (
    Dataset,
    EncoderRecipe,
    Reporter,
    Task,
    TrainPlan,
    TrainResult,
    render_input,
)
from inhouse.engine import Base, require_kind
from inhouse.errors import EngineFault, NothingToLearn
from inhouse.pipeline.classifier_packaging import register_classifier
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.preparation import READY, STAGES, brought
from inhouse.pipeline.room import free_for
from inhouse.pipeline.told import plan_told, result_told, tell_disk, tell_memory, tell_plan
from inhouse.pipeline.watching import watching
from inhouse.store import Workspace, records, registry
from inhouse.train import Plan, encoder_memory_needed, finishing_the_step, make_encoder_plan, make_encoder_recipe
from inhouse.train.encoder_plan import fitted_into_minutes

if TYPE_CHECKING:  # they import the models' libraries
    from torch import Tensor, nn

    from inhouse.engine.classifier import Reading
    from inhouse.engine.encoder_facts import EncoderFacts
    from inhouse.train.checkpoint import LoopResult
    from inhouse.train.encoder_loop import LabelledTexts

OF_LONGER = (
    "the encoder does not read their end, the n-grams do (`train.max_tokens` in task.toml raises the limit as far as "
    "the encoder's own)"
)
# Of the machine's product rate trainings usually reach so much.
USUAL_SHARE = 0.5
LESS_MEMORY = "a smaller `train.max_tokens` or `train.batch_size` in task.toml, or a smaller encoder, takes less"
STOPPED_BEFORE = "you stopped it before the second tuning"


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
        return encoder_memory_needed(self.facts, self.recipe.batch_size, [len(ids) for ids in self.train.ids])

    @property
    def disk(self) -> float:
        """Bytes that the training writes: a checkpoint has the weights, what Adam keeps of them and the best ones, once
        for each tuning and once while it is replaced; the version's file has two encoders."""
        return (3 * 4 + 2) * 4 * self.facts.parameters


def prepare_classifier(workspace: Workspace, task: Task, reporter: Reporter) -> PreparedClassifier:
    """What the training of an encoder needs, made from the task's newest data.

    Raises:
        what `classifier_on` and, before its first step, `train` raise.
    """
    from inhouse.engine.torch_model import use_threads

    use_threads(workspace.settings.threads)
    dataset = to_learn_from(workspace, task.name, reporter=reporter)
    base = brought(task.encoder_model, workspace.settings, reporter)
    require_kind(base, "encoder", "encoder_model")
    return classifier_on(dataset, task, base)


def classifier_on(dataset: Dataset, task: Task, base: Base) -> PreparedClassifier:
    """The same on given data, with an encoder that is here.

    Raises:
        NothingToLearn: fewer than two labels, or no validation example of a label that is trained.
    """
    from inhouse.engine.classifier import Reading
    from inhouse.engine.encoder_facts import facts_of
    from inhouse.train.encoder_loop import LabelledTexts

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


def train_classifier(
    workspace: Workspace, prepared: PreparedClassifier, run: str, reporter: Reporter, at: Callable[[str], None]
) -> TrainResult:
    """Tune the encoder, once more with the validation examples, fit the head, register the version.

    Arguments and result as in `training`. What is told of the training is what validation examples said of the first
    tuning, which saw none of them; tokens and seconds are of both.
    """
    folder = workspace.paths.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    tell_memory(prepared.memory, free_for("encoder"), LESS_MEMORY, reporter)
    tell_disk(prepared.disk, folder, "the training", reporter)
    with (
        watching(workspace, prepared.task.name, run, prepared.recipe, reporter) as watch,
        finishing_the_step(reporter) as asked_to_stop,
    ):
        at(STAGES[3])
        speed = step_seconds(prepared)
        at(READY)
        prepared = replace(prepared, recipe=fitted_into_minutes(prepared.recipe, speed))
        records.schedule_run(workspace, run, prepared.recipe)
        plan = _plan(prepared, speed)
        tell_plan(plan, prepared.base, reporter, of_longer=OF_LONGER)
        tuning = Tunings(prepared, folder, reporter, watch, asked_to_stop)
        first = tuning.first()
        outcome, steps = (first, first.position.step) if first.interrupted else tuning.once_more(first)
    diverged = first.position.diverged_at
    registered = registry.version_of_run(workspace, run, steps, diverged)
    if registered is None:
        made = {"steps": steps, "diverged_at": diverged}
        registered = register_classifier(workspace, prepared, run, first.state, outcome.state, made, reporter)
    score = registered.parity.trainer_accuracy
    return result_told(prepared.task.name, run, plan, outcome, registered, metric="accuracy", score=score)


@dataclass(frozen=True)
class Tunings:
    """The two tunings of an encoder: one that is judged, and one that serves.

    `folder`: for their checkpoints, and there. `watch`: is told what every step and every look measured.
    """

    prepared: PreparedClassifier
    folder: Path
    reporter: Reporter
    watch: Callable[[int, Mapping[str, float]], None]
    asked_to_stop: Callable[[], bool]

    def first(self) -> LoopResult:
        """On training examples; validation examples judge it. It may take half of the time."""
        recipe = self.prepared.recipe
        half = recipe.model_copy(update={"minutes": recipe.minutes / 2}) if recipe.minutes else recipe
        return self._tuned(self.prepared.train, self.prepared.validation, half, "checkpoint.safetensors", self.watch)

    def once_more(self, first: LoopResult) -> tuple[LoopResult, int]:
        """On training and validation examples, up to the last step whose answers were as good as any of the first.

        Where few validation examples tell nothing against a step, the schedule does: a loss that rises while the
        answers stay is that of the cosine head, which does not serve. Gives back the first one's result with the
        weights, tokens and seconds of both, and the steps of both. Of few examples of a label each counts: a tenth more
        of them brought half a point on banking77 (docs/log.md). Where Ctrl-C or the time ends it, or it diverges, the
        first tuning's weights stand, and that is told.
        """
        prepared, position = self.prepared, first.position
        recipe, steps = prepared.recipe, position.level_step
        left = recipe.minutes - position.seconds / 60 if recipe.minutes else None
        rate = position.rate * recipe.learning_rate
        wish = recipe.model_copy(update={"max_steps": steps, "minutes": left, "learning_rate": rate})
        learned = prepared.train.with_more(prepared.validation)
        self.reporter.say(f"tuning once more, {steps} steps, with the validation examples")
        if self.asked_to_stop():
            return replace(first, interrupted=True, stopped_because=STOPPED_BEFORE), position.step
        try:
            second = self._tuned(
                learned, None, wish, "once-more.safetensors", lambda step, row: self.watch(position.step + step, row)
            )
        except EngineFault as fault:
            self.reporter.warn(f"{fault.what}, with the validation examples: what was tuned without them serves")
            return first, position.step
        if second.interrupted:
            told = f"in the second tuning, {second.stopped_because}"
            return replace(first, interrupted=True, stopped_because=told), position.step
        if second.position.step < steps:
            self.reporter.warn(f"{second.stopped_because} before the second tuning was done: the first serves")
            return first, position.step
        tokens, seconds = position.tokens + second.position.tokens, position.seconds + second.position.seconds
        both = replace(first, state=second.state, position=replace(position, tokens=tokens, seconds=seconds))
        return both, position.step + steps

    def _tuned(
        self,
        learned: LabelledTexts,
        validation: LabelledTexts | None,
        recipe: EncoderRecipe,
        checkpoint: str,
        watch: Callable[[int, Mapping[str, float]], None],
    ) -> LoopResult:
        from inhouse.engine.encoder_model import load_encoder
        from inhouse.train.encoder_loop import tune

        encoder = load_encoder(self.prepared.base.folder)
        return tune(
            encoder,
            self.prepared.facts,
            _means(self.prepared, encoder, learned, self.reporter),
            learned,
            validation,
            recipe,
            self.folder / checkpoint,
            self.reporter,
            watch=watch,
            asked_to_stop=self.asked_to_stop,
        )


def step_seconds(prepared: PreparedClassifier) -> float:
    """Seconds of a step on this machine."""
    from inhouse.engine.encoder_model import load_encoder
    from inhouse.train.encoder_loop import seconds_per_step

    return seconds_per_step(load_encoder(prepared.base.folder), prepared.facts, prepared.train, prepared.recipe)


def _reckoned_speed(prepared: PreparedClassifier) -> float:
    """Seconds of a step, from the machine's arithmetic alone: two views of each text, 6 FLOP a weight and token."""
    tokens = 2 * prepared.recipe.batch_size * fmean(len(ids) for ids in prepared.train.ids)
    return reckoned_seconds(6 * prepared.facts.parameters * tokens, "float32")


def reckoned_seconds(flop: float, precision: str) -> float:
    """How long this machine trains for so much arithmetic, where a step cannot be measured as it does not fit."""
    from inhouse.engine.torch_model import measure_flops

    return flop / (USUAL_SHARE * measure_flops(precision))


def plan_classifier(workspace: Workspace, prepared: PreparedClassifier, reporter: Reporter) -> TrainPlan:
    """What `train_classifier` would do and take on this machine, from one measured step; nothing is kept.

    Where its memory is not free, no step is measured: that would take what is told to be missing.
    """
    free = free_for("encoder")
    if prepared.memory <= free:
        speed = step_seconds(prepared)
    else:
        tell_memory(prepared.memory, free, LESS_MEMORY, reporter)
        speed = _reckoned_speed(prepared)
    prepared = replace(prepared, recipe=fitted_into_minutes(prepared.recipe, speed))
    plan = _plan(prepared, speed)
    taken = {"memory": prepared.memory, "disk": prepared.disk}
    return plan_told(workspace, prepared.task.name, plan, **taken, free=free, options=())


def _plan(prepared: PreparedClassifier, seconds_per_step: float) -> Plan:
    return make_encoder_plan(
        prepared.recipe,
        prepared.lengths,
        len(prepared.validation.ids),
        seconds_per_step=seconds_per_step,
        wish=prepared.task.train,
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
