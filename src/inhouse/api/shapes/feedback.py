"""The body of `POST /v1/feedback`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FeedbackRequest(BaseModel):
    """An opinion on an answer: its `id`, and the right answer or whether it was right."""

    model_config = ConfigDict(extra="forbid")

    id: str
    correction: str | None = None
    accepted: bool | None = None
    comment: str = ""
