"""inhouse: fine-tune a pre-trained model on your own examples, on your own machine, and prove whether it helped.

    import inhouse

    workspace = inhouse.open_workspace("work")
    inhouse.run(workspace, "tickets", ["messages.csv"], inputs=["text"], target="category")

The verbs are those of the command line. Each takes a workspace, a task's name, and a `reporter` that hears of progress.
Importing this package loads no model library: a verb does so when it is called.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inhouse.store import Workspace

__version__ = "0.1.0"

# GNU OpenMP's threads, in which torch and llama.cpp compute, spin 300,000 rounds at every barrier. Beside other work on
# the same cores that made training ten times slower; alone, waiting earlier costs nothing (docs/log.md). The library
# reads this when it is loaded, so it is set before any model library can be; what the user has set stays.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

VERBS = (
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
)

__all__ = ["__version__", "open_workspace", "scorer", "serve", *VERBS]


def open_workspace(folder: str | Path = ".") -> Workspace:
    """Open a workspace folder; `init` and `run` make it one if it is none yet.

    Raises:
        ConfigError: its `inhouse.toml` holds an unknown key or a wrong value.
    """
    from inhouse.store import Workspace

    return Workspace(Path(folder))


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a function of the pipeline
    if name in VERBS:
        from inhouse import pipeline

        return getattr(pipeline, name)
    if name == "scorer":
        from inhouse.scoring.own import scorer

        return scorer
    if name == "serve":
        from inhouse.api import serve

        return serve
    raise AttributeError(f"module 'inhouse' has no attribute {name!r}")


class _Package(ModuleType):
    """This package: `inhouse.train` stays the verb when the stage `inhouse.train` is imported, which would hide it."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in VERBS and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
