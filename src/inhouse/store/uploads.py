"""Uploads: files that come in parts. A part is a blob until the upload is completed, cancelled or expired."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, insert, select, update

from inhouse.errors import Busy, InputError, NotFound
from inhouse.store import database as db
from inhouse.store import tables
from inhouse.store.files import EVERYTHING, ApiFile, Sight, add_file, delete_file
from inhouse.store.workspace import Workspace

OPEN_SECONDS = 3600
PART = ".part"
PENDING, COMPLETED, CANCELLED, EXPIRED = "pending", "completed", "cancelled", "expired"


@dataclass(frozen=True)
class Upload:
    """A file to come.

    Attributes:
        bytes: how large it is to be.
        status: `pending`, `completed`, `cancelled` or `expired`.
        file: the id of the file that it became.
        file_expires_after: seconds that this one is to be kept; None: for ever.
    """

    id: str
    purpose: str
    filename: str
    bytes: int
    mime_type: str
    status: str
    key: str
    created_at: str
    expires_at: str
    file: str | None = None
    file_expires_after: int | None = None


@dataclass(frozen=True)
class Part:
    """One part of it."""

    id: str
    upload: str
    bytes: int
    blob: str
    created_at: str


def begin(
    workspace: Workspace,
    filename: str,
    purpose: str,
    size: int,
    mime_type: str,
    key: str = "",
    *,
    expires_after: int | None = None,
) -> Upload:
    """Announce a file of `size` bytes."""
    made = Upload(
        id=f"upload_{secrets.token_hex(12)}",
        purpose=purpose,
        filename=filename,
        bytes=size,
        mime_type=mime_type,
        status=PENDING,
        key=key,
        created_at=db.now(),
        expires_at=db.from_now(OPEN_SECONDS),
        file_expires_after=expires_after,
    )
    with workspace.database.begin() as connection:
        connection.execute(insert(tables.uploads).values(**vars(made)))
    return made


def find(workspace: Workspace, upload: str, sight: Sight = EVERYTHING) -> Upload:
    """The upload with that id; one that was left open too long is over.

    Raises:
        NotFound: there is none of a file in sight.
    """
    expire(workspace)
    with workspace.database.read() as connection:
        row = connection.execute(select(tables.uploads).where(tables.uploads.c.id == upload)).mappings().first()
    if row is None or row["purpose"] not in sight.purposes or sight.key not in (None, row["key"]):
        raise NotFound(f"No such Upload object: {upload}")
    return Upload(**row)


def add_part(workspace: Workspace, upload: Upload, source: Path) -> Part:
    """Keep a part, of a file in `receiving`.

    Raises:
        InputError: the upload is over, or would be larger than announced.
        Busy: the same content was being deleted at the same moment.
    """
    _require_pending(upload)
    size = source.stat().st_size
    blob = workspace.blobs.put_file(source, PART)
    made = Part(f"part_{secrets.token_hex(12)}", upload.id, size, blob, db.now())
    try:
        with workspace.database.begin() as connection:
            parts = tables.upload_parts
            status = connection.scalar(select(tables.uploads.c.status).where(tables.uploads.c.id == upload.id))
            sizes = connection.scalars(select(parts.c.bytes).where(parts.c.upload == upload.id)).all()
            if status != PENDING:
                raise _over(upload.id, str(status))
            if sum(sizes) + size > upload.bytes:
                raise InputError(f"the parts are over the {upload.bytes} bytes that were announced")
            if not workspace.blobs.location(blob, PART).is_file():  # another upload had it, and ended just now
                raise Busy("the same part was being deleted", "send it again")
            connection.execute(insert(parts).values(**vars(made)))
    except BaseException:
        _drop_blobs(workspace, [blob])
        raise
    return made


def joined(workspace: Workspace, upload: Upload, parts: Sequence[str], to: Path, md5: str = "") -> None:
    """Write the parts, in the order of their ids, to a file.

    Raises:
        InputError: the upload is over; a part is not one of it, or is named twice; the size is not the one announced;
            the MD5 is another.
    """
    _require_pending(upload)
    table = tables.upload_parts
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.upload == upload.id)).mappings().all()
    known = {row["id"]: Part(**row) for row in rows}
    for part in parts:
        if part not in known:
            raise InputError(f"No such Part object in this upload: {part}")
    if len(set(parts)) < len(parts):
        raise InputError("a part is named twice")
    size = sum(known[part].bytes for part in parts)
    if size != upload.bytes:
        raise InputError(f"the parts have {size} bytes together; {upload.bytes} were announced")
    with to.open("wb") as whole:
        for part in parts:
            with workspace.blobs.path(known[part].blob, PART).open("rb") as one:
                shutil.copyfileobj(one, whole, 2**20)
    if md5:
        with to.open("rb") as whole:
            found = hashlib.file_digest(whole, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != md5.lower():
            raise InputError(f"the MD5 of the parts is {found}, not {md5[:40]}")


def complete(workspace: Workspace, upload: Upload, source: Path) -> ApiFile:
    """Make a file of what `joined` wrote; the parts go.

    Raises:
        InputError: the upload was ended meanwhile.
    """
    wish = {"expires_after": upload.file_expires_after}
    made = add_file(workspace, source, upload.filename, upload.purpose, upload.key, **wish)
    try:
        end(workspace, upload, COMPLETED, made.id)
    except InputError:
        delete_file(workspace, made.id)
        raise
    return made


def end(workspace: Workspace, upload: Upload, status: str, file: str | None = None) -> None:
    """Let an open upload be over; its parts go.

    Raises:
        InputError: it is over already.
    """
    table, parts = tables.uploads, tables.upload_parts
    with workspace.database.begin() as connection:
        here = (table.c.id == upload.id, table.c.status == PENDING)
        if not connection.execute(update(table).where(*here).values(status=status, file=file)).rowcount:
            raise _over(upload.id, str(connection.scalar(select(table.c.status).where(table.c.id == upload.id))))
        blobs = connection.scalars(select(parts.c.blob).where(parts.c.upload == upload.id)).all()
        connection.execute(delete(parts).where(parts.c.upload == upload.id))
    _drop_blobs(workspace, blobs)


def end_all(workspace: Workspace) -> int:
    """Let all open uploads be over, as for `forget`; how many."""
    table = tables.uploads
    with workspace.database.read() as connection:
        rows = connection.execute(select(table).where(table.c.status == PENDING)).mappings().all()
    for row in rows:
        end(workspace, Upload(**row), CANCELLED)
    return len(rows)


def expire(workspace: Workspace) -> None:
    """Let uploads be over that were open too long."""
    table = tables.uploads
    with workspace.database.read() as connection:
        over = (table.c.status == PENDING, table.c.expires_at <= db.now())
        rows = connection.execute(select(table).where(*over)).mappings().all()
    for row in rows:
        try:
            end(workspace, Upload(**row), EXPIRED)
        except InputError:  # another process ended it meanwhile
            continue


def _require_pending(upload: Upload) -> None:
    if upload.status != PENDING:
        raise _over(upload.id, upload.status)


def _over(upload: str, status: str) -> InputError:
    return InputError(f"the upload {upload} is {status} already", "begin another one")


def _drop_blobs(workspace: Workspace, blobs: Sequence[str]) -> None:
    """Remove the content of parts, unless another upload has the same."""
    with workspace.database.begin() as connection:
        table = tables.upload_parts
        for blob in set(blobs):
            if connection.scalar(select(table.c.id).where(table.c.blob == blob).limit(1)) is None:
                workspace.blobs.remove(blob, PART)
