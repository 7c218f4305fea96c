"""A workspace: one folder with its settings, database, blobs and tasks."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import tomlkit

from inhouse.core import Task
from inhouse.errors import Busy, NotFound, UsageError, did_you_mean
from inhouse.store.blobs import Blobs
from inhouse.store.database import Database
from inhouse.store.paths import CONFIG_NAME, Paths, disk_guard, restoring, write_bytes
from inhouse.store.settings import Settings, forbid_outbound, load_settings, read_toml, validated

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_KEYS_OF_ONE_KIND = {
    "labels": "classify",
    "encoder_model": "classify",
    "json_schema": "extract",
    "from_input": "extract",
    "outline": "generate",
}

_CONFIG = """\
# Settings of this inhouse workspace. Every key can be overridden by an environment variable:
# offline by INHOUSE_OFFLINE, serve.port by INHOUSE_SERVE__PORT. See docs/settings.md.

# offline = true              # forbid every outbound connection
# models_dir = "~/models"     # where base models are kept
# threads = 0                 # CPU threads; 0: all cores

[serve]
host = "127.0.0.1"
port = 8000
"""


class Workspace:
    """An opened workspace folder. Nothing is created until something is stored."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root.resolve())
        self.settings: Settings = load_settings(self.paths.config)
        if self.settings.offline:
            forbid_outbound()

    @property
    def exists(self) -> bool:
        """Whether the folder is a workspace already."""
        return self.paths.config.is_file()

    def create(self) -> None:
        """Make the folder a workspace with settings and database, unless it is one."""
        if not self.exists:
            write_bytes(self.paths.config, _CONFIG.encode())
            self.database.close()

    @contextmanager
    def undoing(self, *files: Path) -> Iterator[None]:
        """On any error put small `files` back as they were, and unmake the workspace if it was made meanwhile."""
        database = [self.paths.root / f"{self.paths.database.name}{end}" for end in ("", "-wal", "-shm")]
        made = [] if self.exists else [self.paths.config, *(f for f in database if not f.exists())]
        with restoring(*files, *made):
            try:
                yield
            except BaseException:
                if made:
                    self.close()
                raise

    @cached_property
    def database(self) -> Database:
        """The workspace's database, on the newest schema.

        Raises:
            NotFound: the folder is no workspace.
        """
        self.require()
        return Database(self.settings.database or f"sqlite:///{self.paths.database}", self.paths.root)

    @cached_property
    def blobs(self) -> Blobs:
        """The workspace's content-addressed files."""
        return Blobs(self.paths.blobs)

    def require(self) -> None:
        """Raise `NotFound` unless the folder is a workspace."""
        if not self.exists:
            raise NotFound(
                f"{self.paths.root} is no inhouse workspace (it has no {CONFIG_NAME})",
                "make one with `inhouse init TASK`, or name another folder with --workspace",
            )

    def close(self) -> None:
        """Close the database, if it was opened."""
        if "database" in self.__dict__:
            self.__dict__.pop("database").close()

    # ------------------------------------------------------------------ tasks

    def task_names(self) -> list[str]:
        """The names of all tasks, sorted."""
        return sorted(p.parent.name for p in self.paths.root.glob("tasks/*/task.toml"))

    def has_task(self, name: str) -> bool:
        """Whether the task exists."""
        return self.paths.task_file(name).is_file()

    def load_task(self, name: str) -> Task:
        """The task as its `task.toml` says.

        Raises:
            NotFound: there is no such task.
            ConfigError: the file holds an unknown key or a wrong value.
        """
        check_name(name)
        self.require()
        path = self.paths.task_file(name)
        if not path.is_file():
            names = self.task_names()
            there = f"the tasks here are: {', '.join(names)}" if names else "there are none here yet"
            hint = did_you_mean(name, names)
            raise NotFound(f"there is no task {name!r}", f"{hint}{there}; make it with `inhouse init {name}`")
        return validated(Task, {**read_toml(path), "name": name}, path)

    def save_task(self, task: Task) -> None:
        """Write `task.toml`; comments and keys that the user wrote are kept."""
        path = self.paths.task_file(task.name)
        document = tomlkit.parse(path.read_text("utf-8")) if path.is_file() else _new_task_document(task.name)
        left_out = {"name", *(key for key, kind in _KEYS_OF_ONE_KIND.items() if kind != task.kind)}
        values = task.model_dump(exclude={*left_out, "sources"}, exclude_none=True, by_alias=True)
        schema, taken = values.pop("schema", None), values.pop("from_input", None)
        kept = [section.model_dump(exclude_defaults=True) for section in task.sources]
        _merge(document, values)
        if document.unwrap().get("sources", []) != kept:
            document.pop("sources", None)
            document |= {"sources": _tables(kept)} if kept else {}
        if schema and document.get("schema") != schema:  # replaced as a whole: a key that is gone from it must go
            document["schema"] = schema
        if taken is not None:
            table = document.setdefault("from_input", tomlkit.table())
            for gone in set(table) - set(taken):
                del table[gone]
            _merge(table, taken)
        write_bytes(path, tomlkit.dumps(document).encode("utf-8"))

    @contextmanager
    def changing_data(self) -> Iterator[None]:
        """Hold the folder while data is read, revised and stored: one process after another, each waiting its turn.

        The lock is on the folder itself (or the one above it while it is not there), so it leaves no trace.
        """
        folder = self.paths.root
        while not folder.is_dir():
            folder = folder.parent
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def lock(self, name: str, doing: str) -> Iterator[None]:
        """Hold a lock of the workspace; the system frees it when the process dies, however it dies.

        Raises:
            Busy: another process holds it.
        """
        folder = self.paths.root / "locks"
        with disk_guard(self.paths.root):
            folder.mkdir(exist_ok=True)
        with (folder / f"{name}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"another process is already {doing} in {self.paths.root}", "wait until it ends, or stop it"
                ) from error
            yield


def is_name(name: str) -> bool:
    """Whether `name` can name a task, a folder and a served model at once."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> None:
    """Raise `UsageError` unless `name` can name a task, a folder and a served model at once."""
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot name a task",
            "use up to 63 of a-z, 0-9, - and _, beginning with a letter or digit, such as `invoice-lines`",
        )


def _new_task_document(name: str) -> tomlkit.TOMLDocument:
    document = tomlkit.document()
    document.add(tomlkit.comment(f"The task `{name}`. Edit it freely; an unknown key is an error. See docs/task.md."))
    return document


def _merge(document: tomlkit.TOMLDocument | tomlkit.items.Table, values: dict[str, object]) -> None:
    """Set what differs, so that untouched lines keep the user's layout."""
    for key, value in values.items():
        if isinstance(value, dict):
            if not value:
                continue
            if key not in document:
                document.add(key, tomlkit.table())
            table = document[key]
            assert isinstance(table, tomlkit.items.Table)
            _merge(table, value)
        elif key not in document or document[key] != _plain(value):
            document[key] = _plain(value)


def _tables(rows: list[dict[str, object]]) -> tomlkit.items.AoT:
    tables = tomlkit.aot()
    for row in rows:
        tables.append(tomlkit.item(row))
    return tables


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        array = tomlkit.array()
        array.extend(value)
        return array.multiline(len(value) > 3)
    return value
