"""What the benchmarks share: the machine in words, and where results go."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# The data sets that are not part of the project.
DATA = Path(os.environ.get("DATA") or ROOT.parent / "shared" / "data")


def machine() -> dict[str, Any]:
    """Cores that may be used, and the processor's name."""
    return {"cores": len(os.sched_getaffinity(0)), "processor": platform.processor() or platform.machine()}


def report(name: str, results: dict[str, Any]) -> None:
    """Write results/NAME.json beside the benchmarks, and print it.

    Raises:
        ValidationError: there is a contract (tests/contracts/bench_NAME.schema.json), and the results break it.
    """
    contract = ROOT / "tests" / "contracts" / f"bench_{name}.schema.json"
    if contract.is_file():
        from jsonschema import validate

        validate(results, json.loads(contract.read_text("utf-8")))
    file = Path(__file__).parent / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1)
    file.write_text(text + "\n", "utf-8")
    print(text)
