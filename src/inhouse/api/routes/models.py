"""`/v1/models`: which models can be asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.models import Models

router = APIRouter()


@router.get("/v1/models")
async def list_models(request: Request) -> dict[str, Any]:
    """Every model name that can be asked for."""
    models: Models = request.app.state.models
    return {"object": "list", "data": await run_in_threadpool(lambda: [_model(models, n) for n in models.names()])}


@router.get("/v1/models/{name:path}")
async def get_model(name: str, request: Request) -> dict[str, Any]:
    """One model."""
    return await run_in_threadpool(_model, request.app.state.models, name)


def _model(models: Models, name: str) -> dict[str, Any]:
    version = models.resolve(name)
    created = int(datetime.fromisoformat(version.created_at).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": "inhouse", "root": version.name}
