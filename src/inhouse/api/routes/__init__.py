"""The endpoints: one module for each part of the surface; a new one adds its router here."""

from fastapi import APIRouter

from inhouse.api.routes import chat, completions, embeddings, feedback, files, health, models, uploads

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    models.router,
    chat.router,
    completions.router,
    embeddings.router,
    feedback.router,
    files.router,
    uploads.router,
)
