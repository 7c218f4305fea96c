"""`/v1/webhook_endpoints`: addresses that are told how batches and fine-tuning jobs ended."""

from __future__ import annotations

import http.client
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api import deliveries
from inhouse.api.caller import caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.shapes.lists import MOST_LISTED, listed
from inhouse.api.shapes.webhooks import EndpointChange, EndpointRequest, RotateRequest, TestRequest, endpoint_object
from inhouse.store import Workspace, webhooks
from inhouse.store.webhooks import EVENT_TYPES, Endpoint


def _of_all_tasks(request: Request) -> None:
    """Events are those of all tasks."""
    caller_of(request).require_everything()


router = APIRouter(dependencies=[require("admin"), Depends(_of_all_tasks)])


@router.get("/v1/webhook_event_types")
async def list_event_types() -> dict[str, Any]:
    """What can be told of."""
    return {"object": "list", "data": list(EVENT_TYPES)}


@router.post("/v1/webhook_endpoints")
async def create_endpoint(body: EndpointRequest, request: Request) -> dict[str, Any]:
    """Tell an address of events. The secret that they are signed with is shown this once."""
    return await run_in_threadpool(_create, request.app.state.workspace, body)


@router.get("/v1/webhook_endpoints")
async def list_endpoints(
    request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 20, after: str = ""
) -> dict[str, Any]:
    """The endpoints, newest first."""
    found = await run_in_threadpool(webhooks.newest, request.app.state.workspace, limit=limit + 1, after=after)
    data = [endpoint_object(one) for one in found[:limit]]
    return listed(data, has_more=len(found) > limit)


@router.get("/v1/webhook_endpoints/{endpoint}")
async def get_endpoint(endpoint: str, request: Request) -> dict[str, Any]:
    """One endpoint."""
    return endpoint_object(await run_in_threadpool(webhooks.find, request.app.state.workspace, endpoint))


@router.post("/v1/webhook_endpoints/{endpoint}")
async def change_endpoint(endpoint: str, body: EndpointChange, request: Request) -> dict[str, Any]:
    """Change what is given of it."""
    return endpoint_object(await run_in_threadpool(_change, request.app.state.workspace, endpoint, body))


@router.delete("/v1/webhook_endpoints/{endpoint}")
async def delete_endpoint(endpoint: str, request: Request) -> dict[str, Any]:
    """Tell it nothing more."""
    await run_in_threadpool(webhooks.remove, request.app.state.workspace, endpoint)
    return {"id": endpoint, "object": "webhook_endpoint.deleted", "deleted": True}


@router.post("/v1/webhook_endpoints/{endpoint}/rotate_secret")
async def rotate_secret(endpoint: str, request: Request, body: RotateRequest | None = None) -> dict[str, Any]:
    """Give it another secret, which is shown this once."""
    keep = body is not None and body.keep_old_secret_active_for_24_hours
    found, secret = await run_in_threadpool(webhooks.rotate, request.app.state.workspace, endpoint, keep_old=keep)
    return endpoint_object(found, secret)


@router.post("/v1/webhook_endpoints/{endpoint}/test")
async def test_endpoint(endpoint: str, body: TestRequest, request: Request) -> dict[str, Any]:
    """Send it a sample of an event now, and tell the status of its answer."""
    status = await run_in_threadpool(_test, request.app.state.workspace, endpoint, body.event_type)
    told = {"object": "webhook_endpoint.test", "success": True, "webhook_endpoint_id": endpoint}
    return {**told, "event_type": body.event_type, "status_code": status}


def _create(workspace: Workspace, body: EndpointRequest) -> dict[str, Any]:
    deliveries.check_url(workspace, body.url)
    return endpoint_object(*webhooks.create(workspace, body.name, body.url, dict.fromkeys(body.event_types)))


def _change(workspace: Workspace, endpoint: str, body: EndpointChange) -> Endpoint:
    if body.url is not None:
        deliveries.check_url(workspace, body.url)
    return webhooks.change(workspace, endpoint, **body.model_dump(exclude_none=True))


def _test(workspace: Workspace, endpoint: str, event: str) -> int:
    found = webhooks.find(workspace, endpoint)
    subject = "batch_test" if event.startswith("batch.") else "ftjob-test"
    try:
        return deliveries.send(workspace, found, webhooks.payload(event, subject))
    except (OSError, http.client.HTTPException) as error:
        told = f"the endpoint was not reached: {type(error).__name__}: {error}"
        raise ApiError(400, told, code="webhook_not_reached", param="url") from error
