"""`monitor`, `retrain`, `status`: does the model still fit, and renewing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inhouse.core import (
    DriftSignal,
    Evaluation,
    Example,
    Metric,
    ModelVersion,
    MonitorResult,
    Reporter,
    Silent,
    Task,
    Trace,
    TrainResult,
    render_input,
    spread,
)
from inhouse.engine import ENCODER, get_base, require_base
from inhouse.errors import NotFound
from inhouse.pipeline import canary, shadow
from inhouse.pipeline.corrections import store_corrected, waiting_corrections
from inhouse.pipeline.evaluating import evaluate
from inhouse.pipeline.evaluating.compared import MODELS
from inhouse.pipeline.evaluating.field import encoders_of
from inhouse.pipeline.learning_data import to_learn_from
from inhouse.pipeline.release import enough
from inhouse.pipeline.training import train_to_the_end
from inhouse.scoring import RIGHT_METRICS, field_paths
from inhouse.store import Workspace, predictions, records, registry, traffic

# Requests that `monitor` looks at, the newest ones: enough for narrow intervals, few enough that last week's drift is
# not drowned in last year's traffic.
WINDOW = 1000
# Texts a side that are embedded for the drift test, which takes no more.
EMBEDDED = 500


@dataclass(frozen=True)
class Retrained:
    """What `retrain` made: the new data, the training, and candidate against champion."""

    task: str
    corrections: int
    dataset: int
    train: TrainResult
    evaluation: Evaluation

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "task": self.task,
            "corrections": self.corrections,
            "dataset": self.dataset,
            "train": self.train.model_dump(mode="json"),
            "evaluation": self.evaluation.model_dump(mode="json"),
            "model_version": self.train.model_version,
        }


def monitor(workspace: Workspace, name: str, reporter: Reporter | None = None) -> MonitorResult:
    """Quality on corrected answers, drift of inputs and outputs, and what to do: keep, collect, retrain or go back.

    Looks at the requests that the present champion answered.

    Raises:
        NotFound: no such task, or nothing serves.
    """
    from inhouse.monitor import MIN_REQUESTS, decide
    from inhouse.monitor import quality as judged

    reporter = reporter or Silent()
    task = workspace.load_task(name)
    champion = registry.find_version(workspace, name, registry.CHAMPION)
    window = traffic.traces(workspace, name, champion.name, newest=WINDOW)
    feedback = [opinion for _, opinion in traffic.judged(workspace, name)]
    dataset = to_learn_from(workspace, name, champion.lineage["dataset"])
    quality, basis = judged(window, feedback, shadow.sameness(champion))
    drift: tuple[DriftSignal, ...] = ()
    answered = [t for t in window if t.error is None]
    if len(answered) >= MIN_REQUESTS:
        drift = _drift(workspace, champion, dataset.of("train"), answered, reporter)
    waiting = waiting_corrections(workspace, task, records.load_dataset(workspace, name))
    decision, reason = decide(
        name,
        quality=quality,
        basis=basis,
        accuracy_at_evaluation=_accuracy(champion),
        drift=drift,
        corrections=waiting.usable,
        dataset_train_size=len(dataset.of("train")),
        traces=len(window),
        previous_accuracy=_previous_accuracy(workspace, name),
    )
    return MonitorResult(
        task=name,
        model_version=champion.name,
        window={
            "from": window[0].created_at if window else None,
            "to": window[-1].created_at if window else None,
            "traces": len(window),
        },
        quality=quality,
        quality_basis=basis,
        drift=drift,
        review_rate=sum(t.needs_review for t in window) / len(window) if window else None,
        corrections=waiting.usable,
        decision=decision,
        reason=reason,
        shadow=shadow.agreement(workspace, name),
    )


def _drift(
    workspace: Workspace,
    champion: ModelVersion,
    reference: Sequence[Example],
    window: Sequence[Trace],
    reporter: Reporter,
) -> tuple[DriftSignal, ...]:
    """Both drift tests. Inputs are compared with the training inputs, answers with the champion's own on its test set:
    a model errs in its own way, and its answers differ from the right ones even where nothing has drifted."""
    from inhouse.engine.encoder import SentenceEncoder
    from inhouse.monitor import family, input_drift, output_drift

    texts = spread([render_input(t.inputs) for t in window], EMBEDDED)
    known = spread([render_input(e.inputs) for e in reference], EMBEDDED)
    encoder = SentenceEncoder(get_base(ENCODER, workspace.settings, reporter.say).folder)
    bar = reporter.bar("embeddings", len(texts) + len(known))
    vectors = encoder.embed([*known, *texts], bar.update)
    answers = [t.output for t in window if t.output is not None]
    usual = _usual_answers(workspace, champion, reference)
    if champion.kind == "classify":
        outputs = output_drift(usual, answers)
    else:  # hardly two answers are equal: as texts they are compared, like the inputs
        before, after = spread(usual, EMBEDDED), spread(answers, EMBEDDED)
        vectors_out = encoder.embed([*before, *after])
        outputs = input_drift(vectors_out[: len(before)], vectors_out[len(before) :], after)
        outputs = outputs and outputs.model_copy(update={"signal": "output"})
    return family(input_drift(vectors[: len(known)], vectors[len(known) :], texts), outputs)


def _usual_answers(workspace: Workspace, champion: ModelVersion, reference: Sequence[Example]) -> list[str]:
    try:
        kept = predictions.load(
            workspace,
            champion.task,
            champion.name,
            champion.contender,
            champion.lineage["dataset_fingerprint"],
        )
    except NotFound:  # promoted by force, never evaluated
        return [e.target for e in reference]
    return [a for a in kept["answer"].to_list() if a is not None]


def _accuracy(version: ModelVersion) -> Metric | None:
    """Share of right answers at evaluation; on validation by the parity gate where it was never evaluated.

    None for texts: there, no metric says what a person would.
    """
    if version.kind == "generate":
        return None
    right = RIGHT_METRICS[version.kind]
    if version.evaluation is not None:
        for contender in version.evaluation["contenders"]:
            if contender["name"] == version.contender:
                return Metric.model_validate(contender["metrics"][right])
    from inhouse.scoring import wilson

    count = version.parity.validation_examples
    return wilson(round(version.parity.served_accuracy * count), count)


def _previous_accuracy(workspace: Workspace, name: str) -> Metric | None:
    """The evaluation of the champion before this one."""
    served = [m for m in registry.moves(workspace, name) if m["alias"] == registry.CHAMPION]
    if not served or served[-1]["action"] == "rollback" or served[-1]["before"] in (None, served[-1]["after"]):
        return None
    return _accuracy(registry.find_version(workspace, name, served[-1]["before"]))


def retrain(workspace: Workspace, name: str, reporter: Reporter | None = None) -> Retrained:
    """The next dataset version from the old one and the Corrections; train on it; candidate against champion.

    The test split is the old one: a correction of a test example is left out, and said so. With nothing new to learn
    the same data is trained on with another seed, which shows how much trainings differ by chance. Nothing is
    promoted. What is trained is what the champion is, causal model or encoder. A retrain that was interrupted goes on.

    Raises:
        NotFound: no such task, or nothing serves yet.
        ModelUnavailable, Busy, DiskFull
    """
    reporter = reporter or Silent()
    task = workspace.load_task(name)
    champion = registry.find_version(workspace, name, registry.CHAMPION)
    for base in (task.base_model, *encoders_of(task)):
        require_base(base, workspace.settings)
    with workspace.changing_data():
        dataset = records.load_dataset(workspace, name)
        waiting = waiting_corrections(workspace, task, dataset)
        if waiting.usable:
            dataset = store_corrected(workspace, task, waiting, reporter)
    if waiting.of_test:
        reporter.warn(
            f"{waiting.of_test} corrections are of test examples: left out, or the test would be learned by heart"
        )
    seed = task.train.seed
    if not waiting.usable and dataset.number == champion.lineage["dataset"]:
        seed = champion.lineage["seed"] + 1
        reporter.warn(
            f"nothing new to learn from since {champion.name}: training on the same data with another seed ({seed})"
        )
    # A champion that was not fine-tuned is fitted again with the evaluation of what it was compared with.
    trained_as = champion.contender if champion.fine_tuned else champion.lineage.get("trained", "")
    model = MODELS.get(trained_as, task.train.model)
    trained = train_to_the_end(workspace, name, reporter, seed=seed, model=model)
    number = trained.model_version.partition("@")[2]
    return Retrained(name, waiting.usable, dataset.number, trained, evaluate(workspace, name, reporter, which=number))


def status(workspace: Workspace) -> dict[str, Any]:
    """What there is: tasks with their data, versions, champion, candidate, traffic, and the next step of each."""
    workspace.require()
    return {
        "workspace": str(workspace.paths.root),
        "tasks": [_task_status(workspace, workspace.load_task(name)) for name in workspace.task_names()],
    }


def _task_status(workspace: Workspace, task: Task) -> dict[str, Any]:
    name = task.name
    number = records.latest_dataset(workspace, name)
    known = registry.versions(workspace, name)
    champion = registry.alias_number(workspace, name, registry.CHAMPION)
    candidate = registry.alias_number(workspace, name, registry.CANDIDATE)
    unfinished = records.unfinished_runs(workspace, name)
    beside = shadow.agreement(workspace, name)
    return {
        "task": name,
        "kind": task.kind,
        "dataset": number or None,
        "counts": records.load_dataset(workspace, name, number).counts() if number else None,
        "labels": len(task.labels),
        "fields": list(field_paths(task.json_schema)) if task.kind == "extract" else [],
        "versions": [_version_status(v) for v in known],
        "champion": f"{name}@{champion}" if champion else None,
        "candidate": f"{name}@{candidate}" if candidate else None,
        "canary": canary.told(workspace, name),
        "shadow": beside.model_dump(mode="json") if beside else None,
        "unfinished_runs": unfinished,
        "requests": traffic.trace_count(workspace, name),
        "next": _next_step(name, number, known, champion, candidate, unfinished),
    }


def _version_status(version: ModelVersion) -> dict[str, Any]:
    evaluation = version.evaluation
    accuracy = _accuracy(version) if evaluation else None
    return {
        "name": version.name,
        "dataset": version.lineage["dataset"],
        "created_at": version.created_at,
        "parity": not version.out_of_parity,
        "latency_p95_ms": version.checked.latency_p95_ms if version.checked else None,
        "decision": evaluation["verdict"]["decision"] if evaluation else None,
        "metric": evaluation["primary_metric"] if evaluation else None,
        "accuracy": accuracy.value if accuracy else None,
        "value": _primary(version) if evaluation else None,
        "report": evaluation["report"] if evaluation else None,
    }


def _primary(version: ModelVersion) -> float | None:
    """The version's own value on the metric that decided."""
    evaluation = version.evaluation or {"contenders": ()}
    for contender in evaluation["contenders"]:
        if contender["name"] == version.contender:
            return float(contender["metrics"][evaluation["primary_metric"]]["value"])
    return None


def _next_step(
    name: str,
    dataset: int,
    known: Sequence[ModelVersion],
    champion: int | None,
    candidate: int | None,
    unfinished: Sequence[str],
) -> str:
    if not dataset:
        return f"inhouse add {name} FILE"
    if unfinished:
        return f"inhouse train {name}   (goes on where it was interrupted)"
    newest = registry.newest(known)
    if newest is None or newest.lineage["dataset"] < dataset:
        return f"inhouse {'train' if newest is None or any(v.fine_tuned for v in known) else 'evaluate'} {name}"
    if newest.evaluation is None:
        return f"inhouse evaluate {name}"
    supported = newest.evaluation["verdict"]["decision"] == "adopt" or (
        enough(newest) and "compared_with" not in newest.lineage
    )
    if candidate is not None and candidate != champion and supported:
        return f"inhouse promote {name}"
    return f"inhouse monitor {name}" if champion else f"read the report: {newest.evaluation['report']}"
