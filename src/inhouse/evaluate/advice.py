"""What to do about a task: prompt, retrieve, take a classical model, fine-tune, collect more examples, or leave it.

Pure: from evidence that was measured elsewhere to one choice, its reasons with their figures, and what would change it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

from inhouse.core import CurveResult, Decision, Kind, Metric, counted
from inhouse.core.example import Split
from inhouse.core.frozen import Frozen

Choice = Literal[
    "prompt", "retrieval", "classical", "fine_tune", "fine_tune_with_retrieval", "collect_more", "leave_it"
]
CHOICES: tuple[Choice, ...] = get_args(Choice)

FLOOR = "majority"
# Who is shown passages of the task's documents.
GROUNDED = "grounded"
# With fewer examples to learn from, or to judge by, figures say next to nothing: the interval of a share of 20 is up to
# 40 points wide.
LEAST_EXAMPLES = 50
LEAST_JUDGED = 20
# Where more than this share of the answers tells what neither the input nor the training answers hold, no model can
# know it: it must be looked up.
OUTSIDE = 0.2
# With more than this share of examples whose input has another answer elsewhere, no model can be right.
CONTRADICTING = 0.2
# With fewer examples than this, a model that is no better than the floor has not shown that there is nothing to learn.
ENOUGH_TO_DOUBT = 200
# A month-long wait beyond this for the work to pay is no plan.
MOST_MONTHS = 36.0


class Money(Frozen):
    """What fine-tuning costs once, and a request by either way, in one currency.

    Attributes:
        labelling_hours, hour_price: the work of making the examples, and what an hour of it costs.
        training: cost of the training itself.
        local_per_thousand, remote_per_thousand: of a thousand requests here, and to a remote model.
    """

    labelling_hours: float = 0.0
    hour_price: float = 0.0
    training: float = 0.0
    local_per_thousand: float = 0.0
    remote_per_thousand: float


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
        judged_on: `validation` before a version was evaluated, `test` after.
        decision, winner, version: of the evaluation, where there is one; `verdict` is its reason in a sentence, and
            `next_step` the command that it goes on with.
        facts_outside: share of what training answers tell that neither their input nor other training answers hold.
        form_kept: share of the training answers that keep the form of the task: the schema, or the structure checks.
        contradicting: share of the training examples whose very input has another answer elsewhere.
        curve: scores by number of training examples; `curve_of` names what was trained.
        requests_per_month: expected, or as they were served.
        remotes: names of the remote models that were asked.
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
    decision: Decision | None = None
    winner: str = ""
    version: str = ""
    verdict: str = ""
    next_step: str = ""
    facts_outside: Metric | None = None
    form_kept: Metric | None = None
    contradicting: Metric | None = None
    curve: CurveResult | None = None
    curve_of: str = ""
    requests_per_month: float | None = None
    requests_from: str = ""
    money: Money | None = None
    remotes: tuple[str, ...] = ()


class Reason(Frozen):
    """One reason: what it `says`, the `number` behind it, its `source`, and what would change it."""

    says: str
    number: str
    source: str
    changes_if: str = ""


class Advice(Frozen):
    """What to do, why, and what would change the advice.

    Attributes:
        use: the contender that is advised, where one is.
        evaluated: the version whose evaluation this rests on; empty before there is one.
        contenders: the primary metric of each that was asked.
        next: the command to go on with; empty where the thing to do is none.
    """

    task: str
    choice: Choice
    use: str
    reason: str
    reasons: tuple[Reason, ...]
    changes_if: tuple[str, ...]
    break_even: BreakEven | None
    evaluated: str
    metric: str
    judged_examples: int
    judged_on: Split
    contenders: dict[str, Metric]
    next: str


def family(contender: str) -> Choice:
    """What somebody does who uses the contender of this name; of `majority`, leave it."""
    looks_up = any(word in contender for word in ("retrieval", "grounded"))
    if contender.startswith("fine-tuned"):
        return "fine_tune_with_retrieval" if looks_up else "fine_tune"
    if contender == FLOOR:
        return "leave_it"
    if contender.endswith("linear") or contender == "nearest":
        return "classical"
    return "retrieval" if looks_up else "prompt"


def advise(evidence: Evidence) -> Advice:
    """The one choice that the evidence speaks for."""
    paid = break_even(evidence.money, evidence.requests_per_month) if evidence.money else None
    choice, use, reason = _decide(evidence, paid)
    reasons = tuple(_reasons(evidence, paid))
    return Advice(
        task=evidence.task,
        choice=choice,
        use=use,
        reason=reason,
        reasons=reasons,
        changes_if=tuple(dict.fromkeys(r.changes_if for r in reasons if r.changes_if)),
        break_even=paid,
        evaluated=evidence.version,
        metric=evidence.metric,
        judged_examples=evidence.judged_examples,
        judged_on=evidence.judged_on,
        contenders=dict(evidence.contenders),
        next=_next(evidence, choice),
    )


def break_even(money: Money, per_month: float | None = None) -> BreakEven:
    """When an own model has paid for itself against a remote one."""
    once = money.labelling_hours * money.hour_price + money.training
    saved = money.remote_per_thousand - money.local_per_thousand
    requests = float(math.ceil(1000 * once / saved)) if saved > 0 else None
    months = requests / per_month if requests is not None and per_month else None
    return BreakEven(once=once, saved_per_thousand=saved, requests=requests, months=months)


def _decide(given: Evidence, paid: BreakEven | None) -> tuple[Choice, str, str]:
    """The choice, the contender to use (empty where none is), and why in a sentence; the first rule that holds."""
    outside = given.facts_outside
    needs_facts = outside is not None and outside.low >= OUTSIDE
    if needs_facts and given.decision != "adopt":
        told = (
            f"{_share(outside)} of the answers tell what neither the input nor other answers hold: it must be looked up"
        )
        return "retrieval", _best(given, "retrieval"), f"{told}, whichever model writes the answer"
    if given.decision is not None:
        return _after(given, needs_facts=needs_facts)
    if given.train_examples < LEAST_EXAMPLES or given.judged_examples < LEAST_JUDGED:
        return (
            "collect_more",
            "",
            f"{counted(given.train_examples, 'example')} to learn from and {given.judged_examples} to judge by "
            f"are too few to tell (at least {LEAST_EXAMPLES} and {LEAST_JUDGED})",
        )
    if given.contradicting is not None and given.contradicting.low > CONTRADICTING:
        told = f"{_share(given.contradicting)} of the examples have an input that is answered otherwise elsewhere"
        return "leave_it", "", f"{told}: no model can be right on both; agree on the answers first"
    return _before(given, paid)


def _after(given: Evidence, *, needs_facts: bool) -> tuple[Choice, str, str]:
    """As the verdict of the evaluation has it."""
    if given.decision == "collect_more":
        return "collect_more", "", f"the evaluation of {given.version} could not decide. {given.verdict}".strip()
    if given.decision == "reject":
        return "leave_it", "", f"the evaluation of {given.version} rejects every contender. {given.verdict}".strip()
    value = given.contenders[given.winner]
    told = f"{given.winner} is the best choice on the test examples: {given.metric} {_figures(value)}"
    choice = family(given.winner)
    if needs_facts and choice == "fine_tune":
        told += "; its answers tell facts that must be looked up"
        return "fine_tune_with_retrieval", given.winner, told
    name = _best(given, "fine_tune_with_retrieval")
    if choice == "fine_tune" and name and given.contenders[name].low > value.high:
        shown = _figures(given.contenders[name])
        return "fine_tune_with_retrieval", name, f"{told}; shown similar examples with each request it comes to {shown}"
    return choice, given.winner, told


def _before(given: Evidence, paid: BreakEven | None) -> tuple[Choice, str, str]:
    """By what the contenders that need no training do already."""
    others = {name: m for name, m in given.contenders.items() if name != FLOOR}
    floor = given.contenders.get(FLOOR)
    if not others:
        return "collect_more", "", "nothing was asked that could be compared"
    best = max(others, key=lambda name: others[name].value)
    value = others[best]
    told = f"{best} has {given.metric} {_figures(value)} without fine-tuning"
    if given.minimum is not None and value.low >= given.minimum:
        return family(best), best, f"{told}, which meets the bar of {given.minimum:.1%}"
    if value.low > 1 - given.min_gain:
        return family(best), best, f"{told}: nothing that is worth having is left to gain"
    learned = any(family(name) == "classical" for name in others)
    if floor is not None and learned and value.low <= floor.value and given.train_examples >= ENOUGH_TO_DOUBT:
        return (
            "leave_it",
            "",
            f"the best, {best}, is not beyond {FLOOR} ({_figures(value)} against {floor.value:.1%}): the answers do "
            "not seem to follow from the inputs",
        )
    if paid is not None and best.startswith("remote:") and (paid.requests is None or (paid.months or 0) > MOST_MONTHS):
        return "prompt", best, f"{told}, and an own model would not pay for itself within {MOST_MONTHS:.0f} months"
    room = f"{told}, which leaves up to {100 * (1 - value.value):.0f} points to gain"
    trained = "training costs machine time and is judged by `evaluate`"
    if helps := _documents_help(given):
        return "fine_tune_with_retrieval", "", f"{room}; {helps}; {trained}"
    return "fine_tune", "", f"{room}; {trained}"


def _documents_help(given: Evidence) -> str:
    """That passages of the documents do more than any other way of asking the base, in words; empty if not shown.

    Similar examples are no such sign: a model that has learned them need not be shown them.
    """
    shown = given.contenders.get(GROUNDED)
    base = (name for name in given.contenders if name != GROUNDED and not name.startswith("remote:"))
    others = [given.contenders[name] for name in base if family(name) in ("prompt", "retrieval")]
    if shown is None or not others or shown.low <= max(m.high for m in others):
        return ""
    best = max(others, key=lambda m: m.value)
    return f"the documents hold what is needed: with their passages {_figures(shown)}, without {_figures(best)}"


def _reasons(given: Evidence, paid: BreakEven | None) -> Iterator[Reason]:
    """Every reason that has a figure, the figures of contenders first."""
    source = f"{counted(given.judged_examples, f'{given.judged_on} example')}"
    words: dict[Choice, str] = {
        "prompt": "prompting alone",
        "retrieval": "prompting with what is looked up",
        "classical": "a classical model",
        "fine_tune": "fine-tuning",
        "fine_tune_with_retrieval": "fine-tuning with what is looked up",
        "leave_it": "always the most frequent answer",
    }
    bar = given.minimum if given.minimum is not None else 1 - given.min_gain
    for kind, what in words.items():
        if name := _best(given, kind):
            metric = given.contenders[name]
            changes = "" if kind == "leave_it" else f"{what} comes to {bar:.1%} or more, or falls behind another way"
            yield Reason(says=f"{what}, at its best {name}", number=_figures(metric), source=source, changes_if=changes)
    yield from _of_data(given)
    if given.curve is not None:
        found = given.curve
        yield Reason(
            says=f"twice as many examples would bring ({given.curve_of or 'the learning curve'})",
            number=f"{100 * found.gain:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})",
            source=f"learning curve on {counted(found.validation_examples, 'validation example')}",
            changes_if="the curve rises or levels off with more examples",
        )
    yield from _of_money(given, paid)
    asked = ", ".join(given.remotes) or "none"
    yield Reason(
        says="remote models were asked; to use one, each input leaves this machine. All else stays here",
        number=f"{len(given.remotes)} ({asked})",
        source="remotes of the task, --remote",
        changes_if="inputs may, or may not, leave this machine",
    )


def _of_data(given: Evidence) -> Iterator[Reason]:
    yield Reason(
        says="examples to learn from",
        number=f"{given.train_examples:,}",
        source="the newest dataset version",
        changes_if=f"there are fewer than {LEAST_EXAMPLES}, or many more",
    )
    shares = (
        (
            given.facts_outside,
            "of what the answers tell stands neither in the input nor in other answers: to be looked up",
            f"at least {OUTSIDE:.0%} of the answers tell what must be looked up, or no longer do",
        ),
        (given.form_kept, "of the training answers keep the form of the task", "answers lose their common form"),
        (
            given.contradicting,
            "of the examples have an input that has another answer elsewhere",
            f"over {CONTRADICTING:.0%} of the examples contradict each other, or no longer do",
        ),
    )
    for metric, says, changes in shares:
        if metric is not None:
            source = counted(metric.n, "training example")
            yield Reason(says=says, number=_figures(metric), source=source, changes_if=changes)


def _of_money(given: Evidence, paid: BreakEven | None) -> Iterator[Reason]:
    if given.requests_per_month is not None:
        yield Reason(
            says="requests a month",
            number=f"{given.requests_per_month:,.0f}",
            source=given.requests_from,
            changes_if="the volume changes" if paid else "",
        )
    if paid is None:
        return
    often = f", {paid.months:.1f} months" if paid.months is not None else ""
    number = "never" if paid.requests is None else f"{paid.requests:,.0f} requests{often}"
    yield Reason(
        says=f"an own model has paid for its {paid.once:,.2f}, saving {paid.saved_per_thousand:.2f} a thousand",
        number=number,
        source="prices and hours as given",
        changes_if="the price of the remote model, or the hours of labelling, change",
    )


def _best(given: Evidence, kind: Choice) -> str:
    """The best contender of a family; empty where none was asked."""
    ours = [name for name in given.contenders if family(name) == kind]
    return max(ours, key=lambda name: given.contenders[name].value, default="")


def _next(given: Evidence, choice: Choice) -> str:
    """The command to go on with; empty where the thing to do is no command."""
    if given.decision is not None:
        return "" if choice == "retrieval" else given.next_step
    if choice == "collect_more":
        return f"inhouse add {given.task} FILE"
    if choice == "leave_it":
        return f"inhouse clean {given.task}"
    return f"inhouse train {given.task}" if choice in ("fine_tune", "fine_tune_with_retrieval") else ""


def _share(metric: Metric | None) -> str:
    return "" if metric is None else f"{metric.value:.0%}"


def _figures(metric: Metric) -> str:
    return f"{metric.value:.1%} ({metric.low:.1%} to {metric.high:.1%})"
