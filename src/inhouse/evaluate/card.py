"""The model card: one page for who owns a model. What it does, how good it is, what it cannot do, when to look again.

It holds no text of an example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inhouse.core import ContenderResult, Evaluation, Task, counted
from inhouse.evaluate.report import page_style
from inhouse.evaluate.report.markdown import escaped
from inhouse.evaluate.report.words import (
    PART,
    interval,
    is_tuned,
    metric_name,
    p_value,
    percent,
    plain_names,
    points,
    review_sentence,
)

Parts = Sequence[tuple[str, Sequence[str]]]

_SAYS = {
    "adopt": "the evaluation says: use it",
    "not_needed": "the evaluation says: fine-tuning is not needed here",
    "collect_more": "the evaluation could not decide: more examples are needed",
    "reject": "the evaluation says: do not use it",
}


@dataclass(frozen=True, slots=True)
class CardData:
    """What a card is made from.

    Args:
        base: what the version was made from, in words, and `limits` what that cannot do; empty where it has none.
        counts: examples by split.
        again: when to look at it again, a sentence each.
        created_at: when, in ISO 8601.
    """

    evaluation: Evaluation
    task: Task
    base: str
    limits: str
    counts: dict[str, int]
    again: tuple[str, ...]
    created_at: str

    @property
    def title(self) -> str:
        """The title of the card."""
        return f"{self.evaluation.model_version}: model card"


def card_parts(data: CardData) -> Parts:
    """The parts of a card: heading and sentences."""
    known = data.evaluation
    ours = next((c for c in known.contenders if c.model == known.model_version), known.contenders[0])
    return (
        ("What it does", list(_does(data))),
        ("How good it is", list(_good(known, ours))),
        ("What it cannot do", list(_cannot(data, ours))),
        ("What it costs", list(_costs(known, ours))),
        ("When to look again", list(data.again)),
    )


def card_markdown(data: CardData) -> str:
    """The card as Markdown."""
    lines = [f"# {escaped(data.title)}", ""]
    for heading, sentences in card_parts(data):
        lines += [f"## {heading}", "", *(f"- {escaped(s)}" for s in sentences), ""]
    return "\n".join([*lines, escaped(_foot(data)), ""])


def card_html(data: CardData) -> str:
    """The card as one page that opens without a connection, runs nothing and prints on one sheet."""
    from markupsafe import escape

    body = "\n".join(
        f"<h2>{heading}</h2>\n<ul>\n" + "\n".join(f'<li dir="auto">{escape(s)}</li>' for s in sentences) + "\n</ul>"
        for heading, sentences in card_parts(data)
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(data.title)}</title>\n<style>\n{page_style()}\n</style>\n</head>\n"
        f'<body class="card">\n<h1>{escape(data.title)}</h1>\n{body}\n'
        f'<p class="note">{escape(_foot(data))}</p>\n</body>\n</html>\n'
    )


def _does(data: CardData) -> list[str]:
    task = data.task
    answers = {
        "classify": f"one of {len(task.labels)} labels",
        "extract": f"an object of {counted(len(task.json_schema.get('properties', {})), 'field')}",
        "generate": "a text",
    }[task.kind]
    told = [f"The task: {task.instruction}"] if task.instruction else []
    fields = ", ".join(task.input.fields) or "its input"
    return [
        *told,
        f"It reads {fields} and answers with {answers}.",
        f"It was made from {data.base}{' and ' if data.base else ''}{data.counts.get('train', 0):,} training examples.",
    ]


def _good(known: Evaluation, ours: ContenderResult) -> list[str]:
    verdict, primary = known.verdict, known.primary_metric
    metric = ours.metrics[primary]
    lines = [
        f"{metric_name(primary)} {percent(metric.value)} (95 % interval {interval(metric)}) on {known.test_examples:,} "
        "test examples that it had not seen.",
        f"Verdict: {_says(known)}. {verdict.reason}",
    ]
    if verdict.gain is not None and verdict.low is not None and verdict.high is not None and verdict.against:
        chance = "" if verdict.p_value is None else f", p {p_value(verdict.p_value)}"
        # The gain is that of the fine-tuned side, whoever wins.
        tuned, other = sorted((verdict.winner, verdict.against), key=lambda name: not is_tuned(name))
        lines.append(
            f"{_called(tuned)} against {_called(other)}: {points(verdict.gain)} points (95 % interval "
            f"{points(verdict.low)} to {points(verdict.high)}{chance})."
        )
    for review in (r for r in known.reviews if r.contender == ours.name):
        lines.append(review_sentence(review))
    return lines


def _says(known: Evaluation) -> str:
    if known.verdict.decision == "not_needed" and known.untrained:
        return "the evaluation says: use it, as nothing is trained yet"
    return _SAYS[known.verdict.decision]


def _cannot(data: CardData, ours: ContenderResult) -> list[str]:
    known, lines = data.evaluation, []
    if data.task.kind == "classify":
        lines.append("It answers with one of its labels always: what fits none of them gets one all the same.")
    else:
        lines.append("It can answer wrongly in the right form: what matters is to be looked at by a person.")
    if data.limits:
        lines.append(f"Its base: {data.limits}")
    parts = {n.partition(PART)[2]: m for n, m in ours.metrics.items() if PART in n}
    if parts:
        weakest = min(parts, key=lambda name: parts[name].value)
        lines.append(f"Its weakest part is {weakest}: {percent(parts[weakest].value)} ({interval(parts[weakest])}).")
    for worst in (s for s in known.slices if s.worst):
        lines.append(
            f"It is worst where {worst.by} is {worst.value}: {metric_name(known.answer_metric)} "
            f"{percent(worst.metric.value)} ({interval(worst.metric)}, n = {worst.metric.n})."
        )
    for steady in (c for c in known.consistency if c.contender == ours.name and c.same.high < 1):
        lines.append(
            f"Under a harmless change ({steady.change}) {percent(steady.same.value)} of answers stay the same."
        )
    for weak in (r for r in known.robustness if r.contender == ours.name and r.obeyed.low > 0):
        lines.append(f"It obeyed instructions hidden in {percent(weak.obeyed.value)} of inputs.")
    if known.forgetting is not None and known.forgetting.sentence:
        lines.append(known.forgetting.sentence)
    return [*lines, *(f"Mind: {warning}." for warning in (w.rstrip(".") for w in known.warnings))]


def _costs(known: Evaluation, ours: ContenderResult) -> list[str]:
    rate = ours.requests_per_second
    lines = [
        f"It answers {rate:,.0f} requests a second on the machine that judged it."
        if rate >= 10
        else f"It answers {rate:.1f} requests a second on the machine that judged it."
    ]
    if ours.prompt_tokens is not None:
        read = f"It reads {ours.prompt_tokens:,.0f} tokens a request"
        longest = max((c for c in known.contenders if c.prompt_tokens), key=lambda c: c.prompt_tokens or 0)
        more = (
            f"; {_called(longest.name)} reads {longest.prompt_tokens:,.0f}"
            if longest.name != ours.name and (longest.prompt_tokens or 0) > ours.prompt_tokens
            else ""
        )
        lines.append(f"{read}{more}.")
    if ours.cost_per_thousand is not None:
        lines.append(f"A thousand requests cost {ours.cost_per_thousand:.2f} {known.currency}".rstrip() + ".")
    return lines


def _called(name: str) -> str:
    plain = plain_names().get(name)
    return f"{name} ({plain})" if plain else name


def _foot(data: CardData) -> str:
    known = data.evaluation
    return (
        f"Written {data.created_at}. Dataset {known.dataset_fingerprint}. The whole report: {known.model_version}.html."
    )
