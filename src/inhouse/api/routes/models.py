"""`/v1/models`: which models can be asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.core import ModelVersion

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    """Every model name that can be asked for."""
    found = await run_in_threadpool(request.app.state.dispatcher.models)
    return {"object": "list", "data": [_model(name, version) for name, version in found]}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, request: Request) -> dict[str, Any]:
    """One model."""
    chosen = await run_in_threadpool(request.app.state.dispatcher.choose, name)
    return _model(name, chosen.version)


def _model(name: str, version: ModelVersion) -> dict[str, Any]:
    created = int(datetime.fromisoformat(version.created_at).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "inhouse", "root": version.name}
