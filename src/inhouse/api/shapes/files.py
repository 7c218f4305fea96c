"""The bodies of `/v1/files` and `/v1/uploads`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Field

from inhouse.api.errors import ApiError
from inhouse.api.shapes.times import unix
from inhouse.store.files import MOST_FILE_BYTES, UPLOADED, ApiFile
from inhouse.store.uploads import Part, Upload

LEAST_SECONDS, MOST_SECONDS = 3600, 2_592_000
MOST_NAME = 255
MOST_PARTS = 10_000
Purpose = Literal["fine-tune", "batch"]


class ExpiresAfter(BaseModel):
    """How long a file is kept: seconds since it was made."""

    model_config = ConfigDict(extra="forbid")

    anchor: Literal["created_at"]
    seconds: int = Field(ge=LEAST_SECONDS, le=MOST_SECONDS)


class UploadRequest(BaseModel):
    """The body of `POST /v1/uploads`."""

    model_config = ConfigDict(extra="forbid")

    filename: str = Field(min_length=1, max_length=MOST_NAME)
    purpose: Purpose
    bytes: int = Field(ge=1, le=MOST_FILE_BYTES)
    mime_type: str = Field(max_length=MOST_NAME)
    expires_after: ExpiresAfter | None = None


class CompleteRequest(BaseModel):
    """The body of `POST /v1/uploads/ID/complete`."""

    model_config = ConfigDict(extra="forbid")

    part_ids: Annotated[list[str], Field(min_length=1, max_length=MOST_PARTS)]
    md5: str | None = None


def check_filename(name: str, param: str) -> None:
    """Refuse a name that a disk would not take.

    Raises:
        ApiError: it is too long, or holds a control character.
    """
    if len(name) > MOST_NAME:
        raise ApiError(400, f"the file's name is over {MOST_NAME} letters", code="invalid_value", param=param)
    if any(category(letter) == "Cc" for letter in name):
        raise ApiError(400, "the file's name holds a control character", code="invalid_value", param=param)


def purpose_of(fields: Mapping[str, str]) -> str:
    """What an uploaded file is for.

    Raises:
        ApiError: nothing, or what no file can be used for here.
    """
    purpose = fields.get("purpose")
    if purpose is None:
        raise ApiError(400, "'purpose' is a required property", code="missing", param="purpose")
    if purpose not in UPLOADED:
        told = f"'{purpose[:40]}' is not one of {list(UPLOADED)} - 'purpose': no other work is done with files here"
        raise ApiError(400, told, code="invalid_value", param="purpose")
    return purpose


def seconds_of(fields: Mapping[str, str]) -> int | None:
    """How long an uploaded file is kept; None: until it is deleted.

    Raises:
        ApiError
    """
    anchor, seconds = (fields.get(f"expires_after[{part}]") for part in ("anchor", "seconds"))
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        told = "`expires_after[anchor]` must be `created_at`"
        raise ApiError(400, told, code="invalid_value", param="expires_after.anchor")
    number = int(seconds) if seconds and seconds.isascii() and seconds.isdecimal() and len(seconds) < 10 else 0
    if not LEAST_SECONDS <= number <= MOST_SECONDS:
        told = f"`expires_after[seconds]` must be a number from {LEAST_SECONDS} to {MOST_SECONDS}"
        raise ApiError(400, told, code="invalid_value", param="expires_after.seconds")
    return number


def file_object(file: ApiFile) -> dict[str, Any]:
    """A file as clients read it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": unix(file.created_at),
        "expires_at": None if file.expires_at is None else unix(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": file.status,
        "status_details": file.status_details,
    }


def upload_object(upload: Upload, file: ApiFile | None) -> dict[str, Any]:
    """An upload as clients read it, with the file that it became."""
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.bytes,
        "created_at": unix(upload.created_at),
        "expires_at": unix(upload.expires_at),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": upload.status,
        "file": None if file is None else file_object(file),
    }


def part_object(part: Part) -> dict[str, Any]:
    """A part as clients read it."""
    return {"id": part.id, "object": "upload.part", "created_at": unix(part.created_at), "upload_id": part.upload}
