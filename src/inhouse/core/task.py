"""A Task: what goes in, what comes out, and how good is good enough."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["classify"]

DEFAULT_BASE = "smollm2-135m-instruct"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSection(_Section):
    """Where the parts of an example stand in a source: column names."""

    fields: tuple[str, ...] = ()
    target: str = ""
    group: str = ""


class MetricsSection(_Section):
    """The metric that decides, the smallest gain worth having, and the bar that a champion must reach."""

    primary: Literal["accuracy", "macro_f1"] = "accuracy"
    min_gain: float = Field(default=0.02, ge=0.0, le=1.0)
    minimum: float | None = Field(default=None, ge=0.0, le=1.0)


class TrainSection(_Section):
    """What the user may set of a Recipe; what is absent is derived from the data (see `train.plan`)."""

    seed: int = Field(default=0, ge=0)
    epochs: int | None = Field(default=None, ge=1, le=50)
    learning_rate: float | None = Field(default=None, gt=0.0, le=0.1)
    batch_size: int | None = Field(default=None, ge=1, le=256)
    rank: int | None = Field(default=None, ge=1, le=256)
    max_tokens: int | None = Field(default=None, ge=16)
    max_steps: int | None = Field(default=None, ge=1)


class ReviewSection(_Section):
    """Which answers a person should look at: those less sure than what gives this accuracy on validation."""

    target_accuracy: float = Field(default=0.95, gt=0.0, le=1.0)


class Task(_Section):
    """One stable, repeating piece of work: kind, instruction, input fields, labels, metrics and bars.

    Kept by the workspace in `tasks/<name>/task.toml`, where the user may edit it.
    """

    name: str
    kind: Kind = "classify"
    instruction: str = ""
    base_model: str = DEFAULT_BASE
    labels: tuple[str, ...] = ()
    input: InputSection = InputSection()
    metrics: MetricsSection = MetricsSection()
    train: TrainSection = TrainSection()
    review: ReviewSection = ReviewSection()
