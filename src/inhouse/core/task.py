"""A Task: what goes in, what comes out, and how good is good enough."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from inhouse.core.json_schema import check_schema, scalar_fields, types_of

Kind = Literal["classify", "extract", "generate"]
# What is learned from: the right answers, or pairs of a better and a worse one too (see `train.objectives`).
ObjectiveName = Literal["sft", "dpo"]
# What of a base model learns: see `engine.lora`.
Method = Literal["lora", "dora", "rslora", "full"]
EngineChoice = Literal["auto", "openvino-genai", "xllamacpp", "vllm"]
# What the value of a field can be taken from the input as: see `scoring.mentions`.
FromInput = Literal["date", "iso-date", "amount", "number", "text"]

# The metrics that may decide a verdict, by kind of task; the first is the default. All are between 0 and 1, and more is
# better (see `scoring`). Structure checks and `nothing_invented` are not among them: one and the same well-formed text
# for everybody passes them all.
PRIMARY_METRICS: dict[Kind, tuple[str, ...]] = {
    "classify": ("accuracy", "macro_f1"),
    "extract": ("fields_exact", "object_exact"),
    "generate": ("chrf", "rouge_l", "facts_kept"),
}


def answer_metric(primary: str) -> str:
    """The metric that is told of single answers, and of some of them, where a primary metric decides: accuracy for
    macro-F1, which no single answer has, else the primary metric itself."""
    return "accuracy" if primary == "macro_f1" else primary


DEFAULT_BASE = "smollm2-135m-instruct"
DEFAULT_ENCODER = "all-minilm-l6-v2"

# What becomes of inputs longer than a model reads: see `core.trimming`.
Trim = Literal["relevance"]

# Which model is fine-tuned: the one that writes answers, or a sentence encoder that picks labels.
TrainedModel = Literal["causal", "encoder"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputSection(_Section):
    """Where the parts of an example stand in a source: column names, or dotted paths into JSON (`fields.company`).

    Several `target` columns make the keys of an extract task's object. `chat`: the one field holds the messages of a
    conversation up to the answer, as a JSON list. `documents`: fields whose cells may name a document, which is read.
    `rejected`: a column with answers that are worse than the target, where a row has one. `key`: a column that tells
    rows apart: a row of a corrected file replaces the one of its key.
    """

    fields: tuple[str, ...] = ()
    target: str | tuple[str, ...] = ""
    group: str = ""
    chat: bool = False
    documents: tuple[str, ...] = ()
    rejected: str = ""
    key: str = ""

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns; none before the first data."""
        if isinstance(self.target, tuple):
            return self.target
        return (self.target,) if self.target else ()


class SourceSection(_Section):
    """How sources of one kind are read that are not simply files with the task's own columns.

    Attributes:
        pattern: the name of the source, as its provenance has it, with `*` for any letters.
        columns: what the task calls a column (a field, a target, the group) to what this source calls it.
        query: of a database, the SQL that was accepted; the URL has no password.
        sheet, header, encoding, delimiter: how its files are read, where that is not found out.
    """

    pattern: str
    columns: dict[str, str] = Field(default_factory=dict)
    query: str = ""
    sheet: str = ""
    header: int = Field(default=0, ge=0)
    encoding: str = ""
    delimiter: str = ""


class MetricsSection(_Section):
    """The metric that decides, the smallest gain worth having, and the bar that a champion must reach.

    `scorers` are Python files beside `task.toml` with metrics of the user's own, one of which may be the `primary` (see
    `scoring.own`). `judge` is a model that grades texts: `base`, or `remote:NAME`.
    """

    primary: str = "accuracy"
    min_gain: float = Field(default=0.02, ge=0.0, le=1.0)
    minimum: float | None = Field(default=None, ge=0.0, le=1.0)
    scorers: tuple[str, ...] = ()
    judge: str | None = Field(default=None, pattern=r"^(base|remote:.+)$")


class TrainSection(_Section):
    """What the user may set of a Recipe; what is absent is derived from the data (see `train.plan`).

    All of it is for the model that `model` names. `compile`: whether torch.compile is used where transformers computes
    the pass. `trim`: what becomes of inputs that do not fit into `max_tokens`.
    """

    model: TrainedModel = "causal"
    method: Method = "lora"
    compile: bool = False
    objective: ObjectiveName | None = None
    beta: float | None = Field(default=None, gt=0.0, le=10.0)
    sft_weight: float | None = Field(default=None, ge=0.0, le=100.0)
    seed: int = Field(default=0, ge=0)
    epochs: int | None = Field(default=None, ge=1, le=50)
    learning_rate: float | None = Field(default=None, gt=0.0, le=0.1)
    batch_size: int | None = Field(default=None, ge=1, le=256)
    rank: int | None = Field(default=None, ge=1, le=256)
    max_tokens: int | None = Field(default=None, ge=16)
    trim: Trim | None = None
    max_steps: int | None = Field(default=None, ge=1)
    minutes: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _rank_of_an_adapter(self) -> Self:
        if self.method == "full" and self.rank is not None:
            raise ValueError("train.rank is of adapters, and train.method = 'full' has none: leave one of them out")
        return self

    @model_validator(mode="after")
    def _weights_of_pairs(self) -> Self:
        if self.objective == "sft" and (set_keys := self.of_pairs):
            raise ValueError(f"{set_keys} is of train.objective = 'dpo', and it is 'sft': leave one of them out")
        return self

    @property
    def of_pairs(self) -> str:
        """The keys that only learning from preference pairs has a use for, as far as they are set."""
        keys = {"train.beta": self.beta, "train.sft_weight": self.sft_weight}
        return " and ".join(key for key, value in keys.items() if value is not None)


# Keys of `[train]` that the encoder has no use for, and keys whose value for one model would be wrong for the other.
CAUSAL_ONLY = ("method", "compile", "objective", "beta", "sft_weight", "rank", "trim")
FOR_ONE_MODEL = (*CAUSAL_ONLY, "epochs", "learning_rate", "batch_size")


def set_keys(train: TrainSection, keys: Iterable[str]) -> list[str]:
    """Those of the keys that have another value than when they are left out."""
    return [key for key in keys if getattr(train, key) != TrainSection.model_fields[key].default]


class ReviewSection(_Section):
    """Which answers a person should look at: those less sure than what gives this accuracy on validation."""

    target_accuracy: float = Field(default=0.95, gt=0.0, le=1.0)


class Outline(_Section):
    """The structure that every answer of a generate task keeps; what is absent is not checked.

    Written by `add` from the training targets, and the user's to edit.

    Attributes:
        sections: headings, each on a line of its own, in this order.
        words, lines, bullets: the least and the most of each.
        patterns: regular expressions, each of which must be found in the answer.
        forbidden: phrases that must not stand in it, whatever their case.
    """

    sections: tuple[str, ...] = ()
    words: tuple[int, int] | None = None
    lines: tuple[int, int] | None = None
    bullets: tuple[int, int] | None = None
    patterns: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()

    @field_validator("sections", "forbidden")
    @classmethod
    def _not_empty(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        if any(not part.strip() for part in parts):
            raise ValueError("it must hold no empty text")
        return parts

    @field_validator("words", "lines", "bullets")
    @classmethod
    def _least_first(cls, span: tuple[int, int] | None) -> tuple[int, int] | None:
        if span is not None and not 0 <= span[0] <= span[1]:
            raise ValueError("give the least and the most, the least first")
        return span

    @field_validator("patterns")
    @classmethod
    def _regular(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class Task(_Section):
    """One stable, repeating piece of work: kind, instruction, input fields, what answers look like, metrics and bars.

    `labels` are a classify task's, `json_schema` (in the file: `[schema]`) an extract task's, `outline` a generate
    task's. `from_input` names fields of the schema (`total`, `items.price`) whose value always stands in the input: one
    of its dates or numbers, or a passage of it; answers are held to those (None: the data has shown none yet).
    `sources` says how sources of other columns are read: `add` writes down what was accepted, and uses it again.
    `remotes` names the remote models of `inhouse.toml` that take part in the comparison. `base_model` writes answers;
    `encoder_model` turns a classify task's texts into vectors: `train.model` says which of the two is fine-tuned, and
    both are compared with.

    Kept by the workspace in `tasks/<name>/task.toml`, where the user may edit it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str
    kind: Kind = "classify"
    instruction: str = ""
    base_model: str = DEFAULT_BASE
    encoder_model: str = DEFAULT_ENCODER
    engine: EngineChoice = "auto"
    remotes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    input: InputSection = InputSection()
    sources: tuple[SourceSection, ...] = ()
    metrics: MetricsSection = MetricsSection()
    train: TrainSection = TrainSection()
    review: ReviewSection = ReviewSection()
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")
    from_input: dict[str, FromInput] | None = None
    outline: Outline = Outline()

    @field_validator("json_schema")
    @classmethod
    def _answerable(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema and (fault := check_schema(schema)):
            raise ValueError(fault)
        return schema

    @model_validator(mode="before")
    @classmethod
    def _kinds_own_metric(cls, values: Any) -> Any:  # noqa: ANN401 - whatever was given
        """Where no primary metric is set, the kind's own is."""
        if not isinstance(values, dict):
            return values
        kind, metrics = values.get("kind", "classify"), values.get("metrics", {})
        if kind not in PRIMARY_METRICS or not isinstance(metrics, dict) or "primary" in metrics:
            return values
        return {**values, "metrics": {**metrics, "primary": PRIMARY_METRICS[kind][0]}}

    @model_validator(mode="after")
    def _can_be_taken(self) -> Self:
        """Every field of `from_input` is there, and of a type that can hold such a value."""
        fields = scalar_fields(self.json_schema)
        for path, form in (self.from_input or {}).items():
            if path not in fields:
                raise ValueError(f"from_input names {path!r}, which is no field of the schema: {', '.join(fields)}")
            if "enum" in fields[path] or "const" in fields[path]:
                raise ValueError(f"from_input names {path!r}, which is a choice of the schema's own values")
            wanted = {"number", "integer"} if form == "number" else {"string"}
            if not wanted & set(types_of(fields[path])):
                raise ValueError(
                    f"from_input.{path} = {form!r} is for a {'number' if form == 'number' else 'text'}, and the schema "
                    f"has {' or '.join(types_of(fields[path]))} there"
                )
        return self

    @model_validator(mode="after")
    def _encoder_has_labels(self) -> Self:
        if self.train.model == "encoder" and self.kind != "classify":
            raise ValueError(
                f'train.model = "encoder" is for the kind classify, and this task is of kind {self.kind}: an encoder '
                'picks a label and writes no answer; take "causal"'
            )
        if self.train.model == "encoder" and (odd := set_keys(self.train, CAUSAL_ONLY)):
            raise ValueError(
                f"train.{odd[0]} = {getattr(self.train, odd[0])!r} is for the causal model, and train.model is "
                '"encoder": leave one of them out'
            )
        return self

    @model_validator(mode="after")
    def _trims_documents(self) -> Self:
        if self.train.trim and self.input.chat:
            raise ValueError(
                f"train.trim = {self.train.trim!r} is for documents, and this task reads conversations, which lose "
                "their oldest turns: leave it out"
            )
        return self

    @model_validator(mode="after")
    def _judge_reads_texts(self) -> Self:
        if self.metrics.judge and self.kind != "generate":
            raise ValueError(
                f"metrics.judge = {self.metrics.judge!r} is for the kind generate, and this task is of kind "
                f"{self.kind}, whose answers are right or not: leave it out"
            )
        return self

    @property
    def trained_base(self) -> str:
        """The name of what is fine-tuned: the encoder, or the causal base model."""
        return self.encoder_model if self.train.model == "encoder" else self.base_model

    @model_validator(mode="after")
    def _metric_fits_kind(self) -> Self:
        known = PRIMARY_METRICS[self.kind]
        if self.metrics.primary not in known and not self.metrics.scorers:
            raise ValueError(
                f"metrics.primary = {self.metrics.primary!r} is no metric of kind {self.kind}: {', '.join(known)}"
            )
        return self
