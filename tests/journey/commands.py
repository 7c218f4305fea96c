"""The installed command, run as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("inhouse"))


def command(workspace: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `inhouse ...` in a workspace; insist on its exit code."""
    done = subprocess.run(
        [COMMAND, *words, "--workspace", str(workspace)], capture_output=True, text=True, check=False, timeout=1500
    )
    assert done.returncode == code, f"inhouse {' '.join(words)} -> {done.returncode}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
    return done
