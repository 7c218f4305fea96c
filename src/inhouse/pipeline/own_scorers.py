"""The scorers of the user's own that a task names."""

from __future__ import annotations

from inhouse.core import Task
from inhouse.scoring import OwnScorer, load_scorers, require_metric
from inhouse.store import Workspace


def own_scorers(workspace: Workspace, task: Task) -> tuple[OwnScorer, ...]:
    """Those of the task's kind in the files that its `metrics.scorers` names; nothing is run for other tasks.

    Raises:
        ConfigError: a file is not there or fails, or `metrics.primary` is neither built in nor one of them.
    """
    if not task.metrics.scorers:
        return ()
    file = workspace.paths.task_file(task.name)
    own = load_scorers(file.parent, task.metrics.scorers, task.kind)
    require_metric(task.metrics.primary, task.kind, own, file)
    return own
