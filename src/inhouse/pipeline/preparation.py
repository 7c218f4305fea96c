"""What a training needs before it begins: its examples as tokens, its recipe, the base with new adapters, a judge."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

import psutil

from inhouse.core import (
    FOR_ONE_MODEL,
    Dataset,
    Example,
    Recipe,
    Reporter,
    Split,
    Task,
    TrainedModel,
    TrainSection,
    Trimming,
    set_keys,
)
from inhouse.engine import Base, BaseSpec, find_spec, get_base, require_base, require_kind, room_to_bring
from inhouse.engine.choice import VLLM, choose_engine, gguf_architecture
from inhouse.engine.gguf_fields import context_length, read_fields
from inhouse.engine.gguf_traits import traits_of
from inhouse.engine.prompts import TRAINED_SYSTEM
from inhouse.errors import ConfigError, NothingToLearn, UsageError
from inhouse.loading import loading
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.own_scorers import own_scorers
from inhouse.pipeline.room import (
    causal_memory,
    family_is_fused,
    four_bits,
    free_for,
    may_fuse,
    on_gpu,
    precision_here,
    way_that_fits,
    ways_to_train,
    with_comparing,
)
from inhouse.pipeline.told import tell_disk
from inhouse.scoring import judge, metric_names
from inhouse.store import Settings, Workspace, records
from inhouse.train import (
    MIN_PAIRS,
    TOKENS_AT_ONCE,
    Encoded,
    Plan,
    Shape,
    answer_tokens_of,
    disk_needed,
    encode,
    learns_pairs,
    looked_at,
    make_plan,
    make_recipe,
    max_tokens_of,
    roomy_heap,
    tidy_heap,
    within_minutes,
)

if TYPE_CHECKING:  # they import the models' libraries
    from inhouse.engine.lora import Learner
    from inhouse.train.loop import Judge, Trunk
    from inhouse.train.processes import Processes

# What a training does before its first step.
STAGES = ("loading the libraries", "reading the examples", "loading the base", "measuring the speed")
READY = ""
# A measured speed is the machine's own where the processors were so far free for it.
HAD_MOST = 0.75
LEARNING_SPLITS: tuple[Split, Split] = ("train", "validation")


@dataclass(frozen=True)
class Prepared:
    """All that a training needs, before it begins.

    `dataset`: as the model reads it, trimmed by `trimming` where there is one. `checkpointed`: for lack of memory each
    layer is computed again for its gradient. `split_over`: so many processes have a part of the weights each.
    """

    task: Task
    dataset: Dataset
    base: Base
    engine: str
    recipe: Recipe
    learned: list[Encoded]
    validation: list[Encoded]
    checkpointed: bool = False
    split_over: int = 1
    trimming: Trimming | None = None

    @property
    def judged(self) -> bool:
        """Whether answers are written to be judged: of a label the likeliest tokens tell all."""
        return self.task.kind != "classify" and self.recipe.decided_by == "metric"

    @property
    def memory(self) -> float:
        """Bytes that the training and the parity gate after it take at their peak, roughly."""
        return with_comparing(self.memory_in_training, self.base.shape)

    @property
    def memory_in_training(self) -> float:
        """Bytes that the training alone takes at its peak, roughly."""
        return self._memory(self.base.shape, known=self._known)

    @property
    def fused(self) -> bool:
        """Whether the hand-written pass computes this training: see `trunk_of`."""
        split = self.split_over
        return self._known and may_fuse(self.recipe.method, checkpointed=self.checkpointed, split_over=split)

    @property
    def _known(self) -> bool:
        return family_is_fused(self.base.folder, self.recipe.max_tokens)

    @property
    def disk(self) -> float:
        """Bytes that the training writes."""
        return disk_needed(self.base.shape, self.recipe.rank, self.recipe.method)

    def memory_with(self, known: BaseSpec) -> float:
        """`memory` with a model of `base_models.toml` in place of the base; the hand-written pass computes them all."""
        return with_comparing(self._memory(known, known=True), known)

    def _memory(self, shape: Shape, *, known: bool) -> float:
        return causal_memory(
            shape,
            longest=max(e.tokens for e in self.learned),
            lengths=[text.tokens for e in self.learned for text in e.texts],
            answers=self._answers_at_once,
            precision=self.recipe.precision,
            rank=self.recipe.rank,
            method=self.recipe.method,
            checkpointed=self.checkpointed,
            four_bit=self.recipe.four_bit,
            split_over=self.split_over,
            known=known,
        )

    @property
    def _answers_at_once(self) -> int:
        """The most tokens that carry loss among those that go through the model together, roughly."""
        each = max(sum(len(text.learned[1]) for text in e.texts) for e in self.learned)
        mean = sum(e.tokens for e in self.learned) / len(self.learned)
        at_once = max(TOKENS_AT_ONCE, *(e.tokens for e in self.learned))
        return min(each * min(self.recipe.batch_size, max(1, int(TOKENS_AT_ONCE / mean))), at_once)

    def plan(self, seconds_per_token: float) -> Plan:
        return make_plan(
            self.recipe,
            self.learned,
            self.validation,
            seconds_per_token=seconds_per_token,
            judged=self.judged,
            wish=self.task.train,
        )

    def fitted(self, seconds_per_token: float) -> Recipe:
        """With a schedule that fits into its minutes, once and for all, where it has minutes and no schedule yet."""
        if self.recipe.steps is not None:
            return self.recipe
        return within_minutes(
            self.recipe, self.learned, self.validation, seconds_per_token=seconds_per_token, judged=self.judged
        )


def beginning(reporter: Reporter) -> Callable[[str], None]:
    """Show a bar over what comes before the first step, which takes seconds; what is given back takes each stage as it
    begins, and `READY` at last."""
    bar = reporter.bar("beginning", len(STAGES))
    bar.update(0, STAGES[0])
    return lambda stage: bar.update([*STAGES, READY].index(stage), stage)


def wished(task: Task, *, seed: int | None = None, minutes: float | None = None, model: str = "") -> Task:
    """The task with a command's own wishes in place of the file's.

    Args:
        model: `causal` or `encoder`; empty for the file's. What the file says for the other one is left out.

    Raises:
        UsageError: no time at all, or no such model for this kind of task.
    """
    require_minutes(minutes)
    if model and model not in get_args(TrainedModel):
        known = ", ".join(get_args(TrainedModel))
        raise UsageError(f"{model!r} is no model that can be trained", f"there are {known}")
    if model == "encoder" and task.kind != "classify":
        raise UsageError(
            f"an encoder picks a label, and task {task.name!r} is of kind {task.kind}", "leave `--model encoder` out"
        )
    told = (("seed", seed), ("minutes", minutes), ("model", model or None))
    wishes = {key: value for key, value in told if value is not None}
    wishes |= {key: TrainSection.model_fields[key].default for key in left_out(task, model)}
    return task.model_copy(update={"train": task.train.model_copy(update=wishes)})


def require_minutes(minutes: float | None) -> None:
    """Refuse a time that is none.

    Raises:
        UsageError: it is 0, less, or without end.
    """
    if minutes is not None and not 0 < minutes < math.inf:
        raise UsageError(f"{minutes:g} minutes are no time to work in", "give a number above 0")


def left_out(task: Task, model: str) -> list[str]:
    """Keys of the file's `[train]` that do not count where a command asks for another model than the file."""
    return set_keys(task.train, FOR_ONE_MODEL) if model not in ("", task.train.model) else []


def tell_left_out(workspace: Workspace, name: str, model: str, reporter: Reporter) -> None:
    """Say which keys of task.toml are for another model than the one that a command asks for."""
    if odd := left_out(task := workspace.load_task(name), model):
        keys = ", ".join(f"train.{key}" for key in odd)
        reporter.say(f"not used: {keys} of task.toml, which are for its own model ({task.train.model})")


def require_ready(workspace: Workspace, name: str, model: str = "") -> Task:
    """Refuse what cannot be trained, before anything is written; give back the task.

    Raises:
        NotFound: no such task, or it has no data.
        ModelUnavailable, ConfigError, UsageError
    """
    task = wished(workspace.load_task(name), model=model)
    records.load_dataset(workspace, name)
    require_base(task.trained_base, workspace.settings)
    own_scorers(workspace, task)  # what is wrong with them is told before hours of work
    return task


def prepare_training(
    workspace: Workspace, task: Task, reporter: Reporter, *, split_over: int = 1, base: Base | None = None
) -> Prepared:
    """What the training of a causal model needs, made from the task's newest data.

    Args:
        split_over: so many processes have a part of the weights each.
        base: in place of the task's own, which is fetched and converted where need be.

    Raises:
        what `train` raises before its first step.
    """
    from inhouse.engine.torch_model import use_threads

    dataset = to_learn_from(workspace, task.name, reporter=reporter)
    use_threads(workspace.settings.threads)
    base = base or brought(task.base_model, workspace.settings, reporter)
    require_kind(base, "causal", "base_model")
    engine = choose_engine(task.engine, gguf_architecture(base.gguf), traits=traits_of(base.gguf))
    _require_adapter(task, engine)
    task = _within_context(task, base, reporter)
    dataset, trimming = _trimmed(task, dataset, base, reporter)
    learned, validation = _encoded(task, dataset, base, reporter)
    recipe = make_recipe(
        task,
        dataset,
        learned,
        base_model=task.base_model,
        base_sha256=base.spec.sha256,
        precision=precision_here(),
        width=base.shape.hidden,
    )
    _require_something_to_see(recipe, looked_at(learned, validation, recipe), reporter)
    if split_over > 1 and task.kind != "classify":
        recipe = _decided_by_tokens(recipe, task, reporter)
    prepared = Prepared(
        task, dataset, base, engine, recipe, learned, validation, split_over=split_over, trimming=trimming
    )
    return _compiled_where_it_can(_with_room(prepared, free_for("causal"), reporter), reporter)


def _require_adapter(task: Task, engine: str) -> None:
    """Raise where vLLM could not load what would be learned, before it is."""
    if engine == VLLM and task.train.method in ("full", "dora"):
        raise UsageError(
            f'engine = "{VLLM}" loads adapters, and train.method = "{task.train.method}" makes none that it can',
            'set train.method = "lora" or "rslora" in task.toml, or another engine',
        )


def _compiled_where_it_can(prepared: Prepared, reporter: Reporter) -> Prepared:
    """Without torch.compile where the hand-written pass computes, which it has no use for, or weights are split.

    Raises:
        UsageError: task.toml asks for it, and there is no compiler here.
    """
    from inhouse.engine.torch_model import can_compile

    if not prepared.recipe.compiled:
        return prepared
    if prepared.fused or prepared.split_over > 1:
        why = "the weights are split" if prepared.split_over > 1 else "this model's training pass is written by hand"
        reporter.warn(f"train.compile has no use here, as {why}: it is left out")
        return replace(prepared, recipe=prepared.recipe.model_copy(update={"compiled": False}))
    if not can_compile():
        raise UsageError(
            "train.compile is set in task.toml, and there is no compiler here that torch.compile could use",
            "leave it out, or install a C++ compiler (Debian: `apt install g++`) and, for a GPU, Triton",
        )
    reporter.say("torch.compile makes a program of the layers first, which takes a minute or more")
    return prepared


def _decided_by_tokens(recipe: Recipe, task: Task, reporter: Reporter) -> Recipe:
    """The recipe where no answer can be written, and therefore none be judged by the task's metric."""
    reporter.warn(
        "the weights are split, and split weights write no answers: the best step is chosen by how many of the "
        f"validation answers have every token as the likeliest (answer_tokens), not by {metric_judged(task)}. The "
        "recipe and the report say so; without --use_fsdp the task's metric decides"
    )
    return recipe.model_copy(update={"decided_by": "answer_tokens"})


def brought(name: str, settings: Settings, reporter: Reporter) -> Base:
    """A base model on this machine, fetched and converted first where need be; that its disk is too small is told.

    Raises:
        ModelUnavailable, DiskFull
    """
    spec = find_spec(name)
    what = f"fetching and converting {spec.title}"
    tell_disk(room_to_bring(spec, settings), settings.models_dir.expanduser(), what, reporter)
    return get_base(name, settings, reporter.say)


def _within_context(task: Task, base: Base, reporter: Reporter) -> Task:
    """The task with texts no longer than the base reads.

    Raises:
        ConfigError: task.toml asks for longer ones.
    """
    longest = context_length(read_fields(base.gguf))
    if max_tokens_of(task) <= longest:
        return task
    reads = f"{base.spec.title} reads {longest} tokens at most"
    if task.train.max_tokens is not None:
        raise ConfigError(
            f"train.max_tokens is {task.train.max_tokens}, and {reads}",
            f"set it to {longest} or less in task.toml, or take another base model",
        )
    reporter.say(f"{reads}: input and answer together may take so many, not the usual {max_tokens_of(task)}")
    return task.model_copy(update={"train": task.train.model_copy(update={"max_tokens": longest})})


def _trimmed(task: Task, dataset: Dataset, base: Base, reporter: Reporter) -> tuple[Dataset, Trimming | None]:
    """The data as the model reads it, and how inputs that are too long were trimmed, where the task asks for it."""
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.pipeline.trimming import trimmed_by_relevance

    if task.train.trim is None:
        return dataset, None
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    made = trimmed_by_relevance(task, dataset, template, max_tokens_of(task))
    made.tell(reporter)
    return made.dataset, made.trimming


def _require_something_to_see(recipe: Recipe, looked: Sequence[Encoded], reporter: Reporter) -> None:
    """Tell where the looks cannot see what pairs teach.

    Raises:
        NothingToLearn: nothing else is learned.
    """
    if recipe.objective == "sft" or any(e.rejected for e in looked):
        return
    none = f"of the {len(looked)} validation examples that are looked at none has a rejected answer"
    if not recipe.sft_weight:
        raise NothingToLearn(
            f"train.sft_weight is 0, and {none}: nothing would tell how the training goes",
            "add preference pairs, or leave train.sft_weight out of task.toml",
        )
    reporter.warn(f"{none}: how the training goes is told by the right answers' likelihood alone")


def _with_room(prepared: Prepared, free: float, reporter: Reporter) -> Prepared:
    """What takes less memory, where too little is free: layers computed again, then weights in 4 bits.

    Only transformers' own pass can do the first, and only a GPU the second, with weights that are not split: FSDP
    splits numbers, and those in 4 bits are packed.
    """
    method, split = prepared.recipe.method, prepared.split_over > 1
    ways = ways_to_train(
        recomputes=not prepared.fused,
        four_bits=not split and method in ("lora", "rslora") and four_bits(),
    )

    def taking(checkpointed: bool, four_bit: bool) -> Prepared:
        recipe = prepared.recipe.model_copy(update={"four_bit": four_bit})
        return replace(prepared, checkpointed=checkpointed, recipe=recipe)

    checkpointed, four_bit = way_that_fits(lambda *way: taking(*way).memory_in_training, free, ways)
    if checkpointed:
        reporter.say("memory is short: each layer is computed again for its gradient, which takes about a third longer")
    if four_bit:
        reporter.say("memory is still short: the base model's weights are taken in 4 bits (QLoRA)")
    return taking(checkpointed, four_bit)


def _encoded(task: Task, dataset: Dataset, base: Base, reporter: Reporter) -> tuple[list[Encoded], list[Encoded]]:
    """The training and the validation examples as token ids."""
    from inhouse.engine.chat_template import ChatTemplate

    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    pairs = _pairs_told(task, dataset.of("train"), reporter)
    learned, looked_at = (
        encode(
            dataset.of(split),
            template,
            system=TRAINED_SYSTEM,
            max_tokens=max_tokens_of(task),
            chat=task.input.chat,
            pairs=pairs,
        )
        for split in LEARNING_SPLITS
    )
    learned = _told_whole(task, learned, reporter)
    if not learned or not looked_at:
        raise NothingToLearn(
            f"task {task.name!r} has {len(learned)} training and {len(looked_at)} validation examples; both are needed",
            "add more examples: with three or more of a label, one goes to validation",
        )
    return learned, looked_at


def _pairs_told(task: Task, examples: Sequence[Example], reporter: Reporter) -> bool:
    """Whether rejected answers are learned from; that there are too few of them is said.

    Raises:
        ConfigError: they are not, and task.toml says how.
    """
    learned, count = learns_pairs(task.train, examples), sum(bool(e.rejected) for e in examples)
    if count and not learned and task.train.objective is None:
        reporter.say(
            f"{count} of {len(examples)} training examples have a rejected answer: fewer than {MIN_PAIRS}, which are "
            'the least to learn from, so the right answers alone are (train.objective = "dpo" in task.toml takes them '
            "all the same)"
        )
    if not learned and (set_keys := task.train.of_pairs):
        raise ConfigError(
            f"{set_keys} is of learning from preference pairs, and {count} of {len(examples)} training examples have "
            f"a rejected answer (from {MIN_PAIRS} on they are learned from)",
            'leave it out of task.toml, add preference pairs (docs: compile.md), or set train.objective = "dpo"',
        )
    return learned


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
            "from: without the end of its input an answer would be an invention (in task.toml, `train.max_tokens` "
            'raises the limit, and train.trim = "relevance" keeps the parts that matter)'
        )
    return whole


@contextmanager
def prepared_trunk(
    prepared: Prepared, processes: Processes | None = None
) -> Iterator[tuple[Trunk, dict[str, Learner]]]:
    """The base model with new adapters, ready to learn; its memory is given back at the end.

    Args:
        processes: those that train together; each gets a copy of the weights, or a part of them.
    """
    with loading():
        from inhouse.engine.lora import attach
        from inhouse.engine.torch_model import load_model
        from inhouse.train.loop import split_trunk, trunk_of

    recipe, folder, checkpointed = prepared.recipe, prepared.base.folder, prepared.checkpointed
    # bfloat16 has too few digits for a weight to learn in: it is multiplied in bfloat16, and kept in float32.
    precision = "float32" if recipe.method == "full" else recipe.precision
    mixed = precision != recipe.precision
    with roomy_heap(psutil.virtual_memory().available):
        if processes is not None and processes.sharded:
            yield split_trunk(folder, precision, recipe, processes, mixed=mixed, checkpointed=checkpointed)
            return
        with loading():
            model = load_model(folder, precision, four_bit=recipe.four_bit)
        adapters = attach(model, recipe.rank, recipe.alpha, recipe.seed, recipe.method)
        way = {"mixed": mixed, "checkpointed": checkpointed, "compiled": recipe.compiled}
        trunk = trunk_of(model, recipe.max_tokens, **way)
        tidy_heap()  # of the weights that were joined
        yield trunk, adapters


def measured_speed(prepared: Prepared, trunk: Trunk, adapters: dict[str, Learner], reporter: Reporter) -> float:
    """Seconds that a token of this training takes here, from a few steps of it that are thrown away.

    What the processors did meanwhile tells whether other programs had a good part of them, and so whether the time
    would be another without those.
    """
    import torch

    from inhouse.train.loop import seconds_per_token

    begun, computed = time.perf_counter(), time.process_time()
    speed = seconds_per_token(trunk, adapters, prepared.learned, prepared.recipe)
    had = (time.process_time() - computed) / ((time.perf_counter() - begun) * torch.get_num_threads())
    if had < HAD_MOST and not on_gpu():
        reporter.say(
            f"other programs are at work: this one had {had:.0%} of the processors' time while its speed was measured, "
            "and the estimate is of a machine as busy as that"
        )
    return speed


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
