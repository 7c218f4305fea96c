"""The facts of `families.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def families() -> dict[str, Any]:
    """The facts of `families.toml`."""
    return tomllib.loads((files("inhouse.engine") / "families.toml").read_text("utf-8"))
