"""The models that `serve.py` measures, trained once and kept outside the repository.

Speed does not ask for good models, but for real ones: each is trained for a few minutes, written and compared like any
other, and serves under its name. What is there is not made again; delete the folder to begin anew.
"""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

from common import DATA

import inhouse
from inhouse.cli.terminal import Terminal
from inhouse.core import ModelVersion
from inhouse.store import Workspace, registry

HOME = Path(os.environ.get("BENCH_SERVE") or "~/.cache/inhouse/bench-serve").expanduser()
BANKING = DATA / "banking77"
# Of each training.
MINUTES = 4.0
REASON = "to measure its speed"
# Classifier heads by the name that answers for them in `labels`.
HEADS = ("fine-tuned-encoder", "embedding-linear", "tfidf-linear")


def prepared() -> Workspace:
    """The workspace with `intents` and `receipts` (causal) and `labels` (classifier heads), made where it is not."""
    workspace = inhouse.open_workspace(HOME)
    for make in (_intents, _labels, _receipts):
        make(workspace, Terminal())
    return workspace


def with_intents() -> Workspace:
    """The workspace with `intents`, made where it is not."""
    workspace = inhouse.open_workspace(HOME)
    _intents(workspace, Terminal())
    return workspace


def heads(workspace: Workspace) -> dict[str, ModelVersion]:
    """The newest version of each classifier head."""
    return {v.contender or HEADS[0]: v for v in registry.versions(workspace, "labels")}


def texts() -> list[str]:
    """The test rows of banking77."""
    with (BANKING / "test.csv").open(encoding="utf-8", newline="") as lines:
        return [row["text"] for row in csv.DictReader(lines)]


def receipts() -> list[str]:
    """The texts of all receipts."""
    lines = (DATA / "receipts" / "receipts.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["text"] for line in lines]


def _intents(workspace: Workspace, say: Terminal) -> None:
    if not workspace.has_task("intents"):
        inhouse.init(workspace, "intents", kind="classify")
        inhouse.add(workspace, "intents", [BANKING / "train_10_per_class.csv"], say)
    if not registry.versions(workspace, "intents"):
        inhouse.train(workspace, "intents", say, minutes=MINUTES)
        inhouse.promote(workspace, "intents", say, force=True, reason=REASON)


def _receipts(workspace: Workspace, say: Terminal) -> None:
    if not workspace.has_task("receipts"):
        inhouse.init(workspace, "receipts", kind="extract")
        file = DATA / "receipts" / "receipts.jsonl"
        inhouse.add(workspace, "receipts", [file], say, inputs=["text"], target="fields")
    if not registry.versions(workspace, "receipts"):
        inhouse.train(workspace, "receipts", say, minutes=MINUTES)
        inhouse.promote(workspace, "receipts", say, force=True, reason=REASON)


def _labels(workspace: Workspace, say: Terminal) -> None:
    """The heads: one is trained, the others took part in its evaluation."""
    if not workspace.has_task("labels"):
        inhouse.init(workspace, "labels", kind="classify")
        inhouse.add(workspace, "labels", [BANKING / "train_10_per_class.csv"], say)
    if not registry.versions(workspace, "labels"):
        inhouse.train(workspace, "labels", say, model="encoder", minutes=MINUTES)
    linear = HEADS[1:]
    if not registry.find_version(workspace, "labels", 1).evaluation:
        inhouse.evaluate(workspace, "labels", say, which="1", contenders=linear)
    for name in set(linear) - {v.contender for v in registry.versions(workspace, "labels")}:
        inhouse.promote(workspace, "labels", say, which="1", contender=name, force=True, reason=REASON)


if __name__ == "__main__":
    prepared()
