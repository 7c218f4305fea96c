"""The trainings of a learning curve, on growing shares of the data: of a causal model, and of an encoder."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from inhouse.core import AnyRecipe, EncoderRecipe, Recipe, Reporter, Task
from inhouse.errors import NothingToLearn, TooFewExamples
from inhouse.pipeline.classifier import (
    LESS_MEMORY,
    PreparedClassifier,
    Tunings,
    classifier_on,
    prepare_classifier,
    step_seconds,
)
from inhouse.pipeline.classifier_packaging import validation_scores
from inhouse.pipeline.preparation import (
    LEARNING_SPLITS,
    Prepared,
    measured_speed,
    prepare_training,
    prepared_trunk,
    validation_judge,
)
from inhouse.pipeline.room import free_for
from inhouse.pipeline.told import tell_memory
from inhouse.store import Workspace, write_bytes
from inhouse.train import MIN_PAIRS, make_recipe
from inhouse.train.encoder_plan import fitted_into_minutes

SHARES = (1 / 8, 1 / 4, 1 / 2, 1)
# A training on fewer examples says nothing about one on many.
LEAST = 16
# Groups stay whole, so parts are only about as large as their shares; two that hardly differ would say nothing.
APART = 3 / 4

AskedToStop = Callable[[], bool]
AnyOne = TypeVar("AnyOne", Recipe, EncoderRecipe)


@dataclass(frozen=True)
class Share:
    """A training on a part of the training examples.

    Attributes:
        examples: how many it learns from.
        scores: trains, and gives back the metric and the score of each validation example; None where it was asked to
            stop before. Its arguments: a folder for its checkpoint, which it goes on from, and its recipe; who is told;
            and whether it should stop after this step.
    """

    examples: int
    recipe: AnyRecipe
    scores: Callable[[Path, Reporter, AskedToStop], tuple[str, list[float]] | None]


def causal_shares(workspace: Workspace, task: Task, reporter: Reporter) -> list[Share]:
    """The trainings of the task's causal model, the smallest first.

    Raises:
        TooFewExamples
        what `train` raises before its first step.
    """
    prepared = prepare_training(workspace, task, reporter)
    # No file is written and compared, so the training's own memory is all.
    tell_memory(prepared.memory_in_training, free_for("causal"), "a smaller `train.max_tokens` takes less", reporter)
    parts = causal_parts(prepared, reporter)
    return [Share(len(part.learned), part.recipe, partial(_causal_scores, part)) for part in parts]


def encoder_shares(workspace: Workspace, task: Task, reporter: Reporter) -> list[Share]:
    """The trainings of the task's encoder, the smallest first. See `causal_shares`."""
    prepared = prepare_classifier(workspace, task, reporter)
    tell_memory(prepared.memory, free_for("encoder"), LESS_MEMORY, reporter)
    parts = encoder_parts(prepared, reporter)
    return [Share(part.edge, part.recipe, partial(_encoder_scores, part)) for part in parts]


def _parts(groups: Sequence[str], task: str, seed: int) -> list[list[int]]:
    """Places of training examples in growing parts, each within the next; the last has all.

    Groups stay whole, as more data brings more of them: with some of each in the smallest part, the curve would tell
    what more examples of the same suppliers bring, and not what new ones do.

    Args:
        groups: of the examples, one each.

    Raises:
        TooFewExamples: for two parts.
    """
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        places.setdefault(group, []).append(place)
    whole = list(places.values())
    random.Random(f"{seed}:curve").shuffle(whole)
    order, ends = [place for group in whole for place in group], list(accumulate(map(len, whole)))
    counts = [len(order)]
    for share in reversed(SHARES):
        nearest = min(ends, key=lambda n: abs(n - share * len(order)))
        if LEAST <= nearest <= APART * counts[0]:
            counts.insert(0, nearest)
    if len(counts) < 2:
        raise TooFewExamples(
            f"task {task!r} has {len(order)} training examples in {len(whole)} groups: too few for a curve",
            f"add examples: {2 * LEAST} are the least, in groups of which none holds most of them",
        )
    return [sorted(order[:n]) for n in counts]


def causal_parts(prepared: Prepared, reporter: Reporter) -> list[Prepared]:
    """The training on growing parts of the examples, each with the recipe for its size.

    Raises:
        TooFewExamples
    """
    parts = _parts([e.group for e in prepared.learned], prepared.task.name, prepared.recipe.seed)
    prepared = _of_one_objective(prepared, parts, reporter)
    return [_part(prepared, places) for places in parts]


def _of_one_objective(prepared: Prepared, parts: Sequence[Sequence[int]], reporter: Reporter) -> Prepared:
    """The training as all its parts can be trained: points of two objectives would lie on no one curve.

    Where a part has too few rejected answers to learn from, all learn from the right answers alone, and that is told.
    """
    least = 1 if prepared.task.train.objective == "dpo" else MIN_PAIRS
    fewest = min(sum(bool(prepared.learned[i].rejected) for i in places) for places in parts)
    if prepared.recipe.objective == "sft" or fewest >= least:
        return prepared
    reporter.warn(
        f"the smallest part of the examples has {fewest} rejected answers, and {least} are the least to learn from: "
        "the curve is of trainings on the right answers alone, all of them"
    )
    plain = {"objective": "sft", "beta": None, "sft_weight": None}
    return replace(
        prepared,
        task=prepared.task.model_copy(update={"train": prepared.task.train.model_copy(update=plain)}),
        learned=[replace(e, rejected=()) for e in prepared.learned],
        validation=[replace(e, rejected=()) for e in prepared.validation],
    )


def _part(prepared: Prepared, places: Sequence[int]) -> Prepared:
    learned, of = [prepared.learned[i] for i in places], prepared.recipe
    recipe = make_recipe(
        prepared.task,
        prepared.dataset,
        learned,
        base_model=of.base_model,
        base_sha256=of.base_sha256,
        precision=of.precision,
        width=prepared.base.shape.hidden,
    )
    # These follow from this machine, and not from the data.
    of_machine = {"four_bit": of.four_bit, "compiled": of.compiled}
    return replace(prepared, learned=learned, recipe=recipe.model_copy(update=of_machine))


def encoder_parts(prepared: PreparedClassifier, reporter: Reporter) -> list[PreparedClassifier]:
    """The same for an encoder. A part that cannot be trained, of one label say, is left out, and that is told.

    Raises:
        TooFewExamples: for two parts.
    """
    train, validation = LEARNING_SPLITS
    learned, seen = prepared.examples(train), prepared.examples(validation)
    parts = list[PreparedClassifier]()
    for places in _parts([e.group for e in learned], prepared.task.name, prepared.recipe.seed):
        examples = (*(learned[i] for i in places), *seen)
        splits = (train,) * len(places) + (validation,) * len(seen)
        part = replace(prepared.dataset, examples=examples, splits=splits)
        try:
            parts.append(classifier_on(part, prepared.task, prepared.base))
        except NothingToLearn as fault:
            reporter.warn(f"a part of the examples is left out of the curve: {fault.what}")
    if len(parts) < 2:
        raise TooFewExamples(
            f"task {prepared.task.name!r} has too few training examples for a curve: a half of them cannot be trained",
            "add examples of labels that have few",
        )
    return parts


def _causal_scores(
    prepared: Prepared, folder: Path, reporter: Reporter, asked_to_stop: AskedToStop
) -> tuple[str, list[float]] | None:
    """Train, and score the best step's answers to the validation examples. See `Share`."""
    from inhouse.engine.lora import load_adapter_state
    from inhouse.train.loop import right_answers, run_loop

    with prepared_trunk(prepared) as (trunk, adapters):
        fitted = prepared.fitted(measured_speed(prepared, trunk, adapters, reporter))
        prepared = replace(prepared, recipe=_kept(fitted, folder))
        judge = validation_judge(prepared, trunk) if prepared.judged else None
        outcome = run_loop(
            trunk,
            adapters,
            prepared.learned,
            prepared.validation,
            prepared.recipe,
            folder / "checkpoint.safetensors",
            reporter,
            judge=judge,
            asked_to_stop=asked_to_stop,
        )
        if outcome.interrupted:
            return None
        load_adapter_state(adapters, outcome.state)
        if judge is None:
            return "accuracy", right_answers(trunk, prepared.validation)
        return judge.metric, list(judge.scores(range(len(prepared.validation))))


def _encoder_scores(
    prepared: PreparedClassifier, folder: Path, reporter: Reporter, asked_to_stop: AskedToStop
) -> tuple[str, list[float]] | None:
    """Tune once, and score what a version is judged by: the head that is fitted then. See `Share`.

    The second tuning learns from the validation examples, so none of them could judge it.
    """
    from inhouse.train.trainer import unwatched

    fitted = fitted_into_minutes(prepared.recipe, step_seconds(prepared))
    prepared = replace(prepared, recipe=_kept(fitted, folder))
    outcome = Tunings(prepared, folder, reporter, unwatched, asked_to_stop).first()
    return None if outcome.interrupted else ("accuracy", validation_scores(prepared, outcome.state, reporter))


def _kept(recipe: AnyOne, folder: Path) -> AnyOne:
    """The recipe of a training that goes on, or this one, kept: a schedule is fitted into minutes once."""
    file = folder / "recipe.json"
    if file.is_file():
        return type(recipe).model_validate_json(file.read_bytes())
    write_bytes(file, recipe.model_dump_json().encode())
    return recipe
