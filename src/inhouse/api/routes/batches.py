"""`/v1/batches`: files of requests that are answered when there is time."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.asked import digest_of, find_job, is_sent_again
from inhouse.api.caller import Caller, caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.shapes.batches import CANCEL, BatchRequest, batch_object, status_of
from inhouse.api.shapes.lists import MOST_LISTED, listed
from inhouse.errors import NotFound
from inhouse.store import Workspace, files, jobs
from inhouse.store.jobs import Job

router = APIRouter(dependencies=[require("infer")])


@router.post("/v1/batches")
async def create_batch(body: BatchRequest, request: Request) -> dict[str, Any]:
    """Put a batch into the queue."""
    workspace, caller = request.app.state.workspace, caller_of(request)
    made = await run_in_threadpool(_create, workspace, body, caller, sent_again=is_sent_again(request))
    return batch_object(made)


def _create(workspace: Workspace, body: BatchRequest, caller: Caller, *, sent_again: bool) -> Job:
    file = files.find_file(workspace, body.input_file_id, caller.sight)
    if file.purpose != "batch":
        told = f"the file {file.id} is for {file.purpose}; upload it with the purpose batch"
        raise ApiError(400, told, code="invalid_purpose", param="input_file_id")
    asked = body.model_dump()
    digest = digest_of("batch", caller, asked)
    job = Job(jobs.new_id("batch_"), "batch", "validating", asked, digest, key=caller.key_id)
    return jobs.add(workspace, job, sent_again=sent_again)[0]


@router.get("/v1/batches")
async def list_batches(
    request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20, after: str = ""
) -> dict[str, Any]:
    """The batches, newest first."""
    workspace, caller = request.app.state.workspace, caller_of(request)
    found = await run_in_threadpool(jobs.newest, workspace, "batch", after=after, limit=limit, matches=caller.sees)
    data = [batch_object(job) for job in found.rows]
    return listed(data, has_more=found.has_more)


@router.get("/v1/batches/{batch}")
async def get_batch(batch: str, request: Request) -> dict[str, Any]:
    """One batch, and how far it is."""
    return batch_object(await run_in_threadpool(_find, request, batch))


@router.post("/v1/batches/{batch}/cancel")
async def cancel_batch(batch: str, request: Request) -> dict[str, Any]:
    """Begin no further request of it; what was answered is kept."""
    return batch_object(await run_in_threadpool(_cancel, request, batch))


def _cancel(request: Request, batch: str) -> Job:
    job = _find(request, batch)
    changed = jobs.change(request.app.state.workspace, job.id, wish=CANCEL)
    if changed is None:
        status = status_of(_find(request, batch))
        raise ApiError(409, f"Cannot cancel a batch with status '{status}'.", code="invalid_status")
    return changed


def _find(request: Request, batch: str) -> Job:
    job = find_job(request, batch, "batch")
    if job is None:
        raise NotFound(f"No batch found with id '{batch}'.")
    return job
