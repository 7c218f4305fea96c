"""`/v1/uploads`: files that come in parts."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import PURPOSES, Caller, caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.forms import read_form
from inhouse.api.shapes.files import CompleteRequest, UploadRequest, check_filename, part_object, upload_object
from inhouse.pipeline.jobs.validate import check_lines
from inhouse.store import Workspace, files, uploads
from inhouse.store.uploads import Part, Upload

MOST_PART_BYTES = 64 * 2**20
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {"data": {"type": "string", "format": "binary"}},
                    "additionalProperties": False,
                }
            }
        },
    }
}

router = APIRouter(dependencies=[require("train", "infer")])


@router.post("/v1/uploads")
async def create_upload(body: UploadRequest, request: Request) -> dict[str, Any]:
    """Announce a file."""
    caller = caller_of(request)
    caller.require(PURPOSES[body.purpose])
    check_filename(body.filename, "filename")
    seconds = None if body.expires_after is None else body.expires_after.seconds
    made = await run_in_threadpool(
        uploads.begin,
        request.app.state.workspace,
        body.filename,
        body.purpose,
        body.bytes,
        body.mime_type,
        caller.key_id,
        expires_after=seconds,
    )
    return upload_object(made, None)


@router.post("/v1/uploads/{upload}/parts", openapi_extra=_FORM)
async def add_part(upload: str, request: Request) -> dict[str, Any]:
    """Send a part; parts may come in any order, and at once."""
    workspace = request.app.state.workspace
    found = await run_in_threadpool(_find, workspace, upload, caller_of(request))
    async with AsyncExitStack() as held:
        folder = held.enter_context(files.receiving(workspace))
        form = await read_form(request, folder, "data")
        if form.file.stat().st_size > MOST_PART_BYTES:
            raise ApiError(413, f"the part is over {MOST_PART_BYTES // 2**20} MiB", param="data")
        made: Part = await run_in_threadpool(uploads.add_part, workspace, found, form.file)
    return part_object(made)


@router.post("/v1/uploads/{upload}/complete")
async def complete_upload(upload: str, body: CompleteRequest, request: Request) -> dict[str, Any]:
    """Make a file of the parts, in the order of their ids."""
    return await run_in_threadpool(_complete, request.app.state.workspace, upload, body, caller_of(request))


@router.post("/v1/uploads/{upload}/cancel")
async def cancel_upload(upload: str, request: Request) -> dict[str, Any]:
    """Let it be; the parts go."""
    return await run_in_threadpool(_cancel, request.app.state.workspace, upload, caller_of(request))


def _complete(workspace: Workspace, upload: str, body: CompleteRequest, caller: Caller) -> dict[str, Any]:
    found = _find(workspace, upload, caller)
    with files.receiving(workspace) as folder:
        whole = folder / "content"
        uploads.joined(workspace, found, body.part_ids, whole, body.md5 or "")
        if fault := check_lines(whole):
            raise ApiError(400, fault, code="invalid_file_format", param="part_ids")
        made = uploads.complete(workspace, found, whole)
    return upload_object(_find(workspace, upload, caller), made)


def _cancel(workspace: Workspace, upload: str, caller: Caller) -> dict[str, Any]:
    uploads.end(workspace, _find(workspace, upload, caller), uploads.CANCELLED)
    return upload_object(_find(workspace, upload, caller), None)


def _find(workspace: Workspace, upload: str, caller: Caller) -> Upload:
    """The upload, if the caller sees files for what it is for.

    Raises:
        NotFound
    """
    return uploads.find(workspace, upload, caller.sight)
