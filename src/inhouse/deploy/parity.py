"""The parity gate: the served file must answer as the trainer does, or it is not released.

Two greedy texts are a poor measure, since one near-tie changes all that follows. So the served file answers, as it
would in service, and the trainer goes along that very answer (teacher forcing): at each place the token must be the one
that the trainer would have taken too. The task's own metric is then compared on answers that both gave to the
validation split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inhouse.core import Parity, Prediction
from inhouse.engine import Generation
from inhouse.engine.protocol import Along
from inhouse.scoring import mcnemar_exact

MIN_TOKENS = 500
# Labels are whole answers: of a hundred, one in a hundred may differ.
MIN_LABELS = 100
MIN_AGREEMENT = 0.99
# Measured on banking77: 0.004 for the Q8_0 file in openvino-genai's default precision against bfloat16 training.
MAX_MEAN_DIFFERENCE = 0.05
SIGNIFICANT = 0.05


# Two tokens whose probabilities the trainer puts within a tenth of each other are a tie: which one comes first is
# decided by rounding, in 8-bit weights above all. A young model has many of them, a wrong file differs by far more.
TIE = 0.1


def enough_answers(answer_lengths: Sequence[int], wanted: int = MIN_TOKENS) -> int:
    """How many of the examples, in order, hold at least `wanted` answer tokens (all, when they hold fewer)."""
    total = 0
    for count, length in enumerate(answer_lengths):
        if total >= wanted:
            return count
        total += length
    return len(answer_lengths)


def compare(
    served_free: Sequence[Generation],
    along: Along,
    trainer: Sequence[Prediction],
    served: Sequence[Prediction],
    trainer_right: NDArray[np.bool_],
    served_right: NDArray[np.bool_],
) -> Parity:
    """Judge trainer against served file.

    Args:
        served_free: answers of the served file to some prompts, under no grammar; at least one.
        along: what the trainer thinks along these answers, one after the other.
        trainer, served: answers to the same validation examples.
        trainer_right, served_right: whether each of these is right.
    """
    ranked, logprobs = np.array(along.ids), np.array(along.logprobs)
    taken = np.array([token for answer in served_free for token in answer.ids])
    same = ranked[:, 0] == taken
    near = logprobs >= logprobs[:, :1] - TIE
    tied = ~same & ((ranked == taken[:, None]) & near).any(1)
    gaps = _gaps(served_free, along.given)
    lengths = np.array([len(answer.ids) for answer in served_free])
    return _judged(
        _Seen("answer token", same, tied, gaps, float((gaps * lengths).sum() / lengths.sum())),
        trainer,
        served,
        trainer_right,
        served_right,
    )


def known_part(
    given: Sequence[Generation], before: Sequence[Sequence[int]], along: Sequence[Along]
) -> tuple[list[Generation], Along]:
    """What the served file writes now, as far as the trainer went along what it wrote `before`.

    That is up to the first other token: what the trainer thinks there is known too, of what comes after it nothing.

    Args:
        along: what the trainer thinks along each of the answers of before.
    """
    parts, ids, logprobs, chances = [], list[list[int]](), list[list[float]](), list[float]()
    for answer, old, known in zip(given, before, along, strict=True):
        shared = next((i for i, (a, b) in enumerate(zip(answer.ids, old, strict=False)) if a != b), None)
        end = min(len(answer.ids), len(old)) if shared is None else shared + 1
        if not end:
            continue
        own = known.given[:end]
        if shared is not None:  # the trainer's own chance of the other token, if it ranked it
            ranked = dict(zip(known.ids[shared], known.logprobs[shared], strict=True))
            own[shared] = ranked.get(answer.ids[shared], known.logprobs[shared][-1])
        whole = end == len(answer.ids)
        told = answer.logprob if whole else sum(answer.logprobs[:end]) if answer.logprobs else sum(own)
        parts.append(Generation(answer.ids[:end], told, finished=whole and answer.finished))
        ids += known.ids[:end]
        logprobs += known.logprobs[:end]
        chances += own
    return parts, Along(ids, logprobs, chances)


def compare_labels(
    trainer: Sequence[Prediction],
    trainer_logprobs: NDArray[np.float64],
    served: Sequence[Prediction],
    trainer_right: NDArray[np.bool_],
    served_right: NDArray[np.bool_],
) -> Parity:
    """Judge trainer against served file where both pick labels, the validation examples first.

    Args:
        trainer, served: answers to the same texts.
        trainer_logprobs: what the trainer gives the label that the served file answers with.
        trainer_right, served_right: of the validation examples, whether each answer is right.
    """
    same = np.array([a.target == b.target for a, b in zip(trainer, served, strict=True)])
    tops = np.log([max(answer.confidence, 1e-300) for answer in trainer])
    given = np.log([max(answer.confidence, 1e-300) for answer in served])
    tied = ~same & (trainer_logprobs >= tops - TIE)
    gaps = np.abs(given - trainer_logprobs)
    count = len(trainer_right)
    seen = _Seen("label", same, tied, gaps, float(gaps.mean()))
    return _judged(seen, trainer[:count], served[:count], trainer_right, served_right)


@dataclass(frozen=True)
class _Seen:
    """What was compared, place by place: the same, a tie, how far the log-probabilities lie apart, and on average."""

    what: str
    same: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    gaps: NDArray[np.float64]
    mean_gap: float


def _judged(
    seen: _Seen,
    trainer: Sequence[Prediction],
    served: Sequence[Prediction],
    trainer_right: NDArray[np.bool_],
    served_right: NDArray[np.bool_],
) -> Parity:
    """What was seen, held against the limits."""
    p_value = mcnemar_exact(trainer_right, served_right)
    trainer_accuracy, served_accuracy = float(trainer_right.mean()), float(served_right.mean())
    reasons = []
    agreed, ties = int(seen.same.sum()), int(seen.tied.sum())
    counted = len(seen.same) - ties
    if agreed < MIN_AGREEMENT * counted or not counted:
        reasons.append(
            f"only {agreed} of {counted} {seen.what}s agree, {ties} ties left out (at least {MIN_AGREEMENT:.0%} must)"
        )
    if seen.mean_gap > MAX_MEAN_DIFFERENCE:
        reasons.append(
            f"log-probabilities differ by {seen.mean_gap:.3f} on average (at most {MAX_MEAN_DIFFERENCE} may)"
        )
    if served_accuracy < trainer_accuracy and p_value < SIGNIFICANT:
        reasons.append(f"the served file is right on {served_accuracy:.1%}, the trainer on {trainer_accuracy:.1%}")
    return Parity(
        passed=not reasons,
        tokens=len(seen.same),
        top1_agreement=float(seen.same.mean()),
        ties=ties,
        mean_logprob_difference=seen.mean_gap,
        worst_logprob_difference=float(seen.gaps.max(initial=0.0)),
        trainer_accuracy=trainer_accuracy,
        served_accuracy=served_accuracy,
        paired_p_value=p_value,
        validation_examples=len(trainer_right),
        differences=_differences(seen, trainer, served),
        reason="; ".join(reasons),
    )


def _gaps(served: Sequence[Generation], trainer: Sequence[float]) -> NDArray[np.float64]:
    """How far the two put the log-probability of each answer apart, per token of it."""
    ends = np.cumsum([len(answer.ids) for answer in served])
    sums = [sum(part) for part in np.split(np.array(trainer), ends[:-1])]
    return np.array(
        [abs(answer.logprob - own) / max(len(answer.ids), 1) for answer, own in zip(served, sums, strict=True)]
    )


def _differences(seen: _Seen, trainer: Sequence[Prediction], served: Sequence[Prediction]) -> tuple[str, ...]:
    """Up to ten places where the two sides part, in words."""
    apart = np.flatnonzero(~(seen.same | seen.tied))[:5]
    tokens = [f"answer token {i + 1}: another next token" for i in apart if seen.what == "answer token"]
    answers = [
        f"validation example {i + 1}: trainer {_brief(a.target)}, served {_brief(b.target)}"
        for i, (a, b) in enumerate(zip(trainer, served, strict=True))
        if a.target != b.target
    ]
    return (*tokens, *answers[:5])


def _brief(text: str | None, most: int = 120) -> str:
    return repr(text if text is None or len(text) <= most else f"{text[:most]}...")
