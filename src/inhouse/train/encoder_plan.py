"""From a classify task and its data to the recipe of an encoder's training, each choice with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inhouse.core import Choice, Dataset, EncoderRecipe, Task, TrainSection
from inhouse.train.plan import ASKED_FOR, PLANNED_SHARE, Plan

# Texts of a step; each is seen twice, under different dropout.
BATCH = 128
# On banking77 with 10 examples of a label 60 steps brought 1.5 to 2 points, and 150 took them back (docs/log.md).
STEPS = 60
# Those were some eleven passes: fewer examples are not seen more often. Many examples are all seen so many times.
PASSES = (4, 12)
MAX_TOKENS = 256
# Looks at the validation split in a whole schedule, and the most examples of each.
LOOKS = 6
LOOKED_AT = 400
NGRAM_WEIGHTS = (0.3, 0.0, 0.15, 0.6, 1.0)
# A linear SVM does better where n-grams tell most: on xsid's Dutch by 2 points (docs/log.md).
MARGIN_WEIGHTS = (1.0, 2.0)
STRENGTH = 10.0


def make_encoder_recipe(
    task: Task, dataset: Dataset, examples: int, *, base_sha256: str, longest: int
) -> EncoderRecipe:
    """The recipe for a task's data: what `task.toml` sets, the rest derived from the number of examples.

    Args:
        examples: to learn from.
        longest: the most tokens that the encoder reads.
    """
    wish = task.train
    size = min(wish.batch_size or BATCH, max(examples, 1))
    least, most = (math.ceil(passes * examples / size) for passes in PASSES)
    wished = math.ceil(wish.epochs * examples / size) if wish.epochs else 0
    return EncoderRecipe(
        base_model=task.encoder_model,
        base_sha256=base_sha256,
        dataset_fingerprint=dataset.fingerprint,
        seed=wish.seed,
        schedule=wished or max(least, min(STEPS, most)),
        batch_size=size,
        learning_rate=wish.learning_rate or 5e-5,
        head_learning_rate=1e-3,
        layer_decay=0.9,
        warmup_share=0.1,
        weight_decay=0.01,
        max_grad_norm=1.0,
        label_smoothing=0.1,
        scale=20.0,
        temperature=0.1,
        contrast=1.0,
        max_tokens=min(wish.max_tokens or MAX_TOKENS, longest),
        patience=3,
        strength=STRENGTH,
        ngram_weights=NGRAM_WEIGHTS,
        margin_weights=MARGIN_WEIGHTS,
        max_steps=wish.max_steps,
        minutes=wish.minutes,
    )


def scheduled(recipe: EncoderRecipe) -> int:
    """Steps of the schedule, whose end the learning rate falls to."""
    return min(recipe.schedule, recipe.steps or recipe.schedule)


def taken(recipe: EncoderRecipe) -> int:
    """Steps that are taken: `max_steps` cuts the schedule off."""
    return min(scheduled(recipe), recipe.max_steps or recipe.schedule)


def look_every(recipe: EncoderRecipe) -> int:
    """Steps between two looks at the validation split."""
    return math.ceil(scheduled(recipe) / LOOKS)


def fitted_into_minutes(recipe: EncoderRecipe, seconds_per_step: float) -> EncoderRecipe:
    """With as many steps as its `minutes` have room for, once and for all; as it is where it has none.

    Every step is taken twice: the encoder is tuned once more with the validation examples.
    """
    if recipe.minutes is None or recipe.steps is not None:
        return recipe
    room = int(PLANNED_SHARE * 60 * recipe.minutes / (2 * seconds_per_step))
    return recipe.model_copy(update={"steps": max(1, min(recipe.schedule, room))})


def make_encoder_plan(
    recipe: EncoderRecipe,
    lengths: Sequence[int],
    validation_examples: int,
    *,
    seconds_per_step: float,
    wish: TrainSection | None = None,
) -> Plan:
    """What the recipe amounts to on this data and this machine.

    Args:
        lengths: of the training texts, in tokens, uncut.
        seconds_per_step: as `encoder_loop.seconds_per_step` measures it.
        wish: what task.toml asks for, as the reason of a choice.
    """
    steps = taken(recipe)
    mean = sum(min(n, recipe.max_tokens) for n in lengths) / len(lengths)
    return Plan(
        recipe=recipe,
        examples=len(lengths),
        validation_examples=validation_examples,
        steps=steps,
        tokens=round(2 * steps * recipe.batch_size * mean),
        truncated=sum(n > recipe.max_tokens for n in lengths),
        seconds=2 * steps * seconds_per_step + _looking(recipe, validation_examples, steps, seconds_per_step),
        choices=_choices(recipe, len(lengths), wish or TrainSection()),
    )


def _looking(recipe: EncoderRecipe, validation: int, steps: int, seconds_per_step: float) -> float:
    """Seconds that the looks at validation texts take: a forward pass is a third of a step, which sees a text twice."""
    a_look = min(validation, LOOKED_AT) / (3 * 2 * recipe.batch_size) * seconds_per_step
    return math.ceil(steps / look_every(recipe)) * a_look


def _choices(recipe: EncoderRecipe, examples: int, wish: TrainSection) -> tuple[Choice, ...]:
    passes = taken(recipe) * recipe.batch_size / examples
    if recipe.steps and recipe.steps < recipe.schedule:
        why = f"{recipe.minutes:g} minutes have room for no more"
    elif wish.epochs:
        why = ASKED_FOR
    elif recipe.schedule <= STEPS:
        why = "few examples are learned by heart in a longer training"
    else:
        why = "that is how often many examples want to be seen"
    return (
        Choice(name="model", value=f"encoder {recipe.base_model}", reason="`train.model` or `--model` asks for it"),
        Choice(name="steps", value=f"{taken(recipe)}, {passes:.1f} passes", reason=why),
        Choice(
            name="trainings",
            value="two",
            reason="the first is judged by validation examples, the second learns from them too and serves",
        ),
        Choice(
            name="batch",
            value=f"{recipe.batch_size} texts, twice each",
            reason=ASKED_FOR if wish.batch_size else "the contrast lives on large batches",
        ),
        Choice(
            name="learning rate",
            value=f"{recipe.learning_rate:g}, times {recipe.layer_decay:g} for each layer further down",
            reason=f"{ASKED_FOR if wish.learning_rate else 'few steps'}; lower layers know the language already",
        ),
        Choice(
            name="head",
            value="two linear classifiers",
            reason="of the tuned vectors, and of the original ones "
            "with n-grams; the weight of n-grams is chosen by folds over the training examples",
        ),
    )
