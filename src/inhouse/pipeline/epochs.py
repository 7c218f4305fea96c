"""What a training leaves behind beside its result: a version of each of its last epochs, and what every step measured.

The names of the figures are those of OpenAI's fine-tuning API.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inhouse.core import ModelVersion, Reporter
from inhouse.pipeline.packaging import register
from inhouse.pipeline.preparation import Prepared
from inhouse.store import Workspace, records, registry
from inhouse.train import GIB, steps_per_epoch, version_size

if TYPE_CHECKING:  # it imports torch
    from inhouse.train.checkpoint import Position

# What a step or a look measured (`records.metrics_of`), by OpenAI's names.
FIGURES = {
    "train_loss": "loss",
    "train_mean_token_accuracy": "token_accuracy",
    "valid_loss": "validation_loss",
    "valid_mean_token_accuracy": "validation_token_accuracy",
    "full_valid_loss": "full_validation_loss",
    "full_valid_mean_token_accuracy": "full_validation_token_accuracy",
}
# Columns of a file of results, and the figures in them.
COLUMNS = {
    "step": "step",
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}


@dataclass(frozen=True)
class EpochVersion:
    """What a training had learned after an epoch.

    Attributes:
        step: the last of the epoch.
        version: registered under the next number of its task; out of parity, it is not served.
        metrics: those of the step, by OpenAI's names, as far as they were measured there.
    """

    step: int
    version: ModelVersion
    metrics: dict[str, float]


def package_epochs(
    workspace: Workspace, prepared: Prepared, run: str, position: Position, count: int, reporter: Reporter
) -> None:
    """Make a version of each of the last epochs that the run has kept; of none twice, after a kill.

    The epoch at whose end the best look was is left out: what was learned there is what the run's own version has. Of
    one that the disk has no room for there is none, and that is told.

    Args:
        position: where the training ended.
        count: how many epochs, at most.
    """
    from safetensors.torch import load_file

    from inhouse.train.epochs import kept_states

    folder, per_epoch = workspace.paths.run(run), steps_per_epoch(prepared.recipe, len(prepared.learned))
    made = {version.lineage["steps"] for version in registry.epochs_of_run(workspace, run)}
    for step, file in list(kept_states(folder).items())[-count:]:
        if step == position.best_step or step in made:
            continue
        epoch, needed = step // per_epoch, 3 * bytes_of_an_epoch(prepared)  # twice while it is made, and the run's own
        if (free := shutil.disk_usage(folder).free) < needed:
            reporter.warn(
                f"no version of epoch {epoch} is made: that takes {needed / GIB:.2f} GiB of disk, and "
                f"{free / GIB:.2f} are free where {folder} is"
            )
            continue
        reporter.say(f"a version of what was learned after epoch {epoch}, step {step}")
        how = {"steps": step, "diverged_at": position.diverged_at, "epoch": epoch}
        register(workspace, prepared, run, load_file(file), how, reporter)


def bytes_of_an_epoch(prepared: Prepared) -> float:
    """What a version of an epoch takes of the disk, about."""
    return version_size(prepared.base.shape, prepared.recipe.rank, prepared.recipe.method)


def epoch_versions(workspace: Workspace, run: str) -> list[EpochVersion]:
    """What `train` with `keep_epochs` made of the run's last epochs, the earliest first."""
    metrics = {int(row["step"]): row for row in step_metrics(workspace, run)}
    return [
        EpochVersion(step := version.lineage["steps"], version, metrics.get(step, {"step": step}))
        for version in registry.epochs_of_run(workspace, run)
    ]


def step_metrics(workspace: Workspace, run: str, *, after: int = 0) -> Iterator[dict[str, float]]:
    """What each step of a run measured, by OpenAI's names, with its `step`; without what was not measured there.

    Args:
        after: only of the steps behind this one.
    """
    for row in records.metrics_of(workspace, run, after=after):
        yield {"step": row["step"]} | {name: row[ours] for name, ours in FIGURES.items() if ours in row}


def results_csv(workspace: Workspace, run: str, steps: int) -> str:
    """The file of results of a fine-tuning job: a row for each step, with blank cells where nothing was measured.

    Args:
        steps: that the training has; a run that went back may have left rows beyond.
    """
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in step_metrics(workspace, run):
        if row["step"] <= steps:
            table.writerow([row.get(figure, "") for figure in COLUMNS.values()])
    return text.getvalue()
