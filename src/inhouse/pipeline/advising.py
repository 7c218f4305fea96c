"""`advise`: what to do about a task, by what can be known of it today, before any training and after."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from inhouse.core import (
    CurveResult,
    Dataset,
    Evaluation,
    Metric,
    ModelVersion,
    Reporter,
    Silent,
    Task,
    canonical_hash,
    spread,
)
from inhouse.engine import get_base
from inhouse.errors import UsageError
from inhouse.pipeline.evaluating.champion import CHAMPION
from inhouse.pipeline.evaluating.field import encoders_of, make_field, open_remote_model
from inhouse.pipeline.evaluating.judged import metrics_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.preparation import require_minutes
from inhouse.store import Workspace, disk_guard, registry, traffic

if TYPE_CHECKING:
    from inhouse.evaluate.advice import Advice, Evidence, Money
    from inhouse.evaluate.contenders import Field

# Validation examples that the contenders are judged by, and training examples that they choose by: so many are asked
# in minutes, and more would not change what is advised.
JUDGED = 100
CHOSEN_BY = 40
DAYS_OF_MONTH = 30.44


def advise(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    remote: str = "",
    remote_price: float | None = None,
    requests_per_month: float | None = None,
    hours: float | None = None,
    hour_price: float | None = None,
    minutes: float | None = None,
) -> Advice:
    """Say whether to prompt, retrieve, take a classical model, fine-tune, collect more examples, or leave it.

    After an evaluation it reads that; before, it asks what needs no training. The test examples stay unseen.

    Args:
        remote: a remote model of `inhouse.toml` that is asked too: validation inputs are sent to it.
        remote_price: of a thousand requests to a remote model.
        requests_per_month: expected; else as many as were served lately.
        hours, hour_price: of labelling, and what an hour of it costs, in the currency of `remote_price`.
        minutes: that asking may take; contenders that there is no time for are left out.

    Raises:
        NotFound: no such task, or it has no data.
        UsageError: hours without their price, a figure below 0, or no time at all.
        ConfigError, ModelUnavailable, OutboundForbidden, DiskFull
    """
    from inhouse.evaluate.advice import advise as weigh

    reporter = reporter or Silent()
    _check(remote_price, requests_per_month, hours, hour_price)
    require_minutes(minutes)
    task = workspace.load_task(name)
    dataset = to_learn_from(workspace, name, reporter=reporter)
    if remote:  # a missing key is told before the work
        open_remote_model(remote, workspace.settings).close()
    version = _evaluated(workspace, name)
    with disk_guard(workspace.paths.root):
        found = (
            _from_evaluation(workspace, task, dataset, version)
            if version is not None and not remote
            else _from_asking(workspace, task, dataset, remote, reporter, minutes)
        )
    often, whence = _volume(workspace, name, requests_per_month)
    found = found.model_copy(update={"requests_per_month": often, "requests_from": whence})
    if remote_price is not None:
        found = found.model_copy(update={"money": _money(workspace, version, remote_price, hours, hour_price)})
    return weigh(found)


def _check(price: float | None, requests: float | None, hours: float | None, hour_price: float | None) -> None:
    given = {
        "--remote-price": price,
        "--requests-per-month": requests,
        "--hours": hours,
        "--hour-price": hour_price,
    }
    for option, value in given.items():
        if value is not None and not 0 <= value < float("inf"):
            raise UsageError(f"{option} {value} is no amount", "give a number from 0 up")
    if (hours is None) != (hour_price is None):
        raise UsageError("--hours and --hour-price belong together", "give both, or neither")
    if hours is not None and price is None:
        raise UsageError("hours of labelling are weighed against a price", "give --remote-price too")


def _evaluated(workspace: Workspace, name: str) -> ModelVersion | None:
    """The newest version that was evaluated."""
    return next((v for v in reversed(registry.versions(workspace, name)) if v.evaluation), None)


def _of_examples(workspace: Workspace, task: Task, dataset: Dataset) -> Evidence:
    """What the task and its training examples say, whoever is asked."""
    from inhouse.evaluate.advice import Evidence
    from inhouse.evaluate.evidence import contradicting, facts_outside, form_kept
    from inhouse.pipeline.curve import curve_of_today

    train = dataset.of("train")
    curve = curve_of_today(workspace, task.name, len(train))
    return Evidence(
        task=task.name,
        kind=task.kind,
        metric=task.metrics.primary,
        min_gain=task.metrics.min_gain,
        minimum=task.metrics.minimum,
        train_examples=len(train),
        judged_examples=0,
        contenders={},
        facts_outside=facts_outside(task, train),
        form_kept=form_kept(task, train),
        contradicting=contradicting(task, train),
        curve=curve,
        curve_of="train --curve" if curve else "",
    )


def _from_evaluation(workspace: Workspace, task: Task, dataset: Dataset, version: ModelVersion) -> Evidence:
    known = Evaluation.model_validate(version.evaluation)
    primary = known.primary_metric
    contenders = {c.name: c.metrics[primary] for c in known.contenders if primary in c.metrics and c.name != CHAMPION}
    return _of_examples(workspace, task, dataset).model_copy(
        update={
            "metric": primary,
            "judged_examples": known.test_examples,
            "judged_on": "test",
            "contenders": contenders,
            "decision": known.verdict.decision,
            "winner": known.verdict.winner,
            "version": version.name,
            "verdict": known.verdict.reason,
            "next_step": next((command for command, _ in known.next_steps), ""),
            "remotes": _remotes(contenders),
        }
    )


def _from_asking(
    workspace: Workspace, task: Task, dataset: Dataset, remote: str, reporter: Reporter, minutes: float | None
) -> Evidence:
    """What contenders that need no training answer to validation examples."""
    from inhouse.evaluate.advice import LEAST_EXAMPLES, LEAST_JUDGED

    known = _of_examples(workspace, task, dataset)
    judged_by = spread(dataset.of("validation"), JUDGED)
    known = known.model_copy(update={"judged_examples": len(judged_by)})
    if known.train_examples < LEAST_EXAMPLES or len(judged_by) < LEAST_JUDGED:
        return known
    given = _field(workspace, task, dataset, remote, reporter)
    try:
        contenders = _asked(given, minutes)
        known = known.model_copy(update={"contenders": contenders, "remotes": _remotes(contenders)})
        if known.curve is None:
            known = known.model_copy(update=_cheap_curve(given))
    finally:
        given.close()
    for one in given.left_out:
        reporter.warn(f"{one.contender} was not asked: {one.reason}")
    for note in given.notes:
        reporter.warn(note)
    return known


def _cheap_curve(given: Field) -> dict[str, object]:
    """What an Evidence says of the curve of a model that trains in a second; nothing where there can be none."""
    from inhouse.evaluate.cheap_curve import CURVE_OF, cheap_curve

    found = cheap_curve(given, "test")
    if found is None:
        return {}
    curve = CurveResult(
        task=given.task.name,
        metric="accuracy",
        validation_examples=len(given.test),
        power=found.power,
        gain=found.gain,
        low=found.low,
        high=found.high,
        points=found.points,
        reason="",
        chart="",
    )
    return {"curve": curve, "curve_of": CURVE_OF}


def _remotes(contenders: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix("remote:") for name in contenders if name.startswith("remote:"))


def _asked(given: Field, minutes: float | None) -> dict[str, Metric]:
    """The primary metric of every contender that needs no training, on the field's test questions."""
    from inhouse.evaluate.contenders import TimeBudget, ask_all

    answers = ask_all(given, budget=TimeBudget(minutes), command="advise")
    expected = [e.target for e in given.test]
    groups = [e.group for e in given.test]
    found = {}
    for one in answers:
        judged = given.judging(given.test, one.test)
        found[one.name] = metrics_of(given.task, judged, expected, groups)[given.task.metrics.primary]
    return found


def _field(workspace: Workspace, task: Task, dataset: Dataset, remote: str, reporter: Reporter) -> Field:
    """What contenders without training may use: validation examples in the place of the test.

    They choose by a fifth of the training groups, from which they do not learn.
    """
    for model in encoders_of(task):
        get_base(model, workspace.settings, reporter.say)
    asked = task.model_copy(update={"remotes": (remote,) if remote else ()})
    given: Field = make_field(workspace, asked, dataset, reporter)
    train = dataset.of("train")
    apart = [int(canonical_hash(e.group), 16) % 5 == 0 for e in train]
    return replace(
        given,
        train=[e for e, other in zip(train, apart, strict=True) if not other],
        validation=spread([e for e, other in zip(train, apart, strict=True) if other], CHOSEN_BY),
        test=spread(dataset.of("validation"), JUDGED),
    )


def _volume(workspace: Workspace, name: str, told: float | None) -> tuple[float | None, str]:
    """Requests a month: as told, else by those that were served over a day at least."""
    if told is not None:
        return told, "--requests-per-month"
    served = traffic.traces(workspace, name)
    if len(served) < 2:
        return None, ""
    first, last = (datetime.fromisoformat(one.created_at) for one in (served[0], served[-1]))
    days = (last - first).total_seconds() / 86400
    if days < 1:
        return None, ""
    return len(served) * DAYS_OF_MONTH / days, f"{len(served):,} requests served in {days:.0f} days"


def _money(
    workspace: Workspace, version: ModelVersion | None, price: float, hours: float | None, hour_price: float | None
) -> Money:
    """Prices as given; those of this machine by `cost` in `inhouse.toml`, training and speed as measured."""
    from inhouse.evaluate.advice import Money

    cost = workspace.settings.cost
    kilowatts = cost.watts_of(len(os.sched_getaffinity(0))) / 1000
    training = local = 0.0
    if version is not None and version.evaluation is not None:
        known = Evaluation.model_validate(version.evaluation)
        ours = next(c for c in known.contenders if c.name == version.contender)
        each = 1000 / max(ours.requests_per_second, 1e-9) / 3600
        local = cost.of(each, each * kilowatts) or 0.0
        taken = float((version.training or {}).get("seconds", 0.0)) / 3600
        training = cost.of(taken, taken * kilowatts) or 0.0
    return Money(
        labelling_hours=hours or 0.0,
        hour_price=hour_price or 0.0,
        training=training,
        local_per_thousand=local,
        remote_per_thousand=price,
    )
