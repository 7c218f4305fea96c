"""From a trained adapter to a registered version: the file that serves, compared with the trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inhouse.core import (
    Dataset,
    Example,
    ModelVersion,
    Parity,
    Prediction,
    Recipe,
    Reporter,
    Task,
    labels_of,
    render_input,
    spread,
)
from inhouse.engine import Base, Generation
from inhouse.pipeline.held import better_left_free, held_to_passages
from inhouse.pipeline.preparation import Prepared
from inhouse.pipeline.told import tell_parity
from inhouse.scoring import EVERYTHING_TO_A_PERSON, judge, right_metric
from inhouse.store import Workspace, predictions, registry
from inhouse.store.predictions import TrainerAnswer
from inhouse.train import Encoded, answer_tokens_of, comparing_needed

if TYPE_CHECKING:  # they import the models' libraries
    from inhouse.deploy import ServedModel
    from inhouse.engine.answers import Question
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.protocol import Along
    from inhouse.engine.torch_model import TorchEngine

ADAPTER = ".safetensors"
# The reference engine answers some ten questions a second with a label, and writes some hundred tokens a second of
# longer answers: a sample of a large validation split must do.
PARITY_VALIDATION = 300
PARITY_ANSWER_TOKENS = 3000
PACKAGES = (
    "inhouse",
    "torch",
    "transformers",
    "safetensors",
    "tokenizers",
    "gguf",
    "openvino",
    "openvino-genai",
    "xllamacpp",
    "scikit-learn",
)


NOT_COMPARED = Parity(
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


def register(
    workspace: Workspace,
    prepared: Prepared,
    run: str,
    state: dict[str, Any],
    made: Mapping[str, int],
    reporter: Reporter,
) -> ModelVersion:
    """Write adapter and GGUF file, run the parity gate on that very file, and register the version.

    Args:
        state: what was learned, by the names of its file.
        made: after how many `steps`, the step at which it `diverged_at`, and of an epoch's version the `epoch`; part of
            the lineage.
    """
    from inhouse.engine.gguf_file import write_gguf
    from inhouse.engine.lora import merged_weights

    task, dataset, base, recipe = prepared.task, prepared.dataset, prepared.base, prepared.recipe
    reporter.say("merging the adapter and writing the GGUF file that will be evaluated and served")
    with workspace.blobs.scratch(workspace.paths.run(run)) as scratch:
        learned, state = _kept(scratch, state, recipe)
        weights = merged_weights(
            base.folder / "model.safetensors", state, rank=recipe.rank, alpha=recipe.alpha, method=recipe.method
        )
        write_gguf(base.gguf, weights, scratch / "model.gguf")
        adapter = workspace.blobs.put_file(learned, ADAPTER)
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
        trimming=prepared.trimming,
        threshold=EVERYTHING_TO_A_PERSON,
        parity=NOT_COMPARED,
        engine=prepared.engine,
        lineage={**_lineage(dataset, base, recipe), **made},
    )
    judged, kept = _compare(workspace, task, base, draft, dataset, prepared.learned, prepared.validation, reporter)
    registered = registry.add_version(workspace, judged)
    predictions.save_trainer(workspace, registered, kept)
    tell_parity(registered, "answer tokens", reporter)
    return registered


def _kept(folder: Path, state: dict[str, Any], recipe: Recipe) -> tuple[Path, dict[str, Any]]:
    """The file of what was learned, and what it holds: an adapter, or all weights in bfloat16, as hubs have them.

    The file that serves is made from the same numbers, and can be made again.
    """
    import torch

    from inhouse.engine.lora import write_adapter, write_weights

    if recipe.method == "full":
        state = {name: tensor.to(torch.bfloat16) for name, tensor in state.items()}
        write_weights(folder / "model.safetensors", state)
        return folder / "model.safetensors", state
    write_adapter(folder, state, rank=recipe.rank, alpha=recipe.alpha, base=recipe.base_model, method=recipe.method)
    return folder / "adapter_model.safetensors", state


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
) -> tuple[ModelVersion, list[TrainerAnswer]]:
    """The draft with its parity, from the served file's own answers; and what the trainer computed on validation
    examples.

    The engine's fast arithmetic is tried first; where it does not pass the gate, float32 is, and then serves.
    """
    from inhouse.deploy import compare
    from inhouse.deploy.parity import MIN_TOKENS
    from inhouse.engine.answers import Question
    from inhouse.engine.chat_template import ChatTemplate
    from inhouse.engine.choice import VLLM

    per_answer = sum(len(e.answer) for e in validation) / len(validation)
    asked = spread(range(len(validation)), min(PARITY_VALIDATION, max(10, int(PARITY_ANSWER_TOKENS / per_answer))))
    pool = [*(validation[i] for i in asked), *train]
    examples = dataset.of("validation")
    questions = [Question(e.prompt, render_input(one.inputs)) for e, one in zip(validation, examples, strict=True)]
    judged_by, asked_examples = draft.answers_as(task), [examples[i] for i in asked]
    template = ChatTemplate(base.folder, base.spec.end_of_turn)
    trainer_answers: list[Prediction] = []
    for exact in (False, True) if draft.engine != VLLM else (False,):  # whose arithmetic it was started with
        version = draft.model_copy(update={"exact": exact})
        tried, free, answers = _ask_served(workspace, version, pool, questions, examples, asked, reporter)
        # Only now, as both models in memory at once would take more of it than the training did.
        trainer = open_trainer(workspace, base, draft, template)
        along = trainer.ranked_tokens_along([(e.prompt, g.ids) for e, g in zip(pool, free, strict=False)])
        if not trainer_answers:
            trainer_answers = _ask_trainer(trainer, template, draft, [validation[i] for i in asked], reporter)
        trainer.close()
        parity = compare(
            free,
            along,
            trainer_answers,
            [answers[i] for i in asked],
            right_answers(judged_by, asked_examples, trainer_answers),
            right_answers(judged_by, asked_examples, [answers[i] for i in asked]),
        )
        if parity.passed:
            break
        if not exact:
            reporter.say(f"parity in fast arithmetic: {parity.reason}; trying float32")
    if parity.tokens < MIN_TOKENS:
        reporter.warn(f"all answers together have {parity.tokens} tokens: the parity gate compares what there is")
    kept = _kept_answers(asked_examples, trainer_answers, free, along, template)
    return tried.model_copy(update={"parity": parity}), kept


def right_answers(task: Task, examples: Sequence[Example], answers: Sequence[Prediction]) -> NDArray[np.bool_]:
    """Which answers are right; where nothing tells, which there are."""
    name = right_metric(task)
    if name is None:
        return np.array([a.target is not None for a in answers])
    return np.asarray(judge(task, examples, [a.target for a in answers]).scores[name] == 1.0)


def _kept_answers(
    examples: Sequence[Example],
    answers: Sequence[Prediction],
    free: Sequence[Generation],
    along: Along,
    template: ChatTemplate,
) -> list[TrainerAnswer]:
    """What the trainer computed on validation examples. The free answers to the first of them come first in `along`."""
    kept, begin = list[TrainerAnswer](), 0
    for place, (example, answer) in enumerate(zip(examples, answers, strict=True)):
        written, evidence = "", dict[str, Any]()
        if place < len(free):
            ids = free[place].ids
            part = slice(begin, begin := begin + len(ids))
            written = template.decode(ids)
            thought = {"ranked": along.ids[part], "logprobs": along.logprobs[part], "given": along.given[part]}
            evidence = {"ids": list(ids), **thought}
        kept.append(TrainerAnswer(example, answer.target, written, evidence))
    return kept


def _ask_served(
    workspace: Workspace,
    version: ModelVersion,
    pool: Sequence[Encoded],
    questions: Sequence[Question],
    examples: Sequence[Example],
    asked: Sequence[int],
    reporter: Reporter,
) -> tuple[ModelVersion, list[Generation], list[Prediction]]:
    """What the served file writes to prompts of the pool under no grammar, and its answers to the validation split.

    Args:
        questions, examples: of the validation split.
        asked: places in it, by which it is judged what is left free.

    Returns:
        The version with what is left free, the free texts, and the answers under that version.
    """
    from inhouse.deploy import ServedModel

    served = ServedModel(workspace, version)
    try:
        free = _free_answers(served, pool, reporter)
        version, known = _held_or_free(served, [questions[i] for i in asked], [examples[i] for i in asked], reporter)
        answers = dict(zip(asked, known, strict=True))
        rest = [i for i in range(len(questions)) if i not in answers]
        answers |= zip(rest, _ask(served, version, [questions[i] for i in rest], reporter), strict=True)
        return version, free, [answers[i] for i in range(len(questions))]
    finally:
        served.close()


def _held_or_free(
    served: ServedModel, questions: Sequence[Question], examples: Sequence[Example], reporter: Reporter
) -> tuple[ModelVersion, list[Prediction]]:
    """The served version with what is better left free, as its own answers both ways say, and its answers as it is."""
    version = served.version
    answers: dict[tuple[str, ...], list[Prediction]] = {(): _ask(served, version, questions, reporter)}
    if passages := held_to_passages(version.from_input):
        loose = version.model_copy(update={"left_free": passages})
        answers[passages] = _ask(served, loose, questions, reporter)
        ways = ([a.target for a in answers[left]] for left in (passages, ()))
        if left := better_left_free(version.from_input, examples, *ways):
            reporter.say(f"right more often when not held to passages of the input, so left free: {', '.join(left)}")
            version = version.model_copy(update={"left_free": left})
    if version.left_free not in answers:
        answers[version.left_free] = _ask(served, version, questions, reporter)
    return version, answers[version.left_free]


def _ask(
    served: ServedModel, version: ModelVersion, questions: Sequence[Question], reporter: Reporter
) -> list[Prediction]:
    """The served file's answers in the form of a version."""
    from inhouse.deploy import form_of
    from inhouse.engine.answers import answer_all

    if not questions:
        return []
    bar = reporter.bar("validation answers", len(questions))
    return answer_all(served.engine, questions, form_of(version), served.template.decode, bar.update)


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


def open_trainer(
    workspace: Workspace, base: Base, draft: ModelVersion, template: ChatTemplate, *, trained: bool = True
) -> TorchEngine:
    """transformers with the adapter beside the weights, or where not `trained` without it; in float32, and off the GPU
    where that has no room for it."""
    from inhouse.engine.torch_model import TorchEngine, free_memory

    recipe = Recipe.model_validate(draft.lineage["recipe"])
    return TorchEngine(
        base.folder,
        workspace.blobs.path(draft.adapter_sha256, ADAPTER) if trained else None,
        rank=recipe.rank,
        alpha=recipe.alpha,
        method=recipe.method,
        precision="float32",  # what was learned, without the rounding of the arithmetic that it was learned in
        on_cpu=comparing_needed(base.shape) > free_memory(),
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
