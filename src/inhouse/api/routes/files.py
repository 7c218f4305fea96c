"""`/v1/files`: what is to be learned from, or answered in bulk."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import PURPOSES, Caller, caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.forms import Form, read_form
from inhouse.api.shapes.files import check_filename, file_object, purpose_of, seconds_of
from inhouse.api.shapes.lists import listed
from inhouse.pipeline.jobs.validate import check_lines
from inhouse.store import Workspace, files
from inhouse.store.files import MOST_FILE_BYTES, ApiFile

MOST_LISTED = 10_000
_FIELDS = ("purpose", "expires_after[anchor]", "expires_after[seconds]")
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["purpose", "file"],
                    "properties": {
                        "purpose": {"type": "string", "enum": list(files.UPLOADED)},
                        "file": {"type": "string", "format": "binary"},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}

router = APIRouter(dependencies=[require("train", "infer")])


@router.post("/v1/files", openapi_extra=_FORM)
async def create_file(request: Request) -> dict[str, Any]:
    """Keep a file of JSON Lines, whose every line is looked at."""
    workspace, caller = request.app.state.workspace, caller_of(request)
    async with AsyncExitStack() as held:
        folder = held.enter_context(files.receiving(workspace))
        form = await read_form(request, folder, "file", _FIELDS)
        return file_object(await run_in_threadpool(_keep, workspace, form, caller))


def _keep(workspace: Workspace, form: Form, caller: Caller) -> ApiFile:
    purpose, seconds = purpose_of(form.fields), seconds_of(form.fields)
    caller.require(PURPOSES[purpose])
    check_filename(form.filename, "file")
    if form.file.stat().st_size > MOST_FILE_BYTES:
        raise ApiError(413, f"the file is over {MOST_FILE_BYTES // 2**20} MiB", param="file")
    if fault := check_lines(form.file):
        raise ApiError(400, fault, code="invalid_file_format", param="file")
    name = form.filename or "upload.jsonl"
    return files.add_file(workspace, form.file, name, purpose, caller.key_id, expires_after=seconds)


@router.get("/v1/files")
async def list_files(
    request: Request,
    purpose: str | None = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = MOST_LISTED,
    order: Literal["asc", "desc"] = "desc",
    after: str = "",
) -> dict[str, Any]:
    """The files, newest first."""
    sight = caller_of(request).sight
    if purpose is not None:
        sight = files.Sight([one for one in sight.purposes if one == purpose], sight.key)
    workspace, newest_first = request.app.state.workspace, order == "desc"
    found = await run_in_threadpool(
        files.files, workspace, sight, limit=limit + 1, after=after, newest_first=newest_first
    )
    data = [file_object(one) for one in found[:limit]]
    return listed(data, has_more=len(found) > limit)


@router.get("/v1/files/{file}")
async def get_file(file: str, request: Request) -> dict[str, Any]:
    """One file."""
    return file_object(await run_in_threadpool(_find, request, file))


@router.get("/v1/files/{file}/content", response_class=FileResponse)
async def get_content(file: str, request: Request) -> FileResponse:
    """What it holds."""
    workspace = request.app.state.workspace
    found = await run_in_threadpool(_find, request, file)
    path = await run_in_threadpool(files.open_file, workspace, found.id)
    return FileResponse(path, media_type="application/octet-stream")


@router.delete("/v1/files/{file}")
async def delete_file(file: str, request: Request) -> dict[str, Any]:
    """Erase it, with its content."""
    await run_in_threadpool(files.delete_file, request.app.state.workspace, file, caller_of(request).sight)
    return {"id": file, "object": "file", "deleted": True}


def _find(request: Request, file: str) -> ApiFile:
    return files.find_file(request.app.state.workspace, file, caller_of(request).sight)
