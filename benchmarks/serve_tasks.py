"""Twenty tasks over one base, each with a model of its own, where a few fit into memory.

Loads them one after the other until all were there, then asks for those that were freed. Prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from common import machine
from serve_models import texts
from serve_soak import copied, serving

from inhouse.core import Task
from inhouse.store import Workspace, registry

TASKS = 20
# Room for some five of 135M.
MEMORY_GIB = 4.0


def add_tasks(workspace: Workspace) -> list[str]:
    """Twenty tasks, which answer with copies of one model."""
    like = registry.find_version(workspace, "intents", "latest")
    names = [f"task-{number:02}" for number in range(1, TASKS + 1)]
    for name in names:
        workspace.save_task(Task(name=name, labels=like.labels))
        registry.add_version(workspace, like.model_copy(update={"task": name}))
    return names


def measured() -> dict[str, Any]:
    """Seconds to first answers, and memory."""
    question = texts()[0]
    with copied() as workspace:
        names = add_tasks(workspace)
        with serving(workspace, INHOUSE_SERVE__MEMORY=str(MEMORY_GIB)) as server:
            memory = [server.memory()]
            with closing(HTTPConnection(server.address, timeout=600)) as connection:

                def seconds(name: str) -> float:
                    begun = time.monotonic()
                    server.ask(f"{name}@1", question, connection)
                    took = time.monotonic() - begun
                    memory.append(server.memory())
                    print(f"{name}: {took:.2f} s, {memory[-1]:.0f} MiB", file=sys.stderr, flush=True)
                    return took

                first = [seconds(name) for name in names]
                warm = [seconds(names[-1]) for _ in range(10)]
                again = [seconds(name) for name in names[:5]]
    at = {"none": memory[0], "one": memory[1], "two": memory[2], "most": max(memory)}
    return {
        "tasks": TASKS,
        "serve.memory_gib": MEMORY_GIB,
        "first_answer_s": round(statistics.median(first), 2),
        "first_answer_again_s": round(statistics.median(again), 2),
        "answer_when_loaded_s": round(statistics.median(warm), 3),
        "memory_mib": {loaded: round(used) for loaded, used in at.items()},
        "machine": machine(),
    }


if __name__ == "__main__":
    print(json.dumps(measured(), indent=1))
