"""Content-addressed files: a blob's name is the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from inhouse.errors import NotFound
from inhouse.store.paths import disk_guard, move_into_place, sha256_of, write_bytes


class Blobs:
    """The `blobs/` folder of a workspace. A blob never changes once it is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def location(self, sha256: str, suffix: str) -> Path:
        """Where the blob lies or would lie."""
        return self.folder / sha256[:2] / f"{sha256}{suffix}"

    def path(self, sha256: str, suffix: str) -> Path:
        """Where the blob lies.

        Raises:
            NotFound: it is not there.
        """
        path = self.location(sha256, suffix)
        if not path.is_file():
            raise NotFound(
                f"the stored file {sha256[:12]}…{suffix} is missing from {self.folder}",
                "restore the workspace's blobs folder from a backup, or run the stage that made it again",
            )
        return path

    def has(self, content: bytes, suffix: str) -> bool:
        """Whether these bytes are stored."""
        return self.location(hashlib.sha256(content).hexdigest(), suffix).is_file()

    def put(self, content: bytes, suffix: str) -> str:
        """Store bytes; return their SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.location(sha256, suffix)
        if not path.is_file():
            write_bytes(path, content)
        return sha256

    def remove(self, sha256: str, suffix: str) -> None:
        """Take back a blob that was just put and that nothing refers to."""
        path = self.location(sha256, suffix)
        path.unlink(missing_ok=True)
        for folder in (path.parent, self.folder):
            with suppress(OSError):  # others are in it
                folder.rmdir()

    def put_file(self, source: Path, suffix: str) -> str:
        """Move a finished file of the same disk into the store; return its SHA-256."""
        sha256 = sha256_of(source)
        path = self.location(sha256, suffix)
        if not path.is_file():
            move_into_place(source, path)
        return sha256

    @contextmanager
    def scratch(self, folder: Path) -> Iterator[Path]:
        """A folder below `folder`, on the store's disk, to make large files in before `put_file`; gone at the end.

        After a kill it goes with `folder`, so this should be the run's.
        """
        with disk_guard(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as name:
            yield Path(name)
