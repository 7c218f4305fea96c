"""Which version a model's name means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os.path import commonprefix
from secrets import token_hex
from typing import Literal

from inhouse.core import ModelVersion
from inhouse.deploy.bases import Bases
from inhouse.errors import ModelNotFound, NotFound, ParityFailed, UsageError
from inhouse.store import Workspace, check_name, is_name, model_names, registry, releases

Route = Literal["champion", "candidate", "version", "base", "canary", "fallback"]

# Names of models that a refusal tells.
MOST_TOLD = 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """The version that answers a request, and how it came to."""

    version: ModelVersion
    route: Route


class Dispatcher:
    """The models of a workspace by name: `task` (its champion), `task@candidate`, `task@3`, `ft:…`, or a base's own.

    A task goes before a base of the same name.

    A name is looked up on every request, so a promotion in another process takes effect at once; a version is read
    again only when its record has changed.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._bases = Bases(workspace.settings)
        self._known: dict[tuple[str, int], tuple[str, ModelVersion]] = {}

    def choose(self, name: str, tasks: Collection[str] | None = None, asks: str | None = None) -> Chosen:
        """The version that a model's name means.

        Args:
            tasks: whose names a refusal may tell; None: of all, and the bases'.
            asks: who asks: of a task with a canary the same one always gets the same version. Empty: each request is
                somebody else's. None: the champion.

        Raises:
            ModelNotFound: there is none, with those that there are.
            ParityFailed: it does not compute what was trained.
        """
        try:
            chosen = self._of_job(name) if name.startswith(model_names.PREFIX) else self._of_task_or_base(name, asks)
        except (NotFound, UsageError) as error:
            told = f"The model `{name}` does not exist: {error.what}"
            raise ModelNotFound(told, f"Models here: {_nearest(name, self.models(tasks))}") from error
        if fault := chosen.version.out_of_parity:
            raise ParityFailed(f"{chosen.version.name} is not served, as it failed the parity gate: {fault}")
        return chosen

    def at_once(self, name: str, asks: str | None = None) -> Chosen | None:
        """What `choose` gives, for the event loop, which may not wait; of whichever task.

        None where more than a look is needed, or there is no such model: ask `choose`, in a thread.
        """
        if name.startswith(model_names.PREFIX):
            named = model_names.find_at_once(self._workspace, name)
            return None if named is None else self._known_as(*named, "version")
        task, _, which = name.partition("@")
        if asks is not None and not which and self._workspace.settings.release(task).canary:
            return None
        meant = _meant(which) if self._is_task(task) else None
        return None if meant is None else self._known_as(task, *meant)

    def _known_as(self, task: str, which: str | int, route: Route) -> Chosen | None:
        """A version that was read before and is unchanged since."""
        state = registry.state_at_once(self._workspace, task, which)
        if state is None:
            return None
        number, changed_at = state
        before, version = self._known.get((task, number), ("", None))
        return None if version is None or before != changed_at or version.out_of_parity else Chosen(version, route)

    def task_of(self, name: str) -> str:
        """The task that a model's name is of, whether or not there is one; empty where no task could be."""
        if name.startswith(model_names.PREFIX):
            named = model_names.find(self._workspace, name)
            return "" if named is None else named[0]
        return name.partition("@")[0]

    def models(self, tasks: Collection[str] | None = None) -> list[tuple[str, ModelVersion]]:
        """Every name that can be asked for, and the version that it means: the bases first, the names of jobs last.

        Args:
            tasks: only those of these tasks, and no base; None: all.
        """
        found: list[tuple[str, ModelVersion]] = [
            (base.name, base) for base in self._bases.versions() if tasks is None and not self._is_task(base.name)
        ]
        served_of: dict[str, dict[int, ModelVersion]] = {}
        for task in self._workspace.task_names():
            if tasks is not None and task not in tasks:
                continue
            served = self._served(task)
            served_of[task] = served
            for alias, suffix in ((registry.CHAMPION, ""), (registry.CANDIDATE, "@candidate")):
                number = registry.alias_number(self._workspace, task, alias)
                if number in served:
                    found.append((f"{task}{suffix}", served[number]))
            found += [(v.name, v) for v in served.values()]
        of_jobs = model_names.every(self._workspace)
        return found + [(n, served_of[t][k]) for n, t, k in of_jobs if k in served_of.get(t, {})]

    def _served(self, task: str) -> dict[int, ModelVersion]:
        """The versions of a task that answer, by number; read again only when the record of one has changed."""
        states = registry.states(self._workspace, task)
        if any(self._known.get((task, number), (None,))[0] != changed_at for number, changed_at in states.items()):
            for version in registry.versions(self._workspace, task):
                self._known[task, version.number] = (states.get(version.number, ""), version)
        found = [self._known[task, number][1] for number in states if (task, number) in self._known]
        return {version.number: version for version in found if not version.out_of_parity}

    def _of_job(self, name: str) -> Chosen:
        """The version that a job named so."""
        named = model_names.find(self._workspace, name)
        if named is None:
            raise NotFound("no job made one of that name, or it was deleted")
        return Chosen(self._version(*named), "version")

    def _of_task_or_base(self, name: str, asks: str | None) -> Chosen:
        task, _, which = name.partition("@")
        if not self._is_task(task):
            if (base := self._bases.find(name)) is not None:
                return Chosen(base, "base")
            check_name(task)
            raise NotFound(f"there is no task {task!r}")
        return (None if which or asks is None else self._canary(task, asks)) or self._chosen(task, which)

    def _is_task(self, name: str) -> bool:
        return is_name(name) and self._workspace.has_task(name)

    def _chosen(self, task: str, which: str) -> Chosen:
        meant = _meant(which)
        if meant is None:
            raise NotFound(f"{which!r} is neither `{registry.CANDIDATE}` nor a number")
        return Chosen(self._version(task, meant[0]), meant[1])

    def _canary(self, task: str, asks: str) -> Chosen | None:
        """The candidate, for those who fall into its share; another candidate's are others."""
        if not self._workspace.settings.release(task).canary:
            return None
        canary = releases.last_canary(self._workspace, task)
        if canary is None or canary.state != releases.RUNNING:
            return None
        if canary.number != registry.alias_number(self._workspace, task, registry.CANDIDATE):
            return None
        digest = sha256(f"{task}@{canary.number} {asks or token_hex(16)}".encode()).digest()
        if int.from_bytes(digest[:8]) >= canary.share * 2**64:
            return None
        version = self._version(task, canary.number)
        return None if version.out_of_parity else Chosen(version, "canary")

    def _version(self, task: str, which: str | int) -> ModelVersion:
        """As its record is now: an evaluation and `forget` change it after it is made."""
        state = registry.state_of(self._workspace, task, which)
        if state is None:
            return registry.find_version(self._workspace, task, which)  # says what there is
        number, changed_at = state
        before, known = self._known.get((task, number), ("", None))
        if known is None or before != changed_at:
            known = registry.find_version(self._workspace, task, number)
            self._known[task, number] = (changed_at, known)
        return known


def _nearest(name: str, models: Sequence[tuple[str, ModelVersion]]) -> str:
    """The names that begin most alike, as a list that is read."""
    names = sorted((known for known, _ in models), key=lambda known: -len(commonprefix((known, name))))  # noqa: RUF071
    more = f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return (", ".join(names[:MOST_TOLD]) or "none") + more


def _meant(which: str) -> tuple[str | int, Route] | None:
    """What stands behind a task's name: alias or number, and how it came to answer; None where it is neither."""
    if which == "":
        return registry.CHAMPION, "champion"
    if which == registry.CANDIDATE:
        return registry.CANDIDATE, "candidate"
    return (int(which), "version") if which.isascii() and which.isdecimal() and len(which) < 10 else None
