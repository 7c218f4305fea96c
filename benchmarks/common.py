"""What the benchmarks share: the machine in words, and where results go."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Cores that may be used, and the processor's name."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": platform.processor() or platform.machine()}


def report(name: str, results: dict[str, Any]) -> None:
    """Write results/NAME.json beside the benchmarks, and print it."""
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    file.write_text(text + "\n", "utf-8")
    print(text)
