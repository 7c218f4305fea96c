"""`/v1/models`: which models can be asked for."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import caller_of, require
from inhouse.api.errors import ApiError
from inhouse.api.shapes.times import unix
from inhouse.core import ModelVersion
from inhouse.deploy.bases import BaseVersion
from inhouse.engine import Base
from inhouse.engine.bases import converted_at
from inhouse.errors import ModelNotFound, Refused
from inhouse.store import model_names

router = APIRouter()
READING = [require("infer")]


@router.get("/v1/models", dependencies=READING)
async def list_models(request: Request) -> dict[str, Any]:
    """Every model name that can be asked for, once: base models, encoders, tasks and their versions, names of jobs."""
    state = request.app.state
    tasks = caller_of(request).tasks
    found = await run_in_threadpool(state.dispatcher.models, tasks)
    bases = [_model(name, version) for name, version in found if isinstance(version, BaseVersion)]
    named = {name for name, _ in found}
    here = await run_in_threadpool(state.embedder.bases) if tasks is None else []
    encoders = [_encoder(base) for base in here if base.spec.name not in named]
    others = [_model(name, version) for name, version in found if not isinstance(version, BaseVersion)]
    return {"object": "list", "data": [*bases, *encoders, *others]}


@router.get("/v1/models/{name:path}", dependencies=READING)
async def get_model(name: str, request: Request) -> dict[str, Any]:
    """One model."""
    state, caller = request.app.state, caller_of(request)
    try:
        chosen = await caller.chosen(state.dispatcher, name)
    except ModelNotFound:
        try:
            return _encoder(await run_in_threadpool(state.embedder.find, name), name)
        except ModelNotFound:
            pass
        raise
    return _model(name, chosen.version)


@router.delete("/v1/models/{name:path}", dependencies=[require("train")])
async def delete_model(name: str, request: Request) -> dict[str, Any]:
    """Take away a name that a fine-tuning job gave, and those of its checkpoints."""
    state, caller = request.app.state, caller_of(request)
    await run_in_threadpool(caller.require_model, name, state.dispatcher)
    if not name.startswith(model_names.PREFIX):
        await caller.chosen(state.dispatcher, name)  # says where there is none
        told = f"`{name}` is not deleted here: only names that fine-tuning jobs gave are (`{model_names.PREFIX}…`)"
        raise ApiError(403, told, code="not_deletable", param="model")
    try:
        await run_in_threadpool(model_names.delete, state.workspace, name)
    except Refused as error:
        raise ApiError(409, f"{error.what}. {error.remedy}", code="model_in_use", param="model") from error
    return {"id": name, "object": "model", "deleted": True}


def _encoder(base: Base, name: str = "") -> dict[str, Any]:
    own = base.spec.name
    return _shape(name or own, int(converted_at(base.folder)), own)


def _model(name: str, version: ModelVersion) -> dict[str, Any]:
    return _shape(name, unix(version.created_at), version.name)


def _shape(name: str, created: int, root: str) -> dict[str, Any]:
    """What OpenAI tells of a model; nothing here is shut down on a date."""
    facts = {"id": name, "object": "model", "created": created, "owned_by": "inhouse"}
    return {**facts, "shutdown_date": None, "root": root}
