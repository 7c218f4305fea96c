"""Moments as clients read them."""

from __future__ import annotations

from datetime import datetime


def unix(moment: str) -> int:
    """Whole seconds since 1970 of an ISO 8601 moment."""
    return int(datetime.fromisoformat(moment).timestamp())
