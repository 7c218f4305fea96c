"""What to do about a task: prompt, retrieve, take a classical model, fine-tune, collect more examples, or leave it.

Pure: from evidence that was measured elsewhere to one choice, its reasons with their figures, and what would change it.
"""

from __future__ import annotations

from inhouse.evaluate.advice.known import (
    CHOICES,
    OWN_CURVE,
    Advice,
    BreakEven,
    Choice,
    Evidence,
    Money,
    Reason,
    break_even,
    family,
)
from inhouse.evaluate.advice.reasons import reasons_of
from inhouse.evaluate.advice.rules import decide

__all__ = [
    "CHOICES",
    "OWN_CURVE",
    "Advice",
    "BreakEven",
    "Choice",
    "Evidence",
    "Money",
    "Reason",
    "advise",
    "break_even",
    "family",
]


def advise(evidence: Evidence) -> Advice:
    """The one choice that the evidence speaks for."""
    found = decide(evidence)
    reasons = tuple(reasons_of(evidence))
    return Advice(
        task=evidence.task,
        choice=found.choice,
        use=found.use,
        reason=f"{evidence.stale}; {found.reason}" if evidence.stale else found.reason,
        reasons=reasons,
        changes_if=tuple(dict.fromkeys(r.changes_if for r in reasons if r.changes_if)),
        break_even=evidence.paid,
        next=found.next,
        evidence=evidence,
    )
