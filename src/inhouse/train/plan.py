"""From a task and its data to a Recipe: everything derived, each with its reason, and what it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inhouse.core import Dataset, Example, Recipe, Task, render_input
from inhouse.engine.prompts import TRAINED_SYSTEM, trained_messages
from inhouse.errors import NothingToLearn

# So many examples are shown in all, over the epochs: on banking77 (10 per class) and 1,000 invoice lines the
# validation loss had stopped falling by then.
EXAMPLES_SHOWN = 4600
EPOCHS = (2, 10)
MAX_TOKENS = 1024

PromptIds = Callable[[Sequence[dict[str, str]]], list[int]]
AnswerIds = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as token ids: the prompt, and the answer that alone carries loss."""

    prompt: list[int]
    answer: list[int]
    truncated: bool = False

    @property
    def tokens(self) -> int:
        """Real tokens of prompt and answer."""
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will do, before it does it."""

    recipe: Recipe
    examples: int
    validation_examples: int
    steps: int
    tokens: int
    truncated: int
    estimated_seconds: float
    reasons: tuple[str, ...]


def encode(
    examples: Sequence[Example], prompt_ids: PromptIds, answer_ids: AnswerIds, *, system: str, max_tokens: int
) -> list[Encoded]:
    """Examples as token ids. A prompt that leaves no room for the answer loses the end of its input, never the answer.

    Raises:
        NothingToLearn: an example has no answer token, or its answer alone is over `max_tokens`.
    """
    return [_encode_one(e, prompt_ids, answer_ids, system=system, max_tokens=max_tokens) for e in examples]


def _encode_one(
    example: Example, prompt_ids: PromptIds, answer_ids: AnswerIds, *, system: str, max_tokens: int
) -> Encoded:
    answer = answer_ids(example.target)
    if len(answer) < 2:  # the end-of-turn token alone teaches nothing
        raise NothingToLearn(
            f"the answer {example.target!r} has no token to learn from",
            "mend or remove that row",
            file=example.provenance.file,
            line=example.provenance.line,
        )
    text = render_input(example.inputs)
    prompt = prompt_ids(trained_messages(system, text))
    room = max_tokens - len(answer)
    if len(prompt) <= room:
        return Encoded(prompt, answer)
    frame = len(prompt_ids(trained_messages(system, "")))
    if frame >= room:
        raise NothingToLearn(
            f"the answer takes {len(answer)} tokens and leaves no room for the input within {max_tokens}",
            "raise `train.max_tokens` in task.toml, or shorten the target",
            file=example.provenance.file,
            line=example.provenance.line,
        )
    return Encoded(_shortened(text, room, prompt_ids, system), answer, truncated=True)


def _shortened(text: str, room: int, prompt_ids: PromptIds, system: str) -> list[int]:
    """The prompt of the longest beginning of `text` that fits (bisection on characters)."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(prompt_ids(trained_messages(system, text[:middle]))) <= room:
            low = middle
        else:
            high = middle - 1
    return prompt_ids(trained_messages(system, text[:low]))


def make_recipe(task: Task, dataset: Dataset, *, base_model: str, base_sha256: str, precision: str) -> Recipe:
    """The recipe for a task's data: what `task.toml` sets, the rest derived from the number of examples."""
    count = len(dataset.of("train"))
    wish = task.train
    epochs = wish.epochs or min(max(round(EXAMPLES_SHOWN / max(count, 1)), EPOCHS[0]), EPOCHS[1])
    return Recipe(
        base_model=base_model,
        base_sha256=base_sha256,
        dataset_fingerprint=dataset.fingerprint,
        seed=wish.seed,
        epochs=epochs,
        batch_size=wish.batch_size or (16 if count >= 320 else 8),
        learning_rate=wish.learning_rate or 1e-3,
        warmup_share=0.06,
        rank=wish.rank or 16,
        alpha=2 * (wish.rank or 16),
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=wish.max_tokens or MAX_TOKENS,
        patience=3,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        system=TRAINED_SYSTEM,
        max_steps=wish.max_steps,
    )


def make_plan(
    recipe: Recipe, train: Sequence[Encoded], validation: Sequence[Encoded], *, parameters: int, flops: float
) -> Plan:
    """What the recipe amounts to on this data and this machine.

    Args:
        parameters: of the base model.
        flops: matrix-product rate of the machine, per second.
    """
    steps = recipe.epochs * math.ceil(len(train) / recipe.batch_size)
    share = 1.0
    if recipe.max_steps is not None and recipe.max_steps < steps:
        share, steps = recipe.max_steps / steps, recipe.max_steps
    tokens = round(recipe.epochs * sum(e.tokens for e in train) * share)
    # 4 FLOP per frozen parameter and token forward and back, of which a plain loop reaches about half the machine's
    # rate; each epoch's look at the validation split costs one forward pass.
    seen = tokens + recipe.epochs * sum(e.tokens for e in validation) * 0.5
    seconds = seen * 4 * parameters / flops / 0.5
    truncated = sum(e.truncated for e in train)
    return Plan(
        recipe=recipe,
        examples=len(train),
        validation_examples=len(validation),
        steps=steps,
        tokens=tokens,
        truncated=truncated,
        estimated_seconds=seconds,
        reasons=_reasons(recipe, len(train), len(validation)),
    )


def _reasons(recipe: Recipe, train: int, validation: int) -> tuple[str, ...]:
    return (
        f"{recipe.epochs} passes over {train} examples: about {EXAMPLES_SHOWN} showings teach a small set without "
        "wearing it out",
        f"LoRA rank {recipe.rank} on all linear layers, learning rate {recipe.learning_rate:g}, batches of "
        f"{recipe.batch_size}",
        f"{recipe.precision}: {'the processor has it' if recipe.precision == 'bfloat16' else 'no fast bfloat16 here'}",
        f"stops early when the loss on {validation} validation examples has not fallen {recipe.patience} times running",
    )


def measure_flops(precision: str) -> float:
    """The machine's matrix-product rate in FLOP per second, from a fifth of a second of work."""
    import torch

    size = 512
    kind = getattr(torch, precision)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(size, size, dtype=kind, device=device)
    b = torch.randn(size, size, dtype=kind, device=device)
    for _ in range(3):
        a @ b
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < 0.2:
        a @ b
        count += 1
    if device == "cuda":
        torch.cuda.synchronize()
    return count * 2 * size**3 / (time.perf_counter() - begun)
