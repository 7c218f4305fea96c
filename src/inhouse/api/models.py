"""Which model a name means, and the loaded models."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from inhouse.api.errors import ApiError
from inhouse.core import ModelVersion
from inhouse.deploy import Served, open_served
from inhouse.errors import NotFound, UsageError
from inhouse.store import Workspace, check_name, registry

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
        self._versions: dict[tuple[str, int], ModelVersion] = {}
        self._loaded: OrderedDict[str, tuple[Served, int]] = OrderedDict()

    def resolve(self, name: str) -> ModelVersion:
        """The version that a model's name means.

        Raises:
            ApiError: 404 `model_not_found`; 403 `parity_failed` for one that does not compute what was trained.
        """
        task, _, which = name.partition("@")
        try:
            check_name(task)
            if not self.workspace.has_task(task):
                raise NotFound(f"there is no task {task!r}")
            version = self._version(task, which)
        except (NotFound, UsageError) as error:
            known = ", ".join(self.names()) or "none"
            raise ApiError(
                404, f"The model `{name}` does not exist: {error.what}. Models here: {known}", code="model_not_found"
            ) from error
        if not version.parity.passed:
            raise ApiError(
                403,
                f"{version.name} is not served, as it failed the parity gate: {_reason(version)}",
                code="parity_failed",
            )
        return version

    def _version(self, task: str, which: str) -> ModelVersion:
        """Only an alias is looked up each time: what serves of a version never changes."""
        if which in ("", registry.CANDIDATE):
            number = registry.alias_number(self.workspace, task, which or registry.CHAMPION)
        elif which.isascii() and which.isdecimal() and len(which) < 10:
            number = int(which)
        else:
            raise NotFound(f"{which!r} is neither `{registry.CANDIDATE}` nor a number")
        known = None if number is None else self._versions.get((task, number))
        if known is None:
            known = registry.find_version(self.workspace, task, number or which or registry.CHAMPION)
            self._versions[task, known.number] = known
        return known

    def names(self) -> list[str]:
        """Every name that can be asked for."""
        names = []
        for task in self.workspace.task_names():
            served = {v.number: v.name for v in registry.versions(self.workspace, task) if v.parity.passed}
            for alias, suffix in ((registry.CHAMPION, ""), (registry.CANDIDATE, "@candidate")):
                if registry.alias_number(self.workspace, task, alias) in served:
                    names.append(f"{task}{suffix}")
            names += served.values()
        return names

    @contextmanager
    def using(self, version: ModelVersion) -> Iterator[Served]:
        """The loaded model, kept loaded until the block ends."""
        model = self._acquire(version)
        try:
            yield model
        finally:
            with self._lock:
                if version.name in self._loaded:  # not when closed meanwhile
                    held, users = self._loaded[version.name]
                    self._loaded[version.name] = (held, users - 1)

    def _acquire(self, version: ModelVersion) -> Served:
        model = self._take(version.name)
        if model is not None:
            return model
        with self._loading:  # one at a time; another request may have loaded it meanwhile
            model = self._take(version.name)
            if model is None:
                model = open_served(self.workspace, version)
                with self._lock:
                    self._loaded[version.name] = (model, 1)
                self._make_room()
        return model

    def _take(self, name: str) -> Served | None:
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


def _reason(version: ModelVersion) -> str:
    parity = version.parity
    return parity.reason or "; ".join(parity.differences) or "no reason was recorded"
