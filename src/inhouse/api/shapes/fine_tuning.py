"""The bodies of `/v1/fine_tuning/jobs`."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from inhouse.api.errors import ApiError
from inhouse.api.shapes.times import unix
from inhouse.pipeline.jobs.naming import ORGANIZATION, slug_of
from inhouse.store.database import now
from inhouse.store.jobs import Event, Job, JobCheckpoint

PAUSE = "pause"
MOST_SEED = 2**31 - 1
_Key = Annotated[str, StringConstraints(max_length=64)]
_Value = Annotated[str, StringConstraints(max_length=512)]
_Auto = Literal["auto"]
_METRICS = (
    "step",
    "train_loss",
    "train_mean_token_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
    "full_valid_loss",
    "full_valid_mean_token_accuracy",
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Hyperparameters(_Body):
    """How a supervised training is wished; `auto` follows from the data. The multiplier is of the base's usual rate."""

    n_epochs: Annotated[int, Field(ge=1, le=50, strict=True)] | _Auto = "auto"
    batch_size: Annotated[int, Field(ge=1, le=256, strict=True)] | _Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)] | _Auto = "auto"


class DpoHyperparameters(Hyperparameters):
    """How a training on pairs of answers is wished."""

    beta: Annotated[float, Field(gt=0, le=2, strict=True, allow_inf_nan=False)] | _Auto = "auto"


class Supervised(_Body):
    """`method.supervised`."""

    hyperparameters: Hyperparameters | None = None


class Dpo(_Body):
    """`method.dpo`."""

    hyperparameters: DpoHyperparameters | None = None


class MethodRequest(_Body):
    """`method`."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None
    reinforcement: dict[str, Any] | None = None


class JobRequest(_Body):
    """The body of `POST /v1/fine_tuning/jobs`."""

    model: str
    training_file: str
    validation_file: str | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Field(ge=0, le=MOST_SEED, strict=True)] | None = None
    metadata: Annotated[dict[_Key, _Value], Field(max_length=16)] | None = None
    integrations: list[dict[str, Any]] | None = None
    method: MethodRequest | None = None
    hyperparameters: Hyperparameters | None = None

    def asked(self) -> dict[str, Any]:
        """What the job is asked, as it is kept.

        Raises:
            ApiError: it cannot be done.
        """
        self._refuse_what_is_not_done()
        kind, hyperparameters = self._method()
        return {
            "model": self.model,
            "training_file": self.training_file,
            "validation_file": self.validation_file,
            "suffix": self.suffix,
            "seed": self.seed,
            "metadata": self.metadata,
            "method": kind,
            "hyperparameters": hyperparameters.model_dump(),
        }

    def _method(self) -> tuple[str, Hyperparameters]:
        method = self.method or MethodRequest(type="supervised")
        if method.type == "dpo":
            return "dpo", (method.dpo or Dpo()).hyperparameters or DpoHyperparameters()
        own = (method.supervised or Supervised()).hyperparameters
        return "supervised", own or self.hyperparameters or Hyperparameters()

    def _refuse_what_is_not_done(self) -> None:
        method = self.method
        if method is not None and (method.type == "reinforcement" or method.reinforcement is not None):
            told = "there is no reinforcement fine-tuning here, as it takes graders and many answers at each step"
            raise _refused("method.type", f"{told}: take supervised, or dpo with pairs of a better and a worse answer")
        if method is not None and (other := {"supervised": method.dpo, "dpo": method.supervised}[method.type]):
            name = "dpo" if isinstance(other, Dpo) else "supervised"
            raise _refused(f"method.{name}", f"it is given, and `method.type` is {method.type}")
        if self.hyperparameters is not None and method is not None:
            told = "it is the older form of `method.supervised.hyperparameters`, and `method` is given: leave one out"
            raise _refused("hyperparameters", told)
        if self.integrations:
            told = (
                'a job sends nothing anywhere: `tracking.to = ["wandb"]` in inhouse.toml lets all trainings be followed'
            )
            raise _refused("integrations", told)
        if self.suffix is not None and not slug_of(self.suffix):
            raise _refused("suffix", "it must hold a letter a to z or a digit, as the model is named by it")
        if self.validation_file == self.training_file:
            told = "it is the training file: the same data must not be present in both"
            raise _refused("validation_file", told, code="invalid_value")


def _refused(param: str, told: str, *, code: str = "unsupported_value") -> ApiError:
    return ApiError(400, f"Invalid '{param}': {told}.", code=code, param=param)


def new_seed() -> int:
    """A seed, where none is given."""
    return secrets.randbelow(MOST_SEED + 1)


def status_of(job: Job) -> str:
    """A job runs while somebody works on it. There is no word for one that is paused: it waits."""
    waits = job.wish == PAUSE or not job.is_leased
    return "queued" if job.status == "running" and waits else job.status


def job_object(job: Job) -> dict[str, Any]:
    """A job as clients read it."""
    request, result = job.request, job.result or {}
    taken = {**request["hyperparameters"], **result.get("hyperparameters", {})}
    expected = result.get("estimated_finish", "") if status_of(job) == "running" else ""
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": unix(job.created_at),
        "model": request["model"],
        "organization_id": ORGANIZATION,
        "status": status_of(job),
        "training_file": request["training_file"],
        "validation_file": request["validation_file"],
        "result_files": result.get("result_files", []),
        "seed": request["seed"],
        "hyperparameters": {key: value for key, value in taken.items() if key != "beta"},
        "fine_tuned_model": result.get("fine_tuned_model"),
        "finished_at": None if job.finished_at is None else unix(job.finished_at),
        "trained_tokens": result.get("trained_tokens"),
        "estimated_finish": unix(expected) if expected > now() else None,  # what follows a training is not foreseen
        "error": job.error,
        "integrations": [],
        "metadata": request["metadata"],
        "method": {"type": request["method"], request["method"]: {"hyperparameters": taken}},
        "user_provided_suffix": request["suffix"],
        "inhouse": {"task": job.task, "model_version": _version(job), "run": job.run, "verdict": result.get("verdict")},
    }


def _version(job: Job) -> str | None:
    return None if job.model_version is None else f"{job.task}@{job.model_version}"


def event_object(event: Event) -> dict[str, Any]:
    """An event as clients read it."""
    return {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": unix(event.created_at),
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }


def checkpoint_object(checkpoint: JobCheckpoint) -> dict[str, Any]:
    """A checkpoint as clients read it."""
    return {
        "id": checkpoint.id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": unix(checkpoint.created_at),
        "fine_tuned_model_checkpoint": checkpoint.name,
        "fine_tuning_job_id": checkpoint.job,
        "step_number": checkpoint.step,
        "metrics": {name: checkpoint.metrics.get(name) for name in _METRICS},
    }
