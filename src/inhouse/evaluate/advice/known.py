"""What is known of a task, and what is advised of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, get_args

from inhouse.core import CurvePoint, CurveResult, Kind, Metric, Split, Verdict
from inhouse.core.frozen import Frozen

Choice = Literal[
    "prompt", "retrieval", "classical", "fine_tune", "fine_tune_with_retrieval", "collect_more", "leave_it"
]
CHOICES: tuple[Choice, ...] = get_args(Choice)

FLOOR = "majority"
# Who is shown passages of the task's documents.
GROUNDED = "grounded"
REMOTE = "remote:"
# Of what a learning curve is that tells of fine-tuning itself; others are of a model that trains in a second.
OWN_CURVE = "train --curve"


class Money(Frozen):
    """What fine-tuning costs once, and a request by either way, in one currency.

    Attributes:
        labelling_hours, hour_price: the work of making the examples, and what an hour of it costs.
        training: cost of the training itself.
        local_per_thousand, remote_per_thousand: of a thousand requests here, and to a remote model.
        price_from: where the remote price stands.
        free: why this machine counts as free; empty where it has a price.
    """

    labelling_hours: float = 0.0
    hour_price: float = 0.0
    training: float = 0.0
    local_per_thousand: float = 0.0
    remote_per_thousand: float
    price_from: str = "--remote-price"
    free: str = ""


class BreakEven(Frozen):
    """After how many requests the work on an own model has paid for itself against a remote one; None: never.

    `months` at the task's requests per month, where they are known.
    """

    once: float
    saved_per_thousand: float
    requests: float | None
    months: float | None


class Evidence(Frozen):
    """What is known of a task.

    Attributes:
        metric: the primary metric, which all of `contenders` were judged on: by name, on the same examples.
        judged_on: `validation` before an evaluation, `test` after.
        verdict, version: of the newest evaluation, where there is one.
        trained: whether something fine-tuned took part in that evaluation; else it says nothing of fine-tuning.
        stale: that the data changed since that evaluation, in words; empty where it did not.
        go_on: the command that the task goes on with: that of the verdict, else what the data waits for (to be trained
            on, or evaluated). Empty where a verdict has none.
        clean_first: the command before that, where the test stands nearly in the training data; else empty.
        serves: the contender of that evaluation that is the champion; empty where none is.
        facts_outside: share of what training answers tell that neither their input nor other training answers hold.
        form_kept: share of the training answers that keep the form of the task: the schema, or the structure checks.
        contradicting: share of the training examples whose very input has another answer elsewhere.
        curve: scores by number of training examples; `curve_of` names what was trained.
        requests_per_month: expected, or as they were served.
        remotes: names of the remote models that were asked.
        report, card, curve_file: of the evaluation (JSON), the data, and the curve, where there are such files.
    """

    task: str
    kind: Kind
    metric: str
    min_gain: float
    minimum: float | None = None
    train_examples: int
    judged_examples: int
    judged_on: Split = "validation"
    contenders: Mapping[str, Metric]
    verdict: Verdict | None = None
    version: str = ""
    trained: bool = True
    stale: str = ""
    go_on: str
    clean_first: str = ""
    serves: str = ""
    facts_outside: Metric | None = None
    form_kept: Metric | None = None
    contradicting: Metric | None = None
    curve: CurveResult | None = None
    curve_of: str = ""
    requests_per_month: float | None = None
    requests_from: str = ""
    money: Money | None = None
    remotes: tuple[str, ...] = ()
    report: str = ""
    card: str = ""
    curve_file: str = ""

    @property
    def judged(self) -> Verdict | None:
        """The verdict on fine-tuning and the data as it is; None where there is none, or the data changed since."""
        return self.verdict if self.trained and not self.stale else None

    @property
    def paid(self) -> BreakEven | None:
        """When an own model has paid for itself, where prices are known."""
        return break_even(self.money, self.requests_per_month) if self.money else None

    @property
    def bar(self) -> float:
        """What a contender must come to, so that fine-tuning is not worth trying."""
        return self.minimum if self.minimum is not None else 1 - self.min_gain

    @property
    def asked(self) -> dict[str, Metric]:
        """The contenders without the floor."""
        return {name: m for name, m in self.contenders.items() if name != FLOOR}

    @property
    def tuned_now(self) -> CurvePoint | None:
        """What fine-tuning on today's examples comes to by its own learning curve, in the primary metric."""
        if self.curve is None or self.curve_of != OWN_CURVE or self.curve.metric != self.metric:
            return None
        return next((p for p in reversed(self.curve.points) if p.measured), None)

    @property
    def needed(self) -> float:
        """What fine-tuning must come to, to be worth it: `min_gain` above the best of the others, and the bar."""
        best = max((m.value for m in self.asked.values()), default=0.0)
        return min(1.0, max(best + self.min_gain, self.minimum or 0.0))

    @property
    def enough(self) -> str:
        """What an evaluation before any training holds for the best that can be used; empty where there is none."""
        if self.verdict is None or self.trained or self.verdict.decision != "not_needed":
            return ""
        return self.verdict.winner if self.verdict.winner in self.asked else ""

    def best(self, kind: Choice) -> str:
        """The best contender of a family; empty where none was asked."""
        ours = [name for name in self.contenders if family(name) == kind]
        return max(ours, key=lambda name: self.contenders[name].value, default="")


class Reason(Frozen):
    """One reason: what it `says`, the `number` behind it, its `source`, and what would change the choice.

    The `source` names where the figure stands: a file of the workspace and a place in it, or a key of `--json`.
    `changes_if` is empty where this figure alone changes nothing.
    """

    says: str
    number: str
    source: str
    changes_if: str = ""


class Advice(Frozen):
    """What to do, why, and what would change the advice.

    Attributes:
        use: the contender that is advised, where one is.
        next: the command to go on with; empty where the thing to do is none.
        evidence: all figures that this rests on.
    """

    task: str
    choice: Choice
    use: str
    reason: str
    reasons: tuple[Reason, ...]
    changes_if: tuple[str, ...]
    break_even: BreakEven | None
    next: str
    evidence: Evidence


def family(contender: str) -> Choice:
    """What somebody does who uses the contender of this name; of `majority`, leave it."""
    looks_up = any(word in contender for word in ("retrieval", GROUNDED))
    if contender.startswith("fine-tuned"):
        return "fine_tune_with_retrieval" if looks_up else "fine_tune"
    if contender == FLOOR:
        return "leave_it"
    if contender.endswith("linear") or contender == "nearest":
        return "classical"
    return "retrieval" if looks_up else "prompt"


def break_even(money: Money, per_month: float | None = None) -> BreakEven:
    """When an own model has paid for itself against a remote one."""
    once = money.labelling_hours * money.hour_price + money.training
    saved = money.remote_per_thousand - money.local_per_thousand
    requests = float(math.ceil(1000 * once / saved)) if saved > 0 else None
    months = requests / per_month if requests is not None and per_month else None
    return BreakEven(once=once, saved_per_thousand=saved, requests=requests, months=months)


def figures(metric: Metric | CurvePoint) -> str:
    """A value with its interval."""
    value = metric.value if isinstance(metric, Metric) else metric.score
    return f"{value:.1%} ({metric.low:.1%} to {metric.high:.1%})"
