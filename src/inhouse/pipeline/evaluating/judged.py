"""What answers are worth: every metric of a contender with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inhouse.core import (
    ContenderResult,
    Dataset,
    Example,
    Metric,
    ModelVersion,
    Prediction,
    Split,
    Task,
    TriedPrompt,
    answer_metric,
    render_input,
)
from inhouse.core.task import PRIMARY_METRICS
from inhouse.errors import NoMetric
from inhouse.pipeline.own_scorers import own_scorers
from inhouse.scoring import FactFinder, Groups, Judged, Judging, summarise
from inhouse.store import Workspace
from inhouse.store.settings import RemoteSettings

if TYPE_CHECKING:
    from inhouse.evaluate.contenders import Answers, Field

Floats = NDArray[np.float64]
# A label counts where it is among so many of the likeliest.
TOP = (3, 5)
# Contenders beside the fine-tuned ones that `promote` can make a version of: linear ones, and prompts.
PROMPTED = ("prompted", "few-shot", "prompted-best", "retrieval", "grounded", "fine-tuned+retrieval")
SERVABLE = ("tfidf-linear", "embedding-linear", *PROMPTED)


def judging_of(workspace: Workspace, task: Task, dataset: Dataset) -> Judging:
    """What judges answers of the task: the metrics of its kind, and its own scorers.

    Raises:
        ConfigError: see `own_scorers`.
    """
    return Judging(task, facts_of(task, dataset), own_scorers(workspace, task))


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


def require_primary(task: Task, judging: Judging, examples: Sequence[Example], split: Split) -> None:
    """Refuse a primary metric that applies to none of the examples, before anybody is asked them.

    Raises:
        NoMetric: with the metrics that may take its place.
    """
    primary = task.metrics.primary
    name = answer_metric(primary)
    applies = (
        not np.isnan(judging([e], [Prediction(target=e.target, confidence=1.0)]).scores[name][0]) for e in examples
    )
    if examples and not any(applies):
        others = ", ".join(one for one in PRIMARY_METRICS[task.kind] if one != primary)
        raise NoMetric(
            f"metrics.primary = {primary!r} applies to none of the {len(examples):,} {split} examples of "
            f"task {task.name!r}",
            f"set it in tasks/{task.name}/task.toml to one that does, as {others}",
        )


def top_k(task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, Floats]:
    """Whether each label is among the likeliest few, for contenders that tell the chances of all labels."""
    if task.kind != "classify" or not any(p.alternatives for p in predictions):
        return {}
    ranked = [[p.target, *(label for label, _ in p.alternatives)] for p in predictions]
    return {
        f"top_{k}": np.array([e.target in told[:k] for e, told in zip(examples, ranked, strict=True)], dtype=float)
        for k in TOP
        if len(task.labels) > k
    }


def prompts_of(given: Field) -> tuple[TriedPrompt, ...]:
    """The forms of prompt that were tried on validation examples, the chosen one first."""
    return tuple(
        TriedPrompt(contender=name, form=one.form.told, metric=one.metric, chosen=one is forms[0])
        for name, forms in given.tried.items()
        for one in forms
    )


def result_of(
    answers: Answers,
    models: Mapping[str, ModelVersion],
    metrics: dict[str, Metric],
    remotes: Mapping[str, RemoteSettings],
    fit_seconds: float,
) -> ContenderResult:
    """How a contender did on the test examples: its metrics, speed, tokens, price, and what it left unanswered.

    Args:
        models: the versions that take part, by the contender's name.
        fit_seconds: that it spent on getting ready.
    """
    test, model = [p for p in answers.test if p.asked], models.get(answers.name)
    generated = any(p.prompt_tokens for p in test)
    asked = [p for p in test if p.prompt_tokens]  # a failure took none
    remote = remotes.get(answers.name.removeprefix("remote:")) if answers.name.startswith("remote:") else None
    price = (
        remote.price_of(sum(p.prompt_tokens for p in asked), sum(p.answer_tokens for p in asked)) if remote else None
    )
    return ContenderResult(
        name=answers.name,
        model=model.name if model else None,
        metrics=metrics,
        seconds=answers.seconds,
        requests_per_second=answers.rate,
        prompt_tokens=sum(p.prompt_tokens for p in test) / len(test) if generated else None,
        answer_tokens=sum(p.answer_tokens for p in test) / len(test) if generated else None,
        unanswered=sum(p.target is None for p in test),
        cost_per_thousand=1000 * price / len(asked) if price is not None and asked else None,
        fit_seconds=max(0.0, fit_seconds),  # less than none where another one had paid for the embeddings
        cached=answers.asked.cached if answers.asked else 0,
        servable=model is not None or answers.name in SERVABLE,
        asked=answers.tested if answers.sampled else None,
    )
