"""Whether the server is up."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """Answered by the event loop alone, so that it waits behind no request."""
    return {"status": "ok"}
