"""What an evaluation says beside the averages: parts of the test, and answers to questions that were changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inhouse.clean.language import language_name, language_of
from inhouse.core import Dataset, SliceResult, Task, Verdict, answer_metric
from inhouse.evaluate.slices import slices
from inhouse.scoring import Judged, Judging

if TYPE_CHECKING:
    from inhouse.evaluate.beyond import Beyond
    from inhouse.evaluate.contenders import Answers, TimeBudget

# For each contender that is asked again, in minutes: those of the verdict, and the others.
MINUTES, MINUTES_OF_OTHERS = 1.0, 0.25


def slices_of(task: Task, dataset: Dataset, judged: Judged) -> tuple[SliceResult, ...]:
    """The primary metric, or what stands for it (`answer_metric`), on parts of the test."""
    scores = judged.scores[answer_metric(task.metrics.primary)]
    return tuple(slices(dataset.of("test"), scores, task.kind, _language))


def asked_beyond(
    given: Any,  # noqa: ANN401 - the type would import the models
    answers: Sequence[Answers],
    judged: Mapping[str, Judged],
    ours: str,
    verdict: Verdict,
    judging: Judging,
    budget: TimeBudget,
) -> Beyond:
    """Ask again the fine-tuned model, what it was compared with, the better way of prompting its base, and whoever else
    is quick.

    Args:
        ours: the best fine-tuned contender.
        budget: of the evaluation; each has its share of what is left, and `MINUTES` at most.
    """
    from inhouse.evaluate.beyond import beyond_the_average
    from inhouse.evaluate.contenders import CONTENDERS

    metric = answer_metric(given.task.metrics.primary)
    prompting = [name for name in judged if name in CONTENDERS and CONTENDERS[name].prompts_base]
    best = max(prompting, key=lambda name: float(np.nanmean(judged[name].scores[metric])), default="")
    names = [ours, verdict.winner, verdict.against or "", best]
    share = budget.left / len(answers)
    each, others = min(MINUTES, share), min(MINUTES_OF_OTHERS, share)
    return beyond_the_average(given, answers, names, metric, judging, each, others)


def _language(text: str) -> str | None:
    code = language_of(text)
    return None if code is None else language_name(code)
