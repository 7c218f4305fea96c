"""`POST /v1/embeddings`: texts in, vectors out. Nothing is answered, so nothing is kept as a Trace."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from inhouse.api.caller import caller_of, require
from inhouse.api.leaving import while_waited_for
from inhouse.api.shapes.embeddings import EmbeddingRequest, embeddings
from inhouse.api.shapes.wishes import not_supported
from inhouse.deploy import Runtime
from inhouse.deploy.embedding import Embedded, Embedder
from inhouse.engine import Base

router = APIRouter(dependencies=[require("infer")])


@router.post("/v1/embeddings")
async def embed(body: EmbeddingRequest, request: Request) -> dict[str, Any]:
    """The vectors of one or more texts."""
    caller_of(request).require_everything()  # an encoder belongs to no task
    embedder: Embedder = request.app.state.embedder
    runtime: Runtime = request.app.state.runtime
    base = await run_in_threadpool(embedder.find, body.model)
    texts, width = body.texts, base.shape.width
    if body.dimensions not in (None, width):
        raise not_supported("dimensions", f"this encoder's vectors have {width}, and none of them can be left out")
    with runtime.place():
        return embeddings(body, await while_waited_for(request, _embedded(runtime, embedder, base, texts)))


async def _embedded(runtime: Runtime, embedder: Embedder, base: Base, texts: list[str]) -> Embedded:
    async with runtime.timed() as start:
        start()
        return await embedder.embed(base, texts)
