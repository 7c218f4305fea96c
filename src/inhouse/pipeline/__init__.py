"""The lifecycle, one verb per function; the CLI, the API and `import inhouse` are thin shells over these.

    init -> add -> clean -> train -> evaluate -> promote -> predict | serve -> monitor -> retrain -> promote ...
                                                  rollback

`run` does it all up to the verdict.
"""

from inhouse.pipeline.adding import Added, add, init
from inhouse.pipeline.cleaning import Cleaned, FindingsPage, clean, findings
from inhouse.pipeline.curve import train_curve
from inhouse.pipeline.evaluation import evaluate
from inhouse.pipeline.exchange import Exchange, from_tool, to_tool
from inhouse.pipeline.export import Exported, export
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
