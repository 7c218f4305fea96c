"""What endpoints that make jobs share: the same request sent again, and whose job it is."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request

from inhouse.api.caller import Caller, caller_of
from inhouse.core.json_schema import compact
from inhouse.errors import NotFound
from inhouse.store import jobs
from inhouse.store.jobs import Job, JobKind


def is_sent_again(request: Request) -> bool:
    """Whether the client sends a request again that it had no answer to."""
    return request.headers.get("x-stainless-retry-count", "0") != "0"


def digest_of(kind: JobKind, caller: Caller, asked: dict[str, Any]) -> str:
    """By what the same request of the same caller is known."""
    return hashlib.sha256(compact([kind, caller.key_id, asked]).encode("utf-8")).hexdigest()


def find_job(request: Request, name: str, kind: JobKind) -> Job | None:
    """The job with that id, where there is one that the caller may see."""
    try:
        job = jobs.find(request.app.state.workspace, name, kind)
    except NotFound:
        return None
    return job if caller_of(request).sees(job) else None
