"""A part of a list, as OpenAI's client pages through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MOST_LISTED = 100


def listed(data: Sequence[dict[str, Any]], *, has_more: bool) -> dict[str, Any]:
    """Objects with ids; the next page begins after the last one."""
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return {"object": "list", "data": data, "has_more": has_more, **ends}
