"""`train`: plan, run, package, compare with the trainer, register."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray

from inhouse.core import (
    BaseOption,
    Dataset,
    ModelVersion,
    Parity,
    Prediction,
    Recipe,
    Reporter,
    SeedsResult,
    Silent,
    Split,
    Task,
    TrainPlan,
    TrainResult,
    labels_of,
    render_input,
)
from inhouse.engine import Base, Generation, get_base, known_bases, require_base
from inhouse.engine.choice import choose_engine, gguf_architecture
from inhouse.engine.gguf_traits import traits_of
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.errors import NothingToLearn, UsageError
from inhouse.pipeline.watching import watching
from inhouse.scoring import EVERYTHING_TO_A_PERSON, judge, metric_names, review_threshold, right_metric
from inhouse.store import Workspace, disk_guard, records, registry
from inhouse.train import (
    GIB,
    TOKENS_AT_ONCE,
    Encoded,
    Plan,
    Shape,
    answer_tokens_of,
    disk_needed,
    encode,
    finishing_the_step,
    make_plan,
    make_recipe,
    max_tokens_of,
    memory_needed,
    roomy_heap,
    within_minutes,
)

if TYPE_CHECKING:  # they import the models' libraries
    from inhouse.deploy import ServedModel
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.lora import LoraLinear
    from inhouse.engine.torch_model import TorchEngine
    from inhouse.train.loop import Judge, Trunk

ADAPTER = ".safetensors"
LEARNING_SPLITS: tuple[Split, Split] = ("train", "validation")
# The reference engine answers some ten questions a second with a label, and writes some hundred tokens a second of
# longer answers: a sample of a large validation split must do.
PARITY_VALIDATION = 300
PARITY_ANSWER_TOKENS = 3000
# Of a training that does not fit nothing can be measured: FLOP per weight and token, forward and back past frozen
# weights, at the share of the machine's rate that trainings usually reach.
FLOP_PER_WEIGHT = 4
USUAL_SHARE = 0.5
PACKAGES = (
    "inhouse",
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "gguf",
    "openvino-genai",
    "xllamacpp",
    "scikit-learn",
)

Item = TypeVar("Item")

_NOT_COMPARED = Parity(
    passed=False,
    tokens=0,
    top1_agreement=0.0,
    mean_logprob_difference=0.0,
    worst_logprob_difference=0.0,
    trainer_accuracy=0.0,
    served_accuracy=0.0,
    paired_p_value=1.0,
    validation_examples=0,
    reason="not compared yet",
)


def train(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    again: bool = False,
    seed: int | None = None,
    minutes: float | None = None,
) -> TrainResult:
    """Fine-tune the task's base model on its newest dataset version and register the result.

    A run that was interrupted goes on where it was. A run that is done is not repeated (the same recipe on the same
    data gives the same model) unless `again`. Ctrl-C ends the training after the step; what was learned by then is
    registered, and the next `train` goes on.

    Args:
        seed, minutes: instead of those in `task.toml`.

    Raises:
        NotFound: no such task, or it has no data.
        NothingToLearn: no answer tokens, or an empty training or validation split.
        Busy: another process is training in this workspace.
        DiskFull, ModelUnavailable, ConfigError
    """
    reporter = reporter or Silent()
    require_ready(workspace, name)
    with workspace.lock(f"train-{name}", f"training {name!r}"), disk_guard(workspace.paths.root):
        prepared = prepare_training(workspace, name, reporter, seed=seed, minutes=minutes)
        run = records.open_run(workspace, name, prepared.dataset.number, prepared.recipe, again=again)
        if run.status == "done" and run.result is not None:
            shutil.rmtree(workspace.paths.run(run.id), ignore_errors=True)
            version = run.result["model_version"]
            reporter.say(f"this recipe was trained on this data before: {version} (--again repeats it)")
            return TrainResult.model_validate(run.result)
        for left in records.abandon_runs(workspace, name, run, prepared.dataset.number):
            shutil.rmtree(workspace.paths.run(left), ignore_errors=True)
        result = _train(workspace, replace(prepared, recipe=run.recipe), run.id, reporter)
        status = "stopped" if result.interrupted else "done"
        records.finish_run(workspace, run.id, status, result.model_dump(mode="json"))
        if not result.interrupted:
            shutil.rmtree(workspace.paths.run(run.id), ignore_errors=True)
    return result


def train_seeds(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    seeds: int,
    again: bool = False,
    minutes: float | None = None,
) -> SeedsResult:
    """The same training with several seeds: how far results lie apart by chance alone. Each makes a version.

    Args:
        seeds: how many, from the task's own seed on.
        minutes: for each, instead of those in `task.toml`.

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
        runs.append(train(workspace, name, reporter, again=again, seed=seed, minutes=minutes))
        if runs[-1].interrupted:
            raise KeyboardInterrupt
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
    workspace: Workspace, name: str, reporter: Reporter | None = None, *, minutes: float | None = None
) -> TrainPlan:
    """What `train` would do and take on this machine, from the data and a few measured steps; nothing is kept.

    Args:
        minutes: instead of those in `task.toml`.

    Raises:
        what `train` raises before its first step.
    """
    from inhouse.engine.torch_model import measure_flops

    reporter = reporter or Silent()
    require_ready(workspace, name)
    prepared = prepare_training(workspace, name, reporter, minutes=minutes)
    free = psutil.virtual_memory().available  # before the model takes its part of it
    if prepared.memory <= free:
        reporter.say("measuring a few steps")
        with prepared_trunk(prepared) as (trunk, adapters):
            speed = _measured(prepared, trunk, adapters)
    else:
        reporter.warn("it does not fit into the free memory: the time is reckoned from the machine's arithmetic alone")
        speed = (
            FLOP_PER_WEIGHT * prepared.base.shape.parameters / (USUAL_SHARE * measure_flops(prepared.recipe.precision))
        )
    prepared = replace(prepared, recipe=prepared.fitted(speed))
    return _told(workspace, prepared, prepared.plan(speed), free)


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, before it begins."""

    task: Task
    dataset: Dataset
    base: Base
    engine: str
    recipe: Recipe
    learned: list[Encoded]
    validation: list[Encoded]

    @property
    def judged(self) -> bool:
        """Whether answers have to be written to be judged: of a label the likeliest tokens tell all."""
        return self.task.kind != "classify"

    @property
    def memory(self) -> float:
        """Bytes that the training takes at its peak, roughly."""
        return self.memory_with(self.base.shape)

    def memory_with(self, shape: Shape) -> float:
        """The same with a base model of another shape."""
        return memory_needed(
            shape,
            rank=self.recipe.rank,
            precision=self.recipe.precision,
            longest=max(e.tokens for e in self.learned),
            at_once=TOKENS_AT_ONCE,
        )

    def plan(self, seconds_per_token: float) -> Plan:
        return make_plan(
            self.recipe, self.learned, self.validation, seconds_per_token=seconds_per_token, judged=self.judged
        )

    def fitted(self, seconds_per_token: float) -> Recipe:
        """With a schedule that fits into its minutes, once and for all, where it has minutes and no schedule yet."""
        if self.recipe.steps is not None:
            return self.recipe
        return within_minutes(
            self.recipe, self.learned, self.validation, seconds_per_token=seconds_per_token, judged=self.judged
        )


def _wishes(task: Task, *, seed: int | None = None, minutes: float | None = None) -> Task:
    """The task with a command's own wishes in place of the file's.

    Raises:
        UsageError: no time at all.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise UsageError(f"{minutes:g} minutes are no time to train in", "give a number above 0")
    wishes = {key: value for key, value in (("seed", seed), ("minutes", minutes)) if value is not None}
    return task.model_copy(update={"train": task.train.model_copy(update=wishes)})


def require_ready(workspace: Workspace, name: str) -> None:
    """Refuse what cannot be trained, before anything is written.

    Raises:
        NotFound: no such task, or it has no data.
        ModelUnavailable, ConfigError
    """
    task = workspace.load_task(name)
    records.load_dataset(workspace, name)
    require_base(task.base_model, workspace.settings)


def prepare_training(
    workspace: Workspace,
    name: str,
    reporter: Reporter,
    *,
    seed: int | None = None,
    minutes: float | None = None,
) -> Prepared:
    """What `train` needs, made from the task's newest data.

    Raises:
        what `train` raises before its first step.
    """
    from inhouse.engine.torch_model import best_precision, use_threads

    task = _wishes(workspace.load_task(name), seed=seed, minutes=minutes)
    dataset = records.load_dataset(workspace, name)
    use_threads(workspace.settings.threads)
    base = get_base(task.base_model, workspace.settings, reporter.say)
    engine = choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))
    learned, validation = _encoded(task, dataset, base, reporter)
    recipe = make_recipe(
        task, dataset, learned, base_model=task.base_model, base_sha256=base.spec.sha256, precision=best_precision()
    )
    return Prepared(task, dataset, base, engine, recipe, learned, validation)


def _encoded(task: Task, dataset: Dataset, base: Base, reporter: Reporter) -> tuple[list[Encoded], list[Encoded]]:
    """The training and the validation examples as token ids."""
    from inhouse.engine.chat_template import ChatTemplate

    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    learned, looked_at = (
        encode(dataset.of(split), template, system=TRAINED_SYSTEM, max_tokens=max_tokens_of(task), chat=task.input.chat)
        for split in LEARNING_SPLITS
    )
    learned = _told_whole(task, learned, reporter)
    if not learned or not looked_at:
        raise NothingToLearn(
            f"task {task.name!r} has {len(learned)} training and {len(looked_at)} validation examples; both are needed",
            "add more examples: with three or more of a label, one goes to validation",
        )
    return learned, looked_at


def _told_whole(task: Task, examples: list[Encoded], reporter: Reporter) -> list[Encoded]:
    """The examples whose whole answer can be found in what is read of the input.

    Where the end of an input is cut off, an object or a text that tells of it would teach the model to invent. A label
    or a conversation's next turn is not lost with it.
    """
    if task.kind == "classify" or task.input.chat:
        return examples
    whole = [e for e in examples if not e.truncated]
    if left_out := len(examples) - len(whole):
        reporter.warn(
            f"{left_out} of {len(examples)} examples take more than {max_tokens_of(task)} tokens and are not learned "
            "from: without the end of its input an answer would be an invention (`train.max_tokens` in task.toml "
            "raises the limit)"
        )
    return whole


@contextmanager
def prepared_trunk(prepared: Prepared) -> Iterator[tuple[Trunk, dict[str, LoraLinear]]]:
    """The base model with new adapters, ready to learn; its memory is given back at the end."""
    from inhouse.engine.lora import attach
    from inhouse.engine.torch_model import load_model
    from inhouse.train.loop import trunk_of

    recipe = prepared.recipe
    with roomy_heap(psutil.virtual_memory().available):
        model = load_model(prepared.base.folder, recipe.precision)
        adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed)
        yield trunk_of(model, recipe.max_tokens), adapters


def _measured(prepared: Prepared, trunk: Trunk, adapters: dict[str, LoraLinear]) -> float:
    from inhouse.train.loop import seconds_per_token

    return seconds_per_token(trunk, adapters, prepared.learned, prepared.recipe)


def _train(workspace: Workspace, prepared: Prepared, run: str, reporter: Reporter) -> TrainResult:
    from inhouse.train.loop import overfitting, run_loop

    folder = workspace.paths.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    free = psutil.virtual_memory().available
    if prepared.memory > free:
        reporter.warn(
            f"the training takes about {prepared.memory / GIB:.1f} GiB and {free / GIB:.1f} are free: close other "
            f"programs if it ends without a word (`inhouse train {prepared.task.name} --dry-run` shows what fits)"
        )
    with (
        watching(workspace, prepared.task.name, run, prepared.recipe) as watch,
        prepared_trunk(prepared) as (trunk, adapters),
        finishing_the_step(reporter) as asked_to_stop,
    ):
        speed = _measured(prepared, trunk, adapters)
        prepared = replace(prepared, recipe=prepared.fitted(speed))
        records.schedule_run(workspace, run, prepared.recipe)
        plan = prepared.plan(speed)
        tell_plan(plan, prepared.base, reporter)
        outcome = run_loop(
            trunk,
            adapters,
            prepared.learned,
            prepared.validation,
            prepared.recipe,
            folder / "checkpoint.safetensors",
            reporter,
            judge=validation_judge(prepared, trunk) if prepared.judged else None,
            watch=watch,
            asked_to_stop=asked_to_stop,
        )
        del trunk, adapters
    position = outcome.position
    registered = registry.version_of_run(workspace, run, position.step)
    if registered is None:
        registered = _register(workspace, prepared, run, outcome.state, position.step, reporter)
    return TrainResult(
        task=prepared.task.name,
        run=run,
        model_version=registered.name,
        recipe=prepared.recipe.model_dump(mode="json"),
        trained_tokens=position.tokens,
        truncated_examples=plan.truncated,
        seconds=position.seconds,
        tokens_per_second=position.tokens / max(position.seconds, 1e-9),
        best_step=position.best_step,
        steps=position.step,
        stopped_because=outcome.stopped_because,
        validation_loss=position.best_loss,
        validation_score=fmean(position.best_scores),
        validation_metric=metric_judged(prepared.task) if prepared.judged else "accuracy",
        overfitting=overfitting(position),
        resumed=outcome.resumed,
        interrupted=outcome.interrupted,
        parity=registered.parity,
        history=position.history,
    )


def validation_judge(prepared: Prepared, trunk: Trunk) -> Judge:
    """Scores answers of the model in training on the task's primary metric, unconstrained: what has been learned."""
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.torch_model import TorchEngine
    from inhouse.train.loop import Judge

    task, validation = prepared.task, prepared.validation
    template = ChatTemplate(prepared.base.folder, prepared.base.spec.end_of_turn)
    engine = TorchEngine.around(trunk.model, template.answer_ids)
    examples = prepared.dataset.of("validation")
    metric = metric_judged(task)
    most = answer_tokens_of([*prepared.learned, *validation])

    def scores(places: Sequence[int]) -> list[float]:
        given = engine.generate([validation[i].prompt for i in places], max_new_tokens=most)
        answers = [template.decode(g.ids) if g.finished else None for g in given]
        return [float(s) for s in judge(task, [examples[i] for i in places], answers).scores[metric]]

    return Judge(metric, scores)


def metric_judged(task: Task) -> str:
    """The metric that written answers are judged on: the primary one where each answer has a score of it."""
    known = metric_names(task)
    return task.metrics.primary if task.metrics.primary in known else known[0]


def _told(workspace: Workspace, prepared: Prepared, plan: Plan, free: float) -> TrainPlan:
    """The plan with what it takes, and what other base models would take; `free` bytes of memory are there for it."""
    own, recipe = prepared.base.shape, prepared.recipe
    disk, room = disk_needed(own, recipe.rank), shutil.disk_usage(workspace.paths.root).free
    others = sorted((f for f in known_bases() if f.name != own.name), key=lambda f: f.parameters)
    cost = workspace.settings.cost
    hours = plan.seconds / 3600
    kwh = hours * cost.watts_of(len(os.sched_getaffinity(0))) / 1000
    return TrainPlan(
        task=prepared.task.name,
        base_model=prepared.task.base_model,
        examples=plan.examples,
        validation_examples=plan.validation_examples,
        truncated_examples=plan.truncated,
        steps=plan.steps,
        tokens=plan.tokens,
        minutes=plan.seconds / 60,
        tokens_per_second=plan.tokens / plan.seconds,
        memory_gib=prepared.memory / GIB,
        memory_free_gib=free / GIB,
        disk_gib=disk / GIB,
        disk_free_gib=room / GIB,
        fits=prepared.memory <= free and disk <= room,
        watts=cost.watts_of(len(os.sched_getaffinity(0))),
        kwh=kwh,
        cost=cost.of(hours, kwh),
        choices=plan.choices,
        options=tuple(
            BaseOption(
                name=other.name,
                parameters=other.parameters,
                minutes=plan.seconds / 60 * other.parameters / own.parameters,
                memory_gib=prepared.memory_with(other) / GIB,
                fits=prepared.memory_with(other) <= free,
            )
            for other in others
        ),
        recipe=recipe.model_dump(mode="json"),
    )


def tell_plan(plan: Plan, base: Base, reporter: Reporter) -> None:
    """Say what the training will do and how long it should take."""
    reporter.say(
        f"plan: {base.spec.title}, {plan.examples} training and {plan.validation_examples} validation examples, "
        f"{plan.steps} steps, {plan.tokens:,} tokens, about {plan.seconds / 60:.1f} minutes on this machine"
    )
    for choice in plan.choices:
        reporter.say(f"  - {choice.name}: {choice.value}; {choice.reason}")
    if plan.truncated:
        reporter.warn(
            f"{plan.truncated} training examples are longer than {plan.recipe.max_tokens} tokens: the end of their "
            "input is cut off in training (`train.max_tokens` in task.toml raises the limit)"
        )


def _register(
    workspace: Workspace,
    prepared: Prepared,
    run: str,
    state: dict[str, Any],
    steps: int,
    reporter: Reporter,
) -> ModelVersion:
    """Write adapter and GGUF file, run the parity gate on that very file, and register the version."""
    from inhouse.engine.gguf_file import write_gguf
    from inhouse.engine.lora import merged_weights, write_adapter

    task, dataset, base, recipe = prepared.task, prepared.dataset, prepared.base, prepared.recipe
    reporter.say("merging the adapter and writing the GGUF file that will be evaluated and served")
    with workspace.blobs.scratch(workspace.paths.run(run)) as scratch:
        write_adapter(scratch, state, rank=recipe.rank, alpha=recipe.alpha, base=recipe.base_model)
        weights = merged_weights(base.folder / "model.safetensors", state, rank=recipe.rank, alpha=recipe.alpha)
        write_gguf(base.gguf, weights, scratch / "model.gguf")
        adapter = workspace.blobs.put_file(scratch / "adapter_model.safetensors", ADAPTER)
        file = workspace.blobs.put_file(scratch / "model.gguf", ".gguf")
    draft = ModelVersion(
        task=task.name,
        number=0,
        kind=task.kind,
        contender="fine-tuned",
        run=run,
        file_sha256=file,
        adapter_sha256=adapter,
        fields=task.input.fields,
        labels=labels_of(dataset.learned) if task.kind == "classify" else (),
        json_schema=task.json_schema,
        from_input=task.from_input or {},
        outline=task.outline,
        answer_tokens=answer_tokens_of([*prepared.learned, *prepared.validation]),
        chat=task.input.chat,
        documents=task.input.documents,
        threshold=EVERYTHING_TO_A_PERSON,
        parity=_NOT_COMPARED,
        engine=prepared.engine,
        lineage={**_lineage(dataset, base, recipe), "steps": steps},
    )
    judged = _compare(workspace, task, base, draft, dataset, prepared.learned, prepared.validation, reporter)
    registered = registry.add_version(workspace, judged)
    parity = registered.parity
    if parity.passed:
        reporter.say(
            f"{registered.name}: the served file agrees with the trainer on {parity.top1_agreement:.2%} of "
            f"{parity.tokens} answer tokens"
        )
    else:
        reporter.warn(f"{registered.name} failed the parity gate and cannot be promoted: {parity.reason}")
    return registered


def _lineage(dataset: Dataset, base: Base, recipe: Recipe) -> dict[str, Any]:
    return {
        "dataset": dataset.number,
        "dataset_fingerprint": dataset.fingerprint,
        "recipe": recipe.model_dump(mode="json"),
        "base": base.spec.name,
        "base_sha256": base.spec.sha256,
        "seed": recipe.seed,
        "packages": package_versions(),
    }


def package_versions() -> dict[str, str]:
    """The versions of the packages that decide a result."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _compare(
    workspace: Workspace,
    task: Task,
    base: Base,
    draft: ModelVersion,
    dataset: Dataset,
    train: Sequence[Encoded],
    validation: Sequence[Encoded],
    reporter: Reporter,
) -> ModelVersion:
    """The draft with its parity and its review threshold, both from the served file's own answers.

    The engine's fast arithmetic is tried first; where it does not pass the gate, float32 is, and then serves.
    """
    from inhouse.deploy import compare
    from inhouse.deploy.parity import MIN_TOKENS
    from inhouse.engine.chat_template import ChatTemplate

    per_answer = sum(len(e.answer) for e in validation) / len(validation)
    asked = spread(range(len(validation)), min(PARITY_VALIDATION, max(10, int(PARITY_ANSWER_TOKENS / per_answer))))
    pool = [*(validation[i] for i in asked), *train]
    examples = dataset.of("validation")
    texts = [render_input(e.inputs) for e in examples]
    form = draft.answers_as(task)
    name = right_metric(form)

    def right(answers: Sequence[Prediction], places: Sequence[int]) -> NDArray[np.bool_]:
        if name is None:  # nothing tells: both sides are compared by whether they answer at all
            return np.array([a.target is not None for a in answers])
        scores = judge(form, [examples[i] for i in places], [a.target for a in answers]).scores[name]
        return np.asarray(scores == 1.0)

    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    trainer = _trainer(workspace, base, draft, template)
    trainer_answers = _ask_trainer(trainer, template, draft, [validation[i] for i in asked], reporter)
    for exact in (False, True):
        tried = draft.model_copy(update={"exact": exact})
        free, answers = _ask_served(workspace, tried, pool, validation, texts, reporter)
        parity = compare(
            free,
            trainer.ranked_tokens_along([(e.prompt, g.ids) for e, g in zip(pool, free, strict=False)]),
            trainer_answers,
            [answers[i] for i in asked],
            right(trainer_answers, asked),
            right([answers[i] for i in asked], asked),
        )
        if parity.passed:
            break
        if not exact:
            reporter.say(f"parity in fast arithmetic: {parity.reason}; trying float32")
    trainer.close()
    if parity.tokens < MIN_TOKENS:
        reporter.warn(f"all answers together have {parity.tokens} tokens: the parity gate compares what there is")
    threshold = EVERYTHING_TO_A_PERSON
    if name is not None:
        sure = [a.confidence for a in answers]
        threshold = review_threshold(sure, right(answers, range(len(answers))), task.review.target_accuracy)
    return tried.model_copy(update={"parity": parity, "threshold": threshold})


def _ask_served(
    workspace: Workspace,
    version: ModelVersion,
    pool: Sequence[Encoded],
    validation: Sequence[Encoded],
    texts: Sequence[str],
    reporter: Reporter,
) -> tuple[list[Generation], list[Prediction]]:
    """What the served file writes to prompts of the pool under no grammar, and its answers to the validation split."""
    from inhouse.deploy import ServedModel
    from inhouse.engine.answers import Question, answer_all

    served = ServedModel(workspace, version)
    try:
        free = _free_answers(served, pool, reporter)
        questions = [Question(e.prompt, text) for e, text in zip(validation, texts, strict=True)]
        bar = reporter.bar("validation answers", len(questions))
        return free, answer_all(served.engine, questions, served.form, served.template.decode, bar.update)
    finally:
        served.close()


def _free_answers(served: ServedModel, pool: Sequence[Encoded], reporter: Reporter) -> list[Generation]:
    """Answers to the first of the pool, as many as make enough tokens: they may be shorter than the right ones."""
    from inhouse.deploy.parity import MIN_TOKENS, enough_answers

    free: list[Generation] = []
    bar = reporter.bar("parity: served file", MIN_TOKENS)
    while (missing := MIN_TOKENS - sum(len(g.ids) for g in free)) > 0 and len(free) < len(pool):
        rest = pool[len(free) :]
        part = rest[: enough_answers([len(e.answer) for e in rest], missing)]
        free += served.engine.generate([e.prompt for e in part], max_new_tokens=served.form.max_tokens)
        bar.update(min(MIN_TOKENS, sum(len(g.ids) for g in free)))
    return free


def _trainer(workspace: Workspace, base: Base, draft: ModelVersion, template: ChatTemplate) -> TorchEngine:
    """transformers with the adapter beside the weights."""
    from inhouse.engine.torch_model import TorchEngine

    recipe = Recipe.model_validate(draft.lineage["recipe"])
    return TorchEngine(
        base.folder,
        workspace.blobs.path(draft.adapter_sha256, ADAPTER),
        rank=recipe.rank,
        alpha=recipe.alpha,
        precision="float32",  # what was learned, without the rounding of the arithmetic that it was learned in
        answer_ids=template.answer_ids,
    )


def _ask_trainer(
    trainer: TorchEngine, template: ChatTemplate, draft: ModelVersion, asked: Sequence[Encoded], reporter: Reporter
) -> list[Prediction]:
    """The trainer's own answers."""
    from inhouse.deploy.served import form_of

    form = form_of(draft)
    bar = reporter.bar("parity: trainer", len(asked))
    given = trainer.generate(
        [e.prompt for e in asked],
        max_new_tokens=form.max_tokens,
        grammar=form.grammar,
        progress=bar.update,
    )
    return [Prediction(target=template.decode(g.ids)) for g in given]


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, evenly spread over them."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]
