"""What is told of a training, whatever model it trains: its plan, what it takes, its result, the parity gate."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from inhouse.core import BaseOption, ModelVersion, Recipe, Reporter, TrainPlan, TrainResult
from inhouse.engine import Base
from inhouse.pipeline.room import on_gpu
from inhouse.store import Workspace
from inhouse.store.settings import CostSettings
from inhouse.train import GIB, Plan

if TYPE_CHECKING:  # it imports torch
    from inhouse.train.checkpoint import LoopResult


def tell_plan(plan: Plan, base: Base, reporter: Reporter, *, of_longer: str) -> None:
    """Say what the training will do and how long it should take.

    Args:
        of_longer: what happens to examples that are longer than what is read.
    """
    reporter.say(
        f"plan: {base.spec.title}, {plan.examples} training and {plan.validation_examples} validation examples, "
        f"{plan.steps} steps, {plan.tokens:,} tokens, about {plan.seconds / 60:.1f} minutes on this machine"
    )
    for choice in plan.choices:
        reporter.say(f"  - {choice.name}: {choice.value}; {choice.reason}")
    if plan.truncated:
        reporter.warn(
            f"{plan.truncated} training examples are longer than {plan.recipe.max_tokens} tokens: {of_longer}"
        )


def tell_memory(needed: float, free: float, remedy: str, reporter: Reporter) -> None:
    """Warn where a training takes more memory than is free.

    Args:
        needed, free: bytes.
        remedy: what takes less, beside other programs.
    """
    if needed > free:
        reporter.warn(
            f"the training takes about {needed / GIB:.1f} GiB and {free / GIB:.1f} are free: close other programs if "
            f"it ends without a word ({remedy})"
        )


def tell_disk(needed: float, folder: Path, what: str, reporter: Reporter) -> None:
    """Warn where the disk of a folder, which need not be there yet, has less room than something takes.

    Args:
        needed: bytes.
        what: takes them.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed > free:
        reporter.warn(
            f"{what} takes about {needed / GIB:.2f} GiB of disk and {free / GIB:.2f} are free where {folder} is: make "
            "room there, or it ends when the disk is full"
        )


def plan_told(
    workspace: Workspace,
    task: str,
    plan: Plan,
    *,
    memory: float,
    free: float,
    disk: float,
    options: tuple[BaseOption, ...],
) -> TrainPlan:
    """A plan with what it takes.

    Args:
        memory, free: bytes that the training takes, and that are free for it.
        disk: bytes that it writes.
        options: what other models would take.
    """
    room = shutil.disk_usage(workspace.paths.root).free
    cost = workspace.settings.cost
    watts, watts_from = _watts(cost, trains_on_gpu=isinstance(plan.recipe, Recipe) and on_gpu())
    hours = plan.seconds / 3600
    kwh = hours * watts / 1000
    return TrainPlan(
        task=task,
        base_model=plan.recipe.base_model,
        examples=plan.examples,
        validation_examples=plan.validation_examples,
        truncated_examples=plan.truncated,
        steps=plan.steps,
        tokens=plan.tokens,
        minutes=plan.seconds / 60,
        tokens_per_second=plan.tokens / plan.seconds,
        memory_gib=memory / GIB,
        memory_free_gib=free / GIB,
        disk_gib=disk / GIB,
        disk_free_gib=room / GIB,
        fits=memory <= free and disk <= room,
        watts=watts,
        watts_from=watts_from,
        kwh=kwh,
        cost=cost.of(hours, kwh),
        choices=plan.choices,
        options=options,
        recipe=plan.recipe.model_dump(mode="json"),
    )


def _watts(cost: CostSettings, *, trains_on_gpu: bool) -> tuple[float, str]:
    """What the machine draws while it trains, and where that is from."""
    cores = len(os.sched_getaffinity(0))
    if cost.watts:
        return cost.watts, "from cost.watts"
    of_cores = f"30 W, and 15 W for each of {cores} cores, are assumed"
    sets = "cost.watts in inhouse.toml sets what it is"
    if not trains_on_gpu:
        return cost.watts_of(cores), f"{of_cores}; {sets}"
    from inhouse.engine.torch_model import gpu_watts

    if (gpu := gpu_watts()) is None:
        return cost.watts_of(cores), f"{of_cores}, the GPU is left out (nvidia-ml-py tells its limit); {sets}"
    return cost.watts_of(cores, gpu), f"the GPU's limit is {gpu:.0f} W, {of_cores}; {sets}"


def result_told(
    task: str, run: str, plan: Plan, outcome: LoopResult, registered: ModelVersion, *, metric: str, score: float
) -> TrainResult:
    """What a training came to; `score` is of the best look, on the `metric` that it was judged by."""
    from inhouse.train.loop import overfitting

    position = outcome.position
    return TrainResult(
        task=task,
        run=run,
        model_version=registered.name,
        recipe=plan.recipe.model_dump(mode="json"),
        trained_tokens=position.tokens,
        truncated_examples=plan.truncated,
        seconds=position.seconds,
        tokens_per_second=position.tokens / max(position.seconds, 1e-9),
        best_step=position.best_step,
        steps=position.step,
        stopped_because=outcome.stopped_because,
        validation_loss=position.best_loss,
        validation_score=score,
        validation_metric=metric,
        overfitting=overfitting(position),
        resumed=outcome.resumed,
        interrupted=outcome.interrupted,
        parity=registered.parity,
        history=position.history,
    )


def tell_parity(registered: ModelVersion, what: str, reporter: Reporter) -> None:
    """Say whether the version passed the gate, which compared so many of `what`."""
    parity = registered.parity
    if parity.passed:
        reporter.say(
            f"{registered.name}: the served file agrees with the trainer on {parity.top1_agreement:.2%} of "
            f"{parity.tokens} {what}"
        )
    else:
        reporter.warn(f"{registered.name} failed the parity gate and cannot be promoted: {parity.reason}")
