"""The endpoints: one module for each part of the surface; a new one adds its router here."""

from fastapi import APIRouter

from inhouse.api.routes import (
    batches,
    chat,
    completions,
    embeddings,
    feedback,
    files,
    fine_tuning,
    health,
    models,
    uploads,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    models.router,
    chat.router,
    completions.router,
    embeddings.router,
    batches.router,
    fine_tuning.router,
    feedback.router,
    files.router,
    uploads.router,
    webhooks.router,
)
