"""Scripts of users, run by the official client in a process of its own: the newest line, and the last 1.x."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
CLIENTS = ("3", "1")


def _first_on_the_path(client: str) -> list[str]:
    """Where the client lies that is not the installed one; skips where it is not here, which CI never does."""
    if client == "3":
        return []
    folder = Path(sys.prefix) / "openai1"
    if not (folder / "openai").is_dir():
        told = f"{folder} is missing: `make install` makes it"
        pytest.fail(told) if os.environ.get("CI") else pytest.skip(told)
    return [str(folder)]


def run_script(name: str, client: str, url: str, *arguments: str, **variables: str) -> Any:
    """What a script of `tests/scripts` prints as JSON, run against the server at `url`.

    Args:
        client: one of `CLIENTS`.
        variables: environment variables beside `OPENAI_BASE_URL` and `OPENAI_API_KEY`.
    """
    path = [*_first_on_the_path(client), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none", **variables}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPTS / name), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
