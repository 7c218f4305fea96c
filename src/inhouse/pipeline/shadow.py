"""A shadow: the candidate answers requests too, unseen, and its answers are compared with those that were given."""

from __future__ import annotations

from collections.abc import Callable

from inhouse.core import ModelVersion, Prediction, ShadowResult, Trace, folded
from inhouse.core.json_schema import parse_object
from inhouse.scoring import field_scores, object_exact, wilson
from inhouse.store import Workspace, registry, shadows


def sameness(version: ModelVersion) -> Callable[[str, str], bool]:
    """Whether an answer is as good as another, such as a correction: of objects by value."""
    if version.kind != "extract":
        return lambda answer, other: folded(answer) == folded(other)
    schema = version.json_schema

    def same(answer: str, other: str) -> bool:
        found = parse_object(answer)
        scores = field_scores(parse_object(other) or {}, found, schema)
        return found is not None and object_exact(scores) == 1.0

    return same


def may_shadow(trace: Trace) -> bool:
    """Whether a request is one to compare: the champion's own answer, written as usual."""
    return trace.route == "champion" and trace.output is not None and not trace.asked and "" not in trace.inputs


def keep(workspace: Workspace, trace: Trace, candidate: ModelVersion, answer: Prediction, latency_ms: float) -> None:
    """Keep what the candidate answered, and whether it is the answer that was given."""
    same = None
    if answer.target is not None and trace.output is not None:
        same = sameness(candidate)(answer.target, trace.output)
    shadows.add(
        workspace,
        trace=trace.id,
        task=trace.task,
        model_version=candidate.name,
        output=answer.target,
        confidence=answer.confidence,
        same=same,
        latency_ms=latency_ms,
        error=answer.error,
    )


def agreement(workspace: Workspace, task: str) -> ShadowResult | None:
    """How often the candidate answered as the champion did; None where it answered nothing beside it."""
    champion, candidate = (
        registry.alias_number(workspace, task, alias) for alias in (registry.CHAMPION, registry.CANDIDATE)
    )
    if champion is None or candidate is None:
        return None
    name, beside = f"{task}@{candidate}", f"{task}@{champion}"
    counts = shadows.counts(workspace, task, name, beside)
    same, answered = counts.get(True, 0), counts.get(True, 0) + counts.get(False, 0)
    if not counts:
        return None
    share = wilson(same, answered) if answered else None
    return ShadowResult(version=name, against=beside, agreement=share, errors=counts.get(None, 0))
