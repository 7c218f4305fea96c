"""`train`: plan, run, have the result packaged; the dry run, and several seeds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from inhouse.core import (
    BaseOption,
    EncoderRecipe,
    Recipe,
    Reporter,
    SeedsResult,
    Silent,
    Task,
    TrainPlan,
    TrainResult,
)
from inhouse.engine import Base, BaseSpec, find_spec, is_here, known_bases, outlined_base
from inhouse.errors import InhouseError, UsageError
from inhouse.launched import process_rank
from inhouse.loading import loading
from inhouse.pipeline.classifier import (
    PreparedClassifier,
    plan_classifier,
    prepare_classifier,
    reckoned_seconds,
    train_classifier,
)
from inhouse.pipeline.epochs import bytes_of_an_epoch, package_epochs
from inhouse.pipeline.packaging import register
from inhouse.pipeline.preparation import (
    READY,
    STAGES,
    Prepared,
    beginning,
    measured_speed,
    prepare_training,
    prepared_trunk,
    require_ready,
    tell_left_out,
    validation_judge,
    wished,
)
from inhouse.pipeline.room import free_for
from inhouse.pipeline.told import plan_told, result_told, tell_disk, tell_memory, tell_plan
from inhouse.pipeline.watching import watching
from inhouse.store import Workspace, disk_guard, records, registry
from inhouse.train import BYTES_SERVED, GIB, Plan, finishing_the_step

if TYPE_CHECKING:  # they import torch
    from inhouse.train.loop import Judge, Trunk
    from inhouse.train.processes import Processes

# Of a training that does not fit nothing can be measured: FLOP per weight and token, forward and back past frozen
# weights.
FLOP_PER_WEIGHT = 4
# A weight of a base of the hub in bfloat16, as most are published; and as it is kept: in bfloat16, and once more in 8
# bits.
BYTES_FETCHED, BYTES_KEPT = 2, 2 + BYTES_SERVED
OF_LONGER = "the end of their input is cut off in training (`train.max_tokens` in task.toml raises the limit)"


def train(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    again: bool = False,
    seed: int | None = None,
    minutes: float | None = None,
    model: str = "",
    steps: int | None = None,
    keep_epochs: int = 0,
) -> TrainResult:
    """Fine-tune the task's base model, or its encoder, on the newest dataset version and register the result.

    A run that was interrupted goes on where it was. A run that is done is not repeated (the same recipe on the same
    data gives the same model) unless `again`. Ctrl-C ends the training after the step; what was learned by then is
    registered, and the next `train` goes on.

    Started several times by `accelerate launch`, the processes train together; the first keeps the books, and all give
    back its result.

    Args:
        seed, minutes, model: instead of those in `task.toml`.
        steps: of the schedule, where a training before this one has fitted it into the minutes.
        keep_epochs: make a version of each of so many last epochs too, before the result's: see `epoch_versions`. An
            encoder, and a training that was done before, give none.

    Raises:
        NotFound: no such task, or it has no data.
        NothingToLearn: no answer tokens, or an empty training or validation split.
        Busy: another process is training in this workspace.
        DiskFull, ModelUnavailable, ConfigError
    """
    reporter = reporter or Silent()
    at = beginning(reporter if process_rank() == 0 else Silent())
    with loading():
        from inhouse.train.processes import started_processes

    processes = started_processes()
    task = wished(workspace.load_task(name), seed=seed, minutes=minutes, model=model)
    if task.train.model == "encoder" and processes.count > 1:
        raise UsageError("an encoder is trained by one process", "start `inhouse train` without a launcher")
    if not processes.main:
        return _assist(workspace, task, processes)
    require_ready(workspace, name, model)
    tell_left_out(workspace, name, model, reporter)
    with workspace.lock(f"train-{name}", f"training {name!r}"), disk_guard(workspace.paths.root):
        prepared = _prepare(workspace, task, reporter, at, split_over=processes.count if processes.sharded else 1)
        run = records.open_run(workspace, name, prepared.dataset.number, prepared.recipe, again=again)
        if run.status == "done" and run.result is not None:
            shutil.rmtree(workspace.paths.run(run.id), ignore_errors=True)
            version = run.result["model_version"]
            reporter.say(f"this recipe was trained on this data before: {version} (--again repeats it)")
            processes.agreed(None)
            return processes.agreed(TrainResult.model_validate(run.result))
        if run.recipe.minutes is not None and run.recipe.steps is None:
            run = replace(run, recipe=run.recipe.model_copy(update={"steps": steps}))
        for left in records.abandon_runs(workspace, name, run, prepared.dataset.number):
            shutil.rmtree(workspace.paths.run(left), ignore_errors=True)
        result = _train_either(workspace, prepared, run, reporter, at, processes, keep_epochs)
        made = registry.find_version(workspace, name, result.model_version.partition("@")[2])
        registry.update_version(workspace, made.model_copy(update={"training": result.model_dump(mode="json")}))
        status = "stopped" if result.interrupted else "done"
        records.finish_run(workspace, run.id, status, result.model_dump(mode="json"))
        if not result.interrupted:
            shutil.rmtree(workspace.paths.run(run.id), ignore_errors=True)
    return processes.agreed(result)


def _assist(workspace: Workspace, task: Task, processes: Processes) -> TrainResult:
    """Train beside the main process; return its result.

    Until it tells the run and the recipe no data or model is looked at: it may still be writing. What it chose for lack
    of memory holds for all.
    """
    from inhouse.train.loop import run_loop

    told = processes.told()
    if told is not None:
        run, recipe, checkpointed, keep_epochs = told
        require_ready(workspace, task.name, task.train.model)
        prepared = replace(prepare_training(workspace, task, Silent()), recipe=recipe, checkpointed=checkpointed)
        with (
            prepared_trunk(prepared, processes) as (trunk, adapters),
            finishing_the_step(Silent()) as asked_to_stop,
        ):
            recipe = processes.told()  # with a schedule
            run_loop(
                trunk,
                adapters,
                prepared.learned,
                prepared.validation,
                recipe,
                _checkpoint(workspace, run),
                Silent(),
                judge=_judge(prepared, trunk),
                asked_to_stop=asked_to_stop,
                processes=processes,
                keep_epochs=keep_epochs,
            )
    result: TrainResult = processes.told()
    return result


def _checkpoint(workspace: Workspace, run: str) -> Path:
    return workspace.paths.run(run) / "checkpoint.safetensors"


def _judge(prepared: Prepared, trunk: Trunk) -> Judge | None:
    """Who judges written answers; nobody where none are."""
    return validation_judge(prepared, trunk) if prepared.judged else None


def _prepare(
    workspace: Workspace,
    task: Task,
    reporter: Reporter,
    at: Callable[[str], None],
    *,
    split_over: int = 1,
    base: Base | None = None,
) -> Prepared | PreparedClassifier:
    """What the training of the task's causal model, or of its encoder, needs; `at` is told each stage as it begins.

    Args:
        base: of the causal model, where its weights are not here.
    """
    at(STAGES[1])
    with loading():
        if task.train.model == "encoder":
            return prepare_classifier(workspace, task, reporter)
        return prepare_training(workspace, task, reporter, split_over=split_over, base=base)


def _train_either(
    workspace: Workspace,
    prepared: Prepared | PreparedClassifier,
    run: records.Run,
    reporter: Reporter,
    at: Callable[[str], None],
    processes: Processes,
    keep_epochs: int,
) -> TrainResult:
    """Train by the recipe that the run has kept."""
    if isinstance(prepared, PreparedClassifier):
        assert isinstance(run.recipe, EncoderRecipe)
        return train_classifier(workspace, replace(prepared, recipe=run.recipe), run.id, reporter, at)
    assert isinstance(run.recipe, Recipe)
    recipe = run.recipe
    if processes.sharded:  # it may go on from where one process had them so
        recipe = recipe.model_copy(update={"four_bit": False})
    return _train(workspace, replace(prepared, recipe=recipe), run.id, reporter, at, processes, keep_epochs)


def train_to_the_end(workspace: Workspace, name: str, reporter: Reporter, **wishes: Any) -> TrainResult:  # noqa: ANN401
    """`train` as a part of a longer command, all of which Ctrl-C is for.

    Args:
        wishes: what `train` takes.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the training, whose version stays; the same call goes on with it.
        what `train` raises.
    """
    trained = train(workspace, name, reporter, **wishes)
    if trained.interrupted:
        raise KeyboardInterrupt
    return trained


def train_seeds(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    seeds: int,
    again: bool = False,
    minutes: float | None = None,
    model: str = "",
) -> SeedsResult:
    """The same training with several seeds: how far results lie apart by chance alone. Each makes a version.

    The schedule is fitted into the minutes once, for the first of them.

    Args:
        seeds: how many, from the task's own seed on.
        minutes, model: for each, instead of those in `task.toml`.

    Raises:
        UsageError: fewer than two seeds.
        KeyboardInterrupt: Ctrl-C ended one of them; the same call goes on with it.
        what `train` raises.
    """
    if seeds < 2:
        raise UsageError(f"{seeds} seed shows no spread", "give two or more, three say")
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    runs = list[TrainResult]()
    for seed in range(task.train.seed, task.train.seed + seeds):
        reporter.say(f"seed {seed}: training {len(runs) + 1} of {seeds}")
        schedule = runs[0].recipe["steps"] if runs else None  # measured once: seeds are compared at the same length
        wishes = {"again": again, "seed": seed, "minutes": minutes, "model": model, "steps": schedule}
        runs.append(train_to_the_end(workspace, name, reporter, **wishes))
    if len({run.recipe["steps"] for run in runs}) > 1:
        reporter.warn("some of these were trained before, with schedules of other lengths: --again repeats them alike")
    scores = [run.validation_score for run in runs]
    return SeedsResult(
        task=name,
        metric=runs[0].validation_metric,
        best=runs[scores.index(max(scores))].model_version,
        mean=fmean(scores),
        standard_deviation=stdev(scores),
        lowest=min(scores),
        highest=max(scores),
        runs=tuple(runs),
    )


def plan_training(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    minutes: float | None = None,
    model: str = "",
) -> TrainPlan:
    """What `train` would do and take on this machine, from the data and a few measured steps; nothing is kept.

    Args:
        minutes, model: instead of those in `task.toml`.

    Raises:
        what `train` raises before its first step.
    """
    reporter = reporter or Silent()
    at = beginning(reporter)
    with loading():
        from inhouse.engine import torch_model  # noqa: F401 - the first stage: what follows needs it

    task = wished(require_ready(workspace, name, model), minutes=minutes)
    tell_left_out(workspace, name, model, reporter)
    encoder = task.train.model == "encoder"
    with nullcontext() if encoder else outlined_base(task.base_model, workspace.settings) as outline:
        prepared = _prepare(workspace, task, reporter, at, base=outline)
        if isinstance(prepared, Prepared):
            return _plan_causal(workspace, prepared, reporter, at, outline)
        at(STAGES[3])
        plan = plan_classifier(workspace, prepared, reporter)
        at(READY)
        return plan


def _plan_causal(
    workspace: Workspace, prepared: Prepared, reporter: Reporter, at: Callable[[str], None], outline: Base | None
) -> TrainPlan:
    """The plan of a causal model, from a few measured steps where it is here and fits.

    Args:
        at: is told each stage as it begins.
        outline: the base, where its weights are not here.
    """
    free = free_for("causal")  # before the model takes its part of it
    if outline is not None:
        _tell_outline(outline.spec, reporter)
        speed = _reckoned_speed(prepared)
    elif prepared.memory_in_training <= free:
        at(STAGES[2])
        with prepared_trunk(prepared) as (trunk, adapters):
            at(STAGES[3])
            speed = measured_speed(prepared, trunk, adapters, reporter)
    else:
        reporter.warn("it does not fit into the free memory: the time is reckoned from the machine's arithmetic alone")
        speed = _reckoned_speed(prepared)
    at(READY)
    prepared = replace(prepared, recipe=prepared.fitted(speed))
    return _told(workspace, prepared, prepared.plan(speed), free, _encoder_option(workspace, prepared.task))


def _tell_outline(spec: BaseSpec, reporter: Reporter) -> None:
    """Say what a base takes that is not here, and what the plan rests on instead of it."""
    reporter.warn(
        f"{spec.name} is not on this machine: {spec.parameters / 1e6:,.0f} million weights, about "
        f"{spec.parameters * BYTES_FETCHED / GIB:.1f} GiB to fetch, and {spec.parameters * BYTES_KEPT / GIB:.1f} more "
        "on disk once it is converted. Only its description was fetched: the time is reckoned from the machine's "
        "arithmetic, not measured"
    )


def _encoder_option(workspace: Workspace, task: Task) -> tuple[BaseOption, ...]:
    """What the task's encoder would take, from one measured step, where the task has labels and the encoder is on this
    machine and fits. What is wrong with it, its own training says."""
    try:
        if task.kind != "classify" or not is_here(find_spec(task.encoder_model), workspace.settings):
            return ()
        prepared = prepare_classifier(workspace, wished(task, model="encoder"), Silent())
        if prepared.memory > free_for("encoder"):
            return ()
        plan = plan_classifier(workspace, prepared, Silent())
    except InhouseError:
        return ()
    return (
        BaseOption(
            name=plan.base_model,
            kind="encoder",
            parameters=prepared.facts.parameters,
            minutes=plan.minutes,
            memory_gib=plan.memory_gib,
            fits=plan.fits,
        ),
    )


def _reckoned_speed(prepared: Prepared) -> float:
    """Seconds that a token takes, from the machine's arithmetic alone."""
    return reckoned_seconds(FLOP_PER_WEIGHT * prepared.base.shape.parameters, prepared.recipe.precision)


def _train(
    workspace: Workspace,
    prepared: Prepared,
    run: str,
    reporter: Reporter,
    at: Callable[[str], None],
    processes: Processes,
    keep_epochs: int,
) -> TrainResult:
    from inhouse.train.loop import run_loop

    folder = workspace.paths.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    remedy = f"`inhouse train {prepared.task.name} --dry-run` shows what fits"
    tell_memory(prepared.memory, free_for("causal"), remedy, reporter)
    tell_disk(prepared.disk + keep_epochs * bytes_of_an_epoch(prepared), folder, "the training", reporter)
    processes.agreed((run, prepared.recipe, prepared.checkpointed, keep_epochs))
    at(STAGES[2])
    with (
        watching(workspace, prepared.task.name, run, prepared.recipe, reporter) as watch,
        prepared_trunk(prepared, processes) as (trunk, adapters),
        finishing_the_step(reporter) as asked_to_stop,
    ):
        at(STAGES[3])
        # Split weights can be computed by all at once alone, and the others do not train yet.
        speed = _reckoned_speed(prepared) if processes.sharded else measured_speed(prepared, trunk, adapters, reporter)
        speed /= processes.count
        prepared = replace(prepared, recipe=prepared.fitted(speed))
        records.schedule_run(workspace, run, prepared.recipe)
        processes.agreed(prepared.recipe)
        at(READY)
        judge = _judge(prepared, trunk)
        plan = prepared.plan(speed)
        tell_plan(plan, prepared.base, reporter, of_longer=OF_LONGER)
        outcome = run_loop(
            trunk,
            adapters,
            prepared.learned,
            prepared.validation,
            prepared.recipe,
            _checkpoint(workspace, run),
            reporter,
            judge=judge,
            watch=watch,
            asked_to_stop=asked_to_stop,
            processes=processes,
            keep_epochs=keep_epochs,
        )
        by_token = "answer_tokens" if prepared.recipe.decided_by == "answer_tokens" else "accuracy"
        metric = judge.metric if judge else by_token
        del trunk, adapters, judge  # each holds the model, and the parity gate needs the room
    position = outcome.position
    if keep_epochs and not outcome.interrupted:
        package_epochs(workspace, prepared, run, position, keep_epochs, reporter)
    registered = registry.version_of_run(workspace, run, position.step, position.diverged_at)
    if registered is None:
        made = {"steps": position.step, "diverged_at": position.diverged_at}
        registered = register(workspace, prepared, run, outcome.state, made, reporter)
    score = fmean(position.best_scores)
    return result_told(prepared.task.name, run, plan, outcome, registered, metric=metric, score=score)


def _told(
    workspace: Workspace, prepared: Prepared, plan: Plan, free: float, encoder: tuple[BaseOption, ...]
) -> TrainPlan:
    """The plan with what it takes, and what other models would take; `free` bytes of memory are there for it."""
    own = prepared.base.shape
    others = sorted((f for f in known_bases() if f.name != own.name), key=lambda f: f.parameters)
    options = tuple(
        BaseOption(
            name=other.name,
            parameters=other.parameters,
            minutes=plan.seconds / 60 * other.parameters / own.parameters,
            memory_gib=prepared.memory_with(other) / GIB,
            fits=prepared.memory_with(other) <= free,
        )
        for other in others
    )
    return plan_told(
        workspace,
        prepared.task.name,
        plan,
        memory=prepared.memory,
        free=free,
        disk=prepared.disk,
        options=encoder + options,
    )
