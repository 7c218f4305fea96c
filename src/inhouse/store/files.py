"""Files of the HTTP API: what clients upload to learn from or to be answered, and what is made for them.

Their content lies in the blobs, so that the same bytes are kept once; a file that is deleted or expired leaves nothing.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, or_, select, update

from inhouse.errors import Busy, NotFound
from inhouse.store import audit, tables
from inhouse.store import database as db
from inhouse.store.paths import write_bytes
from inhouse.store.workspace import Workspace

MOST_FILE_BYTES = 512 * 2**20
# What a file is for, and how its blob is called; those that clients upload first.
UPLOADED = ("fine-tune", "batch")
SUFFIXES: Mapping[str, str] = {
    "fine-tune": ".jsonl",
    "batch": ".jsonl",
    "batch_output": ".jsonl",
    "fine-tune-results": ".csv",
}
# What is received and left unfinished (the process was killed) goes after so many seconds.
STALE_SECONDS = 3600


@dataclass(frozen=True)
class ApiFile:
    """A file by its id.

    Attributes:
        bytes: its size.
        blob: the SHA-256 of its content.
        status: `processed`: what is kept was looked at.
        key: the id of the access key that brought it, or for which it was made; empty without one.
        created_at, expires_at: ISO 8601, UTC.
    """

    id: str
    filename: str
    purpose: str
    bytes: int
    blob: str
    status: str
    key: str
    created_at: str
    expires_at: str | None = None
    status_details: str | None = None


@dataclass(frozen=True)
class Sight:
    """Which files somebody sees: those for these purposes, and of them only those of one key where `key` is given."""

    purposes: Collection[str] = tuple(SUFFIXES)
    key: str | None = None


EVERYTHING = Sight()


@contextmanager
def receiving(workspace: Workspace) -> Iterator[Path]:
    """A folder to receive a file in, on the disk of the blobs; gone at the end.

    Raises:
        DiskFull: no space is left.
    """
    folder = workspace.paths.receiving
    folder.mkdir(parents=True, exist_ok=True)
    with workspace.blobs.scratch(folder) as scratch:
        yield scratch


def add_file(
    workspace: Workspace,
    source: Path | bytes,
    filename: str,
    purpose: str,
    key: str = "",
    *,
    expires_after: int | None = None,
) -> ApiFile:
    """Keep a file.

    Args:
        source: its content; a path is one of `receiving`, and the file is moved away from there.
        purpose: one of `SUFFIXES`.
        key: whose it is.
        expires_after: seconds from now on; None: never.

    Raises:
        Busy: the same content was being deleted at the same moment.
        DiskFull
    """
    remove_expired(workspace)
    if isinstance(source, bytes):
        with receiving(workspace) as folder:
            write_bytes(folder / "content", source)
            return add_file(workspace, folder / "content", filename, purpose, key, expires_after=expires_after)
    size, suffix = source.stat().st_size, SUFFIXES[purpose]
    blob = workspace.blobs.put_file(source, suffix)
    made = ApiFile(
        id=f"file-{secrets.token_hex(12)}",
        filename=filename,
        purpose=purpose,
        bytes=size,
        blob=blob,
        status="processed",
        key=key,
        created_at=db.now(),
        expires_at=None if expires_after is None else db.from_now(expires_after),
    )
    with workspace.database.begin() as connection:
        if not workspace.blobs.location(blob, suffix).is_file():  # it was another's too, who deleted it just now
            raise Busy("the same file was being deleted", "send it again")
        connection.execute(insert(tables.api_files).values(**vars(made)))
    return made


def find_file(workspace: Workspace, file: str, sight: Sight = EVERYTHING) -> ApiFile:
    """The file with that id.

    Raises:
        NotFound: there is none in sight.
    """
    query = select(tables.api_files).where(tables.api_files.c.id == file, *_seen(sight))
    with workspace.database.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"No such File object: {file}")
    return _file(row)


def open_file(workspace: Workspace, file: str) -> Path:
    """Where the content of a file lies; not to be changed.

    Raises:
        NotFound: there is no such file, or its content is missing.
    """
    found = find_file(workspace, file)
    return workspace.blobs.path(found.blob, SUFFIXES[found.purpose])


def files(
    workspace: Workspace, sight: Sight = EVERYTHING, *, limit: int, after: str = "", newest_first: bool = True
) -> list[ApiFile]:
    """Files in the order of their making.

    Args:
        after: the id of the file before the first one.

    Raises:
        NotFound: there is no file `after`.
    """
    remove_expired(workspace)
    table = tables.api_files
    last = find_file(workspace, after, sight) if after else None
    query = db.paged(select(table).where(*_seen(sight)), table, last, newest_first=newest_first)
    with workspace.database.read() as connection:
        return [_file(row) for row in connection.execute(query.limit(limit)).mappings()]


def replace_content(workspace: Workspace, file: ApiFile, source: Path) -> None:
    """Let a file hold what `source`, of `receiving`, does; what it held goes."""
    size, table = source.stat().st_size, tables.api_files
    blob = workspace.blobs.put_file(source, SUFFIXES[file.purpose])
    with workspace.database.begin() as connection:
        connection.execute(update(table).where(table.c.id == file.id).values(blob=blob, bytes=size))
        _drop_blob(workspace, connection, file)


def delete_file(workspace: Workspace, file: str, sight: Sight = EVERYTHING) -> None:
    """Erase a file and, unless another has the same, its content.

    Raises:
        NotFound: there is none in sight.
    """
    found = find_file(workspace, file, sight)
    _erase(workspace, [found], "delete file")


def remove_expired(workspace: Workspace) -> None:
    """Erase what expired, and what was left behind by a process that was killed while it received a file."""
    table = tables.api_files
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.expires_at <= db.now())).mappings().all()
    if rows:
        _erase(workspace, [_file(row) for row in rows], "expire file")
    for left in workspace.paths.receiving.glob(".part-*"):
        if _changed(left) < time.time() - STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _erase(workspace: Workspace, gone: Collection[ApiFile], action: str) -> None:
    table = tables.api_files
    with workspace.database.begin() as connection:  # the blobs in it too: see `add_file`
        for file in gone:
            if connection.execute(delete(table).where(table.c.id == file.id)).rowcount:
                audit.note_in(connection, action, file.id, {"purpose": file.purpose, "bytes": file.bytes})
            _drop_blob(workspace, connection, file)


def _drop_blob(workspace: Workspace, connection: Connection, file: ApiFile) -> None:
    """Remove what a file held, unless another holds the same."""
    held = select(tables.api_files.c.id).where(tables.api_files.c.blob == file.blob)
    if connection.scalar(held.limit(1)) is None:
        workspace.blobs.remove(file.blob, SUFFIXES[file.purpose])


def _changed(folder: Path) -> float:
    """When something in a folder was last written; 0 where it is gone."""
    times = [0.0]
    for path in (folder, *folder.glob("*")):
        try:
            times.append(path.stat().st_mtime)
        except OSError:  # it ended meanwhile
            continue
    return max(times)


def _seen(sight: Sight) -> list[ColumnElement[bool]]:
    table = tables.api_files
    seen = [table.c.purpose.in_(sight.purposes), or_(table.c.expires_at.is_(None), table.c.expires_at > db.now())]
    return seen if sight.key is None else [*seen, table.c.key == sight.key]


def _file(row: RowMapping) -> ApiFile:
    return ApiFile(**{name: row[name] for name in ApiFile.__dataclass_fields__})
