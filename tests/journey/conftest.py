"""The journey runs the installed command on the real embedded base, from the package index or this machine's cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import HOUSE, command

BANKING = HOUSE.parent / "shared" / "data" / "banking77"


@pytest.fixture(scope="session")
def cli() -> Callable[..., dict[str, Any]]:
    """Run a command with --json and give its object back."""

    def run(workspace: Path, *words: str, code: int = 0) -> dict[str, Any]:
        return json.loads(command(workspace, *words, "--json", code=code).stdout)

    return run


@pytest.fixture(scope="session")
def banking() -> Path:
    """Real data beside the checkout; CI has it and must not skip."""
    if not BANKING.is_dir():
        assert not os.environ.get("CI"), f"{BANKING} is missing, and CI must not skip"
        pytest.skip(f"the development data is not here ({BANKING})")
    return BANKING
