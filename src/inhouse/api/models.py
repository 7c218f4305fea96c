"""Which model a name means, and the loaded models."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from inhouse.api.errors import ApiError
from inhouse.core import ModelVersion, Task
from inhouse.deploy import ServedModel
from inhouse.errors import NotFound, UsageError
from inhouse.store import Workspace, registry

MOST_LOADED = 4


class Models:
    """The models of a workspace by name: `task` (its champion), `task@candidate`, `task@3`.

    A name is looked up on every request, so a promotion in another process takes effect at once. Loaded models are
    kept; the least recently used one that nobody is using makes room.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: OrderedDict[str, tuple[ServedModel, int]] = OrderedDict()

    def resolve(self, name: str) -> tuple[Task, ModelVersion]:
        """The task and version that a model's name means.

        Raises:
            ApiError: 404 `model_not_found`.
        """
        task_name, _, which = name.partition("@")
        try:
            task = self.workspace.load_task(task_name)
            if which and which != registry.CANDIDATE and not which.isdigit():
                raise NotFound(f"{which!r} is neither `{registry.CANDIDATE}` nor a number")
            return task, registry.find_version(self.workspace, task_name, which or registry.CHAMPION)
        except (NotFound, UsageError) as error:
            known = ", ".join(self.names()) or "none"
            raise ApiError(
                404, f"The model `{name}` does not exist: {error.what}. Models here: {known}", code="model_not_found"
            ) from error

    def names(self) -> list[str]:
        """Every name that can be asked for."""
        names = []
        for task in self.workspace.task_names():
            for alias, suffix in ((registry.CHAMPION, ""), (registry.CANDIDATE, "@candidate")):
                if registry.alias_number(self.workspace, task, alias) is not None:
                    names.append(f"{task}{suffix}")
            names += [v.name for v in registry.versions(self.workspace, task)]
        return names

    @contextmanager
    def using(self, task: Task, version: ModelVersion) -> Iterator[ServedModel]:
        """The loaded model, kept loaded until the block ends."""
        model = self._acquire(task, version)
        try:
            yield model
        finally:
            with self._lock:
                held, users = self._loaded[version.name]
                self._loaded[version.name] = (held, users - 1)

    def _acquire(self, task: Task, version: ModelVersion) -> ServedModel:
        model = self._take(version.name)
        if model is not None:
            return model
        with self._loading:  # one at a time; another request may have loaded it meanwhile
            model = self._take(version.name)
            if model is None:
                model = ServedModel(self.workspace, task, version)
                with self._lock:
                    self._loaded[version.name] = (model, 1)
                self._make_room()
        return model

    def _take(self, name: str) -> ServedModel | None:
        with self._lock:
            if name not in self._loaded:
                return None
            model, users = self._loaded.pop(name)
            self._loaded[name] = (model, users + 1)
            return model

    def _make_room(self) -> None:
        with self._lock:
            idle = [name for name, (_, users) in self._loaded.items() if users == 0]
            spare = [self._loaded.pop(name)[0] for name in idle[: max(0, len(self._loaded) - MOST_LOADED)]]
        for model in spare:
            model.close()

    def close(self) -> None:
        """Free every model."""
        with self._lock:
            loaded, self._loaded = self._loaded, OrderedDict()
        for model, _ in loaded.values():
            model.close()
