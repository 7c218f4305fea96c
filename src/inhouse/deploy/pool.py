"""The loaded models."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from inhouse.core import ModelVersion
from inhouse.deploy.served import Served, open_served
from inhouse.store import Workspace

MOST_LOADED = 4


@dataclass(slots=True)
class _Loaded:
    """A model, how many requests it answers, and whether it was freed."""

    model: Served
    users: int = 0
    freed: bool = False

    def free(self) -> None:
        if not self.freed:
            self.freed = True
            self.model.close()


class Pool:
    """Loaded models are kept; the least recently used one that nobody is using makes room.

    A version whose file was replaced is loaded anew, and the old one is freed once its last request is answered.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()

    @contextmanager
    def using(self, version: ModelVersion) -> Iterator[Served]:
        """The loaded model, kept loaded until the block ends."""
        loaded = self._acquire(version)
        try:
            yield loaded.model
        finally:
            with self._lock:
                loaded.users -= 1
                replaced = loaded.users == 0 and self._loaded.get(version.name) is not loaded
            if replaced:
                loaded.free()

    def _acquire(self, version: ModelVersion) -> _Loaded:
        loaded = self._take(version)
        if loaded is not None:
            return loaded
        with self._loading:  # one at a time; another request may have loaded it meanwhile
            loaded = self._take(version)
            if loaded is None:
                loaded = _Loaded(open_served(self._workspace, version, apart=True), users=1)
                self._put(version.name, loaded)
        return loaded

    def _take(self, version: ModelVersion) -> _Loaded | None:
        """The loaded model with what is known of the version now; None where none is, or its file is another now."""
        with self._lock:
            loaded = self._loaded.get(version.name)
            if loaded is None or not loaded.model.renew(version):
                return None
            self._loaded.move_to_end(version.name)
            loaded.users += 1
            return loaded

    def _put(self, name: str, loaded: _Loaded) -> None:
        """Keep a model in the place of the one before, and make room."""
        with self._lock:
            before = self._loaded.pop(name, None)
            spare = [before] if before is not None and before.users == 0 else []
            self._loaded[name] = loaded
            idle = [name for name, one in self._loaded.items() if one.users == 0]
            spare += [self._loaded.pop(name) for name in idle[: max(0, len(self._loaded) - MOST_LOADED)]]
        for one in spare:
            one.free()

    def memory(self) -> list[tuple[ModelVersion, int]]:
        """Bytes of memory that each loaded model holds in a process of its own, where it has one."""
        with self._lock:
            loaded = [one.model for one in self._loaded.values()]
        return [(model.version, used) for model in loaded if (used := model.memory())]

    def close(self) -> None:
        """Free every model; requests under way end with a fault."""
        with self._lock:
            loaded, self._loaded = self._loaded, OrderedDict()
        for one in loaded.values():
            one.free()
