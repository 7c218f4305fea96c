"""What a training makes better: the likelihood of the right answers, or their lead over rejected ones too.

A batch goes through the model in parts. Each part's loss is its share of the batch's, so the shares add up, and so do
the figures that are measured beside it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional

from inhouse.core import Recipe, Reporter, canonical_hash
from inhouse.errors import EngineFault, NothingToLearn
from inhouse.store import write_bytes
from inhouse.train.plan import TOKENS_AT_ONCE, Encoded, in_parts
from inhouse.train.processes import ALONE, Processes

if TYPE_CHECKING:
    from inhouse.train.loop import Trunk

# Share of the right answers' tokens that are the likeliest after those before.
TOKEN_ACCURACY = "token_accuracy"
# What the base thinks of pairs is written down every so many seconds.
KEPT_EVERY = 30.0
# What autograd hands to a function's two passes.
Context = Any


@dataclass(frozen=True)
class Share:
    """What a part adds to a batch.

    Attributes:
        loss: a scalar, with its gradient where one is wanted.
        right: of each example of the part whether its every learned token is the likeliest there (1 or 0); empty in a
            step that learns, where nobody asks.
        measured: further figures of the batch, by name.
    """

    loss: Tensor
    right: list[float]
    measured: dict[str, float] = field(default_factory=dict)


class Objective(Protocol):
    """What is made smaller by learning."""

    @property
    def needs_reference(self) -> bool:
        """Whether `loss` needs what the base thinks of the answers (`Encoded.reference`)."""
        ...

    def loss(self, trunk: Trunk, part: Sequence[Encoded], batch: Sequence[Encoded]) -> Share:
        """The share of `part` in the loss of `batch`."""
        ...

    def untrained(self, loss: float, few: Sequence[Encoded]) -> float:
        """The loss of training batches before the first step, by that of a few training examples."""
        ...


class Likelihood:
    """Supervised fine-tuning: the mean cross-entropy over the batch's answer tokens.

    Measured: `token_accuracy`, the share of them that are the likeliest.
    """

    needs_reference = False

    def loss(self, trunk: Trunk, part: Sequence[Encoded], batch: Sequence[Encoded]) -> Share:
        """See `Objective.loss`."""
        logits, wanted = trunk.logits(part)
        tokens = _answer_tokens(batch)
        loss = token_losses(logits, wanted).sum() / tokens
        hits = torch.split(_likeliest(logits, wanted), _learned_tokens(part))
        return Share(loss, _right(hits), {TOKEN_ACCURACY: _count(hits) / tokens})

    def untrained(self, loss: float, few: Sequence[Encoded]) -> float:
        """See `Objective.untrained`."""
        return loss


LIKELIHOOD: Objective = Likelihood()


@dataclass(frozen=True)
class Preference:
    """Direct preference optimization (Rafailov et al. 2023), and beside it the likelihood of the right answers.

    With p and r the log-probabilities of a right and a rejected answer, and p0 and r0 what they are in the base, the
    loss of a pair is -log sigmoid(beta ((p - p0) - (r - r0))), averaged over the batch's pairs. On top comes
    `sft_weight` times the loss of `Likelihood` (Pang et al. 2024, "Iterative Reasoning Preference Optimization"): DPO
    alone makes both answers less likely as long as the gap grows. An example without a rejected answer has that part
    only.

    Measured: `token_accuracy` of the right answers; `reward_margin`, beta ((p - p0) - (r - r0)), and `reward_accuracy`,
    the share of pairs where it is above 0, both averaged over the pairs.
    """

    beta: float
    sft_weight: float
    needs_reference = True

    def loss(self, trunk: Trunk, part: Sequence[Encoded], batch: Sequence[Encoded]) -> Share:
        """See `Objective.loss`."""
        texts = [text for example in part for text in example.texts]
        logits, wanted = trunk.logits(texts)
        given = torch.split(-token_losses(logits, wanted), _learned_tokens(texts))
        found = torch.split(_likeliest(logits, wanted), _learned_tokens(texts))
        chosen, hits, margins, at = list[Tensor](), list[Tensor](), list[Tensor](), 0
        for example in part:
            chosen.append(given[at])
            hits.append(found[at])
            if example.rejected:
                margins.append(self._margin(example, given[at], given[at + 1]))
            at += len(example.texts)
        tokens = _answer_tokens(batch)
        loss = -self.sft_weight * torch.cat(chosen).sum() / tokens
        pairs = sum(bool(example.rejected) for example in batch)
        right, measured = _right(hits), {TOKEN_ACCURACY: _count(hits) / tokens}
        if not margins:
            return Share(loss, right, measured)
        margin = torch.stack(margins)
        measured |= {
            "reward_margin": margin.detach().sum().item() / pairs,
            "reward_accuracy": (margin > 0).sum().item() / pairs,
        }
        return Share(loss - functional.logsigmoid(margin).sum() / pairs, right, measured)

    def untrained(self, loss: float, few: Sequence[Encoded]) -> float:
        """See `Objective.untrained`. A pair's part is log 2 where the model still is its own reference."""
        return loss if any(example.rejected for example in few) else loss + math.log(2)

    def _margin(self, example: Encoded, chosen: Tensor, rejected: Tensor) -> Tensor:
        """How much further the answers are apart than in the base, times beta; earlier turns do not count."""
        if example.reference is None:
            raise EngineFault("a preference pair came to the training without its reference")
        better, worse = example.reference
        lead: Tensor = (chosen[-len(example.answer) :].sum() - better) - (rejected.sum() - worse)
        return self.beta * lead


def objective_of(recipe: Recipe) -> Objective:
    """The objective that a recipe names."""
    if recipe.objective == "dpo" and recipe.beta is not None and recipe.sft_weight is not None:
        return Preference(recipe.beta, recipe.sft_weight)
    return LIKELIHOOD


def with_reference(
    trunk: Trunk,
    examples: Sequence[Encoded],
    file: Path,
    reporter: Reporter,
    processes: Processes = ALONE,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> list[Encoded]:
    """The examples with what the model thinks of both answers now, before anything is learned; computed once.

    Args:
        file: keeps it, as far as it is computed, for a training that goes on.
        processes: those that train together; the main one's file counts.
        asked_to_stop: whether to end after the part of the examples that is being computed.

    Raises:
        KeyboardInterrupt: asked to stop; the file has what was computed.
    """
    of = canonical_hash([[e.prompt, e.answer, list(e.rejected)] for e in examples])
    pairs = [e for e in examples if e.rejected]
    found = processes.agreed(_kept_references(file, of))

    def keep() -> None:
        if processes.main:
            write_bytes(file, json.dumps({"of": of, "pairs": found}).encode())

    if len(found) < len(pairs):
        kept_at = time.monotonic()
        for more in _references(trunk, pairs, len(found), reporter, processes):
            found += more
            stops = processes.agreed(asked_to_stop()) and len(found) < len(pairs)
            if stops or len(found) == len(pairs) or time.monotonic() - kept_at >= KEPT_EVERY:
                keep()
                kept_at = time.monotonic()
            if stops:
                raise KeyboardInterrupt
    references = iter(found)
    return [replace(e, reference=next(references)) if e.rejected else e for e in examples]


def _kept_references(file: Path, of: str) -> list[tuple[float, float]]:
    """Those of a file, if it is of these examples; a file that cannot be read is as good as none."""
    try:
        kept = json.loads(file.read_bytes())
        return [(better, worse) for better, worse in kept["pairs"]] if kept["of"] == of else []
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _references(
    trunk: Trunk, pairs: Sequence[Encoded], begun: int, reporter: Reporter, processes: Processes
) -> Iterator[list[tuple[float, float]]]:
    """Those of the pairs from number `begun` on, part by part; of each part every process computes its share."""
    bar = reporter.bar("the base on both answers", sum(e.tokens for e in pairs))
    done = sum(e.tokens for e in pairs[:begun])
    bar.update(done)
    for part in in_parts(pairs[begun:], TOKENS_AT_ONCE * processes.count):
        found = list[tuple[float, float]]()
        for mine, factor in processes.rounds(in_parts(processes.share(part), TOKENS_AT_ONCE), pairs[0]):
            both = _both_answers(trunk, mine)
            found += both if factor else []
        done += sum(e.tokens for e in part)
        bar.update(done)
        yield processes.joined(found)


def _both_answers(trunk: Trunk, pairs: Sequence[Encoded]) -> list[tuple[float, float]]:
    """Log-probabilities of right and rejected answers."""
    texts = [text for example in pairs for text in example.texts]
    with torch.no_grad():
        logits, wanted = trunk.logits(texts)
        given = torch.split(-token_losses(logits, wanted), _learned_tokens(texts))
    better = (g[-len(e.answer) :].sum().item() for e, g in zip(pairs, given[::2], strict=True))
    return list(zip(better, (g.sum().item() for g in given[1::2]), strict=True))


class _TokenLosses(Function):
    """Cross-entropy of each row. Its gradient, softmax less one at the wanted place, is half made in the forward pass.

    Autograd's own goes over rows of a whole vocabulary twice as often, with exponentials twice.
    """

    @staticmethod
    def forward(ctx: Context, logits: Tensor, wanted: Tensor) -> Tensor:
        chances = torch.softmax(logits, -1)
        ctx.chances, ctx.places = chances, wanted[:, None]
        given = chances.gather(1, ctx.places).squeeze(1)
        return given.clamp_min(torch.finfo(given.dtype).tiny).log_().neg_()

    @staticmethod
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor, None]:
        found = ctx.chances.mul_(grad[:, None]).scatter_add_(1, ctx.places, -grad[:, None])
        ctx.chances = None  # what was kept is the gradient now
        return found, None


def token_losses(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy of each wanted token, [n] in nats; 87 at most, where float32 can hold no smaller chance.

    Args:
        logits: [n, vocabulary] in float32.
        wanted: [n].
    """
    found: Tensor = _TokenLosses.apply(logits, wanted)  # type: ignore[no-untyped-call]
    return found


def _answer_tokens(batch: Sequence[Encoded]) -> int:
    count = sum(len(e.learned[1]) for e in batch)
    if count == 0:
        raise NothingToLearn("a batch holds no answer token", "mend the examples' targets")
    return count


def _learned_tokens(texts: Sequence[Encoded]) -> list[int]:
    return [len(text.learned[1]) for text in texts]


def _likeliest(logits: Tensor, wanted: Tensor) -> Tensor:
    """Which wanted tokens are the likeliest, as greedy generation would have it.

    In a step that learns one that shares the first place counts too: a vocabulary is long, and the greatest number is
    found in a tenth of the time that its place takes.
    """
    if not torch.is_grad_enabled():
        return logits.argmax(-1) == wanted
    logits = logits.detach()
    return logits.gather(1, wanted[:, None]).squeeze(1) >= logits.amax(-1)


def _count(hits: Sequence[Tensor]) -> int:
    return int(torch.cat(list(hits)).sum())


def _right(hits: Sequence[Tensor]) -> list[float]:
    """See `Share.right`."""
    return [] if torch.is_grad_enabled() else [float(h.all()) for h in hits]
