"""Results as text for a person."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inhouse.core import (
    ContenderResult,
    CurveResult,
    Evaluation,
    MonitorResult,
    SeedsResult,
    ShadowResult,
    TrainPlan,
    TrainResult,
    counted,
)

if TYPE_CHECKING:
    from inhouse.pipeline import Added, Checkup, Cleaned, Exported, Predicted, Promoted

SHOWN_FINDINGS = 20
_UNREADABLE_SHOWN = 20
_YES = {True: "yes", False: "no", None: ""}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by width; numbers to the right."""
    widths = [max(len(str(r[i])) for r in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [
            str(c).rjust(w) if i and _numeric(rows, i) else str(c).ljust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def _numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(str(r[column])[:1].isdigit() or str(r[column]) in ("", "-") for r in rows)


def added(result: Added) -> str:
    """What `add` did. What is wrong with rows and files, and a new form of answers, it has told already."""
    counts = result.counts
    lines = [
        f"{result.task}: dataset version {result.dataset} with {counts['train']} training, {counts['validation']} "
        f"validation and {counts['test']} test examples",
        f"reads {', '.join(result.fields)}; {_answers(result)}",
    ]
    if result.pooled:
        lines.append(f"{result.pooled} unlabelled records joined the pool: inhouse label {result.task}")
    if result.replaced:
        lines.append(f"{counted(result.replaced, 'row')} replaced: inhouse diff {result.task}")
    lines += [f"card: {result.card}"] if result.card else []
    return _next(lines, f"inhouse {'label' if result.pooled else 'clean'} {result.task}")


def _answers(result: Added) -> str:
    target = ", ".join(result.target) if isinstance(result.target, tuple) else result.target
    if result.kind == "classify":
        return f"answers {target!r} with one of {len(result.labels)} labels"
    what = "an object" if result.kind == "extract" else "a text"
    return f"answers {target!r} with {what}" if target else f"answers with {what}"


def cleaned(result: Cleaned) -> str:
    """Findings, the gravest first, and what applying them would do."""
    order = {"error": 0, "warning": 1, "info": 2}
    found = sorted(result.findings, key=lambda f: order[f.severity])
    lines = [f"{counted(len(found), 'finding')} in dataset {result.dataset_fingerprint}"]
    for check, count in result.as_dict()["summary"].items():
        if count:
            lines.append(f"  {count:4} {check.replace('_', ' ')}")
    for finding in found[:SHOWN_FINDINGS]:
        lines.append(f"[{finding.severity}] {finding.id} {finding.check}: {finding.reason}")
        lines += [f"    left as it is: {finding.cost}"] if finding.cost else []
        lines.append(f"    apply: {finding.action}")
    if len(found) > SHOWN_FINDINGS:
        lines.append(f"... and {len(found) - SHOWN_FINDINGS} more (inhouse clean {result.task} --show all)")
    lines += [*result.fit_for, f"card: {result.card}"]
    lines += [f"report on personal data: {result.report}"] if result.report else []
    if result.new_dataset:
        lines.append(
            f"dataset version {result.new_dataset} leaves {counted(result.removed, 'example')} out and changes "
            f"{result.changed}"
        )
    hints = {"safe": "   (or --apply ID, --apply CHECK, --apply all)", "all": f"   (or inhouse train {result.task})"}
    return _next(lines, result.next + hints.get(result.next.rpartition(" ")[2], ""))


def trained(result: TrainResult) -> str:
    """What `train` made."""
    parity = result.parity
    gate = "passed" if parity.passed else f"FAILED: {parity.reason}"
    compared = "labels" if result.recipe.get("method") == "encoder" else "answer tokens"
    lines = [
        f"{result.model_version}: {result.trained_tokens:,} tokens in {result.seconds:.0f} s "
        f"({result.tokens_per_second:.0f} tokens/s), best step {result.best_step} of {result.steps}",
        f"stopped because: {result.stopped_because}",
        f"parity gate {gate} ({parity.top1_agreement:.2%} of {parity.tokens} {compared} agree)",
    ]
    if result.overfitting:
        lines.append(result.overfitting)
    if result.truncated_examples:
        lines.append(f"{result.truncated_examples} examples were longer than the limit and cut off in training")
    goes_on = f"   (or `inhouse train {result.task}`, which goes on)" if result.interrupted else ""
    return _next(lines, f"inhouse evaluate {result.task}{goes_on}")


def planned(plan: TrainPlan) -> str:
    """What a training would do and take."""
    money = "" if plan.cost is None else f", {plan.cost:.2f} at your price"
    lines = [
        f"{plan.base_model} on {plan.examples} training examples: {plan.steps} steps, {plan.tokens:,} tokens at "
        f"{plan.tokens_per_second:.0f} a second",
        table(["choice", "", "because"], [[c.name, c.value, c.reason] for c in plan.choices]),
        "",
        f"time    about {duration(plan.minutes)}; writing and checking the model comes on top",
        f"memory  {plan.memory_gib:.1f} GiB of {plan.memory_free_gib:.1f} free",
        f"disk    {plan.disk_gib:.1f} GiB of {plan.disk_free_gib:.1f} free",
        f"energy  {plan.kwh:.3f} kWh at {plan.watts:.0f} W{money} ({plan.watts_from})",
    ]
    if plan.truncated_examples:
        lines.append(f"{plan.truncated_examples} examples are longer than the limit and would be cut off")
    rows = [
        [
            o.name if o.kind == "causal" else f"{o.name} (--model encoder)",
            f"{o.parameters / 1e6:.0f} M",
            duration(o.minutes),
            f"{o.memory_gib:.1f} GiB",
            _YES[o.fits],
        ]
        for o in plan.options
    ]
    if rows:
        lines += [
            "",
            "the same with another model, roughly:",
            table(["base", "size", "time", "memory", "fits"], rows),
        ]
    if plan.fits:
        return _next(lines, f"inhouse train {plan.task}")
    lines.append("this machine has no room for it as it is")
    smaller = [o.name for o in plan.options if o.fits and o.memory_gib < plan.memory_gib and o.kind == "causal"]
    what = f"base_model = {smaller[-1]!r}" if smaller else "a smaller `train.rank` or `train.max_tokens`"
    if plan.recipe["method"] == "full":
        what = 'train.method = "lora"'
    if plan.recipe["method"] == "encoder":
        what = "a smaller `train.max_tokens` or `train.batch_size`"
    return _next(lines, f"set {what} in tasks/{plan.task}/task.toml, or free some room")


def seeds(result: SeedsResult) -> str:
    """How far trainings with different seeds lie apart."""
    rows = [
        [r.model_version, str(r.recipe["seed"]), f"{r.validation_score:.1%}", f"{r.validation_loss:.4f}"]
        for r in result.runs
    ]
    lines = [
        table(["version", "seed", f"{_word(result.metric)} on validation", "loss"], rows),
        f"mean {result.mean:.1%}, standard deviation {100 * result.standard_deviation:.1f} points, from "
        f"{result.lowest:.1%} to {result.highest:.1%}: a gain smaller than this spread may be chance",
        f"the spread is what this tells: {result.best} is the best of {len(result.runs)} on the validation examples "
        "that it was chosen by, so its score there is a lucky one; expect the mean of it",
    ]
    return _next(lines, f"inhouse evaluate {result.task} --version {result.best.partition('@')[2]}")


def curve(result: CurveResult) -> str:
    """What more examples would bring."""
    rows = [
        [str(p.examples), f"{p.score:.1%}", f"{p.low:.1%} to {p.high:.1%}", "measured" if p.measured else "foretold"]
        for p in result.points
    ]
    lines = [
        f"{_word(result.metric)} of {result.validation_examples} validation examples by training examples",
        table(["examples", _word(result.metric), "95 % interval", ""], rows),
        result.reason,
        f"chart: {result.chart}",
    ]
    return _next(lines, f"inhouse train {result.task}   (or inhouse add {result.task} FILE, with more examples)")


def duration(minutes: float) -> str:
    """Minutes as a person says them."""
    if minutes < 1:
        return f"{minutes * 60:.0f} seconds"
    number, unit = (minutes, "minutes") if minutes < 100 else (minutes / 60, "hours")
    return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"


def evaluated(result: Evaluation) -> str:
    """The comparison and the verdict."""
    metric = result.primary_metric
    best_first = sorted(result.contenders, key=lambda c: -c.metrics[metric].value)
    others = [name for name in best_first[0].metrics if name != metric and ":" not in name]
    rows = [_contender_row(c, metric, others) for c in best_first]
    header = ["contender", _word(metric), "95 % interval", *map(_word, others), "requests/s", "tokens in", "out"]
    verdict = result.verdict
    lines = [
        f"{result.model_version} on {result.test_examples} test examples of {result.task}",
        table(header, rows),
        *_parts(next((c for c in best_first if c.model == result.model_version), best_first[0])),
        "",
        f"verdict: {verdict.decision.upper().replace('_', ' ')} (best: {verdict.winner})",
        verdict.reason,
    ]
    rival = result.against_champion
    if rival is not None:
        lines.append(
            f"against the champion {rival['champion']}: {rival['gain']:+.1%} "
            f"(95 % interval {rival['low']:+.1%} to {rival['high']:+.1%}, p = {rival['p_value']:.3f})"
        )
    ours = next((c.name for c in result.contenders if c.model == result.model_version), "")
    lines += [sentence for sentence in (result.sampled, result.shorter_prompt) if sentence]
    for name in dict.fromkeys((verdict.winner, ours)):
        lines += [f"review of {name}: {one.sentence}" for one in result.reviews if one.contender == name]
    lines += _beside(result, ours)
    if result.judge:
        lines.append(f"judge: {result.judge.sentence}")
    lines += [
        f"best prompt of {len(result.prompts)} tried: {one.form} "
        f"({_word(metric)} {one.metric.value:.1%} on {one.metric.n} validation examples)"
        for one in result.prompts
        if one.chosen
    ]
    lines += [f"not compared: {one.contender}, as {one.reason}" for one in result.left_out]
    lines += [f"base of {', '.join(one.used_by)}: {one.title}. {one.limits}" for one in result.bases]
    lines += [f"warning: {w}" for w in result.warnings]
    lines.append(f"report: {result.report}")
    if card := result.files.get("card"):
        lines.append(f"model card: {card}")
    steps = [f"{command}   ({note})" if note else command for command, note in result.next_steps]
    instead = "it is used where it is" if verdict.winner.startswith("remote:") else "it cannot be served yet"
    return _next(lines, ", then ".join(steps) or f"use {verdict.winner}; {instead}")


def _beside(result: Evaluation, ours: str) -> list[str]:
    """What the averages do not show of our contender, a line each."""
    lines = []
    if steady := [f"{c.same.value:.0%} {c.change}" for c in result.consistency if c.contender == ours]:
        lines.append(f"the same answer after harmless changes: {', '.join(steady)}")
    lines += [
        f"hidden instructions: obeyed in {one.obeyed.value:.0%} of {one.obeyed.n} inputs that held one"
        for one in result.robustness
        if one.contender == ours
    ]
    lines += [part.sentence for part in (result.gap, result.forgetting) if part is not None and part.sentence]
    if result.suspect_tests:
        metric = next((c.metrics[result.primary_metric] for c in result.contenders if c.name == ours), None)
        rest = result.without_suspects.get(ours)
        change = "" if metric is None or rest is None else f" (without them: {rest.value:.1%}, not {metric.value:.1%})"
        lines.append(f"{counted(result.suspect_tests, 'test answer')} probably wrong themselves{change}")
    for one in (part for part in result.slices if part.worst):
        figures = f"{one.metric.value:.1%} ({one.metric.low:.1%} to {one.metric.high:.1%})"
        told = f"{_word(result.answer_metric)} {figures} on {one.metric.n} examples"
        lines.append(f"worst part of the test: {one.by} {one.value}, {told}")
    return lines


def _word(metric: str) -> str:
    return metric.replace("_", " ").replace("macro f1", "macro-F1")


def _contender_row(contender: ContenderResult, primary: str, others: Sequence[str]) -> list[str]:
    first = contender.metrics[primary]
    rate = contender.requests_per_second
    return [
        contender.name,
        f"{first.value:.1%}",
        f"{first.low:.1%} to {first.high:.1%}",
        *(f"{contender.metrics[name].value:.1%}" if name in contender.metrics else "-" for name in others),
        f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}",
        *("-" if tokens is None else f"{tokens:,.0f}" for tokens in (contender.prompt_tokens, contender.answer_tokens)),
    ]


def _parts(contender: ContenderResult) -> list[str]:
    """The fields or checks of a contender, one line each."""
    rows = [
        [f"  {name.partition(':')[2]}", f"{m.value:.1%}", f"{m.low:.1%} to {m.high:.1%}", str(m.n)]
        for name, m in contender.metrics.items()
        if ":" in name
    ]
    return ["", table([f"{contender.name}, by part", "right", "95 % interval", "n"], rows)] if rows else []


def promoted(result: Promoted) -> str:
    """Which version serves."""
    before = f" (before: {result.before})" if result.before else ""
    return _next([f"champion of {result.task}: {result.champion}{before}"], "inhouse serve")


def predicted(result: Predicted) -> str:
    """What `predict` wrote."""
    lines = [
        f"{counted(result.rows, 'row')} answered by {result.model_version} in {result.seconds:.1f} s: {result.out}",
        f"{result.needs_review} need a person's look; {result.errors} have an error: no answer, or one with a fault, "
        "such as a text that was cut off",
    ]
    if result.unreadable:
        more = f", the first {_UNREADABLE_SHOWN} of them" if len(result.unreadable) > _UNREADABLE_SHOWN else ""
        lines += [f"could not be read{more}:", *(f"  {reason}" for reason in result.unreadable[:_UNREADABLE_SHOWN])]
    look = f"look at the rows of {result.out} where needs_review is true"
    return _next(lines, look if result.needs_review or result.errors else "inhouse serve")


def exported(result: Exported) -> str:
    """What `export` wrote."""
    return _next([f"{result.model_version} as {result.to} in {result.out}: {', '.join(result.files)}"], result.next)


def monitored(result: MonitorResult) -> str:
    """Signals and decision."""
    lines = [
        f"{result.model_version}: {counted(result.window['traces'], 'request')}, "
        f"{counted(result.corrections, 'correction')} waiting"
    ]
    if result.quality is not None:
        q = result.quality
        lines.append(
            f"quality {q.value:.1%} (95 % interval {q.low:.1%} to {q.high:.1%}, n = {q.n}): {result.quality_basis}"
        )
    else:
        lines.append(f"quality unknown: {result.quality_basis}")
    if result.review_rate is not None:
        lines.append(f"{result.review_rate:.1%} of answers were under the review threshold")
    for signal in result.drift:
        state = "DRIFTED" if signal.drifted else "as before"
        lines.append(f"{signal.signal}: {state} (p = {signal.p_value:.3f})")
        lines += [f"    {example[:100]}" for example in signal.examples[:3] if signal.drifted]
    if result.shadow is not None:
        lines.append(f"shadow: {_shadow(result.shadow)}")
    return "\n".join([*lines, f"decision: {result.decision}", result.reason])


def status(result: dict[str, Any]) -> str:
    """All tasks at a glance."""
    lines = [f"workspace {result['workspace']}"]
    for task in result["tasks"]:
        form = {"classify": f", {task['labels']} labels", "extract": f", {len(task['fields'])} fields"}
        lines.append(f"\n{task['task']} ({task['kind']}{form.get(task['kind'], '')})")
        if task["dataset"]:
            counts = task["counts"]
            lines.append(f"  data: version {task['dataset']}, {sum(counts.values())} examples ({counts['test']} test)")
        for version in task["versions"]:
            marks = [a for a in ("champion", "candidate") if task[a] == version["name"]]
            known = version["decision"] and version["value"] is not None
            told = f", {_word(version['metric'])} {version['value']:.1%}, {version['decision']}" if known else ""
            lines.append(f"  {version['name']}: dataset {version['dataset']}{told} {' '.join(marks)}".rstrip())
        if shadow := task["shadow"]:
            lines.append(f"  shadow: {_shadow(ShadowResult.model_validate(shadow))}")
        if canary := task["canary"]:
            lines.append(f"  canary: {_canary(canary)}")
        if task["requests"]:
            lines.append(f"  served: {task['requests']} requests")
        lines.append(f"  next: {task['next']}")
    if not result["tasks"]:
        return _next(lines, "inhouse init TASK")
    return "\n".join(lines)


def _shadow(result: ShadowResult) -> str:
    found = result.agreement
    told = f"{counted(result.errors, 'request')} without an answer"
    if found is not None:
        told = f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}) of {counted(found.n, 'answer')}, {told}"
    return f"{result.version} answers as {result.against} does: {told}"


def _canary(canary: dict[str, Any]) -> str:
    counts = ", ".join(
        f"{counted(arm['requests'], 'request')} to the {name} ({arm['errors']} without an answer, "
        f"{arm['reviews']} for a person)"
        for name in ("canary", "champion")
        if (arm := canary.get(name)) and isinstance(arm, dict)
    )
    state = f": {canary['reason']}" if canary["reason"] else f"; {counts}" if counts else ""
    return f"{canary['version']} has {canary['share']:.0%}, {canary['state']}{state}"


def checkup(result: Checkup) -> str:
    """What `doctor` saw."""
    rows = [["ok" if c.ok else "--", c.name, c.value] for c in result.checks]
    lines = [table(["", "what", "state"], rows)]
    lines += [f"{c.name}: {c.remedy}" for c in result.checks if not c.ok and c.remedy]
    return "\n".join([*lines, "ready" if result.ready else "not ready: see the remedies above"])


def models(found: list[dict[str, Any]]) -> str:
    """The base models."""
    rows = [
        [
            m["name"],
            m["kind"],
            f"{m['parameters'] / 1e6:.0f} M",
            m["licence"],
            m["languages"],
            f"{m['memory_gib']:.1f} GiB" if m["memory_gib"] else "",
            _YES[m["fits"]],
            "here" if m["here"] else "not here",
        ]
        for m in found
    ]
    return table(["name", "kind", "size", "licence", "languages", "memory to train", "fits", ""], rows)


def pulled(found: dict[str, Any]) -> str:
    """What `models pull` brought."""
    lines = [f"{found['name']}: {found['folder']}"]
    begin = f"inhouse init TASK --base {shlex.quote(found['name'])}"
    return _next(lines, begin if found["kind"] == "causal" else "inhouse doctor")


def _next(lines: Sequence[str], command: str) -> str:
    return "\n".join([*lines, f"next: {command}"])
