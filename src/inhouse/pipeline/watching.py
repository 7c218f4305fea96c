"""What a training measures while it runs: into the store, and to the trackers that the settings name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inhouse.core import AnyRecipe, Reporter
from inhouse.errors import ConfigError
from inhouse.store import Settings, Workspace, records, require_outbound
from inhouse.store.settings import on_this_machine

if TYPE_CHECKING:
    from inhouse.train.trainer import Watch

# The store is written to so often: a commit waits for the disk.
FLUSH_SECONDS = 5.0
# And at once where one of these was measured: a look, and the end of an epoch that is kept.
FLUSHED = frozenset(("validation_loss", "epoch"))
_PACKAGES = {"mlflow": "mlflow", "tensorboard": "tensorboard", "wandb": "wandb"}


@contextmanager
def watching(workspace: Workspace, task: str, run: str, recipe: AnyRecipe, reporter: Reporter) -> Iterator[Watch]:
    """Within, the function that is given takes a step's number and what was measured there.

    Raises:
        ConfigError: a tracker's package is not installed.
        OutboundForbidden: a tracker is elsewhere, and INHOUSE_OFFLINE=1.
    """
    trackers = {name: _tracker(name, workspace, task, run) for name in workspace.settings.tracking.to}
    waiting: dict[int, dict[str, float]] = {}
    flushed = time.monotonic()

    def tell(what: Callable[[Any], None]) -> None:
        """A tracker whose server or disk is gone must not end a training of hours: it is told, and left out."""
        for name, tracker in list(trackers.items()):
            try:
                what(tracker)
            except Exception as fault:  # noqa: BLE001 - whatever a tracker's library raises
                del trackers[name]
                reporter.warn(f"{name} takes no more of what is measured: {fault}; the workspace keeps it")

    def watch(step: int, metrics: Mapping[str, float]) -> None:
        nonlocal flushed
        for later in [known for known in waiting if known > step]:  # the training went back
            del waiting[later]
        waiting.setdefault(step, {}).update(metrics)
        tell(lambda tracker: tracker.log(dict(metrics), step=step))
        if time.monotonic() - flushed >= FLUSH_SECONDS or not FLUSHED.isdisjoint(metrics):
            _flush(workspace, run, waiting)
            flushed = time.monotonic()

    tell(lambda tracker: tracker.store_init_configuration(_flat(recipe)))
    try:
        yield watch
    finally:
        try:
            _flush(workspace, run, waiting)
        finally:
            tell(lambda tracker: tracker.finish())


def _flush(workspace: Workspace, run: str, waiting: dict[int, dict[str, float]]) -> None:
    """Write down what waits; the last step stays, as more of it may follow, and its row is written whole."""
    records.keep_metrics(workspace, run, waiting)
    for done in sorted(waiting)[:-1]:
        del waiting[done]


def _flat(recipe: AnyRecipe) -> dict[str, Any]:
    """Trackers take plain values."""
    return {key: value for key, value in recipe.model_dump(mode="json").items() if value not in (None, "")}


def _tracker(name: str, workspace: Workspace, task: str, run: str) -> Any:  # noqa: ANN401 - accelerate's
    """One of accelerate's trackers, begun."""
    if find_spec("accelerate") is None or find_spec(_PACKAGES[name]) is None:
        raise ConfigError(
            f"`tracking.to` in inhouse.toml names {name!r}, which is not installed", f"pip install accelerate {name}"
        )
    folder = workspace.paths.root / "tracking"
    folder.mkdir(parents=True, exist_ok=True)
    _settle(name, workspace.settings, folder)
    from accelerate import PartialState, tracking

    PartialState()  # accelerate's trackers ask it which process they are in
    if name == "mlflow":
        tracker = tracking.MLflowTracker(f"inhouse {task}", run_name=run)
    elif name == "tensorboard":
        tracker = tracking.TensorBoardTracker(run, logging_dir=str(folder / "tensorboard"))
    else:
        tracker = tracking.WandBTracker(f"inhouse-{task}", name=run, dir=str(folder))
    tracker.start()
    return tracker


def _settle(name: str, settings: Settings, folder: Path) -> None:
    """No call that nobody asked for: MLflow tells its makers about use unless it is told not to.

    Raises:
        OutboundForbidden
    """
    if name == "mlflow":
        uri = settings.tracking.mlflow_uri or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
        if not on_this_machine(uri):
            require_outbound(settings, "`tracking.to` with MLflow", uri)
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": uri}
    if name == "wandb" and os.environ.get("WANDB_MODE") not in ("offline", "disabled"):
        require_outbound(settings, "`tracking.to` with Weights & Biases", "api.wandb.ai")
