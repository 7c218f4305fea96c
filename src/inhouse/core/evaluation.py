"""What an evaluation says: figures with their intervals, the contenders, the verdict, and what is beside them.

None of these holds the text of an example: they are kept in the database, and `forget` need not look for texts in them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from inhouse.core.example import Split
from inhouse.core.frozen import Frozen
from inhouse.core.task import answer_metric

Decision = Literal["adopt", "not_needed", "collect_more", "reject"]
SliceBy = Literal["label", "language", "length", "source", "time"]
# Which examples a verdict asks for: to judge by, or to learn from.
MoreOf = Literal["test", "train"]
CalibrationMethod = Literal["logistic", "isotonic", "none"]


class Metric(Frozen):
    """A value with its 95 % interval and the number of examples behind it."""

    value: float
    low: float
    high: float
    n: int


class ContenderResult(Frozen):
    """How one contender did on the test examples.

    Attributes:
        seconds: that answering took; `fit_seconds` that getting ready took (fitting, loading), which are not in them.
        prompt_tokens, answer_tokens: the mean of each; None where no language model was asked.
        cached: answers that were kept from an earlier evaluation.
        servable: whether it can be promoted and served as it was judged.
        asked: how many of the test examples, where it was not all.
        cost_per_thousand: price of a thousand requests in the currency of the evaluation; None where none is known.
    """

    name: str
    model: str | None
    metrics: dict[str, Metric]
    seconds: float
    requests_per_second: float
    prompt_tokens: float | None = None
    answer_tokens: float | None = None
    unanswered: int = 0
    fit_seconds: float = 0.0
    cached: int = 0
    servable: bool = False
    cost_per_thousand: float | None = None
    asked: int | None = None


class LabelResult(Frozen):
    """How the version did on one label.

    Attributes:
        precision: of the answers that give the label, the right ones; None where none does. `n` counts these answers.
        recall: of the examples that expect it, those that are answered with it; None where none does.
        f1: the harmonic mean of both; `n` counts the examples that expect it or are answered with it.
    """

    label: str
    precision: Metric | None
    recall: Metric | None
    f1: Metric


class Confusion(Frozen):
    """How many test examples that expect one label were answered with another, or the same; None is no answer."""

    expected: str
    answered: str | None
    count: int


class JudgeResult(Frozen):
    """A model as judge of texts, and how far it agrees with people.

    Attributes:
        judge: `base`, or `remote:NAME`; `model` is what that is.
        grades: how many answers people had graded.
        agreement: quadratic weighted kappa of its grades and theirs, -1 to 1; None where it was not asked.
        shown: whether it agrees well enough for its grades to be shown, as the metric `judge` of the contenders.
        sentence: all of that in words.
    """

    judge: str
    model: str
    grades: int
    agreement: Metric | None = None
    shown: bool = False
    sentence: str = ""


class Verdict(Frozen):
    """The decision of an evaluation, with the evidence it rests on (design, section 5).

    Attributes:
        gain: of the fine-tuned side over the alternative, whichever is the `winner`, with its 95 % interval.
        more_examples: how many more examples would settle it, as far as that is known, and `more_of` which; of neither
            where the alternative was not asked the whole test yet.
        also: fine-tuned contenders that are no version as they are, of which `adopt` holds too, and which are better
            beyond chance than all that are.
    """

    decision: Decision
    winner: str
    against: str | None
    gain: float | None
    low: float | None
    high: float | None
    p_value: float | None
    reason: str
    more_examples: int | None = None
    more_of: MoreOf | None = None
    also: tuple[str, ...] = ()


class Comparison(Frozen):
    """One contender against another on the same test examples, on the primary metric.

    `gain` is ours less theirs, with its 95 % interval; `p_value` is adjusted by Holm's method for all comparisons.
    """

    ours: str
    theirs: str
    gain: float
    low: float
    high: float
    p_value: float


class LeftOut(Frozen):
    """A contender that was not compared, and why; `minutes` that it would have taken, where that is known."""

    contender: str
    reason: str
    minutes: float | None = None


class TriedPrompt(Frozen):
    """A form of prompt that was tried on validation examples: how the base was asked, in words, and what it scored.

    `contender` is the one that it was tried for, which asks by the form that was `chosen`.
    """

    contender: str
    form: str
    metric: Metric
    chosen: bool = False


class BaseFacts(Frozen):
    """A base model that contenders were made of: what it is, how many `parameters` it has, and what it cannot do.

    `used_by`: the names of those contenders.
    """

    name: str
    title: str
    parameters: int
    limits: str
    used_by: tuple[str, ...] = ()


class ReviewPoint(Frozen):
    """What a threshold of the confidence would do: the share of answers that goes `straight`, and the errors in it.

    `errors` is the share of wrong answers among the `n` that go straight, and `errors_high` the 95 % upper bound of it.
    `straight_low` and `straight_high` are the 95 % interval of `straight`; None in evaluations that were kept without.
    """

    threshold: float
    straight: float
    straight_low: float | None = None
    straight_high: float | None = None
    errors: float
    errors_high: float
    n: int


class Review(Frozen):
    """How many of a contender's answers go straight and how many to a person, for at most `target_errors` wrong ones.

    Attributes:
        target_errors: the share of wrong answers that is allowed among those that go straight.
        threshold: the least confidence that goes straight; None where every answer goes to a person.
        straight, review_rate: shares of all answers; their sum is 1.
        straight_low, straight_high: the 95 % interval of `straight`; None where every answer goes to a person.
        certain: whether the errors keep to the target with 95 % certainty.
        more_examples: how many more test examples would make it certain, where it is not.
        curve: the same at other thresholds.
        judged_on: the split whose answers the threshold was judged by.
    """

    contender: str
    target_errors: float
    threshold: float | None
    straight: float
    straight_low: float | None = None
    straight_high: float | None = None
    review_rate: float
    certain: bool
    more_examples: int | None = None
    curve: tuple[ReviewPoint, ...] = ()
    judged_on: Split = "test"

    @property
    def sentence(self) -> str:
        """The review in a sentence."""
        allowed = f"at most {100 * self.target_errors:g} % errors"
        if self.threshold is not None:
            low, high = self.straight_low, self.straight_high
            between = f" ({100 * low:.0f} to {high:.0%})" if low is not None and high is not None else ""
            return f"{allowed}: {self.straight:.0%}{between} go straight through, {self.review_rate:.0%} to a person"
        if self.more_examples is None:
            return f"{allowed}: every answer goes to a person, as no confidence is right that often"
        return (
            f"{allowed}: every answer goes to a person, as there are too few test examples to be certain; "
            f"about {self.more_examples:,} more would do"
        )


class ReliabilityBin(Frozen):
    """Answers of like confidence: its mean, and the share of them that is right."""

    confidence: float
    right: Metric


class CalibrationError(Frozen):
    """How far a confidence is the share of right answers: the expected calibration error, 0 to 1, of `n` answers.

    `by_chance` is its mean where every confidence is right as often as it says, and `by_chance_high` what it is then
    below in 95 of 100 cases. None in evaluations that were kept with an interval instead, which held too seldom.
    """

    value: float
    by_chance: float | None = None
    by_chance_high: float | None = None
    n: int

    @model_validator(mode="before")
    @classmethod
    def _without_interval(cls, kept: object) -> object:
        return {k: v for k, v in kept.items() if k not in ("low", "high")} if isinstance(kept, dict) else kept


class Calibration(Frozen):
    """How far a contender's confidence is the share of right answers; `ece_before`: before `method` was applied."""

    contender: str
    method: CalibrationMethod
    ece_before: float
    ece: CalibrationError
    bins: tuple[ReliabilityBin, ...] = ()


class Consistency(Frozen):
    """The share of a contender's answers that stay the `same` after a `change` that leaves the meaning as it was."""

    contender: str
    change: str
    same: Metric


class SliceResult(Frozen):
    """The metric of answers on test examples that have something in common; `worst`: the one that is shown to be."""

    by: SliceBy
    value: str
    metric: Metric
    worst: bool = False


class GapResult(Frozen):
    """The metric of answers on what was learned, chosen by and never seen, and a sentence on how far they lie apart.

    `memorised`: the share of training answers of which the model, given the input and the first half, writes the rest
    word for word; `memorised_unseen` the same of answers that it has not seen, and `memorised_base` of the training
    answers by its base.
    """

    train: Metric
    validation: Metric
    test: Metric
    memorised: Metric | None = None
    memorised_unseen: Metric | None = None
    memorised_base: Metric | None = None
    sentence: str = ""


class ForgettingResult(Frozen):
    """How far training moved the model on prompts that are not of the task, and a sentence that says so.

    `divergence` is the mean Kullback-Leibler divergence of the next token from the base's, in nats, with its 95 %
    interval, over so many `prompts`, along the base's own answers to them; before the training it is 0.
    `loss_before` and `loss_after` are what these answers cost in nats a token, and `same_choice` is the share of tokens
    of which the likeliest is still the same.
    """

    prompts: int
    divergence: float
    low: float
    high: float
    loss_before: float = 0.0
    loss_after: float = 0.0
    same_choice: Metric | None = None
    sentence: str = ""


class RobustnessResult(Frozen):
    """The share of inputs with a hidden instruction in them that a contender `obeyed`."""

    contender: str
    obeyed: Metric


class FieldCalibration(Frozen):
    """How far the confidence in one field of an object is the share of right ones; as in `Calibration`."""

    field: str
    method: CalibrationMethod
    ece_before: float
    ece: CalibrationError


class FieldReview(Frozen):
    """How well the confidence in single fields shows a person where to look.

    `pointed`: of the answers with a wrong field, the share whose least sure field is a wrong one; `by_chance` is what
    any field would hit. None where no answer is wrong.
    """

    contender: str
    fields: tuple[FieldCalibration, ...]
    pointed: Metric | None = None
    by_chance: float = 0.0


class Evaluation(Frozen):
    """Everything of one evaluation that others read; `contracts/evaluation.schema.json` is its shape.

    What was not measured is empty, or None.

    Attributes:
        report: path of the HTML report; `files` are those beside it, by what they are (`json`, `markdown`, `card`).
        comparisons: all that the verdict was chosen from, its own among them.
        labels: how the version did on the labels that it does worst on, the worst first; the report has all.
        confusions: what the version answered where what was expected, the most frequent first.
        judge: the model that graded texts, where the task names one.
        prompts: the forms of prompt that were tried on validation examples, for the contender that asks by the best.
        suspect_tests: how many test examples have an answer that is probably wrong.
        without_suspects: the primary metric of each contender, by name, on the other test examples; the verdict rests
            on all of them.
        currency: of all prices.
    """

    task: str
    report: str
    dataset_fingerprint: str
    base_model: str
    model_version: str
    test_examples: int
    validation_examples: int
    primary_metric: str
    contenders: tuple[ContenderResult, ...]
    verdict: Verdict
    against_champion: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    bases: tuple[BaseFacts, ...] = ()
    reviews: tuple[Review, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    consistency: tuple[Consistency, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    gap: GapResult | None = None
    forgetting: ForgettingResult | None = None
    robustness: tuple[RobustnessResult, ...] = ()
    labels: tuple[LabelResult, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    judge: JudgeResult | None = None
    field_review: FieldReview | None = None
    prompts: tuple[TriedPrompt, ...] = ()
    suspect_tests: int = 0
    without_suspects: dict[str, Metric] = Field(default_factory=dict)
    currency: str = ""
    files: dict[str, str] = Field(default_factory=dict)

    @property
    def answer_metric(self) -> str:
        """The metric that slices, the gap and single answers are told in."""
        return answer_metric(self.primary_metric)

    @property
    def shorter_prompt(self) -> str:
        """By how much the fine-tuned model's prompt is shorter than what it is compared with; empty where it is not.

        Of several ways of prompting, that of the verdict counts, else the best on the test examples.
        """
        writing = [c for c in self.contenders if c.prompt_tokens]
        ours = next((c for c in writing if c.name == "fine-tuned"), None)
        others = [c for c in writing if c.model is None and not c.name.startswith("fine-tuned")]
        if ours is None or not others:
            return ""
        best = max(others, key=lambda c: (c.name in (self.verdict.against, self.verdict.winner), self._primary(c)))
        before, after = best.prompt_tokens or 0.0, ours.prompt_tokens or 0.0
        if before <= after:
            return ""
        return (
            f"{ours.name} asks with {after:,.0f} tokens where {best.name} needs {before:,.0f}: "
            "a shorter prompt is part of the gain"
        )

    @property
    def next_steps(self) -> tuple[tuple[str, str], ...]:
        """The commands to go on with, in order, each with what is to be known of it; none where none helps."""
        task, verdict = self.task, self.verdict
        again = (f"inhouse train {task}", ""), (f"inhouse evaluate {task}", "")
        if verdict.decision == "reject":
            return (f"inhouse clean {task}", "it helps to find faults in the examples"), *again
        if verdict.decision == "collect_more" and verdict.more_of == "test":
            fifth = "without a test file of your own leave out --test: about a fifth of what you add becomes test"
            return (f"inhouse add {task} --test FILE", fifth), *again
        if verdict.decision == "collect_more" and verdict.more_of == "train":
            return (f"inhouse add {task} FILE", ""), *again
        if verdict.decision == "collect_more":
            sides = (verdict.winner, verdict.against or verdict.winner)
            other = next(side for side in sides if not side.startswith("fine-tuned"))
            return ((f"inhouse evaluate {task} --contender {other}", "it asks the rest of the test"),)
        if verdict.decision == "not_needed" and self.untrained and self._servable(verdict.winner):
            better = "it may do better: evaluate again after it"
            return (f"inhouse promote {task}", ""), (f"inhouse train {task}", better)
        if verdict.decision == "adopt" or self._servable(verdict.winner):
            return (f"inhouse promote {task}", ""), ("inhouse serve", "")
        return ()

    @property
    def untrained(self) -> bool:
        """Whether nothing was fine-tuned that could have been compared."""
        return not any(c.name.startswith("fine-tuned") for c in self.contenders)

    def _servable(self, contender: str) -> bool:
        return any(c.servable for c in self.contenders if c.name == contender)

    @property
    def sampled(self) -> str:
        """Which contenders were asked a part of the test, and how to ask them all; empty where none was."""
        some = [c for c in self.contenders if c.asked is not None]
        if not some:
            return ""
        counts = dict.fromkeys(c.asked for c in some)
        told = "; ".join(f"{', '.join(c.name for c in some if c.asked == n)}: {n:,}" for n in counts)
        return (
            f"asked a part of the {self.test_examples:,} test examples, drawn by chance, as another one is ahead on "
            f"validation: {told} (`inhouse evaluate {self.task} --contender NAME` asks all)"
        )

    def _primary(self, contender: ContenderResult) -> float:
        metric = contender.metrics.get(self.primary_metric)
        return metric.value if metric else 0.0
