"""Which fine-tuned versions an evaluation compares."""

from __future__ import annotations

from inhouse.core import LeftOut, ModelVersion
from inhouse.store import Workspace, registry

# What `train --model` calls them, by the contender's name.
MODELS = {"fine-tuned": "causal", "fine-tuned-encoder": "encoder"}


def compared_with(workspace: Workspace, version: ModelVersion) -> tuple[list[ModelVersion], list[LeftOut]]:
    """The version under test with the newest of each other kind that learned from the same data and answers alike.

    Returns:
        them in the order of reports, and those kinds that have none, with the reason.
    """
    if version.kind != "classify":
        return [version], []
    found, left_out = [version], []
    for contender, model in MODELS.items():
        if contender == version.contender:
            continue
        others = [v for v in registry.versions(workspace, version.task) if v.contender == contender and v.epoch is None]
        alike = [v for v in others if _same_data(v, version) and set(v.labels) == set(version.labels)]
        if alike:
            found.append(alike[-1])
            continue
        why = "what was trained of it learned from other data" if others else "none was trained"
        remedy = f"`inhouse train {version.task} --model {model}`"
        left_out.append(LeftOut(contender=contender, reason=f"{why}: {remedy} makes one"))
    order = list(MODELS)
    return sorted(found, key=lambda v: order.index(v.contender)), left_out


def _same_data(one: ModelVersion, other: ModelVersion) -> bool:
    return bool(one.lineage["dataset_fingerprint"] == other.lineage["dataset_fingerprint"])
