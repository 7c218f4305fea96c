"""Every path of a workspace, and the one door through which files are written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inhouse.core import TrainedModel
from inhouse.errors import DiskFull

CONFIG_NAME = "inhouse.toml"


@dataclass(frozen=True)
class Paths:
    """Where things lie below the workspace folder `root`."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / CONFIG_NAME

    @property
    def database(self) -> Path:
        return self.root / "inhouse.db"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    def adapter(self, sha256: str) -> Path:
        """Where a version's adapter lies for vLLM to load."""
        return self.root / "adapters" / sha256

    @property
    def receiving(self) -> Path:
        """Where uploads lie until they are whole."""
        return self.root / "receiving"

    @property
    def batches(self) -> Path:
        """Where the answers to batches under way are kept."""
        return self.root / "batches"

    def task_folder(self, task: str) -> Path:
        return self.root / "tasks" / task

    def task_file(self, task: str) -> Path:
        return self.task_folder(task) / "task.toml"

    def documents(self, task: str) -> Path:
        """Where the user puts what belongs to a task and can be looked up."""
        return self.task_folder(task) / "documents"

    def rejects(self, task: str, source: str) -> Path:
        return self.task_folder(task) / "rejected" / f"{source}.rejected.csv"

    def mask_map(self, task: str) -> Path:
        return self.task_folder(task) / "masks.map"

    def report(self, task: str, number: int) -> Path:
        return self.task_folder(task) / "reports" / f"{task}@{number}.html"

    def beside_report(self, task: str, number: int) -> dict[str, Path]:
        """The files beside a report, by what they are."""
        report = self.report(task, number)
        names = {"json": ".json", "markdown": ".md", "card": ".card.html", "card_markdown": ".card.md"}
        return {what: report.with_suffix(suffix) for what, suffix in names.items()}

    def card(self, task: str, dataset: int) -> Path:
        return self.task_folder(task) / "cards" / f"{task}-v{dataset}.html"

    def curve(self, task: str) -> Path:
        return self.task_folder(task) / "reports" / "curve.svg"

    def curve_result(self, task: str) -> Path:
        return self.curve(task).with_suffix(".json")

    def run(self, run: str) -> Path:
        return self.root / "runs" / run

    def curve_run(self, task: str, model: TrainedModel) -> Path:
        return self.root / "runs" / f"curve-{task}-{model}"


@contextmanager
def disk_guard(folder: Path) -> Iterator[None]:
    """Turn 'no space left' into `DiskFull`, from whichever library it comes.

    Libraries wrap the system's error in their own (polars, SQLAlchemy, safetensors), so the text is read too.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        text = str(error).lower()
        free = _free_mib(folder)
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        full = full or any(s in text for s in ("no space left", "os error 28", "disk is full", "disk full"))
        # What SQLite and numpy say when the disk is full, and not only then.
        vague = any(s in text for s in ("disk i/o error", "unable to open database file", " requested and "))
        if not full and not (vague and free < 1.0):
            raise
        raise DiskFull(
            f"no space is left for the workspace ({free:.1f} MiB free)",
            "free some space, or move the workspace to a larger disk, and run the command again; "
            "what was there before is unchanged",
            file=folder,
        ) from error


def _free_mib(folder: Path) -> float:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free / 2**20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and rename it over `path`.

    On any error the temporary file is removed and `path` is as before.

    Raises:
        DiskFull: the disk has no room.
    """
    made = _make_folders(path.parent)
    try:
        with disk_guard(made or path.parent):
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".part-", suffix=path.suffix)
            os.close(descriptor)
            temporary = Path(name)
            try:
                yield temporary
                _flush(temporary)
                temporary.chmod(_file_mode())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
    except BaseException:
        _remove_empty(path.parent, made)
        raise


@contextmanager
def restoring(*files: Path) -> Iterator[None]:
    """On any error put small `files` back as they were; one that was not there goes, with the folders made for it."""
    before = [(file, file.read_bytes() if file.is_file() else None, _missing(file.parent)) for file in files]
    try:
        yield
    except BaseException:
        for file, content, made in before:
            if content is None:
                file.unlink(missing_ok=True)
                _remove_empty(file.parent, made)
            elif not file.is_file() or file.read_bytes() != content:
                write_bytes(file, content)
        raise


def _missing(folder: Path) -> Path | None:
    """The topmost folder on the way to `folder` that is not there, if any."""
    missing = None
    while not folder.exists():
        missing, folder = folder, folder.parent
    return missing


def _make_folders(folder: Path) -> Path | None:
    """Create `folder`; return the topmost folder that was missing, if any."""
    missing = _missing(folder)
    with disk_guard(missing.parent if missing else folder):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folder: Path, top: Path | None) -> None:
    """Undo `_make_folders` as far as the folders are empty."""
    while top is not None and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def _file_mode() -> int:
    """What a new file may be by the user's umask (a temporary file is made for its owner alone)."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


def move_into_place(source: Path, path: Path) -> None:
    """Flush a finished file of the same disk and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _flush(source)
    source.chmod(_file_mode())
    source.replace(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
