"""From a task and its data to a Recipe: everything derived, each with its reason, and what it will take."""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from inhouse.core import (
    AnyRecipe,
    Choice,
    Dataset,
    Example,
    Method,
    Recipe,
    Task,
    TrainSection,
    canonical_hash,
    render_input,
)
from inhouse.engine.prompts import TRAINED_SYSTEM, Messages, conversation, trained_messages
from inhouse.errors import NothingToLearn

# So many examples are shown in all, over the epochs: on banking77 (10 per class) and 1,000 invoice lines the
# validation loss had stopped falling by then.
EXAMPLES_SHOWN = 4600
# Long examples teach more each time they are shown, and cost more: so many tokens in all are enough.
TOKENS_SHOWN = 500_000
EPOCHS = (2, 10)
MAX_TOKENS = 1024
RANK = 16
# The scale alpha/sqrt(r) of rsLoRA is LoRA's at the rank above, and falls with the root of the rank from there.
RSLORA_ALPHA = 8
RATE = 1e-3
# That is the embedded base's, of this width. The best rate of wider ones is smaller: it falls with the width to the
# power 0.78 for Llama and 0.08 for Qwen (Thinking Machines 2025, Tinker's documentation). The root lies between both,
# and at 2,048 and 4,096 comes near what they found (5e-4; 3e-4 and 5e-4).
RATE_WIDTH = 576
# The best rate for all weights is about a tenth of an adapter's (Schulman et al. 2025, "LoRA Without Regret").
FULL_RATE = 1e-4
# Of DPO: the paper's, and the weight of the right answers' likelihood beside it (Pang et al. 2024).
BETA = 0.1
SFT_WEIGHT = 1.0
# Pairs are learned from, unless task.toml says otherwise, where there are a batch of them. The lead is averaged over a
# step's pairs: of a handful each would count as much as all answers of its step, and be learned by heart. And the
# validation split, a seventh of the training split, would hardly have one to see the lead on.
MIN_PAIRS = 16
# Padded tokens that go through the model at once: what is kept for the backward pass grows with them, and less of it
# stays in the caches. With 555 tokens a text 1,024 are as fast as 2,048 and take 1.2 GiB less (docs/log.md).
TOKENS_AT_ONCE = 1024
# From so many tokens an example on, batches are of eight: a step of sixteen would teach no better, half as often.
LONG = 200
# Looks at the validation split during training cost at most this share of it, but for the fewest that tell anything:
# a larger split is sampled, evaluation uses all of it. A forward pass is a third of a step.
LOOKS = 8
LOOK_SHARE = 1 / 16
LOOKED_AT = (40, 400)
# What training examples lose before the first step is measured on so many of them, and on fewer long ones.
BEGUN_WITH = (4, 8)
# Where answers have to be written to be judged, so many are, at the same share; a written token costs about as much
# time as a trained one, a token of its prompt a third.
ASKED_AT = (8, 40)
# The reason of a choice that was not ours.
ASKED_FOR = "task.toml asks for it"
# Of a budget in minutes so much is planned for: what is planned should end before the budget ends it.
PLANNED_SHARE = 0.9
# Answers longer than any that was learned are cut off, with this room to spare.
ANSWER_ROOM = 1.5


class Template(Protocol):
    """What `encode` needs of a `ChatTemplate`."""

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Messages as token ids, up to where the answer begins."""
        ...

    def prompt_spans(self, messages: Messages) -> tuple[list[int], list[tuple[int, int]]]:
        """The same, with where each message's content stands."""
        ...

    def answer_ids(self, text: str) -> list[int]:
        """An answer as token ids, with the one that ends it."""
        ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as token ids: the prompt, and the answer that carries loss.

    `taught` are positions in the prompt that carry loss too: the assistant's earlier turns in a conversation.
    `rejected` is a worse answer of a preference pair; `reference` the log-probabilities of answer and rejected answer
    in the base model. `group` is that of the example.
    """

    prompt: list[int]
    answer: list[int]
    truncated: bool = False
    taught: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()
    reference: tuple[float, float] | None = None
    group: str = ""

    @property
    def tokens(self) -> int:
        """Real tokens that go through the model: of prompt and answer, and of a pair's other text."""
        one = len(self.prompt) + len(self.answer)
        return one + len(self.prompt) + len(self.rejected) if self.rejected else one

    @property
    def texts(self) -> list[Encoded]:
        """The texts of a preference pair, the right one first; else itself."""
        if not self.rejected:
            return [self]
        return [
            Encoded(self.prompt, self.answer, taught=self.taught),
            Encoded(self.prompt, list(self.rejected)),
        ]

    @property
    def learned(self) -> tuple[list[int], list[int]]:
        """Positions in prompt and answer, taken together, whose tokens carry loss, and those tokens."""
        edge = len(self.prompt)
        positions = [*self.taught, *range(edge, edge + len(self.answer))]
        return positions, [*(self.prompt[i] for i in self.taught), *self.answer]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will do, before it does it. `seconds` is an estimate of the loop alone."""

    recipe: AnyRecipe
    examples: int
    validation_examples: int
    steps: int
    tokens: int
    truncated: int
    seconds: float
    choices: tuple[Choice, ...]


def encode(
    examples: Sequence[Example],
    template: Template,
    *,
    system: str,
    max_tokens: int,
    chat: bool = False,
    pairs: bool = False,
) -> list[Encoded]:
    """Examples as token ids. A prompt that leaves no room for the answer loses the end of its input, never the answer;
    a conversation loses its oldest turns.

    Args:
        pairs: take rejected answers along, for the objective `dpo`.

    Raises:
        NothingToLearn: an example has no answer token, or its answer, or its rejected one, alone is over `max_tokens`.
    """
    encode_one = _encode_conversation if chat else _encode_input
    rejected = [tuple(template.answer_ids(e.rejected)) if pairs and e.rejected else () for e in examples]
    return [encode_one(e, template, system, max_tokens, worse) for e, worse in zip(examples, rejected, strict=True)]


def learns_pairs(wish: TrainSection, examples: Sequence[Example]) -> bool:
    """Whether a training on these examples learns from their rejected answers too."""
    if wish.objective is not None:
        return wish.objective == "dpo"
    return sum(bool(e.rejected) for e in examples) >= MIN_PAIRS


def _encode_input(
    example: Example, template: Template, system: str, max_tokens: int, rejected: tuple[int, ...]
) -> Encoded:
    answer = _answer_of(example, template)
    longer = max(answer, rejected, key=len)  # the prompt leaves room for both
    text = render_input(example.inputs)

    def prompt_of(shortened: str) -> list[int]:
        return template.prompt_ids(trained_messages(system, {"": shortened}))

    prompt = prompt_of(text)
    room = max_tokens - len(longer)
    if len(prompt) <= room:
        return Encoded(prompt, answer, rejected=rejected, group=example.group)
    if len(prompt_of("")) >= room:
        raise _no_room(example, longer, max_tokens, rejected=longer is rejected)
    return Encoded(_shortened(text, room, prompt_of), answer, truncated=True, rejected=rejected, group=example.group)


def _encode_conversation(
    example: Example, template: Template, _system: str, max_tokens: int, rejected: tuple[int, ...]
) -> Encoded:
    answer = _answer_of(example, template)
    longer = max(answer, rejected, key=len)
    messages = conversation(example.inputs)
    truncated = False
    while True:
        prompt, spans = template.prompt_spans(messages)
        if len(prompt) + len(longer) <= max_tokens:
            break
        messages, truncated = _without_oldest_turn(messages), True
        if not messages:
            raise _no_room(example, longer, max_tokens, rejected=longer is rejected)
    taught = [
        position
        for message, (start, end) in zip(messages, spans, strict=True)
        if message["role"] == "assistant" and message.get("weight", 1) != 0
        for position in range(start, end)
    ]
    return Encoded(prompt, answer, truncated, tuple(taught), rejected, group=example.group)


def _answer_of(example: Example, template: Template) -> list[int]:
    answer = template.answer_ids(example.target)
    if len(answer) < 2:  # the end-of-turn token alone teaches nothing
        raise NothingToLearn(
            f"the answer {example.target!r} has no token to learn from",
            "mend or remove that row",
            file=example.provenance.file,
            line=example.provenance.line,
        )
    return answer


def _no_room(example: Example, answer: Sequence[int], max_tokens: int, *, rejected: bool) -> NothingToLearn:
    what, remedy = ("rejected answer", "shorten or remove it") if rejected else ("answer", "shorten the target")
    return NothingToLearn(
        f"the {what} takes {len(answer)} tokens and leaves no room for the input within {max_tokens}",
        f"raise `train.max_tokens` in task.toml, or {remedy}",
        file=example.provenance.file,
        line=example.provenance.line,
    )


def _without_oldest_turn(messages: Messages) -> Messages:
    """Without the first user message and the answers to it; empty when the last question would go."""
    asked = [i for i, m in enumerate(messages) if m["role"] == "user"]
    if len(asked) < 2:
        return []
    return [*(m for m in messages[: asked[0]] if m["role"] == "system"), *messages[asked[1] :]]


def _shortened(text: str, room: int, prompt_of: Callable[[str], list[int]]) -> list[int]:
    """The prompt of the longest beginning of `text` that fits (bisection on characters)."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if len(prompt_of(text[:middle])) <= room:
            low = middle
        else:
            high = middle - 1
    return prompt_of(text[:low])


def max_tokens_of(task: Task) -> int:
    """The most tokens of input and answer together."""
    return task.train.max_tokens or MAX_TOKENS


def answer_tokens_of(encoded: Sequence[Encoded]) -> int:
    """The most tokens that an answer may take in service, by the longest that was learned."""
    return math.ceil(ANSWER_ROOM * max(len(e.answer) for e in encoded)) + 8


def make_recipe(
    task: Task,
    dataset: Dataset,
    train: Sequence[Encoded],
    *,
    base_model: str,
    base_sha256: str,
    precision: str,
    width: int = RATE_WIDTH,
) -> Recipe:
    """The recipe for a task's data: what `task.toml` sets, the rest derived from number and length of the examples.

    Args:
        width: of the base model, its hidden numbers a token.
    """
    count = max(len(train), 1)
    tokens = max(sum(e.tokens for e in train), 1)
    wish = task.train
    shown = min(EXAMPLES_SHOWN / count, TOKENS_SHOWN / tokens)
    epochs = wish.epochs or min(max(round(shown), EPOCHS[0]), EPOCHS[1])
    pairs = sum(bool(e.rejected) for e in train)
    rank = 0 if wish.method == "full" else wish.rank or RANK
    return Recipe(
        base_model=base_model,
        base_sha256=base_sha256,
        dataset_fingerprint=dataset.fingerprint,
        seed=wish.seed,
        epochs=epochs,
        batch_size=wish.batch_size or (16 if count >= 320 and tokens < LONG * count else 8),
        learning_rate=wish.learning_rate or usual_rate(wish.method, width),
        warmup_share=0.06,
        rank=rank,
        alpha=RSLORA_ALPHA if wish.method == "rslora" else 2 * rank,
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_tokens=max_tokens_of(task),
        patience=3,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        system=TRAINED_SYSTEM,
        max_steps=wish.max_steps,
        minutes=wish.minutes,
        answer_form=canonical_hash([task.json_schema, task.from_input or {}]) if task.kind == "extract" else "",
        method=wish.method,
        compiled=wish.compile,
        trim=wish.trim,
        **_objective(wish, pairs),
    )


def usual_rate(method: Method, width: int) -> float:
    """The learning rate for a base model of a width where none is wished, to two digits."""
    usual = FULL_RATE if method == "full" else RATE
    return float(f"{usual * min(1.0, math.sqrt(RATE_WIDTH / width)):.1e}")


def _objective(wish: TrainSection, pairs: int) -> dict[str, Any]:
    """Objective and what it takes: pairs are learned from where there are any, unless task.toml says otherwise."""
    if wish.objective == "sft" or (wish.objective is None and not pairs):
        return {"objective": "sft"}
    if not pairs:
        raise NothingToLearn(
            'train.objective is "dpo", and no training example has a rejected answer',
            'add preference pairs (docs: compile.md), or set train.objective = "sft" in task.toml',
        )
    weight = SFT_WEIGHT if wish.sft_weight is None else wish.sft_weight
    return {"objective": "dpo", "beta": wish.beta or BETA, "sft_weight": weight}


def steps_per_epoch(recipe: Recipe, examples: int) -> int:
    """Steps in which every training example is learned from once."""
    return math.ceil(examples / recipe.batch_size)


def planned_steps(recipe: Recipe, examples: int) -> int:
    """Steps of the whole schedule."""
    passes = recipe.epochs * steps_per_epoch(recipe, examples)
    return min(passes, recipe.steps or passes)


def look_every(train: Sequence[Encoded], validation: Sequence[Encoded], recipe: Recipe) -> int:
    """Steps between two looks at the validation split: fewer looks where the smallest ones would cost too much."""
    steps = planned_steps(recipe, len(train))
    each = _mean(validation) / 3 * min(LOOKED_AT[0], len(validation)) + _asked_cost(validation) * ASKED_AT[0]
    affordable = int(2 * LOOK_SHARE * steps * recipe.batch_size * _mean(train) / each)
    return max(1, math.ceil(steps / min(max(affordable, 1), LOOKS)))


def looked_at(train: Sequence[Encoded], validation: Sequence[Encoded], recipe: Recipe) -> list[Encoded]:
    """The validation examples of every look, the shortest first."""
    affordable = int(LOOK_SHARE * _between_looks(train, validation, recipe) / (_mean(validation) / 3))
    count = min(max(affordable, LOOKED_AT[0]), LOOKED_AT[1], len(validation))
    return sorted((validation[i] for i in sample(validation, count, recipe)), key=lambda e: e.tokens)


def begun_with(train: Sequence[Encoded], recipe: Recipe) -> list[Encoded]:
    """The training examples that tell what is lost before the first step, the shortest first; the same for every seed.

    No more than go through the model at once, as the first step waits for them.
    """
    few, most = BEGUN_WITH
    order = random.Random(recipe.dataset_fingerprint).sample(range(len(train)), min(most, len(train)))
    tokens = accumulate(train[i].tokens for i in order)
    count = sum(n < few or total <= TOKENS_AT_ONCE for n, total in enumerate(tokens))
    return sorted((train[i] for i in order[:count]), key=lambda e: e.tokens)


def asked_at(train: Sequence[Encoded], validation: Sequence[Encoded], recipe: Recipe) -> list[int]:
    """Places of the validation examples that the model answers at every look, where answers are judged."""
    affordable = int(LOOK_SHARE * _between_looks(train, validation, recipe) / _asked_cost(validation))
    return sample(validation, min(max(affordable, ASKED_AT[0]), ASKED_AT[1], len(validation)), recipe)


def _between_looks(train: Sequence[Encoded], validation: Sequence[Encoded], recipe: Recipe) -> float:
    """Tokens that are trained on from one look to the next."""
    return look_every(train, validation, recipe) * recipe.batch_size * _mean(train)


def _asked_cost(validation: Sequence[Encoded]) -> float:
    """What an answer costs that is written, in trained tokens."""
    return sum(len(e.prompt) / 3 + len(e.answer) for e in validation) / len(validation)


def sample(validation: Sequence[Any], count: int, recipe: AnyRecipe) -> list[int]:
    """Places of some validation examples: the same for every seed, so that seeds are compared on the same ones."""
    return sorted(random.Random(recipe.dataset_fingerprint).sample(range(len(validation)), count))


def make_plan(
    recipe: Recipe,
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    *,
    seconds_per_token: float,
    judged: bool = False,
    wish: TrainSection | None = None,
) -> Plan:
    """What the recipe amounts to on this data and this machine.

    Args:
        judged: whether answers are written at every look.
        wish: what task.toml asks for, as the reason of a choice.
        seconds_per_token: that a token takes forward and back, as `loop.seconds_per_token` measures it.
    """
    steps, tokens = _work(recipe, train)
    return Plan(
        recipe=recipe,
        examples=len(train),
        validation_examples=len(validation),
        steps=steps,
        tokens=tokens,
        truncated=sum(e.truncated for e in train),
        seconds=seconds_per_token
        * (tokens + _looking(recipe, train, validation, steps, judged=judged) + _referring(recipe, train, validation)),
        choices=_choices(recipe, train, validation, steps, wish or TrainSection()),
    )


def _work(recipe: Recipe, train: Sequence[Encoded]) -> tuple[int, int]:
    """Steps and tokens that are trained on."""
    whole = planned_steps(recipe, len(train))
    steps = min(whole, recipe.max_steps or whole)
    return steps, round(steps * recipe.batch_size * _tokens(train) / _padded_count(len(train), recipe.batch_size))


def _looking(
    recipe: Recipe, train: Sequence[Encoded], validation: Sequence[Encoded], steps: int, *, judged: bool
) -> float:
    """What all looks at the validation split cost, in trained tokens."""
    looks = math.ceil(steps / look_every(train, validation, recipe))
    a_look = _tokens(looked_at(train, validation, recipe)) * _forward(recipe)
    if judged:
        a_look += _asked_cost(validation) * len(asked_at(train, validation, recipe))
    return looks * a_look + _tokens(begun_with(train, recipe)) * _forward(recipe)


def _forward(recipe: Recipe) -> float:
    """What a token costs that is only read, in trained ones: of frozen weights no gradient is computed."""
    return 1 / 3 if recipe.method == "full" else 1 / 2


def _referring(recipe: Recipe, train: Sequence[Encoded], validation: Sequence[Encoded]) -> float:
    """What it costs to ask the base about every pair before the first step, in trained tokens."""
    if recipe.objective == "sft":
        return 0.0
    pairs = (e for e in (*train, *looked_at(train, validation, recipe)) if e.rejected)
    return sum(e.tokens for e in pairs) * _forward(recipe)


def within_minutes(
    recipe: Recipe,
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    *,
    seconds_per_token: float,
    judged: bool = False,
) -> Recipe:
    """The recipe with a schedule of as many steps as its `minutes` have room for; as it is where it has none.

    Args: those of `make_plan`.
    """
    if recipe.minutes is None:
        return recipe
    room = PLANNED_SHARE * 60 * recipe.minutes

    def fits(steps: int) -> bool:
        shorter = recipe.model_copy(update={"steps": steps})
        taken, tokens = _work(shorter, train)
        beside = _looking(shorter, train, validation, taken, judged=judged) + _referring(shorter, train, validation)
        return seconds_per_token * (tokens + beside) <= room

    whole = planned_steps(recipe, len(train))
    steps = whole if fits(whole) else bisect_left(range(1, whole), True, key=lambda steps: not fits(steps))
    return recipe.model_copy(update={"steps": max(1, steps)})


def in_parts(examples: Sequence[Encoded], most: int) -> Iterator[Sequence[Encoded]]:
    """The examples, in order, in runs of at most `most` padded tokens and at least one example."""
    start, width = 0, 0
    for place, example in enumerate(examples):
        wider = max(width, example.tokens)
        if place > start and wider * (place - start + 1) > most:
            yield examples[start:place]
            start, wider = place, example.tokens
        width = wider
    if examples:
        yield examples[start:]


def _tokens(examples: Sequence[Encoded]) -> int:
    return sum(e.tokens for e in examples)


def _mean(examples: Sequence[Encoded]) -> float:
    return _tokens(examples) / len(examples)


def _padded_count(count: int, size: int) -> int:
    """Examples in an epoch if its last batch were whole: what a step takes on average is of a whole epoch."""
    return math.ceil(count / size) * size


def _objective_told(recipe: Recipe, train: Sequence[Encoded]) -> tuple[str, str]:
    if recipe.objective == "sft":
        return "the answer's tokens", "what stands in the input need not be learned by heart"
    told = f"the answer's tokens, and its lead over a rejected answer (DPO, beta {recipe.beta:g})"
    return told, f"{sum(bool(e.rejected) for e in train)} of {len(train)} examples have a rejected answer"


_METHODS: dict[Method, tuple[str, str]] = {
    "lora": ("LoRA of rank {rank} on all linear layers", "fits a PC's memory; the base stays as it is"),
    "dora": ("DoRA of rank {rank} on all linear layers", "task.toml asks for it; slower than LoRA: no fused pass"),
    "rslora": (
        "LoRA of rank {rank}, scaled by its root (rsLoRA)",
        "task.toml asks for it; high ranks learn as low ones",
    ),
    "full": ("all weights", "task.toml asks for it; five numbers in float32 are kept for each weight"),
}


def _choices(
    recipe: Recipe, train: Sequence[Encoded], validation: Sequence[Encoded], steps: int, wish: TrainSection
) -> tuple[Choice, ...]:
    """Each choice of the recipe with its reason."""
    passes = steps * recipe.batch_size / _padded_count(len(train), recipe.batch_size)
    shown = (
        f"{recipe.minutes:g} minutes have room for no more"
        if recipe.steps and recipe.steps < planned_steps(recipe.model_copy(update={"steps": None}), len(train))
        else ASKED_FOR
        if wish.epochs
        else f"about {EXAMPLES_SHOWN:,} showings, or {TOKENS_SHOWN:,} tokens of long ones, teach a small set"
    )
    size = ASKED_FOR if wish.batch_size else f"{len(train)} examples of {_mean(train):.0f} tokens on average"
    rate = ASKED_FOR if wish.learning_rate else "less for a wider base"
    look_count = len(looked_at(train, validation, recipe))
    precision = (
        "as fast as float32 here, at half the size"
        if recipe.precision == "bfloat16"
        else "bfloat16 is slower here, or missing"
    )
    rows = (
        ("passes", f"{passes:.3g} over {len(train)} examples", shown),
        ("batch", f"{recipe.batch_size} examples", size),
        ("objective", *_objective_told(recipe, train)),
        ("method", _METHODS[recipe.method][0].format(rank=recipe.rank), _METHODS[recipe.method][1]),
        ("learning rate", f"{recipe.learning_rate:g}", f"{rate}; it rises at first, then falls to zero"),
        ("precision", recipe.precision, precision),
        (
            "early stop",
            f"when {recipe.patience} looks running bring nothing better",
            f"a look is at {look_count} of {len(validation)} validation examples",
        ),
        ("seed", f"{recipe.seed}", "the same seed and steps give the same adapter on the same machine"),
    )
    return tuple(Choice(name=name, value=value, reason=reason) for name, value, reason in rows)
