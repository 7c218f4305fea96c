"""The bodies of `/v1/webhook_endpoints`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from inhouse.api.shapes.times import unix
from inhouse.store.webhooks import EVENT_TYPES, Endpoint, EventType

_Types = Annotated[list[EventType], Field(min_length=1, max_length=len(EVENT_TYPES))]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Url = Annotated[str, Field(max_length=2048)]


class EndpointRequest(BaseModel):
    """The body that makes one."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    url: _Url
    event_types: _Types


class EndpointChange(BaseModel):
    """The body that changes one: what is given."""

    model_config = ConfigDict(extra="forbid")

    name: _Name | None = None
    url: _Url | None = None
    event_types: _Types | None = None


class RotateRequest(BaseModel):
    """The body of `/rotate_secret`."""

    model_config = ConfigDict(extra="forbid")

    keep_old_secret_active_for_24_hours: bool = False


class TestRequest(BaseModel):
    """The body of `/test`."""

    model_config = ConfigDict(extra="forbid")

    event_type: EventType


def endpoint_object(endpoint: Endpoint, secret: str = "") -> dict[str, Any]:
    """An endpoint as clients read it; with its secret where that was made just now."""
    told = {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "created_at": unix(endpoint.created_at),
        "updated_at": unix(endpoint.updated_at),
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "signing_secret_hint": f"whsec_…{secret[-4:]}" if secret else None,
    }
    return {**told, "signing_secret": secret} if secret else told
