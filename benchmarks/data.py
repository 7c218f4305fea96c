"""Compile and clean, measured: what the checks find of what is wrong, and how fast data is read and looked through.

    make bench-data                               # all parts; an hour and more on two cores
    make bench-data PARTS="twins personal"        # some of them; results of the others stay in the file

Reads the data sets of `../shared/data` (DATA), which are not part of the project, and the project's own examples with
their key files. Each part is a module of its own, which says what it measures.

Writes benchmarks/results/data.json, whose shape is tests/contracts/bench_data.schema.json.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import machine, report

import inhouse

PARTS = ("planted", "twins", "suspects", "personal", "documents", "peers", "speed")


def main(names: Sequence[str]) -> None:
    """Measure, print, write: after each part, so that what was measured is kept."""
    if odd := sorted(set(names) - set(PARTS)):
        sys.exit(f"no part is called {odd[0]!r}; there are {', '.join(PARTS)}")
    file = Path(__file__).parent / "results" / "data.json"
    known: dict[str, Any] = json.loads(file.read_text("utf-8"))["parts"] if file.is_file() else {}
    for name in names or PARTS:
        known[name] = {**importlib.import_module(f"data_{name}").measure(), "machine": machine()}
        report("data", {"inhouse": inhouse.__version__, "parts": known})


if __name__ == "__main__":
    main(sys.argv[1:])
