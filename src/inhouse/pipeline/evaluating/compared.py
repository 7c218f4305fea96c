"""Which fine-tuned versions an evaluation compares."""

from __future__ import annotations

from inhouse.core import LeftOut, ModelVersion, Task
from inhouse.store import Workspace, registry

# What `train --model` calls them, by the contender's name.
MODELS = {"fine-tuned": "causal", "fine-tuned-encoder": "encoder"}


def compared_with(
    workspace: Workspace, task: Task, version: ModelVersion | None
) -> tuple[list[ModelVersion], list[LeftOut]]:
    """The version under test with the newest of each other kind that learned from the same data and answers alike.

    Args:
        version: None, or one that was not fine-tuned, where nothing was trained yet.

    Returns:
        them in the order of reports, and those kinds that have none, with the reason.
    """
    kinds = MODELS if task.kind == "classify" else {"fine-tuned": "causal"}
    tuned = version if version and version.fine_tuned else None
    found, left_out = ([tuned] if tuned else []), []
    for contender, model in kinds.items():
        if tuned and contender == tuned.contender:
            continue
        others = [v for v in registry.versions(workspace, task.name) if v.contender == contender and v.epoch is None]
        alike = [v for v in others if tuned and _same_data(v, tuned) and set(v.labels) == set(tuned.labels)]
        if alike:
            found.append(alike[-1])
            continue
        why = "what was trained of it learned from other data" if others else "none was trained"
        remedy = f"`inhouse train {task.name} --model {model}`"
        left_out.append(LeftOut(contender=contender, reason=f"{why}: {remedy} makes one"))
    order = list(MODELS)
    return sorted(found, key=lambda v: order.index(v.contender)), left_out


def _same_data(one: ModelVersion, other: ModelVersion) -> bool:
    return bool(one.lineage["dataset_fingerprint"] == other.lineage["dataset_fingerprint"])
