"""What the stages return: findings, recipes, plans, trainings, model versions, monitoring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field

from inhouse.core.calibration import Calibrator
from inhouse.core.evaluation import Metric
from inhouse.core.example import Split
from inhouse.core.frozen import Frozen
from inhouse.core.task import FromInput, Kind, Method, ObjectiveName, Outline, Task, Trim
from inhouse.core.trimming import Trimming

Severity = Literal["error", "warning", "info"]
MonitorDecision = Literal["keep", "collect", "retrain", "go_back"]

# A finding's JSON has so many examples and as many pieces of evidence at most; `count` says how many there are.
SHOWN = 20


class Evidence(Frozen):
    """One example as a finding shows it: where it stands, what was asked and answered (cut), and what to see in it.

    `position` is its place in the dataset.
    """

    place: str
    split: Split
    input: str
    target: str
    note: str = ""
    position: int = Field(default=-1, exclude=True)


class Masked(Frozen):
    """A stretch of an example's text and what to put there: of the input field `field`, or, where empty, the target.

    `rejected`: of the rejected answer instead.
    """

    field: str
    start: int
    end: int
    text: str
    rejected: bool = False


class Finding(Frozen):
    """One problem seen in a dataset: what it is, the examples at fault, and what accepting it would do.

    Attributes:
        examples: their ids, `SHOWN` at most; `count` of them there are.
        positions: where all of them are in the dataset.
        evidence: some of them, side by side.
        score: how sure, or how alike, from 0 to 1, where the check measures that.
        cost: what it costs to leave it, in a sentence.
        safe: whether it may be accepted without a look.
        drop: positions in the dataset that accepting removes.
        relabel: by position, the target that accepting gives.
        mask: by position, the stretches of text that accepting replaces.
    """

    id: str
    check: str
    severity: Severity
    examples: tuple[str, ...]
    reason: str
    action: str
    count: int = 0
    evidence: tuple[Evidence, ...] = ()
    score: float | None = None
    cost: str = ""
    safe: bool = False
    positions: tuple[int, ...] = Field(default=(), exclude=True)
    drop: tuple[int, ...] = Field(default=(), exclude=True)
    relabel: dict[int, str] = Field(default_factory=dict, exclude=True)
    mask: dict[int, tuple[Masked, ...]] = Field(default_factory=dict, exclude=True)

    @property
    def edits(self) -> bool:
        """Whether accepting it changes anything."""
        return bool(self.drop or self.relabel or self.mask)

    @property
    def touched(self) -> frozenset[int]:
        """The positions that accepting it changes."""
        return frozenset((*self.drop, *self.relabel, *self.mask))


class Recipe(Frozen):
    """The frozen, complete description of a training: equal recipes on equal data give equal adapters.

    `system` is the system message that every training and serving prompt carries; `answer_form` is the hash of what
    holds the answers of an extract task, as another schema makes another version. `minutes` is the budget that ends the
    training, and `steps` the schedule that fits into it, where the whole one does not. `rank` and `alpha` are 0 where
    the `method` is to train all weights. `beta` and `sft_weight` are of the objective `dpo`. `four_bit`:
    the base's weights had 4 bits in training (QLoRA), as the GPU had no room for more. `compiled`: torch.compile made
    programs of the layers, whose sums are rounded otherwise. `trim`: how inputs beyond
    `max_tokens` were shortened, where they were. `decided_by`: what the looks compare, the task's own metric, or, as
    weights that are split over processes write no answers, whether an answer's every token is the likeliest.
    """

    base_model: str
    base_sha256: str
    dataset_fingerprint: str
    seed: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_share: float
    rank: int
    alpha: int
    weight_decay: float
    max_grad_norm: float
    max_tokens: int
    patience: int
    precision: Literal["bfloat16", "float32"]
    system: str
    max_steps: int | None = None
    minutes: float | None = None
    steps: int | None = None
    answer_form: str = ""
    method: Method = "lora"
    four_bit: bool = False
    compiled: bool = False
    objective: ObjectiveName = "sft"
    beta: float | None = None
    sft_weight: float | None = None
    trim: Trim | None = None
    decided_by: Literal["metric", "answer_tokens"] = "metric"


class EncoderRecipe(Frozen):
    """The frozen, complete description of a classifier's training: a sentence encoder tuned, then a head over labels.

    `layer_decay` is what each layer's learning rate is of that of the layer above it; `scale` multiplies cosines into
    logits; `temperature` divides those of the contrast, which `contrast` weighs. The head has the `strength` (the
    inverse of its regularisation) and chooses among `ngram_weights`, and `margin_weights` for an SVM. `schedule` is the
    steps of the whole plan, and `steps` those that fit into `minutes`, where they do not all.
    """

    method: Literal["encoder"] = "encoder"
    base_model: str
    base_sha256: str
    dataset_fingerprint: str
    seed: int
    schedule: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    layer_decay: float
    warmup_share: float
    weight_decay: float
    max_grad_norm: float
    label_smoothing: float
    scale: float
    temperature: float
    contrast: float
    max_tokens: int
    patience: int
    strength: float
    ngram_weights: tuple[float, ...]
    margin_weights: tuple[float, ...]
    precision: Literal["float32"] = "float32"
    max_steps: int | None = None
    minutes: float | None = None
    steps: int | None = None


AnyRecipe = Recipe | EncoderRecipe


def read_recipe(values: Mapping[str, Any]) -> AnyRecipe:
    """A recipe from what was kept of it."""
    kind = EncoderRecipe if values.get("method") == "encoder" else Recipe
    return kind.model_validate(values)


class Choice(Frozen):
    """One choice of a plan, and why it was made."""

    name: str
    value: str
    reason: str


class BaseOption(Frozen):
    """What a training of the same data would take from another base model, scaled from what was measured with one.

    Of kind `encoder`: from the task's encoder (`--model encoder`), measured.
    """

    name: str
    kind: Literal["causal", "encoder"] = "causal"
    parameters: int
    minutes: float
    memory_gib: float
    fits: bool


class TrainPlan(Frozen):
    """What `train --dry-run` gives back: everything that a training would do and take.

    `minutes` are the loop's; packaging and the parity gate come on top. `memory_gib` and `disk_gib` are the most that
    are needed at a time. `kwh` rests on `watts`, and `watts_from` tells where these are from; the costs are there where
    a price was given.
    """

    task: str
    base_model: str
    examples: int
    validation_examples: int
    truncated_examples: int
    steps: int
    tokens: int
    minutes: float
    tokens_per_second: float
    memory_gib: float
    memory_free_gib: float
    disk_gib: float
    disk_free_gib: float
    fits: bool
    watts: float
    watts_from: str
    kwh: float
    cost: float | None
    choices: tuple[Choice, ...]
    options: tuple[BaseOption, ...]
    recipe: dict[str, Any]


class CurvePoint(Frozen):
    """A score at a number of training examples, with its 95 % interval; `measured`, or foretold."""

    examples: int
    score: float
    low: float
    high: float
    measured: bool


class CurveResult(Frozen):
    """What `train --curve` gives back.

    `power` is the b of `error = a n^-b`: 0 where more examples bring nothing. `gain` is what twice as many examples
    would bring, on the fitted curve, with its 95 % interval. `interrupted`: the trainings on larger shares are to come.
    """

    task: str
    metric: str
    validation_examples: int
    power: float
    gain: float
    low: float
    high: float
    points: tuple[CurvePoint, ...]
    reason: str
    chart: str
    interrupted: bool = False


class Parity(Frozen):
    """Trainer against served file: what was compared, how far they agree, and what differs.

    `ties` of the `tokens` differ only because the trainer itself found two tokens equally likely; `top1_agreement` is
    the share of tokens that agree, ties not counted as agreement.
    """

    passed: bool
    tokens: int
    top1_agreement: float
    ties: int = 0
    mean_logprob_difference: float
    worst_logprob_difference: float
    trainer_accuracy: float
    served_accuracy: float
    paired_p_value: float
    validation_examples: int
    differences: tuple[str, ...] = ()
    reason: str = ""


class Checked(Frozen):
    """What `promote` found when it loaded a version as it will serve: trainer against served file again, and how long
    an answer takes one client, in milliseconds: the median, and what 95 of 100 are within, of `timed` examples.

    `parity` is None where nothing is kept that the served file could be compared with.
    """

    at: str
    parity: Parity | None
    latency_ms: float
    latency_p95_ms: float
    timed: int


class TrainResult(Frozen):
    """What `train` gives back; `contracts/train.schema.json` is its shape.

    `overfitting`: the evidence for it, in a sentence; empty where there is none. `interrupted`: Ctrl-C ended it early;
    the version is what was learned by then, and `train` goes on. `validation_score` is the best look's, on
    `validation_metric`.
    """

    task: str
    run: str
    model_version: str
    recipe: dict[str, Any]
    trained_tokens: int
    truncated_examples: int
    seconds: float
    tokens_per_second: float
    best_step: int
    steps: int
    stopped_because: str
    validation_loss: float
    validation_score: float = 0.0
    validation_metric: str = ""
    overfitting: str = ""
    resumed: bool
    interrupted: bool = False
    parity: Parity
    history: tuple[dict[str, float], ...] = ()


class SeedsResult(Frozen):
    """What `train --seeds` gives back: one training for each seed, and how far they lie apart on validation examples.

    `best` is the version with the best score there.
    """

    task: str
    metric: str
    best: str
    mean: float
    standard_deviation: float
    lowest: float
    highest: float
    runs: tuple[TrainResult, ...]


# The names of contenders that a training makes: the causal model, and the encoder.
FINE_TUNED = ("fine-tuned", "fine-tuned-encoder")


class ModelVersion(Frozen):
    """A registered result: the file that serves, and where it comes from.

    What it reads and answers is kept with it, so that it answers tomorrow as it does today, whatever becomes of
    `task.toml`: the input `fields` (`chat`: one that holds a conversation; `documents`: those whose cells may name
    one), by kind the `labels`, the `json_schema` or the `outline`, and the most tokens of an answer. `left_free` are
    the fields of `from_input` that proved right more often when not held to their input. `trimming` is how inputs are
    shortened that are longer than it reads. `engine` is what its file was compared in and is served by; `exact`: in
    float32, because the engine's faster arithmetic failed the parity gate. Answers at least as sure as the `threshold`
    need no person, once the `calibrator` made their confidence a probability; `field_calibrators` do so for the fields
    of an object, by path, that of the empty path for those that have none. An evaluation sets them all. `training` is
    the `TrainResult` that it came with: a run that is stopped and goes on makes several. `checked` is what the last
    `promote` found.
    """

    task: str
    number: int
    kind: Kind = "classify"
    contender: str
    run: str
    file_sha256: str
    adapter_sha256: str
    fields: tuple[str, ...]
    labels: tuple[str, ...] = ()
    json_schema: dict[str, Any] = Field(default_factory=dict)
    from_input: dict[str, FromInput] = Field(default_factory=dict)
    left_free: tuple[str, ...] = ()
    outline: Outline = Outline()
    answer_tokens: int = 0
    chat: bool = False
    documents: tuple[str, ...] = ()
    trimming: Trimming | None = None
    threshold: float
    calibrator: Calibrator | None = None
    field_calibrators: dict[str, Calibrator] = Field(default_factory=dict)
    parity: Parity
    checked: Checked | None = None
    engine: str = "openvino-genai"
    exact: bool = False
    lineage: dict[str, Any]
    training: dict[str, Any] | None = None
    report: str | None = None
    evaluation: dict[str, Any] | None = None
    created_at: str = ""

    @property
    def name(self) -> str:
        """`task@number`, the name under which it can be served."""
        return f"{self.task}@{self.number}"

    @property
    def epoch(self) -> int | None:
        """After which epoch of its training it was taken; None of the version that the training is for.

        An epoch's version is asked for by its number alone: it is never the newest, and never becomes the candidate.
        """
        return self.lineage.get("epoch") if self.fine_tuned else None

    @property
    def fine_tuned(self) -> bool:
        """Whether a training made it; else an evaluation made it of what it compared: a linear model, or a prompt."""
        return self.contender in FINE_TUNED

    @property
    def out_of_parity(self) -> str:
        """Why it is served under no name: it does not compute what was trained; empty where it does."""
        for parity in (self.parity, self.checked.parity if self.checked else None):
            if parity is not None and not parity.passed:
                return parity.reason or "; ".join(parity.differences) or "no reason was recorded"
        return ""

    @property
    def held_to(self) -> dict[str, FromInput]:
        """The fields whose answers are held to their input: those of `from_input` that were not left free."""
        return {path: form for path, form in self.from_input.items() if path not in self.left_free}

    def answers_as(self, task: Task) -> Task:
        """The task with what this version's answers look like, in place of what `task.toml` says today."""
        form = {
            "labels": self.labels,
            "json_schema": self.json_schema,
            "from_input": self.held_to,
            "outline": self.outline,
        }
        return task.model_copy(update=form)


class DriftSignal(Frozen):
    """One drift test: its statistic, p-value, and the examples that drive it."""

    signal: str
    statistic: float
    p_value: float
    drifted: bool
    examples: tuple[str, ...] = ()


class ShadowResult(Frozen):
    """How often a candidate that answered unseen gave the champion's answer; `errors` times it gave none."""

    version: str
    against: str
    agreement: Metric | None
    errors: int


class MonitorResult(Frozen):
    """What `monitor` gives back; `contracts/monitor.schema.json` is its shape."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    task: str
    model_version: str
    window: dict[str, Any]
    quality: Metric | None
    quality_basis: str
    drift: tuple[DriftSignal, ...]
    review_rate: float | None
    corrections: int
    decision: MonitorDecision
    reason: str
    shadow: ShadowResult | None = None


class Trace(Frozen):
    """One served request with its answer.

    `route` says how the version came to answer, `key` and `user_hash` who asked, `asked` the wishes of the request, and
    `ttft_ms` when the first piece was there.
    """

    id: str
    task: str
    model_version: str
    inputs: dict[str, str]
    output: str | None
    confidence: float
    needs_review: bool
    latency_ms: float
    prompt_tokens: int
    answer_tokens: int
    created_at: str
    error: str | None = None
    route: str = ""
    key: str = ""
    user_hash: str = ""
    ttft_ms: float | None = None
    cached_tokens: int = 0
    asked: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)


class Feedback(Frozen):
    """An opinion on a trace; with `correction`, the right answer given by a person."""

    id: str = Field(default="")
    trace: str
    correction: str | None = None
    accepted: bool
    comment: str = ""
    created_at: str = ""
