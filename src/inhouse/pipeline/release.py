"""`promote` and `rollback`: which version serves, and the gates before it does."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from inhouse.core import ModelVersion, Parity, Reporter, Silent
from inhouse.errors import NotFound, Refused, UsageError
from inhouse.pipeline.contender_packaging import register_contender
from inhouse.pipeline.evaluating.champion import CHAMPION
from inhouse.pipeline.evaluating.judged import SERVABLE
from inhouse.pipeline.release_check import check_served
from inhouse.store import Workspace, registry, releases

# How long `promote` waits for a running server to load the new champion.
LOAD_SECONDS = 120.0


@dataclass(frozen=True)
class Promoted:
    """Which version serves now, and which did before."""

    task: str
    champion: str
    before: str | None
    forced: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def promote(
    workspace: Workspace,
    name: str,
    reporter: Reporter | None = None,
    *,
    which: str = "",
    contender: str = "",
    force: bool = False,
    reason: str = "",
) -> Promoted:
    """Move the alias `champion` to the candidate (or another version).

    Where the verdict is `not_needed` and a linear model is the best, that is what is promoted, unless `force` is given:
    it is fitted again, written as a version of its own, and must answer as it did in the evaluation.

    Refused without a verdict that supports it, or slower than `latency_ms`, unless `force` with a `reason`, which is
    recorded. It is loaded as it will serve and compared with the trainer again; a version that differs is refused in
    any case. A running server has it loaded before it serves.

    Args:
        contender: one of the evaluation by its name.

    Raises:
        Refused: with what the evidence says.
        UsageError: `force` without a reason.
        NotFound: no such task or version.
        ModelUnavailable: it cannot be loaded on this machine.
    """
    reporter = reporter or Silent()
    workspace.load_task(name)
    if force and not reason.strip():
        raise UsageError("--force needs a reason", 'say why: --force --reason "..."; it is kept with the version')
    version = registry.find_version(workspace, name, which or _default(workspace, name))
    version = _chosen(workspace, version, contender if contender or force else enough(version), reporter)
    _require_parity(version, version.parity)
    doubt = _doubt(workspace, version)
    if not doubt or force:
        version = check_served(workspace, version, reporter)
        assert version.checked is not None
        _require_parity(version, version.checked.parity)
        doubt = "; ".join(filter(None, (doubt, _too_slow(workspace, version))))
    if doubt and not force:
        raise Refused(
            f"{version.name} is not promoted: {doubt}",
            f'to serve it all the same: inhouse promote {name} --force --reason "..."',
        )
    _load_where_it_serves(workspace, version, reporter)
    before = registry.move_alias(
        workspace, name, registry.CHAMPION, version.number, action="promote", forced=bool(doubt), reason=reason
    )
    if doubt:
        reporter.warn(f"promoted by force: {doubt}")
    return Promoted(name, version.name, f"{name}@{before}" if before else None, bool(doubt), reason)


def _require_parity(version: ModelVersion, parity: Parity | None) -> None:
    if parity is not None and not parity.passed:
        raise Refused(
            f"{version.name} failed the parity gate: {parity.reason}; " + "; ".join(parity.differences[:3]),
            "this cannot be forced: what would be served is not what was trained; train again",
        )


def _too_slow(workspace: Workspace, version: ModelVersion) -> str:
    """Why it is slower than the task's budget; empty where it is not."""
    budget, checked = workspace.settings.release(version.task).latency_ms, version.checked
    if budget is None or checked is None:
        return ""
    if not checked.timed:
        return f"no validation example could be timed, and tasks.{version.task}.latency_ms asks for {budget:g} ms"
    if checked.latency_p95_ms <= budget:
        return ""
    return (
        f"95 % of {checked.timed} answers took up to {checked.latency_p95_ms:.0f} ms, and "
        f"tasks.{version.task}.latency_ms allows {budget:g}"
    )


def _load_where_it_serves(workspace: Workspace, version: ModelVersion, reporter: Reporter) -> None:
    """Have a running server load the version first, so that no request waits for it.

    Raises:
        Refused: the server cannot load it.
    """
    if not releases.is_served(workspace):
        return
    reporter.say(f"the running server loads {version.name} before it serves")
    wish = releases.ask_to_load(workspace, version.task, version.number)
    until = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < until and releases.is_served(workspace):
        state, why = releases.state_of(workspace, wish)
        if state == releases.LOADED:
            return
        if state == releases.FAILED:
            raise Refused(f"the running server cannot load {version.name}: {why}", "mend that, and promote it again")
        time.sleep(0.05)
    releases.told(workspace, wish, releases.FAILED, "the server did not answer in time")
    reporter.warn(f"the running server did not load {version.name} in time: its first request will wait for it")


def _default(workspace: Workspace, name: str) -> str:
    """The candidate; where there is none, the newest version, so that the refusal can say what it lacks."""
    return registry.CANDIDATE if registry.alias_number(workspace, name, registry.CANDIDATE) else "latest"


def enough(version: ModelVersion) -> str:
    """The contender that the verdict holds for enough, where it can be served; else none."""
    verdict = (version.evaluation or {}).get("verdict", {})
    winner = str(verdict.get("winner", ""))
    return winner if verdict.get("decision") == "not_needed" and winner in SERVABLE else ""


def _chosen(workspace: Workspace, version: ModelVersion, contender: str, reporter: Reporter) -> ModelVersion:
    """The version, or a contender of its evaluation as a version of its own."""
    if contender in ("", version.contender):
        return version
    if version.evaluation is None:
        raise NotFound(f"{version.name} was never evaluated", f"evaluate it first: `inhouse evaluate {version.task}`")
    # The others' answers are kept under the version that the evaluation speaks of.
    beside = str(version.lineage.get("compared_with") or version.evaluation["model_version"])
    version = registry.find_version(workspace, version.task, beside.rpartition("@")[2])
    models = {one["name"]: one["model"] for one in (version.evaluation or {}).get("contenders", ())}
    if contender != CHAMPION and (own := models.get(contender)):
        return registry.find_version(workspace, version.task, str(own).rpartition("@")[2])
    reporter.say(f"making {contender} as it was compared with {version.name}")
    return register_contender(workspace, version, contender, reporter)


def _doubt(workspace: Workspace, version: ModelVersion) -> str:
    """Why the evidence does not support serving the version; empty when it does."""
    evaluation = version.evaluation
    if evaluation is None:
        return f"it was never evaluated (`inhouse evaluate {version.task}`)"
    verdict = evaluation["verdict"]
    if verdict["decision"] == "adopt" and evaluation["model_version"] != version.name:
        return f"the verdict is for {evaluation['model_version']}, which is better on the validation examples"
    supported = verdict["decision"] == "adopt"
    if "compared_with" in version.lineage:
        supported = (
            verdict["decision"] == "not_needed" and verdict["winner"] == version.contender
        ) or version.contender in verdict.get("also", ())
    if not supported:
        return f"the verdict is {verdict['decision']}: {verdict['reason']}"
    rival = evaluation["against_champion"]
    champion = registry.alias_number(workspace, version.task, registry.CHAMPION)
    if champion is None or champion == version.number:
        return ""
    if rival is None or rival["champion"] != f"{version.task}@{champion}":
        return f"it was not compared with the present champion (`inhouse evaluate {version.task}`)"
    if rival["high"] < 0:
        return f"it is worse than the champion {rival['champion']} by {-rival['gain']:.1%} beyond chance"
    return ""


def rollback(workspace: Workspace, name: str, reporter: Reporter | None = None, *, reason: str = "") -> Promoted:
    """Move the alias `champion` back to where it was before the last promotion.

    Raises:
        NotFound: there is nothing to go back to.
    """
    workspace.load_task(name)
    left, back = registry.roll_back(workspace, name, reason)
    return Promoted(name, f"{name}@{back}", f"{name}@{left}", False, reason)
