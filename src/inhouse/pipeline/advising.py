"""`advise`: what to do about a task, by what can be known of it today, before any training and after."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from inhouse.clean import leaked_tests
from inhouse.core import (
    ContenderResult,
    Dataset,
    Evaluation,
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
from inhouse.pipeline.evaluating.curve import as_result
from inhouse.pipeline.evaluating.field import encoders_of, make_field, open_remote_model
from inhouse.pipeline.evaluating.judged import metrics_of, require_primary, result_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.preparation import require_minutes
from inhouse.store import Workspace, disk_guard, records, registry, traffic
from inhouse.store.settings import RemoteSettings

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

    After an evaluation it reads that, and says where the data changed since; before, it asks what needs no training.
    The test examples stay unseen.

    Args:
        remote: a remote model of `inhouse.toml` that is asked too: validation inputs are sent to it.
        remote_price: of a thousand requests to a remote model; else what the evaluation, or `inhouse.toml`, says.
        requests_per_month: expected; else as many as were served lately.
        hours, hour_price: of labelling, and what an hour of it costs, in the currency of `remote_price`.
        minutes: that asking may take; contenders that there is no time for are left out.

    Raises:
        NotFound: no such task, or it has no data.
        UsageError: hours without their price, a figure below 0, or no time at all.
        NoMetric: the primary metric applies to none of the validation examples.
        ConfigError, ModelUnavailable, OutboundForbidden, DiskFull
    """
    from inhouse.evaluate.advice import advise as weigh

    reporter = reporter or Silent()
    require_minutes(minutes)
    task = workspace.load_task(name)
    version = _evaluated(workspace, name)
    _check(workspace, version, remote_price, requests_per_month, hours, hour_price)
    dataset = to_learn_from(workspace, name, reporter=reporter)
    if remote:  # a missing key is told before the work
        open_remote_model(remote, workspace.settings).close()
    if version is not None and not version.fine_tuned and version.lineage["dataset_fingerprint"] != dataset.fingerprint:
        version = None  # what needs no training is asked anew, on the data as it is
    with disk_guard(workspace.paths.root):
        found, asked = (
            _from_evaluation(workspace, task, dataset, version)
            if version is not None and not remote
            else _from_asking(workspace, task, dataset, remote, reporter, minutes)
        )
    often, whence = _volume(workspace, name, requests_per_month)
    found = found.model_copy(update={"requests_per_month": often, "requests_from": whence})
    price, whence = _remote_price(workspace, found, asked, (remote, *task.remotes), remote_price)
    if price is not None:
        found = found.model_copy(update={"money": _money(workspace, version, price, whence, hours, hour_price)})
    elif hours is not None:
        reporter.warn("hours of labelling are not weighed: what a thousand remote requests cost is not known")
    return weigh(found)


def _check(
    workspace: Workspace,
    version: ModelVersion | None,
    price: float | None,
    requests: float | None,
    hours: float | None,
    hour_price: float | None,
) -> None:
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
    if hours is not None and price is None and not _priced(workspace, version):
        raise UsageError(
            "hours of labelling are weighed against a price",
            "give --remote-price too, or the prices of a remote model in inhouse.toml",
        )


def _priced(workspace: Workspace, version: ModelVersion | None) -> bool:
    """Whether inhouse.toml, or an evaluation, has the price of a remote model."""
    known = Evaluation.model_validate(version.evaluation).contenders if version else ()
    there = (remote.price_of(1.0, 1.0) for remote in workspace.settings.remotes.values())
    return any(price is not None for price in (*there, *(c.cost_per_thousand for c in known)))


def _evaluated(workspace: Workspace, name: str) -> ModelVersion | None:
    """The newest version that was evaluated; one that `promote` made of a contender keeps what was known then."""
    versions = reversed(registry.versions(workspace, name))
    return next((v for v in versions if v.evaluation and "compared_with" not in v.lineage), None)


def _of_examples(workspace: Workspace, task: Task, dataset: Dataset, go_on: str) -> Evidence:
    """What the task and its training examples say, whoever is asked."""
    from inhouse.evaluate.advice import OWN_CURVE, Evidence
    from inhouse.evaluate.evidence import contradicting, facts_outside, form_kept
    from inhouse.pipeline.curve import curve_of_today

    train, paths = dataset.of("train"), workspace.paths
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
        go_on=go_on,
        clean_first=f"inhouse clean {task.name} --apply leakage" if leaked_tests(dataset) else "",
        facts_outside=facts_outside(task, train),
        form_kept=form_kept(task, train),
        contradicting=contradicting(task, train),
        curve=curve,
        curve_of=OWN_CURVE if curve else "",
        card=_in_workspace(workspace, paths.card(task.name, dataset.number)),
        curve_file=_in_workspace(workspace, paths.curve_result(task.name)) if curve else "",
    )


def _in_workspace(workspace: Workspace, file: Path) -> str:
    """A file by its path in the workspace; empty where it is not there."""
    root = workspace.paths.root
    return str(file.relative_to(root)) if file.is_relative_to(root) and file.is_file() else ""


def _goes_on(workspace: Workspace, dataset: Dataset) -> str:
    """What the data waits for: to be trained on, or evaluated."""
    versions = reversed(registry.versions(workspace, dataset.task))
    newest = next((v for v in versions if v.fine_tuned and v.epoch is None), None)
    waits = newest is not None and newest.evaluation is None
    learned = newest is not None and newest.lineage["dataset_fingerprint"] == dataset.fingerprint
    return f"inhouse {'evaluate' if waits and learned else 'train'} {dataset.task}"


def _from_evaluation(
    workspace: Workspace, task: Task, dataset: Dataset, version: ModelVersion
) -> tuple[Evidence, Sequence[ContenderResult]]:
    """What an evaluation says, and the contenders as it judged them."""
    known = Evaluation.model_validate(version.evaluation)
    primary = known.primary_metric
    asked = [c for c in known.contenders if primary in c.metrics and c.name != CHAMPION]
    contenders = {c.name: c.metrics[primary] for c in asked}
    stale = _changed_since(workspace, known, dataset)
    go_on = next((command for command, _ in known.next_steps), "")
    if stale or not version.fine_tuned:
        go_on = _goes_on(workspace, dataset)
    told = {
        "metric": primary,
        "judged_examples": len(dataset.of("test")) if stale else known.test_examples,
        "judged_on": "test",
        "contenders": contenders,
        "verdict": known.verdict,
        "version": known.model_version,
        "trained": version.fine_tuned,
        "stale": stale,
        "serves": _serves(workspace, known),
        "remotes": _remotes(contenders),
        "report": _in_workspace(workspace, Path(known.files.get("json", ""))),
    }
    return _of_examples(workspace, task, dataset, go_on).model_copy(update=told), asked


def _serves(workspace: Workspace, known: Evaluation) -> str:
    """The contender of an evaluation that is the champion; empty where none of them is."""
    number = registry.alias_number(workspace, known.task, registry.CHAMPION)
    if number is None:
        return ""
    champion = registry.find_version(workspace, known.task, number)
    judged = champion.lineage.get("compared_with", champion.name)
    return champion.contender if judged == known.model_version else ""


def _changed_since(workspace: Workspace, known: Evaluation, dataset: Dataset) -> str:
    """That the data is another one than was evaluated, in words; empty where it is not."""
    if known.dataset_fingerprint == dataset.fingerprint:
        return ""
    there = records.versions(workspace, dataset.task).values()
    number = next((v.number for v in there if v.fingerprint == known.dataset_fingerprint), None)
    before = "a version of the data that is gone" if number is None else f"version {number} of the data"
    return f"{known.model_version} was evaluated on {before}, which is at version {dataset.number}"


def _from_asking(
    workspace: Workspace, task: Task, dataset: Dataset, remote: str, reporter: Reporter, minutes: float | None
) -> tuple[Evidence, Sequence[ContenderResult]]:
    """What contenders that need no training answer to validation examples, and how they did."""
    from inhouse.evaluate.advice.rules import LEAST_EXAMPLES, LEAST_JUDGED

    known = _of_examples(workspace, task, dataset, _goes_on(workspace, dataset))
    judged_by = spread(dataset.of("validation"), JUDGED)
    known = known.model_copy(update={"judged_examples": len(judged_by)})
    if known.train_examples < LEAST_EXAMPLES or len(judged_by) < LEAST_JUDGED:
        return known, ()
    given = _field(workspace, task, dataset, remote, reporter)
    try:
        asked = [c for c in _asked(given, workspace.settings.remotes, minutes) if known.metric in c.metrics]
        contenders = {c.name: c.metrics[known.metric] for c in asked}
        known = known.model_copy(update={"contenders": contenders, "remotes": _remotes(contenders)})
        if known.curve is None:
            known = known.model_copy(update=_cheap_curve(given))
    finally:
        given.close()
    for one in given.left_out:
        reporter.warn(f"{one.contender} was not asked: {one.reason}")
    for note in given.notes:
        reporter.warn(note)
    return known, asked


def _cheap_curve(given: Field) -> dict[str, object]:
    """What an Evidence says of the curve of a model that trains in a second; nothing where there can be none."""
    from inhouse.evaluate.cheap_curve import CURVE_OF, cheap_curve

    found = cheap_curve(given, "test")
    if found is None:
        return {}
    curve = as_result(found, given.task.name, len(given.test))
    return {"curve": curve, "curve_of": CURVE_OF}


def _remotes(contenders: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.removeprefix("remote:") for name in contenders if name.startswith("remote:"))


def _asked(given: Field, remotes: Mapping[str, RemoteSettings], minutes: float | None) -> Sequence[ContenderResult]:
    """How every contender that needs no training did on the field's test questions."""
    from inhouse.evaluate.contenders import TimeBudget, ask_all

    require_primary(given.task, given.judging, given.test, "validation")
    expected = [e.target for e in given.test]
    groups = [e.group for e in given.test]
    return [
        result_of(one, {}, metrics_of(given.task, given.judging(given.test, one.test), expected, groups), remotes, 0.0)
        for one in ask_all(given, budget=TimeBudget(minutes), command="advise")
    ]


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


def _remote_price(
    workspace: Workspace, found: Evidence, asked: Sequence[ContenderResult], names: Iterable[str], told: float | None
) -> tuple[float | None, str]:
    """Of a thousand requests to a remote model, and where that stands: as told, as judged, else by inhouse.toml.

    Args:
        names: of the remote models that are looked at first.
    """
    if told is not None:
        return told, "--remote-price"
    priced = [c for c in asked if c.cost_per_thousand is not None]
    if priced:
        best = max(priced, key=lambda c: found.contenders[c.name].value)
        key = f"contenders[{best.name}].cost_per_thousand"
        return best.cost_per_thousand, f"{found.report}: {key}" if found.report else f"tokens of {best.name}"
    shots = next((c for c in asked if c.name == "few-shot"), None)  # a remote model is asked in the same way
    if shots is None or shots.prompt_tokens is None or shots.answer_tokens is None:
        return None, ""
    remotes = workspace.settings.remotes
    for name in (*(n for n in names if n in remotes), *remotes):
        price = remotes[name].price_of(shots.prompt_tokens, shots.answer_tokens)
        if price is not None:
            tokens = f"{shots.prompt_tokens:,.0f} and {shots.answer_tokens:,.0f} tokens, as few-shot takes"
            return 1000 * price, f"inhouse.toml: remotes.{name}, at {tokens}"
    return None, ""


def _money(
    workspace: Workspace,
    version: ModelVersion | None,
    price: float,
    whence: str,
    hours: float | None,
    hour_price: float | None,
) -> Money:
    """Prices as given; those of this machine by `cost` in `inhouse.toml`, training and speed as measured."""
    from inhouse.evaluate.advice import Money

    training, local, free = _own_costs(workspace, version)
    return Money(
        labelling_hours=hours or 0.0,
        hour_price=hour_price or 0.0,
        training=training,
        local_per_thousand=local,
        remote_per_thousand=price,
        price_from=whence,
        free=free,
    )


def _own_costs(workspace: Workspace, version: ModelVersion | None) -> tuple[float, float, str]:
    """Of the training, of a thousand requests here, and why both count as nothing where they do."""
    cost = workspace.settings.cost
    if cost.of(1.0, 1.0) is None:
        return 0.0, 0.0, "`cost` in inhouse.toml has no price of it (`cost.hour`, `cost.kwh`)"
    if version is None or not version.fine_tuned:
        return 0.0, 0.0, "no fine-tuned version was evaluated, so the time that a request takes here is not known"
    known = Evaluation.model_validate(version.evaluation)
    ours = next(c for c in known.contenders if c.name == version.contender)
    each = 1000 / max(ours.requests_per_second, 1e-9) / 3600
    taken = float((version.training or {}).get("seconds", 0.0)) / 3600
    kilowatts = cost.watts_of(len(os.sched_getaffinity(0))) / 1000
    training, local = (cost.of(time, time * kilowatts) for time in (taken, each))
    return training or 0.0, local or 0.0, ""
