"""How many served answers were right, as far as people said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from inhouse.core import Feedback, Metric, Trace
from inhouse.scoring import wilson

Same = Callable[[str, str], bool]


def quality(traces: Sequence[Trace], feedback: Iterable[Feedback], same: Same) -> tuple[Metric | None, str]:
    """Accuracy of the served answers with its 95 % Wilson interval, and in words what it rests on.

    An answer is right if its latest feedback accepts it, or corrects it to what it already was. Where people
    sent nothing but corrections of wrong answers, the accuracy of judged answers would be 0 whatever the model
    does; then an answer that nobody corrected counts as right, and the result is an upper bound. A request
    that got no answer at all counts as wrong there.

    Args:
        traces: the requests of the window.
        feedback: opinions, oldest first where times are equal; those on other traces are ignored.
        same: whether an answer is as good as a correction.

    Returns:
        The metric, or None if nothing was judged, and the basis.
    """
    judged = _judgements(traces, feedback, same)
    right = sum(judged.values())
    if not judged:
        return None, f"nobody judged any of the {len(traces):,} answers yet"
    if right == 0 and len(judged) < len(traces):
        return _upper_bound(traces, judged)
    basis = f"{len(judged):,} of {len(traces):,} answers were judged by a person, {right:,} of them right"
    return wilson(right, len(judged)), basis + _leaning(traces, judged)


def _judgements(traces: Sequence[Trace], feedback: Iterable[Feedback], same: Same) -> dict[str, bool]:
    """Trace id -> was the answer right, by the latest feedback on it."""
    latest = {f.trace: f for f in sorted(feedback, key=lambda f: f.created_at)}
    return {t.id: _right(t, latest[t.id], same) for t in traces if t.id in latest}


def _right(trace: Trace, opinion: Feedback, same: Same) -> bool:
    """A correction outweighs the tick beside it."""
    if opinion.correction is None:
        return opinion.accepted
    return trace.output is not None and same(trace.output, opinion.correction)


def _upper_bound(traces: Sequence[Trace], judged: dict[str, bool]) -> tuple[Metric, str]:
    right = sum(t.id not in judged and t.output is not None for t in traces)
    basis = (
        f"only wrong answers were reported ({len(judged):,} of {len(traces):,}); "
        "answers nobody corrected are counted as right, so this is an upper bound"
    )
    return wilson(right, len(traces)), basis


def _leaning(traces: Sequence[Trace], judged: dict[str, bool]) -> str:
    """A warning if people looked at the doubtful answers clearly more often than at the others."""
    doubtful_judged = sum(t.needs_review for t in traces if t.id in judged) / len(judged)
    doubtful_served = sum(t.needs_review for t in traces) / len(traces)
    if doubtful_judged <= doubtful_served + 0.1:
        return ""
    return (
        f"; {doubtful_judged:.0%} of those judged had been marked as doubtful, against {doubtful_served:.0%} "
        "of all, so the true share is probably higher"
    )
