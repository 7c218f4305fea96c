"""The bodies of `/v1/batches`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from inhouse.api.shapes.files import ExpiresAfter
from inhouse.api.shapes.metadata import Metadata
from inhouse.api.shapes.times import unix
from inhouse.pipeline.jobs.batches import Endpoint
from inhouse.store.database import later
from inhouse.store.jobs import Job

DAY_SECONDS = 86_400
CANCEL = "cancel"
_TIMES = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class BatchRequest(BaseModel):
    """The body of `POST /v1/batches`."""

    model_config = ConfigDict(extra="forbid")

    input_file_id: str
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None


def expires_at(job: Job) -> str:
    """When what is not answered of a batch will not be any more."""
    return later(job.created_at, DAY_SECONDS)


def status_of(job: Job) -> str:
    """A batch that is asked to end is `cancelling` until it has."""
    return "cancelling" if job.is_open and job.wish == CANCEL else job.status


def batch_object(job: Job) -> dict[str, Any]:
    """A batch as clients read it."""
    request, result = job.request, job.result or {}
    errors, times = result.get("errors"), result.get("times", {})
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": request["endpoint"],
        "errors": {"object": "list", "data": errors} if errors else None,
        "input_file_id": request["input_file_id"],
        "completion_window": request["completion_window"],
        "status": status_of(job),
        "output_file_id": result.get("output_file_id"),
        "error_file_id": result.get("error_file_id"),
        "created_at": unix(job.created_at),
        "expires_at": unix(expires_at(job)),
        **{f"{name}_at": unix(times[name]) if name in times else None for name in _TIMES},
        "request_counts": result.get("counts", {"total": 0, "completed": 0, "failed": 0}),
        "metadata": request["metadata"],
    }
