"""Does a fine-tuning job: its files become a task with a dataset, a trained and named version, and a verdict.

Each step looks whether it was done before, as the process may be killed at any moment and is then begun again.
"""

from __future__ import annotations

import base64
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from inhouse.core import Evaluation, Silent, Task, TrainResult, TrainSection, counted
from inhouse.errors import (
    Busy,
    DiskFull,
    InhouseError,
    InputError,
    ModelUnavailable,
    NotFound,
    NothingToLearn,
    TooFewExamples,
)
from inhouse.pipeline.adding import prepare, store_data, wishes_of
from inhouse.pipeline.epochs import epoch_versions, results_csv, step_metrics
from inhouse.pipeline.evaluating import evaluate
from inhouse.pipeline.jobs.naming import checkpoint_name, claim_task, model_name, reference_of
from inhouse.pipeline.jobs.progress import Teller
from inhouse.pipeline.jobs.validate import Method, check_file
from inhouse.pipeline.preparation import brought
from inhouse.pipeline.training import train
from inhouse.pipeline.whole import clean_safely
from inhouse.store import Workspace, audit, database, files, jobs, model_names, records
from inhouse.store.jobs import Columns, Job
from inhouse.train import usual_rate

# As many last epochs as OpenAI's service keeps.
KEPT_EPOCHS = 3
RESULTS, RESULTS_NAME = "fine-tune-results", "step_metrics.csv"
TRAINING, VALIDATION = "training_file", "validation_file"
# A rate that is sent where a multiplier belongs is far below any multiplier.
_A_RATE = 0.01
_MOST_RATE = 0.1
_MOST_NAME = 200


class _Fault(Exception):
    """Why a job fails, with OpenAI's code."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


def fine_tune(workspace: Workspace, job: Job) -> None:
    """Work on a fine-tuning job to its end. What is wrong with its data or its base ends it as failed.

    Raises:
        Busy: its task is being worked on, or the job is another's by now.
        DiskFull: it can be gone on with when there is room.
    """
    work = _Work(workspace, job)
    try:
        with audit.acting_as(f"job {job.id}"):  # whose it is, the log has from its making
            work.do()
    except _Fault as fault:
        work.fail(fault.code, fault.message, fault.param)
    except (Busy, DiskFull):
        raise
    except (TooFewExamples, NothingToLearn) as error:
        work.fail("invalid_n_examples", _sentence(error), TRAINING)
    except ModelUnavailable as error:
        work.fail("model_not_available", _sentence(error), "model")
    except InputError as error:
        work.fail("invalid_training_file", _sentence(error), TRAINING)


def _sentence(error: InhouseError) -> str:
    """What is wrong, without the remedy, which is a command."""
    return f"{error.place}: {error.what}" if error.place else error.what


@dataclass
class _Work:
    """A job that is worked on; `result` is what it has made."""

    workspace: Workspace
    job: Job
    result: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.result = dict(self.job.result or {})

    def do(self) -> None:
        """All steps; of those that were done before none twice."""
        if self.job.status == "validating_files":
            self.validate()
        self.tell("Fine-tuning job started")
        self.note(status="running", started_at=self.job.started_at or database.now())
        task = claim_task(self.workspace, self.job)
        if "fine_tuned_model" not in self.result:
            reporter = Teller(self.workspace, self.job, task, self.result)
            if not records.latest_dataset(self.workspace, task):
                self.add(task, reporter)
            self.tell_data(task)
            self.clean(task)
            trained = self.train(task, reporter)
            self.name_checkpoints(trained)
            self.name(trained)
        if "verdict" not in self.result:
            self.judge(task)
        self.tell("The job has successfully completed")
        jobs.finish(self.workspace, self.job.id, "succeeded", owner=self.owner, result=self.result)

    @property
    def owner(self) -> str:
        """Who holds the lease."""
        assert self.job.lease_owner is not None
        return self.job.lease_owner

    def tell(self, message: str, *, warn: bool = False, data: dict[str, Any] | None = None) -> None:
        """Say something of the job, once."""
        jobs.tell(self.workspace, self.job.id, message, level="warn" if warn else "info", data=data, once=True)

    def note(self, **values: Unpack[Columns]) -> None:
        """Set columns of the job.

        Raises:
            Busy: it has ended meanwhile, or is another's.
        """
        if jobs.change(self.workspace, self.job.id, owner=self.owner, **values) is None:
            raise Busy(f"the job {self.job.id} has ended, or another process works on it")

    def fail(self, code: str, message: str, param: str | None) -> None:
        """End it as failed."""
        jobs.tell(self.workspace, self.job.id, message, level="error", once=True)
        error = {"code": code, "message": message, "param": param}
        jobs.finish(self.workspace, self.job.id, "failed", owner=self.owner, error=error, result=self.result)

    # ------------------------------------------------------------------ files

    def validate(self) -> None:
        """Look at the files line by line.

        Raises:
            _Fault: the first that is wrong with them.
        """
        training, validation = self.job.request[TRAINING], self.job.request[VALIDATION]
        beside = f" and validation file: {validation}" if validation else ""
        self.tell(f"Validating training file: {training}{beside}")
        method: Method = self.job.request["method"]
        faults = check_file(self.content(TRAINING), method)
        if validation and not faults:
            faults = check_file(self.content(VALIDATION), method, validation=True)
        if faults:
            raise _Fault(faults[0].code, faults[0].message, faults[0].param)
        self.tell("Files validated, moving job to queued state")
        self.note(status="queued")

    def content(self, param: str) -> Path:
        """Where the content of a file lies.

        Raises:
            _Fault: it was deleted.
        """
        file = self.job.request[param]
        try:
            return files.open_file(self.workspace, file)
        except NotFound as error:
            raise _Fault("file_not_found", f"The file {file} was deleted before the job had read it.", param) from error

    # ------------------------------------------------------------------ data

    def add(self, task: str, reporter: Teller) -> None:
        """Make the task and its first dataset version: the training file, and the validation file as its test."""
        base = reference_of(self.workspace.settings, self.job.request["model"])
        section = self.wishes(base, reporter)
        with self.workspace.changing_data(), ExitStack() as links:
            training = self.linked(TRAINING, links)
            test = self.linked(VALIDATION, links) if self.job.request[VALIDATION] else None
            there: Task | str = self.workspace.load_task(task) if self.workspace.has_task(task) else task
            wishes = wishes_of((), (), "", None, "")
            prepared = prepare(self.workspace, there, [training], reporter, test=test, wishes=wishes)
            wished = prepared.task.model_copy(update={"base_model": base, "train": section})
            store_data(self.workspace, replace(prepared, task=wished), reporter, drop_rare=True)

    def tell_data(self, task: str) -> None:
        """Say what became of the files."""
        first = records.versions(self.workspace, task)[1]
        counts = ", ".join(f"{count} {split}" for split, count in first.counts.items())
        kind = self.workspace.load_task(task).kind
        self.tell(f"The files became the task {task} (kind {kind}): {counts} examples")
        if self.job.request[VALIDATION]:
            self.tell("The validation file is the task's test: the verdict rests on it, and nothing is chosen by it")

    def linked(self, param: str, links: ExitStack) -> Path:
        """The content of a file under the name that it was uploaded by, by which reports call it."""
        folder = links.enter_context(tempfile.TemporaryDirectory(prefix="inhouse-"))
        link = Path(folder) / _local_name(files.find_file(self.workspace, self.job.request[param]).filename or param)
        link.symlink_to(self.content(param).resolve())
        return link

    def wishes(self, base: str, reporter: Teller) -> TrainSection:
        """What the job's hyperparameters come to in `[train]`; what is `auto` follows from the data."""
        request, wished = self.job.request, dict[str, Any]()
        hyper = {key: None if value == "auto" else value for key, value in request["hyperparameters"].items()}
        if (factor := hyper["learning_rate_multiplier"]) is not None:
            usual = usual_rate("lora", brought(base, self.workspace.settings, reporter).shape.hidden)
            wished["learning_rate"] = min(factor * usual, _MOST_RATE)
            if factor < _A_RATE or factor * usual > _MOST_RATE:
                told = f"learning_rate_multiplier {factor:g} multiplies the usual rate, {usual:g} for this base"
                self.tell(f"{told}: the rate is {wished['learning_rate']:.2g} ({_MOST_RATE} at most)", warn=True)
        objective = "dpo" if request["method"] == "dpo" else "sft"
        return TrainSection.model_validate(
            {
                "seed": request["seed"],
                "objective": objective,
                "beta": hyper.get("beta"),
                "epochs": hyper["n_epochs"],
                "batch_size": hyper["batch_size"],
                **wished,
            }
        )

    def clean(self, task: str) -> None:
        """Drop exact duplicates, and what is nearly a test example."""
        if records.latest_dataset(self.workspace, task) == 1:
            clean_safely(self.workspace, task, Silent())
        first, *cleaned = records.versions(self.workspace, task).values()
        for version in cleaned:
            dropped = sum(first.counts.values()) - sum(version.counts.values())
            self.tell(f"{counted(dropped, 'example')} left out ({version.reason.replace('_', ' ')})", warn=True)

    # ------------------------------------------------------------------ the model

    def train(self, task: str, reporter: Teller) -> TrainResult:
        """Train to the end, and compare the served file with the trainer.

        Raises:
            _Fault: they differ: what would answer is not what was trained.
        """
        trained = train(self.workspace, task, reporter, keep_epochs=KEPT_EPOCHS)
        reporter.ended(trained.run, trained.steps)
        self.note(run=trained.run)
        if not trained.parity.passed:
            told = f"The model failed the parity gate and is not served: {trained.parity.reason}"
            raise _Fault("parity_failed", told)
        return trained

    def name_checkpoints(self, trained: TrainResult) -> None:
        """Name the versions of the last epochs; and the model itself by its step, where an epoch ended there."""
        kept = {
            one.step: (one.version.number, one.metrics)
            for one in epoch_versions(self.workspace, trained.run)
            if one.version.parity.passed
        }
        best = records.metrics_of(self.workspace, trained.run, after=trained.best_step - 1)[:1]
        if best and "epoch" in best[0]:
            metrics = next(step_metrics(self.workspace, trained.run, after=trained.best_step - 1))
            kept[trained.best_step] = (_number(trained), metrics)
        for step, (number, metrics) in sorted(kept.items()):
            name = checkpoint_name(self.job, step)
            model_names.add(self.workspace, name, trained.task, number, self.job.id)
            jobs.add_checkpoint(self.workspace, self.job.id, step, name, metrics)
            self.tell(f"Checkpoint created at step {step}: {name}")

    def name(self, trained: TrainResult) -> None:
        """Give the version its name, by which it answers from then on, and keep what its steps measured as a file."""
        name, number = model_name(self.job), _number(trained)
        table = results_csv(self.workspace, trained.run, trained.steps).encode("utf-8")
        # Scripts written for OpenAI's service decode what is base64 there.
        file = files.add_file(self.workspace, base64.b64encode(table), RESULTS_NAME, RESULTS, self.job.key)
        self.result.pop("estimated_finish", None)
        self.result |= {
            "fine_tuned_model": name,
            "trained_tokens": trained.trained_tokens,
            "result_files": [file.id],
            "hyperparameters": self.taken(trained),
        }
        model_names.add(self.workspace, name, trained.task, number, self.job.id)
        self.tell(f"New fine-tuned model created: {name}")
        self.note(model_version=number, result=self.result)

    def taken(self, trained: TrainResult) -> dict[str, Any]:
        """The hyperparameters that the training had."""
        recipe = trained.recipe
        base = brought(recipe["base_model"], self.workspace.settings, Silent())
        factor = recipe["learning_rate"] / usual_rate("lora", base.shape.hidden)
        taken = {
            "n_epochs": recipe["epochs"],
            "batch_size": recipe["batch_size"],
            "learning_rate_multiplier": float(f"{factor:.4g}"),
        }
        return {**taken, "beta": recipe["beta"]} if self.job.request["method"] == "dpo" else taken

    def judge(self, task: str) -> None:
        """Evaluate the version; where that cannot be done, it is said why, and the model stays."""
        number = str(jobs.find(self.workspace, self.job.id).model_version)
        try:
            evaluation = evaluate(self.workspace, task, Silent(), which=number)
        except (Busy, DiskFull):
            raise
        except InhouseError as error:
            self.tell(f"The model was not evaluated: {_sentence(error)}", warn=True)
            self.result["verdict"] = None
        else:
            verdict = evaluation.verdict
            self.tell(f"Evaluated: {verdict.decision}. {verdict.reason}", data=_report(evaluation))
            self.result["verdict"] = verdict.decision
        self.note(result=self.result)


def _local_name(name: str) -> str:
    """The name of an uploaded file as one that any disk takes, and that says how it is read."""
    stem = name.replace("\\", "/").rpartition("/")[2].removesuffix(".jsonl")
    return f"{stem.encode('utf-8')[:_MOST_NAME].decode('utf-8', 'ignore')}.jsonl"


def _number(trained: TrainResult) -> int:
    """The number of the version that a training made."""
    return int(trained.model_version.rpartition("@")[2])


def _report(evaluation: Evaluation) -> dict[str, Any]:
    """The report of an evaluation, without texts of the data."""
    told = evaluation.model_dump(
        mode="json",
        include={"model_version", "report", "files", "test_examples", "primary_metric", "verdict", "warnings"},
    )
    scores = {one.name: one.metrics.get(evaluation.primary_metric) for one in evaluation.contenders}
    return told | {
        "scores": {name: None if one is None else one.model_dump(mode="json") for name, one in scores.items()}
    }
