"""The loaded models."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import psutil

from inhouse.core import ModelVersion
from inhouse.deploy.opening import open_served
from inhouse.deploy.served import Served, same_weights
from inhouse.errors import EngineFault
from inhouse.store import Workspace

# Of the memory that is free when a server starts, where `serve.memory` names none.
SHARE = 0.5

_STOPS = "the models were freed: the server stops"


@dataclass(slots=True, eq=False)
class Loaded:
    """A model, how much it answers now, and whether it is to be freed once that is nothing."""

    model: Served
    users: int = 0
    leaving: bool = False


@dataclass(slots=True, eq=False)
class _Wanted:
    """A version that is to be loaded, and who waits for it."""

    version: ModelVersion
    waiting: list[Future[Loaded]] = field(default_factory=list)


class Pool:
    """Models are loaded when they are first asked for, one at a time, while those that are loaded go on answering.

    Where they take more memory than they may, the least recently used idle ones are freed. Where all are busy, the
    least recently used one takes no more requests: it is freed when it has answered those that it has, and loaded
    again in its turn. So each model that is asked for has its turn, and none is freed in use.

    A version whose file was replaced is loaded anew, and the old one freed likewise.

    Args:
        most_bytes: memory that they may take, and one more while it is being loaded.
    """

    def __init__(self, workspace: Workspace, most_bytes: float) -> None:
        self._workspace, self._most_bytes = workspace, most_bytes
        self._changed = threading.Condition()
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._leaving: list[Loaded] = []
        self._wanted: list[_Wanted] = []
        self._closed = False
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="inhouse-load")

    @contextmanager
    def using(self, version: ModelVersion) -> Iterator[Served]:
        """The loaded model, kept loaded until the block ends; for threads, which wait for it.

        Raises:
            ModelUnavailable: it cannot be loaded.
            EngineFault: the pool was closed.
        """
        loaded = self._ask_for(version).result()
        try:
            yield loaded.model
        finally:
            self.let_go(loaded)

    @asynccontextmanager
    async def held(self, version: ModelVersion) -> AsyncIterator[Loaded]:
        """The same for the event loop."""
        asked = self._ask_for(version)
        try:
            loaded = asked.result() if asked.done() else await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            if not asked.cancel():  # it was given meanwhile
                asked.add_done_callback(self._give_back)
            raise
        try:
            yield loaded
        finally:
            self.let_go(loaded)

    def use(self, loaded: Loaded) -> None:
        """Count one more who uses a model that is held; to be let go by itself."""
        with self._changed:
            loaded.users += 1

    def let_go(self, loaded: Loaded) -> None:
        """One who used it does not any more."""
        with self._changed:
            loaded.users -= 1
            self._changed.notify_all()
            if loaded.leaving and not loaded.users and not self._closed:
                self._loader.submit(self._tidy)  # closing may take a while

    def _give_back(self, given: Future[Loaded]) -> None:
        if not given.cancelled() and given.exception() is None:
            self.let_go(given.result())

    def _ask_for(self, version: ModelVersion) -> Future[Loaded]:
        """The model, at once or when it is loaded; whoever is given it lets it go."""
        asked: Future[Loaded] = Future()
        with self._changed:
            if self._closed:
                raise EngineFault(_STOPS)
            loaded = self._loaded.get(version.name)
            if loaded is not None and loaded.model.renew(version):
                self._loaded.move_to_end(version.name)
                loaded.users += 1
                asked.set_result(loaded)
                return asked
            for wanted in self._wanted:
                if wanted.version.name == version.name and same_weights(wanted.version, version):
                    wanted.version = version  # what was learned of it since
                    wanted.waiting.append(asked)
                    return asked
            wanted = _Wanted(version, [asked])
            self._wanted.append(wanted)
            self._loader.submit(self._load, wanted)
        return asked

    def _load(self, wanted: _Wanted) -> None:
        """Load a version, and give it to all who came for it meanwhile."""
        try:
            self._make_room()
            loaded = self._opened(wanted)
        except BaseException as error:  # noqa: BLE001 - whatever it is, who waits must hear of it
            for asked in self._no_longer_wanted(wanted):
                asked.set_exception(error)
            return
        if loaded is None:
            return
        with self._changed:
            loaded.model.renew(wanted.version)
            self._leave(wanted.version.name)
            self._loaded[wanted.version.name] = loaded
            given = self._no_longer_wanted(wanted)
            loaded.users += len(given)
        for asked in given:
            asked.set_result(loaded)
        self._tidy()

    def _opened(self, wanted: _Wanted) -> Loaded | None:
        """None where nobody waits any more."""
        with self._changed:
            if all(asked.cancelled() for asked in wanted.waiting):
                self._wanted.remove(wanted)
                return None
        return Loaded(open_served(self._workspace, wanted.version, apart=True))

    def _no_longer_wanted(self, wanted: _Wanted) -> list[Future[Loaded]]:
        """Those who still wait for it."""
        with self._changed:
            self._wanted.remove(wanted)
        return [asked for asked in wanted.waiting if asked.set_running_or_notify_cancel()]

    def _leave(self, name: str) -> None:
        """No request comes to it any more. The lock is held."""
        if (loaded := self._loaded.pop(name, None)) is not None:
            loaded.leaving = True
            self._leaving.append(loaded)

    def _make_room(self) -> None:
        """Wait until there is room to load one more."""
        while True:
            self._tidy()
            with self._changed:
                if self._closed:
                    raise EngineFault(_STOPS)
                if not self._over():
                    return
                if self._loaded and not self._leaving:
                    self._leave(next(iter(self._loaded)))
                self._changed.wait_for(lambda: self._closed or any(not one.users for one in self._every()))

    def _tidy(self) -> None:
        """Free what is to be freed and idle, and while there is too much, what is idle, the least recently used first.

        Only the loader's thread does, so that memory is free before it loads more.
        """
        with self._changed:
            while self._over() and (idle := [name for name, one in self._loaded.items() if not one.users]):
                self._leave(idle[0])
            done = [one for one in self._leaving if not one.users]
            self._leaving = [one for one in self._leaving if one.users]
        for one in done:
            one.model.close()

    def _over(self) -> bool:
        """Whether what is loaded takes more than it may, without what leaves and is idle."""
        every = [one for one in self._every() if one.users or not one.leaving]
        return bool(every) and sum(one.model.size for one in every) > self._most_bytes

    def _every(self) -> list[Loaded]:
        return [*self._loaded.values(), *self._leaving]

    def memory(self) -> list[tuple[ModelVersion, int]]:
        """Bytes of memory that each loaded model holds in a process of its own, where it has one."""
        with self._changed:
            loaded = [one.model for one in self._every()]
        return [(model.version, used) for model in loaded if (used := model.memory())]

    def close(self) -> None:
        """Free every model; requests under way end with a fault."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._loader.shutdown(cancel_futures=True)
        for one in self._every():
            one.model.close()
        self._loaded.clear()
        self._leaving.clear()
        for wanted in list(self._wanted):
            for asked in self._no_longer_wanted(wanted):
                asked.set_exception(EngineFault(_STOPS))


def room_for_models(workspace: Workspace) -> float:
    """Bytes of memory that the loaded models of a server may take."""
    return workspace.settings.serve.memory * 2**30 or psutil.virtual_memory().available * SHARE
