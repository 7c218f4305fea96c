"""What all results are: they never change, and hold nothing that has no name here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A result: unchangeable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
