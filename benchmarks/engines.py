"""The two local engines side by side on one trained file: do they answer alike, and how fast are they?

    .venv/bin/python benchmarks/engines.py WORKSPACE TASK [VERSION]

Takes a version of a task (a number, an alias, or the latest) and asks both engines for the test examples of the dataset
that it learned from, one engine after the other, as `evaluate` would. Tells the share of equal answers, the share that
is right in each, McNemar's exact p of the difference, and answers per second without loading.

Writes benchmarks/results/engines.json.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from common import report

from inhouse.core import Example, ModelVersion
from inhouse.deploy import ServedModel
from inhouse.scoring import judge, mcnemar_exact, right_metric
from inhouse.store import Workspace, records, registry

ENGINES = ("openvino-genai", "xllamacpp")


def main() -> None:
    """Ask both, compare, print, write."""
    workspace, name = Workspace(Path(sys.argv[1])), sys.argv[2]
    version = registry.find_version(workspace, name, sys.argv[3] if len(sys.argv) > 3 else "latest")
    task = version.answers_as(workspace.load_task(name))
    metric = right_metric(task)
    if metric is None:
        sys.exit("nothing tells which answers of this task are right")
    test = records.load_dataset(workspace, name, version.lineage["dataset"]).of("test")
    given = {engine: ask(workspace, version, engine, test) for engine in ENGINES}
    right = {e: np.asarray(judge(task, test, g["answers"]).scores[metric] == 1.0) for e, g in given.items()}
    one, other = ENGINES
    equal = np.mean([a == b for a, b in zip(given[one]["answers"], given[other]["answers"], strict=True)])
    results = {
        "version": version.name,
        "examples": len(test),
        "equal": round(float(equal), 4),
        "p_value": mcnemar_exact(right[one], right[other]),
        **{
            engine: {
                metric: round(float(right[engine].mean()), 4),
                "answers_per_second": round(len(test) / g["seconds"], 2),
                "seconds_to_load": round(g["loading"], 1),
            }
            for engine, g in given.items()
        },
    }
    report("engines", results)


def ask(workspace: Workspace, version: ModelVersion, engine: str, test: Sequence[Example]) -> dict[str, Any]:
    """The answers of one engine, and how long they took."""
    begun = time.perf_counter()
    served = ServedModel(workspace, version.model_copy(update={"engine": engine}))
    try:
        loaded = time.perf_counter()
        answers = [a.prediction.target for a in served.answer([e.inputs for e in test])]
        return {"answers": answers, "loading": loaded - begun, "seconds": time.perf_counter() - loaded}
    finally:
        served.close()


if __name__ == "__main__":
    main()
