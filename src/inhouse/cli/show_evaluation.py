"""Advice as text for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inhouse.evaluate.advice import Advice

TITLES = {
    "prompt": "prompt a model; no training is needed",
    "retrieval": "look up what belongs to each request, and show it to the model",
    "classical": "take the classical model",
    "fine_tune": "fine-tune",
    "fine_tune_with_retrieval": "fine-tune, and look up what belongs to each request",
    "collect_more": "collect more examples",
    "leave_it": "leave it as it is",
}


def advised(result: Advice) -> str:
    """The advice, its reasons with their figures, and what would change it."""
    lines = [f"advice for {result.task}: {TITLES[result.choice].upper()}", result.reason, "", "because"]
    for one in result.reasons:
        lines.append(f"  {one.number:<28} {one.says} [{one.source}]")
    changes = result.changes_if or ("more than one of these figures is another one: none alone changes it",)
    lines += ["", "this changes if", *(f"  {what}" for what in changes)]
    return "\n".join([*lines, *([f"next: {result.next}"] if result.next else [])])
