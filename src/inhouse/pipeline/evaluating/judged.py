"""What answers are worth: every metric of a contender with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from inhouse.core import ContenderResult, Dataset, Metric, ModelVersion, Prediction, Task, render_input
from inhouse.errors import NoMetric
from inhouse.scoring import FactFinder, Groups, Judged, summarise

# Contenders beside the fine-tuned ones that `promote` can make a version of.
SERVABLE = ("tfidf-linear", "embedding-linear")


def facts_of(task: Task, dataset: Dataset) -> FactFinder | None:
    """What finds facts in texts, by what the training inputs hold; None where answers are no texts."""
    if task.kind != "generate":
        return None
    train = dataset.of("train")
    return FactFinder.learn([render_input(e.inputs) for e in train], [e.target for e in train])


def metrics_of(task: Task, judged: Judged, expected: Sequence[str], groups: Groups) -> dict[str, Metric]:
    """Every metric of the task that applies to some example, with its interval."""
    found = {}
    for name in (*judged.scores, *(("macro_f1",) if task.kind == "classify" else ())):
        with suppress(NoMetric):  # facts of inputs that hold none, say
            found[name] = summarise(judged, expected, name, groups)
    return found


def result_of(
    name: str,
    version: ModelVersion,
    test: Sequence[Prediction],
    metrics: dict[str, Metric],
    seconds: float,
    rate: float,
) -> ContenderResult:
    """How a contender did on the test examples: its metrics, speed, tokens, and what it left unanswered."""
    generated = any(p.prompt_tokens for p in test)
    return ContenderResult(
        name=name,
        model=version.name if name == version.contender else None,
        metrics=metrics,
        seconds=seconds,
        requests_per_second=rate,
        prompt_tokens=sum(p.prompt_tokens for p in test) / len(test) if generated else None,
        answer_tokens=sum(p.answer_tokens for p in test) / len(test) if generated else None,
        unanswered=sum(p.target is None for p in test),
        servable=name == version.contender or name in SERVABLE,
    )
