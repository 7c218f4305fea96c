"""`POST /v1/feedback`: an opinion on an answer (not part of the OpenAI API)."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import Caller, caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.shapes.feedback import FeedbackRequest
from inhouse.core import Feedback, Task
from inhouse.core.json_schema import parse_object, validate
from inhouse.store import Workspace, traffic

router = APIRouter(dependencies=[require("review")])


@router.post("/v1/feedback")
async def give_feedback(body: FeedbackRequest, request: Request) -> dict[str, Any]:
    """Attach a Correction, or an acceptance, to the answer with that id."""
    kept = await run_in_threadpool(_keep, request.app.state.workspace, body, caller_of(request))
    return {"object": "feedback", **kept.model_dump()}


def _keep(workspace: Workspace, body: FeedbackRequest, caller: Caller) -> Feedback:
    """Store the opinion, if it is one on that answer.

    Raises:
        NotFound: there is no such answer.
        ApiError: it says nothing, contradicts itself, or corrects to what is no answer of the task.
    """
    trace = traffic.find_trace(workspace, body.id, caller.tasks)
    if "" in trace.inputs:
        raise ApiError(400, "that request was refused unread: there is nothing to judge", code="invalid_value")
    if trace.task == traffic.NO_TASK:
        raise ApiError(400, "that is the answer of a base model: no task learns from it", code="invalid_value")
    correction = body.correction.strip() if body.correction is not None else None
    if correction is None and body.accepted is None:
        raise ApiError(400, "give `correction` or `accepted`", code="missing", param="correction")
    if correction is not None and body.accepted not in (None, correction == trace.output):
        raise ApiError(
            400,
            f"`accepted` and `correction` contradict each other: the answer was {trace.output!r}",
            code="invalid_value",
            param="accepted",
        )
    if correction is not None and (fault := unfit(workspace.load_task(trace.task), correction)):
        raise ApiError(400, fault[0], code=fault[1], param="correction")
    accepted = correction == trace.output if correction is not None else bool(body.accepted)
    return traffic.add_feedback(
        workspace, Feedback(trace=trace.id, correction=correction, accepted=accepted, comment=body.comment)
    )


def unfit(task: Task, correction: str) -> tuple[str, str] | None:
    """Why a correction cannot be an answer of the task, with an error code; None when it can."""
    if task.kind == "classify":
        if correction in task.labels:
            return None
        return f"{correction!r} is none of the task's labels: {', '.join(task.labels[:100])}", "unknown_label"
    if task.kind == "extract":
        found = parse_object(correction)
        fault = "no JSON object" if found is None else validate(task.json_schema, found)
        return (f"the correction does not meet the task's schema: {fault}", "invalid_object") if fault else None
    return None if correction else ("the correction is empty", "invalid_value")
