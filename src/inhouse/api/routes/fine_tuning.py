"""`/v1/fine_tuning/jobs`: trainings that are asked for over the API."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import Caller, caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.shapes.fine_tuning import (
    PAUSE,
    JobRequest,
    checkpoint_object,
    event_object,
    job_object,
    new_seed,
    status_of,
)
from inhouse.api.shapes.lists import MOST_LISTED, listed
from inhouse.core.json_schema import compact
from inhouse.errors import ModelUnavailable, NotFound
from inhouse.pipeline.jobs.naming import ID_PREFIX, reference_of
from inhouse.pipeline.jobs.worker import tidy
from inhouse.store import Workspace, files, jobs
from inhouse.store.jobs import Job

KIND: jobs.JobKind = "fine-tune"
_FILTER = re.compile(r"metadata\[(.+)\]")

router = APIRouter(dependencies=[require("train")])
_Limit = Annotated[int, Query(ge=1, le=MOST_LISTED)]


@router.post("/v1/fine_tuning/jobs")
async def create_job(body: JobRequest, request: Request) -> dict[str, Any]:
    """Put a fine-tuning job into the queue."""
    workspace, caller = request.app.state.workspace, caller_of(request)
    caller.require_everything()  # it makes a task, which is none of the key's
    sent_again = request.headers.get("x-stainless-retry-count", "0") != "0"
    return job_object(await run_in_threadpool(_create, workspace, body, caller, sent_again=sent_again))


def _create(workspace: Workspace, body: JobRequest, caller: Caller, *, sent_again: bool) -> Job:
    asked = body.asked()
    try:
        reference_of(workspace.settings, body.model)
    except ModelUnavailable as error:
        raise ApiError(400, f"{error.what}. {error.remedy}", code="model_not_found", param="model") from error
    for param in ("training_file", "validation_file"):
        if asked[param] is not None:
            _require_file(workspace, asked[param], param, caller)
    digest = hashlib.sha256(compact([KIND, caller.key_id, asked]).encode("utf-8")).hexdigest()
    if asked["seed"] is None:
        asked["seed"] = new_seed()
    job = Job(jobs.new_id(ID_PREFIX), KIND, "validating_files", asked, digest, key=caller.key_id)
    job, _ = jobs.add(workspace, job, sent_again=sent_again, act="create job")
    jobs.tell(workspace, job.id, f"Created fine-tuning job: {job.id}", once=True)
    return job


def _require_file(workspace: Workspace, file: str, param: str, caller: Caller) -> None:
    try:
        found = files.find_file(workspace, file, caller.sight)
    except NotFound as error:
        raise ApiError(404, error.what, param=param) from error
    if found.purpose != "fine-tune":
        told = f"the file {file} is for {found.purpose}; upload it with the purpose fine-tune"
        raise ApiError(400, told, code="invalid_purpose", param=param)


@router.get("/v1/fine_tuning/jobs")
async def list_jobs(request: Request, limit: _Limit = 20, after: str = "") -> dict[str, Any]:
    """The jobs, newest first; of those with some metadata where `metadata[key]=value` is asked for."""
    workspace, caller = request.app.state.workspace, caller_of(request)
    wanted = _metadata(request.query_params)
    if after:
        await run_in_threadpool(_find, request, after)
    found = await run_in_threadpool(
        jobs.newest,
        workspace,
        KIND,
        after=after,
        limit=limit,
        matches=lambda job: caller.sees(job) and _has(job, wanted),
    )
    return listed([job_object(job) for job in found.rows], has_more=found.has_more)


def _metadata(query: Mapping[str, str]) -> dict[str, str] | None:
    """The metadata that is asked for; None: that of jobs without any."""
    if query.get("metadata") == "null":
        return None
    return {name[1]: value for key, value in query.items() if (name := _FILTER.fullmatch(key))}


def _has(job: Job, wanted: Mapping[str, str] | None) -> bool:
    metadata = job.request["metadata"]
    return not metadata if wanted is None else wanted.items() <= (metadata or {}).items()


@router.get("/v1/fine_tuning/jobs/{job}")
async def get_job(job: str, request: Request) -> dict[str, Any]:
    """One job, and how far it is."""
    return job_object(await run_in_threadpool(_find, request, job))


@router.post("/v1/fine_tuning/jobs/{job}/cancel")
async def cancel_job(job: str, request: Request) -> dict[str, Any]:
    """End a job where it is; what was learned so far goes."""
    return job_object(await run_in_threadpool(_cancel, request, job))


def _cancel(request: Request, name: str) -> Job:
    workspace: Workspace = request.app.state.workspace
    job = _find(request, name)
    ended = jobs.finish(workspace, job.id, "cancelled", act="cancel job")
    if ended is None:
        raise _has_ended(_find(request, name), "cancel")
    jobs.tell(workspace, job.id, "The job was cancelled")
    if not job.is_leased:  # else its worker does, when nothing is written any more
        tidy(workspace, ended)
    return ended


@router.post("/v1/fine_tuning/jobs/{job}/pause")
async def pause_job(job: str, request: Request) -> dict[str, Any]:
    """Work on a job no further; its last checkpoint is where it goes on."""
    return job_object(await run_in_threadpool(_wish, request, job, PAUSE))


@router.post("/v1/fine_tuning/jobs/{job}/resume")
async def resume_job(job: str, request: Request) -> dict[str, Any]:
    """Go on with a job that is paused."""
    return job_object(await run_in_threadpool(_wish, request, job, ""))


def _wish(request: Request, name: str, wish: str) -> Job:
    """Let a job be paused, or go on; one that is so already is left as it is."""
    workspace: Workspace = request.app.state.workspace
    job = _find(request, name)
    changed = jobs.change(workspace, job.id, wish=wish)
    if changed is None:
        raise _has_ended(_find(request, name), "pause" if wish else "resume")
    if job.wish != wish:
        jobs.tell(workspace, job.id, "The job was paused" if wish else "The job was resumed")
    return changed


def _has_ended(job: Job, verb: str) -> ApiError:
    return ApiError(409, f"Cannot {verb} a job with status '{status_of(job)}'.", code="invalid_status")


@router.get("/v1/fine_tuning/jobs/{job}/events")
async def list_events(job: str, request: Request, limit: _Limit = 20, after: str = "") -> dict[str, Any]:
    """What was said of a job, newest first."""
    workspace = request.app.state.workspace
    found = await run_in_threadpool(_find, request, job)
    page = await run_in_threadpool(jobs.events, workspace, found.id, after=after, limit=limit)
    return listed([event_object(one) for one in page.rows], has_more=page.has_more)


@router.get("/v1/fine_tuning/jobs/{job}/checkpoints")
async def list_checkpoints(job: str, request: Request, limit: _Limit = 10, after: str = "") -> dict[str, Any]:
    """The models of a job as they were after its last epochs, newest first."""
    workspace = request.app.state.workspace
    found = await run_in_threadpool(_find, request, job)
    page = await run_in_threadpool(jobs.checkpoints, workspace, found.id, after=after, limit=limit)
    return listed([checkpoint_object(one) for one in page.rows], has_more=page.has_more)


def _find(request: Request, name: str) -> Job:
    try:
        job = jobs.find(request.app.state.workspace, name, KIND)
    except NotFound:
        job = None
    if job is None or not caller_of(request).sees(job):
        told = f"Could not find fine tune: {name}"
        raise ApiError(404, told, code="fine_tune_not_found", param="fine_tuning_job_id")
    return job
