"""What to do with the served model: keep it, collect more, train again, or go back to the one before."""

from __future__ import annotations

import math
from collections.abc import Sequence

from inhouse.core import DriftSignal, Metric
from inhouse.core.results import MonitorDecision

MIN_JUDGED = 20
ENOUGH_CORRECTIONS = 20
ENOUGH_SHARE = 0.05
MANY_SHARE = 0.20


def decide(
    task: str,
    *,
    quality: Metric | None,
    basis: str,
    accuracy_at_evaluation: Metric | None,
    drift: Sequence[DriftSignal],
    corrections: int,
    dataset_train_size: int,
    traces: int,
    previous_accuracy: Metric | None = None,
) -> tuple[MonitorDecision, str]:
    """The decision, and one sentence with the numbers it rests on and the next command.

    The first rule that holds decides. "Worse" means that two 95 % intervals do not touch, which chance does in
    about one case of 200: monitoring is repeated, so it must be harder to alarm than a single test. Nothing is
    concluded from fewer than `MIN_JUDGED` answers. "Enough corrections" are 20 and 5 % of the training
    examples, whichever is more: fewer seldom move a model that was trained on the rest.

    1. nothing was served: `keep`.
    2. quality is worse than at evaluation, and worse than the previous champion's evaluation: `go_back`, as that
       helps at once. Not while the requests themselves have drifted: then the previous evaluation, made on the
       old kind of request, promises nothing.
    3. quality is worse than at evaluation: `retrain` with enough corrections, else `collect`.
    4. requests or answers have drifted: `retrain` with enough corrections, else `collect`.
    5. corrections of a fifth of the training examples (and at least 20) are waiting: `retrain`, since as much
       new material usually pays; the candidate has to beat the champion before anything changes.
    6. too few answers were judged to know: `collect`.
    7. `keep`.

    Args:
        task: name of the task, for the command.
        quality: accuracy in the window, or None if nothing was judged (see `quality`).
        basis: what `quality` rests on, in words.
        accuracy_at_evaluation: of the serving model, on its test examples; None where no metric judges as people do.
        drift: the tested signals (see `family`).
        corrections: right answers that people gave since the last dataset version.
        dataset_train_size: training examples of that version.
        traces: requests in the window.
        previous_accuracy: the previous champion's at its evaluation, if there is one.
    """
    if traces == 0:
        return "keep", "No request was served in this window, so there is nothing to judge."
    known = quality if quality is not None and quality.n >= MIN_JUDGED else None
    drifted = [s.signal for s in drift if s.drifted]
    missing = _enough(dataset_train_size) - corrections
    if known is not None and accuracy_at_evaluation is not None and known.high < accuracy_at_evaluation.low:
        evidence = f"Quality fell to {_shown(known)} from {_shown(accuracy_at_evaluation)} at evaluation ({basis})"
        if previous_accuracy is not None and known.high < previous_accuracy.low and "input" not in drifted:
            return "go_back", _back(task, evidence, previous_accuracy)
        return _learn(task, evidence, corrections, missing)
    if drifted:
        return _learn(task, _moved(drift), corrections, missing)
    if corrections >= max(ENOUGH_CORRECTIONS, math.ceil(MANY_SHARE * dataset_train_size)):
        evidence = f"{corrections:,} corrections are waiting, beside {dataset_train_size:,} training examples"
        return _learn(task, evidence, corrections, missing)
    if known is None:
        return "collect", _unjudged(task, quality, traces)
    return "keep", _fine(known, basis, accuracy_at_evaluation, drift)


def _enough(train_size: int) -> int:
    return max(ENOUGH_CORRECTIONS, math.ceil(ENOUGH_SHARE * train_size))


def _learn(task: str, evidence: str, corrections: int, missing: int) -> tuple[MonitorDecision, str]:
    """Retrain if no correction is missing, else collect what is."""
    if missing <= 0:
        return "retrain", f"{evidence}; {corrections:,} corrections are enough to learn from: `inhouse retrain {task}`."
    return "collect", (
        f"{evidence}; {corrections:,} corrections are too few to learn from: correct {missing:,} more wrong "
        f"answers, then `inhouse monitor {task}`."
    )


def _back(task: str, evidence: str, previous: Metric) -> str:
    return f"{evidence}, and the previous champion had {_shown(previous)}: `inhouse rollback {task}`."


def _moved(drift: Sequence[DriftSignal]) -> str:
    """Which signals drifted, with p-values and the strongest example."""
    names = {"input": "the requests", "output": "the answers"}
    parts = [
        f"{names.get(s.signal, s.signal)} differ from the reference beyond chance (p = {s.p_value:.3f})"
        for s in drift
        if s.drifted
    ]
    text = " and ".join(parts)
    return text[0].upper() + text[1:]


def _unjudged(task: str, quality: Metric | None, traces: int) -> str:
    judged = quality.n if quality is not None else 0
    return (
        f"Only {judged:,} of {traces:,} answers were judged, and from fewer than {MIN_JUDGED} nothing can be "
        f"concluded: accept or correct {MIN_JUDGED - judged:,} more, then `inhouse monitor {task}`."
    )


def _fine(quality: Metric, basis: str, at_evaluation: Metric | None, drift: Sequence[DriftSignal]) -> str:
    looked = "no drift was found" if drift else "there were too few requests to look for drift"
    before = (
        f"at evaluation it was {_shown(at_evaluation)}"
        if at_evaluation is not None
        else "and no evaluation tells what people would have said before"
    )
    return f"Quality is {_shown(quality)}, {before} ({basis}); {looked}."


def _shown(metric: Metric) -> str:
    return f"{100 * metric.value:.1f} % ({100 * metric.low:.1f} to {100 * metric.high:.1f}, n = {metric.n:,})"
