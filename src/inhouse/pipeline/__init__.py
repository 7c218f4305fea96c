"""The lifecycle, one verb per function; the CLI, the API and `import inhouse` are thin shells over these.

    init -> add -> clean -> train -> evaluate -> promote -> predict | serve -> monitor -> retrain -> promote ...
                                                  rollback

`run` does it all up to the verdict.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inhouse.pipeline.adding import Added, add, init
    from inhouse.pipeline.advising import advise
    from inhouse.pipeline.cleaning import Cleaned, FindingsPage, clean, findings
    from inhouse.pipeline.curve import train_curve
    from inhouse.pipeline.evaluating import evaluate
    from inhouse.pipeline.exchange import Exchange, from_tool, to_tool
    from inhouse.pipeline.exporting import Exported, export
    from inhouse.pipeline.forgetting import Forgotten, forget
    from inhouse.pipeline.labelling import Labelled, Move, Shown, label
    from inhouse.pipeline.machine import Checkup, doctor, list_models, pull_model
    from inhouse.pipeline.release import Promoted, promote, rollback
    from inhouse.pipeline.training import plan_training, train, train_seeds
    from inhouse.pipeline.upkeep import Retrained, monitor, retrain, status
    from inhouse.pipeline.use import Predicted, predict
    from inhouse.pipeline.versions import Diff, Undone, diff, undo
    from inhouse.pipeline.whole import Ran, run

__all__ = [
    "Added",
    "Checkup",
    "Cleaned",
    "Diff",
    "Exchange",
    "Exported",
    "FindingsPage",
    "Forgotten",
    "Labelled",
    "Move",
    "Predicted",
    "Promoted",
    "Ran",
    "Retrained",
    "Shown",
    "Undone",
    "add",
    "advise",
    "clean",
    "diff",
    "doctor",
    "evaluate",
    "export",
    "findings",
    "forget",
    "from_tool",
    "init",
    "label",
    "list_models",
    "monitor",
    "plan_training",
    "predict",
    "promote",
    "pull_model",
    "retrain",
    "rollback",
    "run",
    "status",
    "to_tool",
    "train",
    "train_curve",
    "train_seeds",
    "undo",
]

# A command loads the module of its own verb, and none of the other stages.
_HOMES = {
    "adding": (
        "Added",
        "add",
        "init",
    ),
    "advising": ("advise",),
    "cleaning": (
        "Cleaned",
        "FindingsPage",
        "clean",
        "findings",
    ),
    "curve": ("train_curve",),
    "evaluating": ("evaluate",),
    "exchange": (
        "Exchange",
        "from_tool",
        "to_tool",
    ),
    "exporting": (
        "Exported",
        "export",
    ),
    "forgetting": (
        "Forgotten",
        "forget",
    ),
    "labelling": (
        "Labelled",
        "Move",
        "Shown",
        "label",
    ),
    "machine": (
        "Checkup",
        "doctor",
        "list_models",
        "pull_model",
    ),
    "release": (
        "Promoted",
        "promote",
        "rollback",
    ),
    "training": (
        "plan_training",
        "train",
        "train_seeds",
    ),
    "upkeep": (
        "Retrained",
        "monitor",
        "retrain",
        "status",
    ),
    "use": (
        "Predicted",
        "predict",
    ),
    "versions": (
        "Diff",
        "Undone",
        "diff",
        "undo",
    ),
    "whole": (
        "Ran",
        "run",
    ),
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a verb, or what one gives back
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"inhouse.pipeline.{home}"), name)
    raise AttributeError(f"module 'inhouse.pipeline' has no attribute {name!r}")
