"""A canary: the candidate answers a share of its task's requests, and is returned when it does worse."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from inhouse.core import ModelVersion
from inhouse.scoring.sequential import Count, MoreEvents
from inhouse.store import Workspace, registry, releases
from inhouse.store.releases import Arm, Canary

# The error of all looks together, a half of it for each of the two signals.
ALPHA = 0.05
BOUND = 2 / ALPHA
_SIGNALS = {"errors": "without a valid answer", "reviews": "for a person to look at"}


def tend(workspace: Workspace, task: str, get_ready: Callable[[ModelVersion], None]) -> float:
    """Begin, weigh, return or end the canary of a task, as its settings and what was answered since ask for.

    It promotes nothing. Returns how many seconds the counting took.

    Args:
        get_ready: loads the candidate before it gets traffic.
    """
    share = workspace.settings.release(task).canary
    running = releases.last_canary(workspace, task)
    if running is not None and running.state != releases.RUNNING:
        running = None
    if not share and running is None:  # most tasks, each second
        return 0.0
    champion, candidate = (
        registry.alias_number(workspace, task, alias) for alias in (registry.CHAMPION, registry.CANDIDATE)
    )
    if running is not None:
        if not (over := _over(running, share, champion, candidate)):
            began = time.monotonic()
            releases.weigh_canary(workspace, task, _weighed)
            return time.monotonic() - began
        releases.end_canary(workspace, running, releases.ENDED, over)
    if not share or champion is None or candidate in (None, champion):
        return 0.0
    version = registry.find_version(workspace, task, registry.CANDIDATE)
    if version.out_of_parity or releases.was_returned(workspace, task, version.number):
        return 0.0
    get_ready(version)
    releases.begin_canary(workspace, task, version.number, champion, share)
    return 0.0


def _over(running: Canary, share: float, champion: int | None, candidate: int | None) -> str:
    """Why a canary is over; empty where it is not."""
    if not share:
        return "it was switched off"
    if champion == running.number:
        return "it was promoted"
    if (champion, candidate) != (running.champion, running.number):
        return "the champion or the candidate is another one"
    return "its share was changed" if share != running.share else ""


def _weighed(canary: Canary, champion: Arm, candidate: Arm) -> tuple[dict[str, Any], str]:
    counts: dict[str, Any] = {"champion": canary.champion}
    reasons = []
    for signal, words in _SIGNALS.items():
        usual, tried = (Count(arm.requests, getattr(arm, signal)) for arm in (champion, candidate))
        known = _read(canary.counts.get(signal)).after(usual, tried)
        counts[signal] = {"usual": _pair(known.usual), "tried": _pair(known.tried), "logs": known.logs}
        if known.evidence >= BOUND:
            reasons.append(
                f"{tried.events:,} of {tried.requests:,} requests to {canary.task}@{canary.number} were {words}, and "
                f"{usual.events:,} of {usual.requests:,} to the champion (evidence {known.evidence:.3g} of {BOUND:g})"
            )
    return counts | {"arms": {"champion": _numbers(champion), "canary": _numbers(candidate)}}, "; ".join(reasons)


def _read(kept: Any) -> MoreEvents:  # noqa: ANN401 - JSON
    if not kept:
        return MoreEvents()
    return MoreEvents(Count(*kept["usual"]), Count(*kept["tried"]), tuple(kept["logs"]))


def _pair(count: Count) -> list[int]:
    return [count.requests, count.events]


def _numbers(arm: Arm) -> dict[str, int]:
    return {"requests": arm.requests, "errors": arm.errors, "reviews": arm.reviews}


def told(workspace: Workspace, task: str) -> dict[str, Any] | None:
    """The newest canary of a task for `status`; None where there was none."""
    canary = releases.last_canary(workspace, task)
    if canary is None:
        return None
    return {
        "version": f"{task}@{canary.number}",
        "against": f"{task}@{canary.champion}",
        "share": canary.share,
        "state": canary.state,
        "reason": canary.reason,
        "since": canary.at,
        **canary.counts.get("arms", {}),
    }
